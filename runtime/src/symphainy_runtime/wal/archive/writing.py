"""Writing a range of a journal's partition into one file of the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter

import msgspec
from msgspec import Struct

from symphainy_runtime.audit.verifying import Extent
from symphainy_runtime.journal.shown import ShownRecord, shown_type
from symphainy_runtime.wal.archive.columns import OF_RECORD, ROW_GROUP, Columns, File
from symphainy_runtime.wal.archive.files import Commit
from symphainy_runtime.wal.kafka import Judged, KafkaSource

_encode = msgspec.json.Encoder().encode
_AS_IT_STANDS: Mapping[str, Callable[[ShownRecord], object]] = {
    "time": attrgetter("at"),
    "tenant_id": attrgetter("tenant_id"),
    "session_id": attrgetter("session_id"),
    "correlation_id": attrgetter("correlation_id"),
    "term": attrgetter("term"),
    "seq": attrgetter("seq"),
}


class Written(Struct, frozen=True):
    """A file's content, and what is to be committed of it."""

    content: bytes
    commit: Commit


class Rows:
    """Rows of one partition in the making: what a record says of all its events is kept once."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._of_record: dict[str, list[object]] = {name: [] for name in OF_RECORD}
        self._counts: list[int] = []
        self._types: list[str] = []
        self._data: list[bytes] = []

    def add(self, batch: Judged, low: int) -> None:
        """Add the rows of the records that count; what is kept begins at `low`."""
        told = [(offset, record) for offset, record in batch.counting if record.events]
        records = [record for _, record in told]
        executions = [record.execution_id for record in records]
        types = batch.types.of(set(executions), low, batch.reached)
        causes = [record.cause for record in records]
        columns: dict[str, Iterable[object]] = {
            "journal_offset": (offset for offset, _ in told),
            "execution_id": executions,
            "intent_type": map(types.get, executions),
            "parent_offset": (one.parent if one.parent >= 0 else None for one in records),
            "cause_topic": (cause and cause.topic for cause in causes),
            "cause_partition": (cause and cause.partition for cause in causes),
            "cause_offset": (cause and cause.offset for cause in causes),
        }
        columns |= {name: map(member, records) for name, member in _AS_IT_STANDS.items()}
        for name, values in columns.items():
            self._of_record[name].extend(values)
        self._counts += [len(record.events) for record in records]
        events = [event for record in records for event in record.events]
        self._types += map(shown_type, events)
        self._data += map(_encode, events)

    def __len__(self) -> int:
        return len(self._types)

    def columns(self) -> Columns:
        """What the archive keeps of them."""
        return Columns(
            partition=self._partition,
            of_record=self._of_record,
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
    file, made, rows = File(), Rows(partition), 0
    low = source.journals.extent(partition).start
    records, last = 0, wanted.start - 1
    for batch in source.judged(partition, wanted, low):
        made.add(batch, low)
        if len(made) >= ROW_GROUP:
            file.add(made.columns())
            rows += len(made)
            made = Rows(partition)
        records += batch.seen
        last = batch.reached - 1
        progress(batch.seen)
    standing = source.standing(partition, last + 1)
    file.add(made.columns())
    content = file.content()
    return Written(
        content,
        Commit(
            file="",
            first=wanted.start,
            last=wanted.end - 1,
            records=records,
            rows=rows + len(made),
            bytes=len(content),
            term=standing.term,
            seq=standing.seq,
            offset=standing.offset,
            hash=standing.hash.hex(),
            written_at=now_ms,
        ),
    )
