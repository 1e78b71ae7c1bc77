"""Which position of a partition may be committed.

- The position never passes an offset that was taken and is not done.
- Once all is done, the position stands after the last offset taken.
- The position never goes back; repeats and foreign offsets change nothing.
- A worker runs nothing that an earlier one may have run.
"""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphainy.worker.ledger import Lease, Ledger, OffsetsOutOfOrder, Start, begin

OFFSETS = st.lists(st.integers(0, 200), unique=True, max_size=40).map(sorted)


@given(offsets=OFFSETS, data=st.data())
def test_the_position_is_the_first_offset_that_is_not_done(
    offsets: list[int], data: st.DataObject
) -> None:
    ledger = Ledger(0)
    waiting = list(offsets)
    taken: list[int] = []
    done: set[int] = set()
    while waiting or set(taken) - done:
        before = ledger.position
        may_end = sorted(set(taken) - done)
        if waiting and (not may_end or data.draw(st.booleans(), label="take")):
            offset = waiting.pop(0)
            ledger.take(offset)
            taken.append(offset)
        else:
            offset = data.draw(st.sampled_from(may_end), label="done")
            done.add(offset)
            ledger.done(offset)
            ledger.done(offset)
        unfinished = [offset for offset in taken if offset not in done]
        assert ledger.position <= min(unfinished, default=201)
        assert ledger.position >= before
        if taken and not unfinished:
            assert ledger.position == taken[-1] + 1
        if unfinished:
            below = [offset for offset in taken if offset < unfinished[0]]
            assert ledger.position >= (below[-1] + 1 if below else 0)
        assert ledger.open == len([offset for offset in taken if offset >= ledger.position])


def test_offsets_that_do_not_increase_are_a_bug() -> None:
    ledger = Ledger(5)
    ledger.take(7)
    for offset in (4, 6, 7):
        with pytest.raises(OffsetsOutOfOrder):
            ledger.take(offset)


def test_offsets_of_others_change_nothing() -> None:
    ledger = Ledger(5)
    ledger.done(5)
    ledger.take(8)
    for offset in (3, 7, 9):
        ledger.done(offset)
    ledger.take(9)
    ledger.done(8)
    assert (ledger.position, ledger.open) == (9, 1)


@pytest.mark.parametrize(
    ("committed", "low", "high", "start"),
    [
        # No consumer ever committed: none has run anything.
        (-1001, 0, 10, Start(0, 0, True)),
        (-1001, 4, 10, Start(4, 4, True)),
        # Somebody was here: what stands up to the end may have been run.
        (3, 0, 10, Start(3, 10, False)),
        (10, 0, 10, Start(10, 10, False)),
        (0, 0, 0, Start(0, 0, False)),
        # Retention passed the commit, or the topic was made anew.
        (3, 5, 10, Start(5, 10, False)),
        (30, 0, 10, Start(0, 10, False)),
    ],
)
def test_what_may_have_run_is_suspect(committed: int, low: int, high: int, start: Start) -> None:
    assert begin(committed, low, high) == start


def test_a_lease_tells_when_nothing_is_open() -> None:
    lease = Lease(0, Start(0, 0, True))
    lease.ledger.take(0)
    lease.ledger.take(1)
    lease.emptied = threading.Event()
    lease.done(1)
    assert not lease.emptied.is_set()
    lease.done(0)
    assert lease.emptied.is_set()
    assert lease.ledger.position == 2
