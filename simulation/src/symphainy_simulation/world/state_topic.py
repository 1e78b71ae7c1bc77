"""The simulated `state` topic: transactions under one transactional id a partition, compaction.

Whoever initialises the id fences off everybody before. Readers see what is committed, and of what
is compacted the latest of each key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from symphainy_simulation.checking.history import Written
from symphainy_simulation.world.events import Events
from symphainy_simulation.world.logs import Trace

Row = tuple[bytes, bytes | None]


class Fenced(Exception):
    """A newer producer has the transactional id."""


class _Row(NamedTuple):
    key: bytes
    value: bytes | None
    at_ms: int
    transaction: int


class StatePartition:
    """One partition of `state`."""

    def __init__(self, partition: int, events: Events, trace: Trace) -> None:
        self.epoch = 0
        self._partition = partition
        self._events = events
        self._trace = trace
        self._rows: list[_Row | None] = []
        self._committed: set[int] = set()
        self._open: int | None = None
        self._transactions = 0
        self._dirty_from = 0

    def initialise(self) -> int:
        """A new producer's epoch; an open transaction of an older one is aborted."""
        self.epoch += 1
        self._end(commit=False)
        return self.epoch

    def begin(self, epoch: int, rows: Sequence[Row]) -> None:
        """Write rows under a transaction.

        Raises:
            Fenced: the epoch is over.
        """
        if epoch != self.epoch:
            raise Fenced
        self._transactions += 1
        self._open = self._transactions
        at_ms = self._events.now_ms
        self._rows += [_Row(key, value, at_ms, self._open) for key, value in rows]

    def commit(self, epoch: int) -> None:
        """Commit what is open.

        Raises:
            Fenced: the epoch is over, so it was aborted.
        """
        if epoch != self.epoch:
            raise Fenced
        self._end(commit=True)

    def abort(self, epoch: int) -> None:
        """Abort what is open, if it is this epoch's."""
        if epoch == self.epoch:
            self._end(commit=False)

    def _end(self, *, commit: bool) -> None:
        if self._open is not None:
            if commit:
                self._committed.add(self._open)
                self._trace.note("state", self._partition, self._events.now_ms, b"")
            self._rows.append(None)  # the transaction's own marker has an offset
            self._open = None

    def visible(self) -> list[Row]:
        """What a reader of committed records gets, oldest first."""
        rows = [r for r in self._rows if r is not None and r.transaction in self._committed]
        clean, dirty = rows[: self._dirty_from], rows[self._dirty_from :]
        last = {row.key: at for at, row in enumerate(rows)}
        kept = [
            row for at, row in enumerate(clean) if last[row.key] == at and row.value is not None
        ]
        return [(row.key, row.value) for row in (*kept, *dirty)]

    def compact(self) -> None:
        """Keep only the latest of each key in all but what was written last."""
        committed = [r for r in self._rows if r is not None and r.transaction in self._committed]
        self._dirty_from = max(self._dirty_from, len(committed) - 1)

    def everything(self) -> list[Written]:
        """All that was ever committed, for the checkers."""
        return [
            Written(self._partition, offset, row.key, row.value, row.at_ms)
            for offset, row in enumerate(self._rows)
            if row is not None and row.transaction in self._committed
        ]
