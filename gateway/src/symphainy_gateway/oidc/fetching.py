"""Fetching an issuer's keys over HTTP: bounded in time and size, never along a redirect."""

from __future__ import annotations

import asyncio
import ssl
from functools import cache

import httpx
import msgspec
from msgspec import Struct

from symphainy_gateway.oidc.keys import KeySet, read_key_set
from symphainy_runtime.identity_settings import OidcIssuer

# A hundred RSA keys with their certificates are 250 KB.
DOCUMENT_MAX_BYTES = 262_144
OK = 200
DISCOVERY = "/.well-known/openid-configuration"
# Nothing packed: a bomb would be unpacked before it was counted.
_HEADERS = {"accept": "application/json", "accept-encoding": "identity"}


class NotFetched(Exception):
    """Why the keys could not be had; for the operator."""


class _Discovered(Struct, frozen=True):
    issuer: str
    jwks_uri: str


async def fetch_keys(issuer: OidcIssuer) -> KeySet:
    """The issuer's keys as they are now, within `timeout_s` for everything.

    On a connection of its own: the next fetch is minutes away.

    Raises:
        NotFetched: it did not answer in time, or not with keys.
    """
    try:
        async with asyncio.timeout(issuer.timeout_s), _client() as client:
            url = issuer.jwks_url or await _discover(client, issuer)
            return read_key_set(await _get(client, url))
    except TimeoutError as error:
        raise NotFetched(f"no answer within {issuer.timeout_s:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, msgspec.MsgspecError) as error:
        raise NotFetched(f"{type(error).__name__}: {error}") from error


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(follow_redirects=False, verify=_trusted())


@cache
def _trusted() -> ssl.SSLContext:
    """Whom to trust, read once: that takes some milliseconds."""
    return httpx.create_ssl_context()


async def _discover(client: httpx.AsyncClient, issuer: OidcIssuer) -> str:
    """Source: OpenID Connect Discovery 1.0, section 4: the document's issuer must be the one that
    was asked, or anybody's document would do."""
    found = msgspec.json.decode(
        await _get(client, issuer.issuer.rstrip("/") + DISCOVERY), type=_Discovered
    )
    if found.issuer != issuer.issuer:
        raise ValueError(f"the discovery document is of {found.issuer[:200]!r}")
    issuer.require_url("jwks_uri", found.jwks_uri)
    return found.jwks_uri


async def _get(client: httpx.AsyncClient, url: str) -> bytes:
    async with client.stream("GET", url, headers=_HEADERS) as response:
        if response.status_code != OK:
            raise ValueError(f"{url} answered {response.status_code}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ValueError(f"{url} answered packed, unasked")
        document = bytearray()
        async for chunk in response.aiter_raw():
            document += chunk
            if len(document) > DOCUMENT_MAX_BYTES:
                raise ValueError(f"{url} answered more than {DOCUMENT_MAX_BYTES} bytes")
        return bytes(document)
