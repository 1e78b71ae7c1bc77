"""Folding a journal, on one core: the restore of a partition with nothing but its journal.

The whole is `Restoring.restore`, as a takeover runs it, on a store in RocksDB and on one in memory.
Its parts are passes over the same records: decode alone; `judge` without decode is hash and filter;
chain, evolve and settle on records already judged; what is left of the whole is the flush.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from bench.owner.figures import Figure, Report
from bench.owner.options import Options
from bench.owner.recorded import Recorder
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.owner.ports import StateBatch, StateOutcome
from symphainy_processors.owner.restoring import Restoring
from symphainy_runtime.journal.chain import Chain
from symphainy_runtime.journal.validity import Stored, Validity, judge
from symphainy_runtime.state.memory import MemoryStore
from symphainy_runtime.state.rocks import RocksStores
from symphainy_runtime.state.store import StateStore
from symphainy_schemas.codec import decode
from symphainy_schemas.events import JournalRecord
from symphainy_transport.topics import DAY_MS

FETCH = 2_000  # records in one batch of a reader
PASSES = 4


class _Recorded:
    """A journal in memory. Implements `ports.Journal`."""

    def __init__(self, values: list[bytes]) -> None:
        self._values = values

    def identity(self) -> str:
        return "recorded"

    def bounds(self, partition: int) -> tuple[int, int]:
        return 0, len(self._values)

    def read(
        self, partition: int, start: int, end: int
    ) -> Generator[Sequence[tuple[int, bytes]], None, None]:
        for at in range(start, end, FETCH):
            to = min(at + FETCH, end)
            yield list(zip(range(at, to), self._values[at:to], strict=True))


class _NoState:
    """An empty `state` topic. Implements `ports.StateLog`."""

    def read(self, partition: int) -> Generator[Sequence[tuple[bytes, bytes | None]], None, None]:
        yield from ()

    def open(self, partition: int) -> None:
        raise AssertionError("only read")

    def write(self, partition: int, batch: StateBatch) -> None:
        raise AssertionError("only read")

    def poll(self) -> Sequence[StateOutcome]:
        return ()

    def stop(self, partition: int) -> None:
        """Nothing was begun."""


def run(options: Options) -> Report:
    """Record, then fold in passes."""
    values = Recorder().record(options.fold_executions)
    whole_s = _timed(lambda: _restore_on_rocks(values))
    memory_s = _timed(lambda: _restore(values, MemoryStore()))
    decode_s = _timed(lambda: _decode_all(values))
    judge_s = _timed(lambda: _judge_each(values))
    judged = _judge_all(values)  # not before: beside so many records in memory all is slower
    events = sum(len(one.record.events) for one in judged if one.record is not None)
    apply_s = _timed(lambda: _apply_all(judged))
    split = {
        "decode": decode_s,
        "hash, filter": judge_s - decode_s,
        "chain, evolve, settle": apply_s,
        "flush to RocksDB": whole_s - judge_s - apply_s,
    }
    report = Report(details={"records": len(values), "events": events})
    report.details["bytes"] = sum(map(len, values))
    report.details["us_a_record"] = {k: round(s / len(values) * 1e6, 1) for k, s in split.items()}
    report.details["share"] = {k: round(s / whole_s, 3) for k, s in split.items()}
    report.figures = [
        Figure(
            "journal events folded, RocksDB",
            round(events / whole_s),
            "/s",
            at_least=100_000,
            beside=round(events / memory_s),
            beside_what="store in memory",
        ),
        Figure("journal records folded, RocksDB", round(len(values) / whole_s), "/s"),
        Figure("journal events decoded only", round(events / decode_s), "/s"),
        *(Figure(f"µs a record: {name}", us, "µs") for name, us in _us(report).items()),
    ]
    return report


def _us(report: Report) -> dict[str, float]:
    found: dict[str, float] = report.details["us_a_record"]
    return found


def _timed(work: Callable[[], object]) -> float:
    """CPU seconds, which is what one core has; the disk is not waited for. The least of several:
    whatever else a machine does only adds to it."""
    found = []
    for _ in range(PASSES):
        gc.collect()
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def _restore_on_rocks(values: list[bytes]) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-fold-") as folder:
        rocks = RocksStores(Path(folder)).open(0)
        _restore(values, rocks)
        rocks.close()


def _restore(values: list[bytes], store: StateStore) -> PartitionState:
    steps = Restoring(_Recorded(values), _NoState(), OwnerOptions(partitions=1)).restore(0, store)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            state: PartitionState = done.value.state
            assert state.settled.offset == len(values) - 1
            return state


def _decode_all(values: list[bytes]) -> None:
    for value in values:
        decode(value, JournalRecord)


def _judge_each(values: list[bytes]) -> None:
    """And keep nothing, as a reader does."""
    standing = Validity()
    for offset, value in enumerate(values):
        standing = judge(value, offset, standing).standing


def _judge_all(values: list[bytes]) -> list[Stored]:
    found, standing = [], Validity()
    for offset, value in enumerate(values):
        stored = judge(value, offset, standing)
        assert stored.valid
        standing = stored.standing
        found.append(stored)
    return found


def _apply_all(judged: list[Stored]) -> None:
    state, chain = PartitionState(7 * DAY_MS), Chain(0)
    for stored in judged:
        assert stored.record is not None
        chain.follow(stored.record, stored.offset, state.settled.standing)
        state.settle(state.apply(stored.record, stored.standing))
