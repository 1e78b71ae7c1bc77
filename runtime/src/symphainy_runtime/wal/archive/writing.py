"""Writing a range of a journal's partition into one file of the archive."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct

from symphainy_runtime.audit.verifying import Extent
from symphainy_runtime.journal.documents import members
from symphainy_runtime.journal.validity import Stored
from symphainy_runtime.wal.archive.columns import OF_RECORD, Columns, parquet
from symphainy_runtime.wal.archive.files import Commit
from symphainy_runtime.wal.kafka import KafkaSource
from symphainy_schemas.events import event_type

_encoder = msgspec.json.Encoder()


class Written(Struct, frozen=True):
    """A file's content, and what is to be committed of it."""

    content: bytes
    commit: Commit


class Rows:
    """Rows of one partition in the making: what a record says of all its events is kept once."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._records: list[tuple[object, ...]] = []
        self._counts: list[int] = []
        self._types: list[str] = []
        self._data: list[bytes] = []
        self.executions: list[str] = []
        """Of the records; for each, `intent_types` is to be told."""
        self.intent_types: list[str | None] = []

    def add(self, stored: Stored) -> None:
        """Add the rows of a record; one that does not count has none."""
        record = stored.record
        if not stored.valid or record is None or not record.events:
            return
        cause, parent = record.cause, record.parent
        self._records.append(
            (
                stored.offset,
                record.at,
                record.tenant_id,
                record.session_id,
                record.correlation_id,
                parent if parent >= 0 else None,
                cause and cause.topic,
                cause and cause.partition,
                cause and cause.offset,
                record.term,
                record.seq,
            )
        )
        self.executions.append(record.execution_id)
        self._counts.append(len(record.events))
        self._types += map(event_type, record.events)
        self._data += [_encoder.encode(members(event)) for event in record.events]

    def __len__(self) -> int:
        return len(self._types)

    def columns(self) -> Columns:
        """What the archive keeps of them."""
        told = zip(*self._records, strict=True) if self._records else ((),) * len(OF_RECORD)
        return Columns(
            partition=self._partition,
            of_record={
                **dict(zip(OF_RECORD, map(list, told), strict=True)),
                "execution_id": self.executions,
                "intent_type": self.intent_types,
            },
            counts=self._counts,
            types=self._types,
            data=self._data,
        )


def written(
    source: KafkaSource,
    partition: int,
    wanted: Extent,
    now_ms: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Written:
    """The file of [wanted.start, wanted.end); `progress` is told how many more records it has.

    Raises:
        Unavailable: Kafka does not go on.
        OperatorError: the journal is damaged, or newer than this process.
    """
    made = Rows(partition)
    low = source.journals.extent(partition).start
    records, last = 0, wanted.start - 1
    for batch in source.judged(partition, wanted, low):
        for stored in batch.records:
            made.add(stored)
        executions = made.executions[len(made.intent_types) :]
        told = batch.types.of(set(executions), low, batch.reached)
        made.intent_types += [told.get(one) for one in executions]
        records += len(batch.records)
        last = batch.records[-1].offset
        progress(len(batch.records))
    standing = source.standing(partition, last + 1)
    content = parquet(made.columns())
    return Written(
        content,
        Commit(
            file="",
            first=wanted.start,
            last=wanted.end - 1,
            records=records,
            rows=len(made),
            bytes=len(content),
            term=standing.term,
            seq=standing.seq,
            offset=standing.offset,
            hash=standing.hash.hex(),
            written_at=now_ms,
        ),
    )
