"""What intents and keys state in JSON, as far as Cedar has types for it. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

ESCAPES = frozenset({"__entity", "__extn", "__expr"})
"""The names by which Cedar's JSON makes entities and more of records."""


def plain(value: Any) -> Any:
    """A JSON value without what Cedar has no type for: null, fractions, numbers beyond 64 bits; and
    without the names by which Cedar's JSON makes entities and more of records: who states an intent
    states data, and no entities."""
    if isinstance(value, dict):
        kept = {name: plain(member) for name, member in value.items() if name not in ESCAPES}
        return {name: member for name, member in kept.items() if member is not None}
    if isinstance(value, list):
        return [one for one in map(plain, value) if one is not None]
    if isinstance(value, float) or (isinstance(value, int) and not is_number(value)):
        return None
    return value


def is_number(value: int) -> bool:
    """Whether Cedar has such a number: it takes 64 bits at most."""
    return -(2**63) <= value < 2**63


def members_of(data: bytes, but: frozenset[str]) -> dict[str, Any]:
    """A JSON object's members; what is no object has none."""
    if not data:
        return {}
    try:
        read = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if not isinstance(read, dict):
        return {}
    return {name: value for name, value in plain(read).items() if name not in but}
