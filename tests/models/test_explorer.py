"""The explorer itself, on models small enough to count by hand.

- All states are visited, and the way to a bad one is a shortest one.
- A model larger than the limit yields no verdict.
- Who can never arrive is told apart from who can.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.models.explorer import TooManyStates, explore, stranded


def _counting(state: int) -> Iterator[tuple[str, int]]:
    """0 to 99: one more, or double."""
    yield from ((label, n) for label, n in (("+1", state + 1), ("x2", state * 2)) if n < 100)


def _falling(state: int) -> Iterator[tuple[str, int]]:
    """Even numbers fall to 0, odd ones to -1."""
    if state > 1:
        yield "-2", state - 2
    elif state == 1:
        yield "-2", -1


def test_every_state_is_visited_once() -> None:
    found = explore(1, _counting, lambda state: None)
    assert found.violation is None
    assert found.states == 99


def test_the_way_to_a_bad_state_is_a_shortest_one() -> None:
    found = explore(1, _counting, lambda state: f"{state} is bad" if state == 12 else None)
    assert found.violation is not None
    assert found.violation.sentence == "12 is bad"
    assert len(found.violation.trace) == 4
    assert str(found.violation).endswith("=> 12 is bad")


def test_a_model_beyond_the_limit_gets_no_verdict() -> None:
    with pytest.raises(TooManyStates):
        explore(1, _counting, lambda state: None, limit=50)
    with pytest.raises(TooManyStates):
        stranded([1], _counting, lambda state: False, limit=50)


def test_who_can_never_arrive_is_stranded() -> None:
    assert stranded(range(6), _falling, lambda state: state == 0) == [1, 3, 5]
