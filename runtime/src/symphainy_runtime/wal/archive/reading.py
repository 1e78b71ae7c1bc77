"""Rows from the archive: only the files whose offsets are asked for are opened, and of those only
the groups of rows that may hold one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from symphainy_runtime.audit.verifying import Extent
from symphainy_runtime.wal.archive import columns
from symphainy_runtime.wal.archive.files import Archive, ArchiveFile, ArchiveUnavailable, spans
from symphainy_runtime.wal.query import Query, Read, Scanned
from symphainy_runtime.wal.rows import Place
from symphainy_schemas import ids

ROWS_AT_ONCE = 2_000
PARQUET = ds.ParquetFileFormat()


class ArchiveSource:
    """The archive of one journal. For one thread at a time."""

    name = "archive"

    def __init__(self, archive: Archive, journal: str) -> None:
        """Nothing is read yet."""
        self._archive = archive
        self._journal = journal
        self._files: dict[int, list[ArchiveFile]] = {}
        self.read = Read()
        """What was read since it was made: rows of the groups that were looked at, and the sizes of
        the files that were opened."""

    def partitions(self) -> list[int]:
        """Of which there are files.

        Raises:
            ArchiveUnavailable: the store did not answer.
        """
        return self._archive.partitions(self._journal)

    def kept(self, partition: int) -> list[Extent]:
        """The offsets that it has, as of now.

        Raises:
            ArchiveUnavailable: the store did not answer.
        """
        self._files[partition] = self._archive.files(self._journal, partition)
        return list(spans(self._files[partition]))

    def intent_types(self, executions: Collection[str]) -> Mapping[str, str]:
        """The intent types of these executions, of those that it has: the newest files first.

        Raises:
            ArchiveUnavailable: a file cannot be read.
        """
        found: dict[str, str] = {}
        for partition in {ids.partition_of(one) for one in executions}:
            missing = {one for one in executions if ids.partition_of(one) == partition}
            for file in reversed(self._archive.files(self._journal, partition)):
                if not missing:
                    break
                told = dict(self._received(file, missing))
                found |= told
                missing -= told.keys()
        return found

    def _received(self, file: ArchiveFile, executions: Collection[str]) -> list[tuple[str, str]]:
        """Execution and intent type of those that a file says were received."""
        condition = columns.received(executions)
        try:
            with self._archive.open(file) as opened:
                self.read.bytes += opened.seek(0, 2)
                fragment = PARQUET.make_fragment(pa.PythonFile(opened, mode="r"))
                table = fragment.to_table(
                    schema=columns.SCHEMA,
                    columns=["execution_id", "intent_type"],
                    filter=condition,
                    use_threads=False,
                )
                self.read.records += table.num_rows
                return [(one["execution_id"], one["intent_type"]) for one in table.to_pylist()]
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(file, error) from error

    def scan(self, query: Query, partition: int, wanted: Extent) -> Iterator[Scanned]:
        """The rows of `wanted`, a stretch after the other.

        Raises:
            ArchiveUnavailable: a file cannot be read.
        """
        for file in self._files[partition]:
            if file.last < wanted.start or file.first >= wanted.end:
                continue
            before = self.read.records
            yield from self._scan(query, file, wanted)
            reached = Place(partition, min(file.last + 1, wanted.end), -1)
            yield Scanned(reached, [], self.read.records - before)

    def _scan(self, query: Query, file: ArchiveFile, wanted: Extent) -> Iterator[Scanned]:
        condition = columns.condition(query, wanted.start, wanted.end)
        try:
            with self._archive.open(file) as opened:
                self.read.bytes += opened.seek(0, 2)
                fragment = PARQUET.make_fragment(pa.PythonFile(opened, mode="r"))
                chosen: Any = fragment.subset(condition, schema=columns.SCHEMA)
                looked_at = sum(group.num_rows for group in chosen.row_groups)
                self.read.records += looked_at
                found = chosen.scanner(schema=columns.SCHEMA, filter=condition, use_threads=False)
                for batch in found.to_batches():
                    for start in range(0, batch.num_rows, ROWS_AT_ONCE):
                        rows = list(columns.rows(batch.slice(start, ROWS_AT_ONCE)))
                        yield Scanned(rows[-1].place, rows, 0)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(file, error) from error


def _unreadable(file: ArchiveFile, error: Exception) -> ArchiveUnavailable:
    return ArchiveUnavailable(
        f"{file.name} cannot be read: {error}", cure="Restore it from a sound copy."
    )
