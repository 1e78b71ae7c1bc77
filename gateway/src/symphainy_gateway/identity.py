"""Who calls: tenant and principal, from the credential alone. No body is read here."""

from __future__ import annotations

import re
from collections.abc import Mapping

from symphainy_gateway.problems import Refused
from symphainy_runtime.configuration import Configuration
from symphainy_schemas.records import ApiKey

_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([\x21-\x7e]{1,256})")


def authenticate(headers: Mapping[bytes, bytes], configuration: Configuration) -> ApiKey:
    """The credential that the request presents.

    Raises:
        Refused: none, or one that is not known, or was revoked.
    """
    presented = _BEARER.fullmatch(headers.get(b"authorization", b""))
    known = configuration.authenticate(presented.group(1).decode()) if presented else None
    if known is None:
        raise Refused(
            "The request presents no API key that is known here."
            if presented
            else "The request presents no API key.",
            code="unauthenticated",
            cure="Send Authorization: Bearer sym_<id>_<secret>.",
        )
    return known


def require_tenant(stated: str | None, caller: ApiKey) -> None:
    """Raises `Refused` if a body names a tenant other than the credential's."""
    if stated is not None and stated != caller.tenant_id:
        raise Refused(
            "The body names a tenant that is not the credential's.",
            code="tenant_mismatch",
            field="/tenant_id",
            cure="Leave tenant_id out: the credential says it.",
        )
