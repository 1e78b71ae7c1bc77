"""Invariants of the archive's files in the making.

- A file's bytes depend on its rows alone, not on how they came.
- A file without a row is one.
"""

from __future__ import annotations

import io

import pyarrow.parquet as pq
import pytest

from symphainy_runtime.wal.archive.columns import OF_RECORD, ROW_GROUP, SCHEMA, Columns, File

RECORDS = 2 * ROW_GROUP // 3 + 700
NUMBERS = frozenset({"journal_offset", "time", "cause_partition", "term", "seq", "cause_offset"})


def columns(first: int, end: int) -> Columns:
    """Of records with 0 to 6 events; some of what they say is missing."""
    numbers = range(first, end)
    counts = [n % 7 for n in numbers]
    events = [(n, at) for n, count in zip(numbers, counts, strict=True) for at in range(count)]
    of_record = {
        name: [n if name in NUMBERS else f"{name}-{n % 900}" for n in numbers] for name in OF_RECORD
    }
    return Columns(
        partition=3,
        of_record=of_record | {"parent_offset": [n if n % 2 else None for n in numbers]},
        counts=counts,
        types=[f"type_{at}" for _, at in events],
        data=[b'{"n":%d,"at":%d}' % event for event in events],
    )


def written(*cuts: int) -> bytes:
    file = File()
    ends = [*cuts, RECORDS]
    for first, end in zip([0, *cuts], ends, strict=True):
        file.add(columns(first, end))
    return file.content()


@pytest.mark.parametrize("step", [250, 4_999, RECORDS - 1])
def test_the_same_rows_are_the_same_bytes(step: int) -> None:
    whole = written()
    assert written(*range(step, RECORDS, step)) == whole
    found = pq.ParquetFile(io.BytesIO(whole))
    assert found.schema_arrow == SCHEMA
    assert found.metadata.row_group(0).num_rows == ROW_GROUP
    assert found.metadata.num_rows == sum(n % 7 for n in range(RECORDS))


def test_a_file_without_a_row_is_one() -> None:
    file = File()
    file.add(columns(0, 0))
    found = pq.read_table(io.BytesIO(file.content()))
    assert (found.num_rows, found.schema) == (0, SCHEMA)
