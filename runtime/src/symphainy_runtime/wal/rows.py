"""A row of the log: one event, with its place and its relations. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from symphainy_runtime.journal.shown import ShownRecord, shown_type
from symphainy_schemas.events import JOURNAL, Position

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Row]


class Place(NamedTuple):
    """Where an event stands; rows are in the order of their places."""

    partition: int
    offset: int
    event: int


class Row(Struct, frozen=True, kw_only=True):
    """One event of the journal.

    `at` is the decision's journaled time, ms since the epoch. `cause` is the input that was
    decided; `parent`, `<partition>-<offset>`, the decision whose effect led to this one.
    `intent_type` is that of the execution's intent; None where there is no execution, or where its
    intent was received before what is kept. `data` is JSON: the event's own members without
    payloads and tokens.
    """

    id: str
    type: str
    at: int
    topic: str
    partition: int
    offset: int
    index: int
    term: int
    seq: int
    cause: Position | None
    parent: str | None
    tenant_id: str
    session_id: str
    execution_id: str
    intent_type: str | None = None
    correlation_id: str
    data: msgspec.Raw

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.partition, self.offset, self.index)


_decoder = msgspec.json.Decoder(Row)


def rows_of(record: ShownRecord, partition: int, offset: int) -> Iterator[Row]:
    """The rows of one record that counts; their intent type is still to be told."""
    parent = f"{partition}-{record.parent}" if record.parent >= 0 else None
    for index, event in enumerate(record.events):
        yield Row(
            id=f"{partition}-{offset}-{index}",
            type=shown_type(event),
            at=record.at,
            topic=JOURNAL,
            partition=partition,
            offset=offset,
            index=index,
            term=record.term,
            seq=record.seq,
            cause=record.cause,
            parent=parent,
            tenant_id=record.tenant_id,
            session_id=record.session_id,
            execution_id=record.execution_id,
            correlation_id=record.correlation_id,
            data=msgspec.Raw(_encoder.encode(event)),
        )


def row_of_document(document: bytes, intent_type: str | None) -> Row:
    """The row of an event as the read model keeps it.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return with_type(_decoder.decode(document), intent_type)


def with_type(row: Row, intent_type: str | None) -> Row:
    """The row, told what its execution's intent asks for."""
    return row if intent_type is None else replace(row, intent_type=intent_type)
