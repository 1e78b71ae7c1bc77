"""Virtual time keeps what a worker's code expects of a loop's clock.

- Whoever is called at a moment sees that it has come, in floating point too.
- What was cancelled does not come.
- Alarms ring in their order, at their moments.
"""

from __future__ import annotations

import pytest

from symphainy_testing.time import VirtualTime

BEGIN = 1_767_225_600_000


def made() -> VirtualTime:
    return VirtualTime(BEGIN, lambda: None)


@pytest.mark.parametrize("begun_ms", [0, 1, 3, 7, 29, 1_001, 333_333, 86_400_001])
@pytest.mark.parametrize("limit_ms", [1, 3, 7, 50, 110, 120_000])
def test_a_moment_has_come_when_it_is_called_for(begun_ms: int, limit_ms: int) -> None:
    time = made()
    time.go_to(BEGIN + begun_ms)
    begun = time.time()
    when = begun + limit_ms / 1_000
    came: list[bool] = []
    time.call_at(when, lambda: came.append(time.time() >= when and time.time() - begun > 0))
    time.go_to(BEGIN + begun_ms + limit_ms - 1)
    assert came == []
    assert time.next_alarm() == BEGIN + begun_ms + limit_ms
    time.go_to(BEGIN + begun_ms + limit_ms)
    assert came == [True]
    assert time.now_ms() == BEGIN + begun_ms + limit_ms
    assert time.next_alarm() is None


def test_who_asks_for_the_same_moment_again_comes_past_it() -> None:
    """As a limit does that finds its moment a rounding error away."""
    time = made()
    seen: list[float] = []

    def again() -> None:
        seen.append(time.time())
        if len(seen) < 5:
            time.call_at(0.3, again)

    time.call_at(0.3, again)
    for _ in range(5):
        time.go_to(BEGIN + 300)
    assert len(set(seen)) == 5
    assert seen == sorted(seen)


def test_what_is_cancelled_does_not_come() -> None:
    time, came = made(), list[str]()
    time.call_at(1.0, lambda: came.append("alarm")).cancel()
    late = time.call_at(2.0, lambda: came.append("late"))
    time.call_at(2.0, late.cancel)
    time.call_at(1.5, late.cancel)
    time.call_later(1.0, lambda: came.append("pause")).cancel()
    assert time.next_alarm() == BEGIN + 1_500
    assert not time.end_pauses()
    time.go_to(BEGIN + 3_000)
    assert came == []


def test_alarms_ring_in_order_and_pauses_end_once() -> None:
    time, came = made(), list[str]()
    time.call_at(2.0, lambda: came.append("second"))
    time.call_at(1.0, lambda: came.append("first"))
    time.call_at(2.0, lambda: came.append("third"))
    time.call_later(9.0, lambda: came.append("pause"))
    assert time.end_pauses()
    assert not time.end_pauses()
    time.go_to(BEGIN + 2_000)
    assert came == ["pause", "first", "second", "third"]
