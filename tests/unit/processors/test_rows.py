"""Invariants of the rows of a batch of `state`.

- Every changed key has one row, in the order of names, and the marker is last; however many.
- Others get a turn between any two rows, and while a large batch is brought into its order.
"""

from __future__ import annotations

import pytest

from symphainy_processors.fold.checkpoint import Checkpoint
from symphainy_processors.owner.ports import MARKER_KEY, StateBatch
from symphainy_processors.owner.rows import SLICE, marker_of, rows
from symphainy_runtime.state.memory import MemoryStore


def batch_of(count: int) -> StateBatch:
    """As many executions that are gone, in an order of their own."""
    names = dict.fromkeys(f"exe-0-{number * 7_919 % count:08}" for number in range(count))
    assert len(names) == count
    return StateBatch(marker_of(Checkpoint()), names, MemoryStore().snapshot())


@pytest.mark.parametrize("count", [0, 1, SLICE - 1, SLICE, SLICE + 1, 5 * SLICE + 1])
def test_rows_come_in_the_order_of_names_and_the_marker_last(count: int) -> None:
    batch = batch_of(count)
    found = [key for key, _ in rows(batch)]
    assert found == [*sorted(name.encode() for name in batch.keys), MARKER_KEY]


def test_others_get_a_turn_before_the_first_row_and_between_any_two() -> None:
    turns: list[None] = []
    made = rows(batch_of(5 * SLICE), lambda: turns.append(None))
    assert turns == []
    next(made)
    assert len(turns) == 5 + 1
    next(made)
    assert len(turns) == 5 + 2
