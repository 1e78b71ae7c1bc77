"""The claims of a token whose signature was found genuine, to the caller. Pure.

Sources: RFC 7519 (JWT), RFC 9068 (JWTs as access tokens), OpenID Connect Core 1.0, section 3.1.3.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from symphainy_gateway.callers import JWT, Caller
from symphainy_gateway.refusals import RENEW, Unauthenticated, bad_claim
from symphainy_runtime.identity_settings import OidcIssuer
from symphainy_runtime.policy.defaults import PLATFORM_OPERATOR
from symphainy_schemas import ids
from symphainy_transport.credentials import SCOPE

Claims = Mapping[str, Any]
PRINCIPAL_MAX = 256
LIST_MAX = 100
ITEM_MAX = 200
ATTRIBUTES_MAX_BYTES = 8_192
# JavaScript's largest whole number: beyond it no issuer's clock stands, and JSON readers differ.
_TIME_MAX = 2**53
_MISSING = object()


def caller_of(claims: Claims, issuer: OidcIssuer, now_ms: int, token_id: str) -> Caller:
    """The caller that the token speaks for, at `now_ms`. `token_id` names it if it has no jti.

    Raises:
        Unauthenticated: it is for somebody else, of another time, or does not say enough.
    """
    jti = _at(claims, "jti")
    credential = f"{issuer.issuer}#{jti if _is_text(jti, ITEM_MAX) else token_id}"
    _check_audience(claims, issuer, credential)
    expires_s = _check_times(claims, issuer, now_ms / 1_000, credential)
    for name in issuer.required_claims:
        if _at(claims, name) is _MISSING:
            raise bad_claim(name, "is missing", credential)
    scopes: tuple[str, ...] = ()
    if issuer.scopes_claim:
        stated = _texts(claims, issuer.scopes_claim, credential)
        scopes = tuple(scope for scope in stated if SCOPE.fullmatch(scope))
        if not scopes:  # which would allow everything
            raise bad_claim(issuer.scopes_claim, "has no scope of this gateway", credential)
    return Caller(
        tenant_id=_tenant(claims, issuer, credential),
        principal=_principal(claims, issuer, credential),
        roles=_roles(claims, issuer, credential),
        attributes=_attributes(claims, issuer, credential),
        authentication=JWT,
        credential=credential,
        scopes=scopes,
        expires_at=int(expires_s * 1_000),
    )


def _check_audience(claims: Claims, issuer: OidcIssuer, about: str) -> None:
    stated = claims.get("aud")
    named: Any = [stated] if isinstance(stated, str) else stated
    if not _is_list(named) or not any(one in issuer.audience for one in named):
        raise Unauthenticated(
            "The token is not for this gateway.",
            code="token_audience",
            reason="audience",
            about=about,
            field="aud",
            cure="Ask its issuer for a token with this gateway's audience.",
        )


def _check_times(claims: Claims, issuer: OidcIssuer, now_s: float, about: str) -> float:
    """When it expires, in s since the epoch."""
    expires = _time(claims, "exp", about)
    if expires is None:
        raise bad_claim("exp", "is missing", about)
    if now_s >= expires + issuer.leeway_s:
        raise Unauthenticated(
            "The token has expired.",
            code="token_expired",
            reason="expired_token",
            about=about,
            field="exp",
            cure=RENEW,
        )
    for name in ("nbf", "iat"):
        begins = _time(claims, name, about)
        if begins is not None and begins > now_s + issuer.leeway_s:
            raise Unauthenticated(
                "The token is not valid yet.",
                code="token_not_yet_valid",
                reason="early_token",
                about=about,
                field=name,
                cure="Wait until then, or set the clocks right.",
            )
    return expires


def _time(claims: Claims, name: str, about: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _TIME_MAX:
        raise bad_claim(name, "is no time", about)
    return float(value)


def _tenant(claims: Claims, issuer: OidcIssuer, about: str) -> str:
    value = _at(claims, issuer.tenant_claim)
    if value is _MISSING:
        raise bad_claim(issuer.tenant_claim, "is missing", about)
    if not isinstance(value, str) or ids.TENANT_ID.fullmatch(value) is None:
        raise bad_claim(issuer.tenant_claim, "is no tenant's id", about)
    if issuer.tenants and value not in issuer.tenants:
        raise bad_claim(issuer.tenant_claim, "names a tenant of another issuer", about)
    return value


def _principal(claims: Claims, issuer: OidcIssuer, about: str) -> str:
    value = _at(claims, issuer.principal_claim)
    if not _is_text(value, PRINCIPAL_MAX):
        raise bad_claim(issuer.principal_claim, "names no principal", about)
    return str(value)


def _texts(claims: Claims, name: str, about: str) -> tuple[str, ...]:
    """A list of texts, or one text with spaces between; none if it is not there."""
    value = _at(claims, name)
    if value is _MISSING or value is None:
        return ()
    items: Any = value.split() if isinstance(value, str) else value
    if (
        not _is_list(items)
        or len(items) > LIST_MAX
        or not all(_is_text(one, ITEM_MAX) for one in items)
    ):
        raise bad_claim(name, f"is no list of up to {LIST_MAX} names", about)
    return tuple(dict.fromkeys(items))


def _roles(claims: Claims, issuer: OidcIssuer, about: str) -> tuple[str, ...]:
    """The roles. Who runs the platform, an issuer says only where it was made to: the groups of a
    tenant's own provider may have any name."""
    stated = _texts(claims, issuer.roles_claim, about)
    return stated if issuer.platform else tuple(r for r in stated if r != PLATFORM_OPERATOR)


def _attributes(claims: Claims, issuer: OidcIssuer, about: str) -> bytes:
    found = {name: _at(claims, name) for name in issuer.attribute_claims}
    stated = {name: value for name, value in found.items() if value is not _MISSING}
    if not stated:
        return b""
    text = msgspec.json.encode(stated, order="sorted")
    if len(text) > ATTRIBUTES_MAX_BYTES:
        names = ", ".join(stated)
        raise bad_claim(names, f"is larger than {ATTRIBUTES_MAX_BYTES} bytes", about)
    return text


def _at(claims: Claims, name: str) -> Any:
    """The claim of that very name, else along the dots within others."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return _MISSING
        value = cast(Claims, value)[part]
    return value


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _is_text(value: object, limit: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= limit and value.isprintable()
