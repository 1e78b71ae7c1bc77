"""An answer in the making: what fits a page, where the next one begins, and what was read. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from symphainy_runtime.wal.query import Answer, Query, Read, cursor_of
from symphainy_runtime.wal.rows import Place, Row


class Page:
    """An answer in the making."""

    def __init__(self, query: Query, most_records: int | None) -> None:
        self.query = query
        self.after = query.after
        self.answer = Answer()
        self.full = False
        self._left = most_records

    def start(self, partition: int, first: int) -> int:
        """The first offset of a partition that may have a row."""
        start = max(first, self.query.from_offset or 0)
        if self.after is not None and self.after.partition == partition:
            start = max(start, self.after.offset)
        return start

    def take(self, rows: Sequence[Row]) -> None:
        """Add what comes behind the cursor, as much as fits."""
        if self.after is not None:
            rows = [row for row in rows if row.place > self.after]
        room = self.query.limit - len(self.answer.rows)
        self.answer.rows += rows[:room]
        if len(rows) > room:
            self.full = True
            self.answer.cursor = cursor_of(self.answer.rows[-1].place)

    def passed(self, place: Place, records: int) -> None:
        """So many records were looked at, up to a place."""
        if self._left is None or self.full:
            return
        self._left -= records
        if self._left <= 0:
            self.full = True
            self.answer.cursor = cursor_of(place)


def copied(read: Read) -> Read:
    """A copy, since a source goes on counting."""
    return Read(records=read.records, bytes=read.bytes)


def difference(before: dict[str, Read], after: dict[str, Read]) -> dict[str, Read]:
    """What was read in between, by source; of those that read anything."""
    none = Read()
    return {
        name: Read(
            records=now.records - before.get(name, none).records,
            bytes=now.bytes - before.get(name, none).bytes,
        )
        for name, now in after.items()
        if now.records > before.get(name, none).records
    }
