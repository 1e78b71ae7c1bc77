"""Invariants of `ports.StateLog`.

- What was written is read back, rows before their marker; opening finds the last marker.
- A transaction that was never ended is neither read nor in the way, and opening aborts it.
- Opening fences off older writers: their batches fail as overtaken, and never show.
- A stopped partition tells nothing more; every snapshot is released, whatever becomes of its batch.
- Asking never waits, also when the log does not answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from tests.contract.owner_ports.harness import (
    Harness,
    WatchedSnapshot,
    session,
    state_batch,
    until,
)

from symphainy_processors.owner.ports import (
    MARKER_KEY,
    StateFailed,
    StateLog,
    StateOpened,
    StateOutcome,
    StateWritten,
)
from symphainy_processors.owner.rows import read_row
from symphainy_schemas.codec import encode
from symphainy_schemas.state import SessionState, StateMarker

LONGEST_CALL_MS = 1_000  # of what must not wait: far below any time-out, far above a busy machine


def outcome(harness: Harness, log: StateLog) -> StateOutcome:
    """The next one."""
    found: list[StateOutcome] = []

    def drive() -> None:
        found.extend(log.poll())
        harness.go_on()

    until(harness, lambda: found, "an outcome is told", drive)
    assert len(found) == 1
    return found[0]


def opened(harness: Harness, log: StateLog, p: int = 0) -> int | None:
    """Open; as of which offset the marker is."""
    log.open(p)
    told = outcome(harness, log)
    assert isinstance(told, StateOpened)
    assert told.partition == p
    return None if told.marker is None else told.marker.as_of


def write(
    harness: Harness,
    log: StateLog,
    as_of: int,
    sessions: Sequence[SessionState],
    gone: Sequence[str] = (),
) -> StateOutcome:
    """Write a batch to partition 0; what became of it. The snapshot is released by then."""
    batch, snapshot = state_batch(as_of, sessions, gone)
    log.write(0, batch)
    told = outcome(harness, log)
    assert snapshot.released
    return told


def everything(log: StateLog, p: int = 0) -> list[tuple[str, object]]:
    """Every row as (key, what it says)."""
    found: list[tuple[str, object]] = []
    with closing(log.read(p)) as batches:
        for batch in batches:
            found += [(key.decode(), _said(value)) for key, value in batch]
    return found


def _said(value: bytes | None) -> object:
    if value is None:
        return None
    row = read_row(value)
    return row.as_of if isinstance(row.body, StateMarker) else row.body


def written(as_of: int, *sessions: SessionState) -> list[tuple[str, object]]:
    """The rows of one batch."""
    return [*((x.session_id, x) for x in sessions), (MARKER_KEY.decode(), as_of)]


class StateLogContract:
    """What every adapter's state log keeps."""

    def test_an_empty_partition_has_no_rows_and_no_marker(self, harness: Harness) -> None:
        log = harness.owner("o1").state_log
        assert everything(log) == []
        assert opened(harness, log) is None
        assert everything(log) == []

    def test_what_was_written_is_read_back_in_order(self, harness: Harness) -> None:
        log = harness.owner("o1").state_log
        opened(harness, log)
        assert write(harness, log, 5, [session(1), session(2)]) == StateWritten(0)
        gone = [session(2).session_id]
        assert write(harness, log, 9, [session(1, version=1)], gone) == StateWritten(0)
        expected = [
            *written(5, session(1), session(2)),
            *written(9, session(1, version=1))[:1],
            (session(2).session_id, None),
            (MARKER_KEY.decode(), 9),
        ]
        assert everything(log) == expected
        assert everything(harness.owner("o2").state_log) == expected
        assert everything(log, 1) == []

    def test_opening_finds_the_last_marker(self, harness: Harness) -> None:
        first = harness.owner("o1").state_log
        opened(harness, first)
        for as_of in range(10):
            assert write(harness, first, as_of, [session(as_of)]) == StateWritten(0)
        assert opened(harness, first) == 9
        assert write(harness, first, 2_000, [session(n) for n in range(2_000)]) == StateWritten(0)
        assert opened(harness, first) == 2_000
        assert opened(harness, harness.owner("o2").state_log) == 2_000
        assert opened(harness, first, p=1) is None

    def test_what_was_never_committed_is_neither_read_nor_in_the_way(
        self, harness: Harness
    ) -> None:
        log = harness.owner("o1").state_log
        opened(harness, log)
        write(harness, log, 7, [session(1)])
        rows = [(session(n).session_id.encode(), b"never read") for n in range(3_000)]
        lost_marker = state_batch(99, [])[0].marker
        harness.half_write_state(0, [*rows, (MARKER_KEY, encode(lost_marker))])
        other = harness.owner("o2").state_log
        assert everything(other) == written(7, session(1))
        assert opened(harness, other) == 7
        assert everything(other) == written(7, session(1))
        assert write(harness, other, 8, [session(2)]) == StateWritten(0)
        assert everything(other) == written(7, session(1)) + written(8, session(2))
        assert opened(harness, other) == 8

    def test_an_older_writer_is_overtaken(self, harness: Harness) -> None:
        older, newer = harness.owner("o1").state_log, harness.owner("o2").state_log
        opened(harness, older)
        write(harness, older, 1, [session(1)])
        assert opened(harness, newer) == 1
        told = write(harness, older, 2, [session(2)])
        assert isinstance(told, StateFailed)
        assert (told.partition, told.overtaken) == (0, True)
        assert told.reason
        assert write(harness, newer, 3, [session(3)]) == StateWritten(0)
        assert everything(newer) == written(1, session(1)) + written(3, session(3))

    def test_who_was_overtaken_may_open_again(self, harness: Harness) -> None:
        older, newer = harness.owner("o1").state_log, harness.owner("o2").state_log
        opened(harness, older)
        opened(harness, newer)
        assert isinstance(write(harness, older, 1, [session(1)]), StateFailed)
        assert opened(harness, older) is None
        assert write(harness, older, 2, [session(2)]) == StateWritten(0)
        told = write(harness, newer, 3, [session(3)])
        assert isinstance(told, StateFailed)
        assert told.overtaken
        assert everything(older) == written(2, session(2))

    def test_partitions_are_fenced_one_by_one(self, harness: Harness) -> None:
        older, newer = harness.owner("o1").state_log, harness.owner("o2").state_log
        opened(harness, older)
        opened(harness, newer, p=1)
        assert write(harness, older, 1, [session(1)]) == StateWritten(0)

    def test_a_stopped_partition_tells_nothing_more(self, harness: Harness) -> None:
        log = harness.owner("o1").state_log
        opened(harness, log)
        snapshots: list[WatchedSnapshot] = []
        for life in range(5):
            batch, snapshot = state_batch(life, [session(n) for n in range(200)])
            snapshots.append(snapshot)
            log.write(0, batch)
            log.stop(0)
            assert opened(harness, log) in (None, *range(life + 1)), "an outcome of a life before"
        until(
            harness,
            lambda: all(snapshot.released for snapshot in snapshots),
            "all snapshots are released",
            harness.go_on,
        )
        assert log.poll() == []
        log.stop(0)
        log.stop(1)

    def test_an_outcome_that_was_not_heard_before_the_stop_is_forgotten(
        self, harness: Harness
    ) -> None:
        log = harness.owner("o1").state_log
        opened(harness, log)
        batch, snapshot = state_batch(1, [session(1)])
        log.write(0, batch)
        until(
            harness,
            lambda: snapshot.released and harness.read("state"),
            "the batch is written",
            harness.go_on,
        )
        log.stop(0)
        for _ in range(20):
            assert log.poll() == []
            harness.go_on()

    def test_asking_never_waits(self, harness: Harness) -> None:
        log = harness.owner("o1").state_log
        opened(harness, log)
        harness.freeze()
        batch, snapshot = state_batch(1, [session(1)])
        began = harness.now_ms()
        log.write(0, batch)
        log.open(1)
        assert log.poll() == []
        assert harness.now_ms() - began < LONGEST_CALL_MS
        harness.thaw()
        told = {type(outcome_): outcome_.partition for outcome_ in _next(harness, log, 2)}
        assert told == {StateWritten: 0, StateOpened: 1}
        assert snapshot.released
        assert everything(log) == written(1, session(1))


def _next(harness: Harness, log: StateLog, count: int) -> list[StateOutcome]:
    found: list[StateOutcome] = []

    def drive() -> None:
        found.extend(log.poll())
        harness.go_on()

    until(harness, lambda: len(found) >= count, f"{count} outcomes are told", drive)
    return found
