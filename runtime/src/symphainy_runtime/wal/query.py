"""What can be asked of the log, and how an answer is told. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec
from msgspec import Struct, field

from symphainy_runtime.wal.rows import Place, Row
from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError
from symphainy_schemas.events import EVENT_TYPES

LIMIT_DEFAULT = 50
_CURSOR = re.compile(rb"(\d{1,6})/(\d{1,18})/(-?\d{1,9})")
_PARENT = re.compile(r"(\d{1,6})-(\d{1,18})")


class Query(Struct, frozen=True, kw_only=True):
    """Rows that meet everything that is given, in the order of their places.

    `tenant_id` None is every tenant: for operators alone. Times are of the journal, ms since the
    epoch, and inclusive. `from_offset` and `to_offset` are of the one partition named; the first is
    inclusive, the second is not. `parent`, `<partition>-<offset>`, asks for what that decision's
    effects led to. `cursor` is the one of the answer before.
    """

    tenant_id: str | None = None
    execution_id: str = ""
    session_id: str = ""
    correlation_id: str = ""
    parent: str = ""
    intent_type: str = ""
    event_type: str = ""
    from_ms: int | None = None
    to_ms: int | None = None
    partition: int | None = None
    from_offset: int | None = None
    to_offset: int | None = None
    limit: int = LIMIT_DEFAULT
    cursor: str | None = None

    def checked(self) -> Query:
        """The query, with the partition that its names imply.

        Raises:
            CallerError: `malformed_query`, or `malformed_cursor`; its `field` says where.
        """
        _check(self)
        partition = self.partition
        named = [(n, getattr(self, n)) for n in ("execution_id", "session_id", "parent")]
        for name, value in named:
            if not value:
                continue
            implied = _partition_of(name, value)
            if partition not in (None, implied):
                raise malformed(
                    name,
                    f"{value} stands in partition {implied}, and partition {partition} is asked.",
                    "Leave the partition out.",
                )
            partition = implied
        if partition is None and (self.from_offset, self.to_offset) != (None, None):
            raise malformed("offset", "An offset is of one partition.", "Name the partition, too.")
        return msgspec.structs.replace(self, partition=partition)

    @property
    def after(self) -> Place | None:
        """Behind which place the rows begin.

        Raises:
            CallerError: the cursor is not one that an answer gave.
        """
        return None if self.cursor is None else read_cursor(self.cursor)

    def matches(self, row: Row) -> bool:
        """Whether a row is asked for."""
        return self.matches_untyped(row) and self.intent_type in ("", row.intent_type)

    def matches_untyped(self, row: Row) -> bool:
        """The same, but for the intent type, which a row is told last."""
        return (
            (self.tenant_id is None or row.tenant_id == self.tenant_id)
            and self.execution_id in ("", row.execution_id)
            and self.session_id in ("", row.session_id)
            and self.correlation_id in ("", row.correlation_id)
            and self.parent in ("", row.parent)
            and self.event_type in ("", row.type)
            and (self.from_ms is None or row.at >= self.from_ms)
            and (self.to_ms is None or row.at <= self.to_ms)
            and (self.from_offset is None or row.offset >= self.from_offset)
            and (self.to_offset is None or row.offset < self.to_offset)
            and self.partition in (None, row.partition)
        )


class Read(Struct, kw_only=True):
    """What one source was asked to read for an answer. Of the index, records are events."""

    records: int = 0
    bytes: int = 0


class Scanned(Struct, frozen=True):
    """A stretch of a partition, read: what stands before `place` was looked at, and `rows` are
    what was asked for; `over`: all that follows is younger than what is asked."""

    place: Place
    rows: list[Row]
    records: int
    over: bool = False


class Answer(Struct, kw_only=True):
    """One page. `cursor` is None on the last; a page may have fewer rows than its limit, or none,
    and yet a cursor: so much was read without finding more.

    `as_of` is, for each partition that was looked at, the offset before which it was; `read` what
    was read for it, by source; `notes` what an operator should know.
    """

    rows: list[Row] = field(default_factory=list)
    cursor: str | None = None
    as_of: dict[int, int] = field(default_factory=dict)
    read: dict[str, Read] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def cursor_of(place: Place) -> str:
    """What asks for the rows behind a place."""
    return base64.urlsafe_b64encode(b"%d/%d/%d" % place).decode()


def read_cursor(cursor: str) -> Place:
    """The place behind which to go on.

    Raises:
        CallerError: no answer gave this cursor.
    """
    try:
        match = _CURSOR.fullmatch(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, binascii.Error):
        match = None
    if match is None:
        raise CallerError(
            "The cursor is not one that this listing gave.",
            code="malformed_cursor",
            field="/cursor",
            cure="Start without a cursor.",
        )
    return Place(*map(int, match.groups()))


def malformed(name: str, message: str, cure: str = "") -> CallerError:
    """The refusal of a query because of its member `name`."""
    return CallerError(message, code="malformed_query", field=name, cure=cure)


def _check(query: Query) -> None:
    if query.event_type and query.event_type not in EVENT_TYPES:
        raise malformed(
            "event",
            f"{query.event_type[:80]!r} is no type of events.",
            f"They are: {', '.join(sorted(EVENT_TYPES))}.",
        )
    if query.intent_type and ids.INTENT_TYPE.fullmatch(query.intent_type) is None:
        raise malformed("type", f"{query.intent_type[:80]!r} is not of the form realm.action.")
    if query.limit < 1:
        raise malformed("limit", f"{query.limit} is no limit.", "Use 1 or more.")
    pairs: tuple[tuple[str, Any, Any], ...] = (
        ("to", query.from_ms, query.to_ms),
        ("to_offset", query.from_offset, query.to_offset),
    )
    for name, first, last in pairs:
        if first is not None and last is not None and first > last:
            raise malformed(name, f"The range from {first} to {last} ends before it begins.")
    for name in ("partition", "from_offset", "to_offset"):
        value = getattr(query, name)
        if value is not None and value < 0:
            raise malformed(name, f"{value} is no {name.replace('_', ' ')}.", "Use 0 or more.")


def _partition_of(name: str, value: str) -> int:
    if name == "parent":
        match = _PARENT.fullmatch(value)
        if match is None:
            raise malformed(
                name, f"{value[:80]!r} is no place.", "Use <partition>-<offset>, as rows tell it."
            )
        return int(match.group(1))
    is_such = ids.is_execution_id if name == "execution_id" else ids.is_session_id
    if not (value.isascii() and is_such(value)):
        raise malformed(name, f"{value[:80]!r} is no {name.replace('_', ' ')}.")
    return ids.partition_of(value)
