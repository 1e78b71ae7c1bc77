"""Callers: the principal behind a request, as its credential says. Pure."""

from __future__ import annotations

from msgspec import Struct

from symphainy_gateway.problems import Refused
from symphainy_schemas.records import ApiKey
from symphainy_transport.credentials import in_scope

API_KEY = "api_key"
JWT = "jwt"


class Caller(Struct, frozen=True, kw_only=True, gc=False):
    """Who calls, and what the credential allows. Every intent that the caller states carries it.

    `attributes` is a JSON object or empty; `credential` a key's id, or a token's issuer and id;
    `scopes` are empty for everything; `expires_at` is ms since the epoch, 0 for never.
    """

    tenant_id: str
    principal: str
    roles: tuple[str, ...] = ()
    attributes: bytes = b""
    authentication: str
    credential: str
    scopes: tuple[str, ...] = ()
    expires_at: int = 0


def caller_by_key(key: ApiKey) -> Caller:
    """The caller that presents this key."""
    return Caller(
        tenant_id=key.tenant_id,
        principal=key.principal,
        roles=key.roles,
        attributes=key.attributes,
        authentication=API_KEY,
        credential=key.key_id,
        scopes=key.scopes,
        expires_at=key.expires_at,
    )


def require_tenant(stated: str | None, caller: Caller) -> None:
    """Raises `Refused` if a body names a tenant other than the credential's."""
    if stated is not None and stated != caller.tenant_id:
        raise Refused(
            "The body names a tenant that is not the credential's.",
            code="tenant_mismatch",
            field="/tenant_id",
            cure="Leave tenant_id out: the credential says it.",
        )


def require_scope(caller: Caller, wanted: str) -> None:
    """Raises `Refused` if `wanted`, an intent type or a verb, is outside of the credential's
    scopes."""
    if not in_scope(caller.scopes, wanted):
        raise Refused(
            f"The credential is not for {wanted}.",
            code="out_of_scope",
            cure=f"Use one whose scopes have {wanted}, or no scopes at all; this one has "
            f"{', '.join(caller.scopes)[:500]}.",
            headers=(
                (
                    b"www-authenticate",
                    b'Bearer realm="symphainy", error="insufficient_scope", scope="%b"'
                    % wanted.encode(),
                ),
            ),
        )
