"""A token to its caller: form, issuer, key, signature, then claims. Verified ones are remembered.

Nothing that a token says of itself chooses how it is verified, but its issuer and its kid, and
those only among what the operator has configured: `alg` must be on the issuer's list and fit the
key; `jwk`, `jku`, `x5u` and `x5c` are not looked at; `crit` is refused, for nothing there is known.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from types import TracebackType
from typing import Any, Self, cast

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jws import CompactSignature, JWSRegistry
from msgspec import Struct

from symphainy_gateway.callers import Caller
from symphainy_gateway.oidc.claims import Claims, caller_of
from symphainy_gateway.oidc.fetching import fetch_keys
from symphainy_gateway.oidc.key_source import Fetch, KeySource
from symphainy_gateway.oidc.once import UsedTokens
from symphainy_gateway.refusals import (
    RENEW,
    Unauthenticated,
    bad_claim,
    invalid,
    keys_unavailable,
)
from symphainy_runtime.identity_settings import OidcIssuer
from symphainy_runtime.settings import RuntimeSettings
from symphainy_transport.clock import Clock

_COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
KID_MAX = 256
# What odd JSON makes joserfc raise.
_ODD = (ValueError, TypeError, AttributeError, RecursionError)


class TokenRegistry(JWSRegistry):
    """joserfc's rules, but for what is configured here: an algorithm on the list is meant."""

    max_header_length = 16_384
    max_payload_length = 65_536

    def get_alg(self, name: str) -> Any:
        """The algorithm, without the warning that EdDSA has another name since RFC 9864."""
        return self.algorithms[name]

    def check_header(self, header: dict[str, Any]) -> None:
        """Nothing: `_check_header` has."""


_REGISTRY = TokenRegistry()


class _Known(Struct, frozen=True):
    """A token that was verified, with which keys, and until when that counts (s, epoch)."""

    caller: Caller
    source: KeySource
    generation: int
    until_s: float


class TokenVerifier:
    """Verifies tokens of the configured issuers."""

    def __init__(
        self, fetches: Mapping[OidcIssuer, Fetch], clock: Clock, max_bytes: int, cached: int
    ) -> None:
        """`fetches` gives each issuer's keys; `cached` verified tokens are kept at most."""
        self._sources = {
            issuer.issuer: KeySource(issuer, fetch, clock) for issuer, fetch in fetches.items()
        }
        self._used = {name: UsedTokens() for name in self._sources}
        self._clock = clock
        self._max_bytes = max_bytes
        self._cached = cached
        self._known: dict[bytes, _Known] = {}
        self._following: list[asyncio.Task[None]] = []

    @classmethod
    def over(cls, settings: RuntimeSettings, clock: Clock) -> TokenVerifier:
        """A verifier that asks the issuers of the settings over HTTP."""
        return cls(
            {issuer: partial(fetch_keys, issuer) for issuer in settings.oidc()},
            clock,
            settings.oidc_max_token_bytes,
            settings.oidc_cached_tokens,
        )

    async def __aenter__(self) -> Self:
        self._following = [
            asyncio.create_task(source.follow(), name="oidc-follow")
            for source in self._sources.values()
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)
        for source in self._sources.values():
            await source.close()

    async def verified(self, token: str) -> Caller:
        """The caller whom the token speaks for now.

        Raises:
            Unauthenticated: it does not count.
            Unavailable: its issuer's keys cannot be had.
        """
        if len(token) > self._max_bytes:
            raise invalid("too_large_token")
        digest = sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is not None:
            if self._counts(known):
                return known.caller
            del self._known[digest]
        parsed, claims = _parsed(token)
        source = self._source(claims)
        await _check_signature(parsed, source)
        now_ms = self._clock.now_ms()
        caller = caller_of(claims, source.issuer, now_ms, f"sha256:{digest.hex()[:16]}")
        until_s = caller.expires_at / 1_000 + source.issuer.leeway_s
        if source.issuer.one_time:
            self._require_first(claims, source.issuer, caller, until_s)
        elif self._cached:
            self._remember(digest, _Known(caller, source, source.generation, until_s))
        return caller

    def _counts(self, known: _Known) -> bool:
        return (
            self._clock.now_ms() < known.until_s * 1_000
            and known.generation == known.source.generation
            and known.source.usable()
        )

    def _remember(self, digest: bytes, known: _Known) -> None:
        while len(self._known) >= self._cached:
            del self._known[next(iter(self._known))]  # the oldest; it is verified again
        self._known[digest] = known

    def _source(self, claims: Claims) -> KeySource:
        name = claims.get("iss")
        source = self._sources.get(name) if isinstance(name, str) else None
        if source is None:
            raise Unauthenticated(
                "The token's issuer is not accepted here.",
                code="token_issuer",
                reason="issuer",
                field="iss",
                cure="Use a token of an issuer that is; an operator may add yours.",
            )
        return source

    def _require_first(
        self, claims: Claims, issuer: OidcIssuer, caller: Caller, until_s: float
    ) -> None:
        jti, used = claims.get("jti"), self._used[issuer.issuer]
        if not isinstance(jti, str) or not jti:
            raise bad_claim("jti", "is missing", caller.credential)
        if used.full(self._clock.now_ms() / 1_000):
            raise keys_unavailable(issuer.issuer)
        if not used.first(jti, until_s):
            raise Unauthenticated(
                "The token was used before.",
                code="token_replayed",
                reason="replayed_token",
                about=caller.credential,
                field="jti",
                cure=RENEW,
            )


def _parsed(token: str) -> tuple[CompactSignature, Claims]:
    if _COMPACT.fullmatch(token) is None:
        raise invalid("malformed_token")
    try:
        parsed = jws.extract_compact(token.encode(), registry=_REGISTRY)
        claims = msgspec.json.decode(parsed.payload or b"", type=dict[str, Any])
    except (JoseError, msgspec.DecodeError, *_ODD) as error:
        raise invalid("malformed_token") from error
    header = cast(object, parsed.headers())  # any JSON, whatever its type says
    if not isinstance(header, dict):
        raise invalid("malformed_token")
    return parsed, claims


async def _check_signature(parsed: CompactSignature, source: KeySource) -> None:
    kid, algorithm = _check_header(parsed.headers(), source.issuer)
    found = await source.find(kid, algorithm)
    if found is None:
        raise invalid("unknown_kid", source.issuer.issuer)
    try:
        genuine = jws.validate_compact(parsed, found.key, [algorithm], _REGISTRY)
    except (JoseError, ValueError, TypeError) as error:
        raise invalid("signature", source.issuer.issuer) from error
    if not genuine:
        raise invalid("signature", source.issuer.issuer)


def _check_header(header: Mapping[str, Any], issuer: OidcIssuer) -> tuple[str, str]:
    """The kid (empty: none) and the algorithm of a header that may be verified."""
    algorithm, kid, kind = header.get("alg"), header.get("kid", ""), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in issuer.algorithms:
        raise invalid("algorithm", issuer.issuer)
    if "crit" in header or "b64" in header:
        raise invalid("crit", issuer.issuer)
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise invalid("type", issuer.issuer)
    if not isinstance(kid, str) or len(kid) > KID_MAX:
        raise invalid("unknown_kid", issuer.issuer)
    return kid, algorithm
