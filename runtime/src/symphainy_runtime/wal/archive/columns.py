"""Rows as columns: what a Parquet file of the archive holds, and how rows come out of it again.

`time` and `journal_offset` stand for `at` and `offset`, which are keywords of SQL.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, repeat

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct

from symphainy_runtime.wal.query import Query
from symphainy_runtime.wal.rows import Row
from symphainy_schemas.events import JOURNAL, Position

ROW_GROUP = 20_000  # rows, whose bounds let a reader pass over them
SCHEMA = pa.schema(
    [
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("journal_offset", pa.int64(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("time", pa.timestamp("ms"), nullable=False),
        pa.field("tenant_id", pa.string(), nullable=False),
        pa.field("session_id", pa.string(), nullable=False),
        pa.field("execution_id", pa.string(), nullable=False),
        pa.field("intent_type", pa.string()),
        pa.field("correlation_id", pa.string(), nullable=False),
        pa.field("parent_offset", pa.int64()),
        pa.field("cause_topic", pa.string()),
        pa.field("cause_partition", pa.int32()),
        pa.field("cause_offset", pa.int64()),
        pa.field("term", pa.int64(), nullable=False),
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("data", pa.string(), nullable=False),
    ]
)
OF_RECORD = (
    "journal_offset",
    "time",
    "tenant_id",
    "session_id",
    "execution_id",
    "intent_type",
    "correlation_id",
    "parent_offset",
    "cause_topic",
    "cause_partition",
    "cause_offset",
    "term",
    "seq",
)
"""What a record says itself of all its events."""
_PLAIN = ("data", "journal_offset", "time", "cause_offset", "parent_offset", "seq")
_DICTIONARY = [name for name in SCHEMA.names if name not in _PLAIN]


class Columns(Struct, kw_only=True):
    """Rows of one partition, by column: what a record says of all its events stands once, beside
    the number of its events."""

    partition: int
    of_record: Mapping[str, Sequence[object]]
    counts: Sequence[int]
    types: Sequence[str]
    data: Sequence[bytes]


class File:
    """A Parquet file in the making, in memory. However its rows come, its bytes are the same: a try
    that ended early is no second file."""

    def __init__(self) -> None:
        """It has no rows yet."""
        self._left = SCHEMA.empty_table()
        self._out = io.BytesIO()
        self._writer = pq.ParquetWriter(
            self._out, SCHEMA, compression="zstd", use_dictionary=_DICTIONARY
        )

    def add(self, columns: Columns) -> None:
        """Write the groups that are full; what is left waits for more."""
        self._left = pa.concat_tables([self._left, _table(columns)])
        while len(self._left) >= ROW_GROUP:
            self._write(self._left.slice(0, ROW_GROUP))
            self._left = self._left.slice(ROW_GROUP)

    def content(self) -> bytes:
        """The whole file; nothing is added to it any more."""
        if len(self._left):
            self._write(self._left)
        self._writer.close()
        return self._out.getvalue()

    def _write(self, group: pa.Table) -> None:
        self._writer.write_table(group.combine_chunks(), row_group_size=ROW_GROUP)


def _table(columns: Columns) -> pa.Table:
    counts = columns.counts
    each = chain.from_iterable(map(repeat, range(len(counts)), counts))
    record = pa.array(list(each), pa.int64())
    made = {
        "partition": pa.repeat(pa.scalar(columns.partition, pa.int32()), len(record)),
        "index": pa.array(list(chain.from_iterable(map(range, counts))), pa.int32()),
        "type": pa.array(columns.types, pa.string()),
        "data": pa.array(columns.data, pa.binary()).cast(pa.string()),
    }
    for name, values in columns.of_record.items():
        made[name] = pa.array(values, SCHEMA.field(name).type).take(record)
    return pa.table([made[name] for name in SCHEMA.names], schema=SCHEMA)


def rows(batch: pa.RecordBatch) -> Iterator[Row]:
    """The rows of a batch whose columns are SCHEMA's."""
    for one in batch.set_column(4, "time", batch.column("time").cast(pa.int64())).to_pylist():
        partition, offset, index = one["partition"], one["journal_offset"], one["index"]
        parent, cause = one["parent_offset"], one["cause_topic"]
        yield Row(
            id=f"{partition}-{offset}-{index}",
            type=one["type"],
            at=one["time"],
            topic=JOURNAL,
            partition=partition,
            offset=offset,
            index=index,
            term=one["term"],
            seq=one["seq"],
            cause=cause and Position(cause, one["cause_partition"], one["cause_offset"]),
            parent=None if parent is None else f"{partition}-{parent}",
            tenant_id=one["tenant_id"],
            session_id=one["session_id"],
            execution_id=one["execution_id"],
            intent_type=one["intent_type"],
            correlation_id=one["correlation_id"],
            data=msgspec.Raw(one["data"].encode()),
        )


def condition(query: Query, first: int, end: int) -> pc.Expression:
    """What a query asks of a partition, in [first, end), as a filter that files are read with."""
    found = (pc.field("journal_offset") >= first) & (pc.field("journal_offset") < end)
    named = {
        "tenant_id": query.tenant_id,
        "execution_id": query.execution_id or None,
        "session_id": query.session_id or None,
        "correlation_id": query.correlation_id or None,
        "intent_type": query.intent_type or None,
        "type": query.event_type or None,
    }
    for name, value in named.items():
        if value is not None:
            found &= pc.field(name) == value
    if query.parent:
        found &= pc.field("parent_offset") == int(query.parent.partition("-")[2])
    if query.from_ms is not None:
        found &= pc.field("time") >= _moment(query.from_ms)
    if query.to_ms is not None:
        found &= pc.field("time") <= _moment(query.to_ms)
    return found


def received(executions: Collection[str]) -> pc.Expression:
    """A filter that lets the receipts of these executions' intents pass."""
    named = pc.field("execution_id").isin(list(executions))
    return named & (pc.field("type") == "intent_received") & pc.field("intent_type").is_valid()


def of_tenants(tenants: Collection[str]) -> pc.Expression:
    """A filter that lets these tenants' rows pass."""
    return pc.field("tenant_id").isin(list(tenants))


def _moment(ms: int) -> pa.Scalar:
    return pa.scalar(ms, pa.timestamp("ms"))
