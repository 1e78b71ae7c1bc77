"""What a credential allows, and whether it counts at a time. Pure: `now` is an argument.

Here, and not with the gateway: whoever decides about signed intents asks the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

from symphainy_schemas.records import ApiKey

READ = "read"
"""The verb of every route that only reads."""
SCOPE = re.compile(r"\*|read|[a-z][a-z0-9_]{0,62}\.(\*|[a-z][a-z0-9_]{0,62}\*?)")
"""A scope: `*`, the verb `read`, an intent type, or the beginning of intent types and a `*`."""


class KeyStatus(StrEnum):
    """Whether a key counts."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


def key_status(key: ApiKey, now_ms: int) -> KeyStatus:
    """Whether the key counts at `now_ms` (ms since the epoch). It expires *at* `expires_at`."""
    if key.revoked:
        return KeyStatus.REVOKED
    if key.expires_at and now_ms >= key.expires_at:
        return KeyStatus.EXPIRED
    return KeyStatus.ACTIVE


def in_scope(scopes: Sequence[str], wanted: str) -> bool:
    """Whether `wanted`, an intent type or a verb, is within the scopes; none of them is all."""
    return not scopes or any(
        wanted.startswith(scope[:-1]) if scope[-1:] == "*" else wanted == scope for scope in scopes
    )
