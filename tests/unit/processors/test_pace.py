"""Invariants of the pause between turns.

- An execution by itself never waits.
- Under load the pause grows, to its longest and no further; when the load ends it ends.
"""

from __future__ import annotations

from symphainy_processors.owner.pace import LONGEST_S, Pace


def after(*under_way: int) -> float:
    """The pause after such turns."""
    pace = Pace()
    for one in under_way:
        pace.turned(one)
    return pace.pause_s


def test_an_execution_by_itself_never_waits() -> None:
    assert after(*[1, 2, 3] * 100) == 0.0


def test_load_makes_it_pause_within_bounds() -> None:
    assert 0.0 < after(*[16] * 100) < after(*[30] * 100) < LONGEST_S
    assert after(*[10_000] * 100) == LONGEST_S


def test_the_pause_ends_with_the_load() -> None:
    assert after(*[256] * 100, *[1] * 50) == 0.0
