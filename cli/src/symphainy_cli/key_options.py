"""What `symphainy key …` is told, to what a key is made of. Pure: `now_ms` is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from symphainy.durations import duration_ms
from symphainy_schemas.errors import CallerError
from symphainy_transport.credentials import SCOPE

NAME_MAX = 200
NEVER = "never"


def end_of(text: str, now_ms: int) -> int:
    """ms since the epoch: a duration from now ("90d"), or a time ("2027-01-01T00:00:00Z"); 0 for
    "never".

    Raises:
        CallerError: it is neither, or not after now.
    """
    if text == NEVER:
        return 0
    try:
        at = now_ms + duration_ms(text)
    except ValueError:
        at = _time(text)
    if at <= now_ms:
        raise _invalid("expires", f"{text!r} is not after now", _EXPIRES)
    return at


def overlap_of(text: str) -> int:
    """ms of a duration.

    Raises:
        CallerError: it is none.
    """
    try:
        return duration_ms(text)
    except ValueError as error:
        raise _invalid("overlap", str(error), "Write 24h, 30m or 0s.") from error


def attributes_of(stated: Sequence[str]) -> bytes:
    """The JSON object of `name=value` texts; empty for none. What is JSON is taken as that, so
    `level=3` is a number and `level="3"` a text.

    Raises:
        CallerError: one is no such text, or a name stands there twice.
    """
    found: dict[str, object] = {}
    for one in stated:
        name, equals, value = one.partition("=")
        if not (name and equals) or name in found:
            raise _invalid(
                "attribute", f"{one!r} is no name=value of its own", "Write team=claims."
            )
        try:
            found[name] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            found[name] = value
    return msgspec.json.encode(found, order="sorted") if found else b""


def scopes_of(stated: Sequence[str]) -> tuple[str, ...]:
    """The scopes.

    Raises:
        CallerError: one is none.
    """
    for one in stated:
        if SCOPE.fullmatch(one) is None:
            raise _invalid(
                "scope", f"{one!r} is no scope",
                "Write an intent type (runtime.cancel), its beginning and * (content.*), or read.",
            )  # fmt: skip
    return tuple(dict.fromkeys(stated))


def named(field: str, text: str) -> str:
    """The text.

    Raises:
        CallerError: it is empty, too long, or not printable.
    """
    if not (0 < len(text) <= NAME_MAX and text.isprintable()):
        raise _invalid(field, f"{text[:40]!r} is no name", f"At most {NAME_MAX} characters.")
    return text


_EXPIRES = 'Write a duration (90d, 12h), a time (2030-01-01T00:00:00Z), or "never".'


def _time(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise _invalid("expires", f"{text!r} is neither a duration nor a time", _EXPIRES) from error
    if at.tzinfo is None:
        raise _invalid("expires", f"{text!r} names no time zone", "Add Z for UTC, or +01:00.")
    return int(at.timestamp() * 1_000)


def _invalid(field: str, what: str, cure: str) -> CallerError:
    return CallerError(f"{what}.", code="invalid_option", field=f"--{field}", cure=cure)
