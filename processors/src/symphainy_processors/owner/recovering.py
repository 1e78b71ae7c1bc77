"""Restoring the local state of an owner that is not running, as the owner itself would.

It takes no term and appends nothing: what it leaves on the disk is checked against the journal like
any other local state when an owner opens it (rule 17). Stopped anywhere and run again, the
partitions that were restored are only folded on.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from symphainy_processors.owner.kafka.journal import KafkaJournal
from symphainy_processors.owner.kafka.state_log import KafkaStateLog
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.owner.ports import Journal
from symphainy_processors.owner.restoring import Restored, Restoring
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.state.store import Stores

Progress = Callable[[int, int], None]
_NAME = "symphainy-recover"
Rows = Sequence[tuple[bytes, bytes | None]]


class RestoredPartition(NamedTuple):
    """How one partition stands: everything up to journal offset `as_of` is in the local state.
    `records` were read for it, of `state` and of the journal."""

    partition: int
    as_of: int
    live: int
    records: int


class _Meter:
    """How many records are read, of how many: a partition counts when its turn comes."""

    def __init__(self, progress: Progress) -> None:
        self.done = self.total = 0
        self._progress = progress

    def more(self, total: int) -> None:
        """So many more are to be read."""
        self.total += total

    def read(self, count: int) -> None:
        """So many more are read."""
        self.done += count
        self._progress(self.done, max(self.total, self.done))


class _MeteredJournal:
    """A journal of which a meter hears. Implements `ports.Journal`."""

    def __init__(self, journal: KafkaJournal, meter: _Meter) -> None:
        self._journal, self._meter = journal, meter

    def identity(self) -> str:
        return self._journal.identity()

    def bounds(self, partition: int) -> tuple[int, int]:
        return self._journal.bounds(partition)

    def read(
        self, partition: int, start: int, end: int
    ) -> Generator[Sequence[tuple[int, bytes]], None, None]:
        self._meter.more(max(0, end - start))
        for batch in self._journal.read(partition, start, end):
            self._meter.read(len(batch))
            yield batch


class _MeteredState:
    """The `state` topic of which a meter hears. Implements `ports.StateRows`."""

    def __init__(self, state_log: KafkaStateLog, meter: _Meter) -> None:
        self._log, self._meter = state_log, meter

    def read(self, partition: int) -> Generator[Rows, None, None]:
        low, high = self._log.bounds(partition)
        self._meter.more(high - low)  # compaction has left fewer
        for batch in self._log.read(partition):
            self._meter.read(len(batch))
            yield batch


class StateRecovery:
    """Restores every partition into one owner's stores. One use; `close` disconnects."""

    def __init__(self, settings: RuntimeSettings, stores: Stores) -> None:
        """No owner may have `stores` open."""
        self._options = OwnerOptions.of(settings)
        self._stores = stores
        self._journal = KafkaJournal(settings, f"{_NAME}-journal")
        self._state_log = KafkaStateLog(settings, f"{_NAME}-state")

    def run(self, progress: Progress) -> Iterator[RestoredPartition]:
        """Restore one partition after the other. `progress` hears how many records are read, and of
        how many; that grows when a journal's tail turns out to be long.

        Raises:
            JournalTampered, JournalTooNew, OperatorError: only an operator can help.
            StoreBroken: a store is open elsewhere, or the disk refuses.
            Unavailable: Kafka does not answer.
        """
        meter = _Meter(progress)
        for p in range(self._options.partitions):
            before = meter.done
            journal: Journal = _MeteredJournal(self._journal, meter)
            restoring = Restoring(journal, _MeteredState(self._state_log, meter), self._options)
            store = self._stores.open(p)
            try:
                restored = _driven(restoring.restore(p, store))
            finally:
                store.close()
            yield RestoredPartition(
                p, restored.standing.offset, restored.state.live, meter.done - before
            )

    def close(self) -> None:
        """Disconnect."""
        self._journal.close()
        self._state_log.close()


@contextmanager
def recovery(settings: RuntimeSettings, stores: Stores) -> Iterator[StateRecovery]:
    """A recovery that disconnects at its end."""
    made = StateRecovery(settings, stores)
    try:
        yield made
    finally:
        made.close()


def _driven(work: Generator[None, None, Restored]) -> Restored:
    """What the work comes to; nobody else is served meanwhile."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            restored: Restored = done.value
            return restored
