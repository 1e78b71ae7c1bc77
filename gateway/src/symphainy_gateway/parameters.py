"""Query parameters and headers as values; whatever is not understood is refused by name.

A query is parsed once per distinct text: it is small, and clients repeat it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import parse_qsl

from symphainy_gateway.problems import Refused
from symphainy_runtime.read_model.reader import Listing
from symphainy_runtime.wal import query as wal
from symphainy_schemas import ids
from symphainy_schemas.state import ExecutionStatus

Query = Mapping[str, str]
WAIT_MAX_S = 300.0
LIMIT_DEFAULT = 50
LIMIT_MAX = 200
LISTING_PARAMETERS = frozenset({"session", "type", "status", "from", "to", "limit", "cursor"})
CORRELATION_LIMIT = 256  # as intents may state them
WAL_PARAMETERS = frozenset(
    {
        *("tenant", "execution", "session", "correlation", "parent", "type", "event", "from"),
        *("to", "partition", "offset", "to_offset", "limit", "cursor"),
    }
)
SESSION_LISTING = frozenset({"status", "from", "to", "limit", "cursor"})
SESSION_STATUSES = ("open", "closed", "expired")
MODES = ("drain", "cancel")
STATUSES = tuple(one.value for one in ExecutionStatus if one is not ExecutionStatus.UNKNOWN)
WAIT_PATTERN = "^[0-9]{1,6}(ms|s|m)$"
CURSOR_PATTERN = "^[A-Za-z0-9_=-]{1,200}$"
_QUERY_MAX_BYTES = 4_096
_NONE: Query = MappingProxyType({})
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0}
_WAIT = re.compile("([0-9]{1,6})(ms|s|m)")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_EPOCH_MS = re.compile("[0-9]{1,15}")
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
    r"([Zz]|[ +-][0-9]{2}:[0-9]{2})"
)


def refused(name: str, message: str, cure: str = "") -> Refused:
    """The refusal of the parameter `name`."""
    return Refused(message, code="invalid_parameter", field=f"/{name}", cure=cure)


def query(raw: bytes, allowed: frozenset[str] = frozenset()) -> Query:
    """The parameters of a query string, each at most once and each one of `allowed`.

    Raises:
        Refused: it is malformed, repeats a parameter, or has one that is not known.
    """
    return _parse(raw, allowed) if raw else _NONE


@lru_cache(maxsize=1024)
def _parse(raw: bytes, allowed: frozenset[str]) -> Query:
    if len(raw) > _QUERY_MAX_BYTES or _BAD_ESCAPE.search(raw) is not None:
        raise refused("", "The query is too long, or has a % that no two hex digits follow.")
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=32,
        )
    except ValueError as error:
        raise refused("", "The query is not name=value&… in percent-encoded UTF-8.") from error
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in allowed:
            known = ", ".join(sorted(allowed)) or "none"
            raise refused(name, f"There is no parameter {name[:80]!r}.", f"Known here: {known}.")
        if name in found:
            raise refused(name, f"Parameter {name} is given twice.", "Give it once.")
        found[name] = value
    return MappingProxyType(found)


@lru_cache(maxsize=1024)
def wait_seconds(text: str | None) -> float | None:
    """How long to wait, in seconds: `500ms`, `10s` or `1m`, at most 5 minutes; None for not.

    Raises:
        Refused: it is none of these.
    """
    if text is None:
        return None
    match = _WAIT.fullmatch(text)
    seconds = int(match.group(1)) * _UNIT_S[match.group(2)] if match else -1.0
    if not 0.0 <= seconds <= WAIT_MAX_S:
        raise refused(
            "wait", f"{text[:40]!r} is no time to wait.", "Use 500ms, 10s or 1m, at most 5m."
        )
    return seconds or None


def listing(found: Query) -> Listing:
    """What to list.

    Raises:
        Refused: a parameter has no meaning.
    """
    return Listing(
        session_id=_session(found.get("session")),
        intent_type=_intent_type(found.get("type")),
        status=_status(found.get("status")),
        from_ms=_time("from", found.get("from")),
        to_ms=_time("to", found.get("to")),
        limit=_limit(found.get("limit")),
        cursor=_cursor(found.get("cursor")),
    )


def wal_query(found: Query, tenant_id: str) -> wal.Query:
    """What is asked of the log, of the caller's own tenant.

    Raises:
        Refused: a parameter has no meaning, or names another tenant.
    """
    if found.get("tenant", tenant_id) != tenant_id:
        raise Refused(
            "The query names a tenant that is not the credential's.",
            code="tenant_mismatch",
            field="/tenant",
            cure="Leave tenant out: the credential says it.",
        )
    for name in ("execution", "session", "parent", "event"):
        text = found.get(name, "-")
        if not text or not text.isascii():  # empty is not "any", and \u0663 no digit of an id
            raise refused(name, f"{text[:80]!r} is no {name}.", "Leave it out for any.")
    correlation = found.get("correlation", "")
    if len(correlation) > CORRELATION_LIMIT:
        raise refused("correlation", "It is longer than a correlation id is.", "Leave it out.")
    return wal.Query(
        tenant_id=tenant_id,
        execution_id=found.get("execution", ""),
        session_id=found.get("session", ""),
        correlation_id=correlation,
        parent=found.get("parent", ""),
        intent_type=_intent_type(found.get("type")) or "",
        event_type=found.get("event", ""),
        from_ms=_time("from", found.get("from")),
        to_ms=_time("to", found.get("to")),
        partition=_number("partition", found.get("partition")),
        from_offset=_number("offset", found.get("offset")),
        to_offset=_number("to_offset", found.get("to_offset")),
        limit=_limit(found.get("limit")),
        cursor=_cursor(found.get("cursor")),
    )


def session_listing(found: Query) -> Listing:
    """Which sessions to list.

    Raises:
        Refused: a parameter has no meaning.
    """
    return Listing(
        status=_one_of("status", found.get("status"), SESSION_STATUSES),
        from_ms=_time("from", found.get("from")),
        to_ms=_time("to", found.get("to")),
        limit=_limit(found.get("limit")),
        cursor=_cursor(found.get("cursor")),
    )


def mode(found: Query) -> str:
    """What happens to what runs in a session that is closed; `drain` unless it is told.

    Raises:
        Refused: it is neither `drain` nor `cancel`.
    """
    return _one_of("mode", found.get("mode"), MODES) or MODES[0]


def _one_of(name: str, text: str | None, known: tuple[str, ...]) -> str | None:
    if text is not None and text not in known:
        raise refused(name, f"{text[:40]!r} is no {name}.", f"One of {', '.join(known)}.")
    return text


def last_event_id(text: bytes | None) -> int:
    """The index of the last event that the client has seen; -1 for none.

    Raises:
        Refused: it is not an id that the stream gave.
    """
    if text is None:
        return -1
    if re.fullmatch(b"[0-9]{1,9}", text) is None:
        raise refused(
            "Last-Event-ID", "Last-Event-ID is not an id of this stream.", "Leave it out."
        )
    return int(text)


def _session(text: str | None) -> str | None:
    if text is not None and not (text.isascii() and ids.is_session_id(text)):
        raise refused("session", f"{text[:80]!r} is not a session id.")
    return text


def _intent_type(text: str | None) -> str | None:
    if text is not None and ids.INTENT_TYPE.fullmatch(text) is None:
        raise refused("type", f"{text[:80]!r} is not of the form realm.action.")
    return text


def _status(text: str | None) -> str | None:
    return _one_of("status", text, STATUSES)


def _number(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    if re.fullmatch("[0-9]{1,18}", text) is None:
        raise refused(name, f"{text[:40]!r} is no {name.replace('_', ' ')}.", "Use 0 or more.")
    return int(text)


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT_DEFAULT
    limit = int(text) if re.fullmatch("[0-9]{1,4}", text) else 0
    if not 1 <= limit <= LIMIT_MAX:
        raise refused("limit", f"{text[:40]!r} is no limit.", f"Use 1 to {LIMIT_MAX}.")
    return limit


def _cursor(text: str | None) -> str | None:
    if text is not None and re.fullmatch(CURSOR_PATTERN, text) is None:
        raise no_cursor()
    return text


def no_cursor() -> Refused:
    """The refusal of a cursor that no listing gave."""
    return Refused(
        "The cursor is not one that this listing gave.",
        code="malformed_cursor",
        field="/cursor",
        cure="Start without a cursor.",
    )


TIME_CURE = "Use RFC 3339 with an offset, or ms since the epoch."


def moment(text: str) -> int | None:
    """Ms since the epoch; None where that is no time. A `+` that was not escaped has become a
    space; it is taken as meant."""
    if _EPOCH_MS.fullmatch(text):
        return int(text)
    if _DATE_TIME.fullmatch(text):
        if text[-6] == " ":
            text = f"{text[:-6]}+{text[-5:]}"
        with suppress(ValueError, OverflowError):
            return int(datetime.fromisoformat(text.upper()).timestamp() * 1000)
    return None


def _time(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    found = moment(text)
    if found is None:
        raise refused(name, f"{text[:40]!r} is no time.", TIME_CURE)
    return found
