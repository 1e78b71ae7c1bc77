"""API keys: how one is made, changed and recognised. Pure but for `new_key`, which makes ids.

A key's text is `sym_<id>_<secret>`; of the secret, 256 random bits, only the SHA-256 is kept. A
signing key has no secret: whoever holds its private part signs intents with it, and nobody can
call with it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import ApiKey
from symphainy_transport.credentials import KeyStatus, key_status

KEY_PREFIX = "sym"
# Compared with, where a presented id is unknown: so that this takes as long as a wrong secret.
_NOBODY = hashlib.sha256(secrets.token_bytes(32)).digest()


class KeyRefusal(StrEnum):
    """Why a presented key does not count. For the operator; the caller is told none of it."""

    MALFORMED = "malformed_key"
    UNKNOWN = "unknown_key"
    WRONG_SECRET = "wrong_secret"
    REVOKED = "revoked_key"
    EXPIRED = "expired_key"


class KeyOptions(Struct, frozen=True, kw_only=True):
    """Whose a key is, and what it allows. `attributes` is a JSON object or empty; `expires_at` is
    ms since the epoch, 0 for never; `public_key` is of a signing key, 32 bytes, else empty."""

    tenant_id: str
    principal: str
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    attributes: bytes = b""
    expires_at: int = 0
    description: str = ""
    public_key: bytes = b""


def authenticate(keys: Mapping[str, ApiKey], presented: str, now_ms: int) -> ApiKey | KeyRefusal:
    """The record of the presented key, or why it does not count at `now_ms`.

    Whether the id is known, takes no other time than whether the secret is right; that it is
    revoked or expired is found only by who has the secret.
    """
    parts = presented.split("_")
    if len(parts) != 3 or parts[0] != KEY_PREFIX:
        return KeyRefusal.MALFORMED
    known = keys.get(parts[1])
    digest = hashlib.sha256(parts[2].encode()).digest()
    right = hmac.compare_digest(digest, known.secret_sha256 if known else _NOBODY)
    if known is None:
        return KeyRefusal.UNKNOWN
    if not right:
        return KeyRefusal.WRONG_SECRET
    match key_status(known, now_ms):
        case KeyStatus.REVOKED:
            return KeyRefusal.REVOKED
        case KeyStatus.EXPIRED:
            return KeyRefusal.EXPIRED
        case KeyStatus.ACTIVE:
            return known


def new_key_id() -> str:
    """A fresh id of a key; not secret."""
    return secrets.token_hex(6)


def new_key(options: KeyOptions, now_ms: int, key_id: str = "") -> tuple[str, ApiKey]:
    """A fresh key: the text to show once, empty for a signing key, and the record to keep."""
    key_id = key_id or new_key_id()
    secret = "" if options.public_key else secrets.token_hex(32)
    record = ApiKey(
        key_id=key_id,
        version=1,
        tenant_id=options.tenant_id,
        principal=options.principal,
        secret_sha256=hashlib.sha256(secret.encode()).digest() if secret else b"",
        created_at=now_ms,
        roles=options.roles,
        scopes=options.scopes,
        attributes=options.attributes,
        expires_at=options.expires_at,
        description=options.description,
        public_key=options.public_key,
    )
    return f"{KEY_PREFIX}_{key_id}_{secret}" if secret else "", record


def revoked(key: ApiKey) -> ApiKey:
    """The key's next version, which never counts again."""
    return replace(key, version=key.version + 1, revoked=True)


def succeeded(key: ApiKey, now_ms: int, overlap_ms: int, expires_at: int = 0) -> KeyOptions:
    """Options of the key that takes this one's place: the same but for `expires_at`.

    Without one it lives as long from now as this one did from its start; 0 if that never expired.

    Raises:
        CallerError: the key does not count any more, or the overlap is negative.
    """
    status = key_status(key, now_ms)
    if status is not KeyStatus.ACTIVE:
        raise CallerError(
            f"Key {key.key_id} is {status}.",
            code="key_not_active",
            field="key_id",
            cure="Create a key: `symphainy key create`.",
        )
    if overlap_ms < 0:
        raise CallerError("An overlap is not negative.", code="invalid_overlap", field="overlap")
    if not expires_at and key.expires_at:
        expires_at = now_ms + key.expires_at - key.created_at
    return KeyOptions(
        tenant_id=key.tenant_id,
        principal=key.principal,
        roles=key.roles,
        scopes=key.scopes,
        attributes=key.attributes,
        expires_at=expires_at,
        description=key.description,
    )


def expiring(key: ApiKey, at_ms: int) -> ApiKey:
    """The key's next version, which expires at `at_ms`, or before if it did anyway."""
    at_ms = min(at_ms, key.expires_at) if key.expires_at else at_ms
    return replace(key, version=key.version + 1, expires_at=at_ms)
