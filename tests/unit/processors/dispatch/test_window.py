"""Invariants of a realm's window, most of them before a simulated pool of workers.

- It grows until workers are busy, soon, whether starts are reported or only ends.
- Before busy workers the wait settles near the target, and nobody idles; with few workers and many
  partitions too.
- More workers are found, a longer way to them as well; a partition that comes late gets its share.
- It grows only if it was full, and changes once a round trip.
- One worker that stood still does not close it.
- Ends that tell nothing neither move a window nor leave it closed.
- It stays within its sizes, goes on where a predecessor was, and forgets what it learned when it
  was long half empty.
"""

from __future__ import annotations

import pytest
from tests.unit.processors.dispatch.pool import Pool

from symphainy_processors.dispatch.window import (
    STALE_MS,
    TARGET_MS,
    TARGET_OF_RUN,
    Sizes,
    Waits,
    Window,
)


def pool_of(slots: int, run_ms: float, owners: int = 1) -> Pool:
    """A pool with partitions before it."""
    pool = Pool(slots, run_ms)
    for _ in range(owners):
        pool.add()
    return pool


def fill(window: Window, number: int = 0) -> int:
    """Send until it is full; the last number."""
    for outstanding in range(1, window.size + 1):
        number = window.sent(outstanding)
    return number


def opened(outstanding: int, sizes: Sizes | None = None) -> Window:
    """The window of a partition that found so much outstanding."""
    window = Window(sizes or Sizes())
    for count in range(1, outstanding + 1):
        window.sent(count)
        window.restored(count)
    return window


def round_trip(window: Window, waited_ms: float, ran_ms: float = 10.0) -> None:
    """A full window goes, and all of it comes back."""
    last = fill(window)
    for number in range(last - window.size + 1, last + 1):
        window.ended(number, Waits(waited_ms, ran_ms=ran_ms), window.size, 0)


# --- before workers -------------------------------------------------------------------------------


def test_it_reaches_a_thousand_tasks_of_a_second_in_ten() -> None:
    pool = pool_of(1_000, 1_000)
    pool.run(10)
    assert pool.ended(10) / 10 == pytest.approx(1_000, rel=0.02)


def test_it_reaches_them_at_once_when_starts_are_reported() -> None:
    """Long runs would else keep it small for hours."""
    pool = pool_of(1_000, 600_000)
    pool.reports = True
    pool.run(1)
    assert pool.senders[0].outstanding >= 1_000


@pytest.mark.parametrize("owners", [1, 8])
@pytest.mark.parametrize(("slots", "run_ms"), [(1_000, 1_000), (100, 100), (10, 20)])
def test_the_wait_settles_near_the_target_and_nobody_idles(
    slots: int, run_ms: float, owners: int
) -> None:
    pool = pool_of(slots, run_ms, owners)
    pool.run(30)
    assert pool.mean_queue(10) < 1.5 * max(TARGET_MS, run_ms * TARGET_OF_RUN)
    assert pool.ended(10) / 10 == pytest.approx(slots / run_ms * 1_000, rel=0.03)


def test_many_partitions_do_not_queue_deep_before_few_workers() -> None:
    pool = pool_of(2, 5, owners=8)
    assert sum(sender.window.size for sender in pool.senders) == 128
    pool.run(10)
    assert pool.mean_queue(10) < 1.5 * TARGET_MS
    assert pool.ended(10) / 10 == pytest.approx(400, rel=0.03)


def test_long_runs_keep_a_short_queue() -> None:
    pool = pool_of(10, 60_000)
    pool.run(3_600)
    assert pool.senders[0].window.size <= 13
    assert pool.ended(3_600) >= 0.9 * 600


def test_new_workers_are_found() -> None:
    pool = pool_of(20, 100)
    pool.run(20)
    assert pool.senders[0].window.size < 60
    pool.slots = 500
    pool.run(5)
    assert pool.ended(5) / 5 == pytest.approx(5_000, rel=0.05)


def test_lost_workers_close_it() -> None:
    pool = pool_of(200, 100)
    pool.run(20)
    pool.slots = 20
    pool.run(60)
    assert pool.mean_queue(20) < 2 * TARGET_MS


def test_a_longer_way_is_found_out() -> None:
    pool = pool_of(100, 200)
    pool.run(10)
    pool.way_ms = 300
    pool.run(30)
    assert pool.ended(10) / 10 == pytest.approx(500, rel=0.05)


def test_a_late_partition_gets_its_share() -> None:
    pool = pool_of(100, 100)
    pool.run(30)
    late = pool.add()
    pool.run(60)
    before = late.ended
    assert (pool.ended(30) * 0.25) < late.ended - before


def test_unequal_windows_come_closer() -> None:
    pool = Pool(100, 100)
    large, small = pool.add(160), pool.add(20)
    pool.run(120)
    assert large.window.size < 3 * small.window.size


def test_a_realm_where_nothing_tells_how_long_it_waited_keeps_its_window() -> None:
    pool = pool_of(1_000, 100)
    pool.blank = True
    pool.run(60)
    assert pool.senders[0].window.size == Sizes().start


# --- by itself ------------------------------------------------------------------------------------


def test_it_doubles_a_round_trip_without_delay() -> None:
    window = Window(Sizes())
    round_trip(window, waited_ms=5)
    assert window.size == 2 * Sizes().start


def test_a_window_that_was_not_full_does_not_grow() -> None:
    window = Window(Sizes())
    for _ in range(1_000):
        window.ended(window.sent(window.size - 1), Waits(5, ran_ms=10), window.size - 1, 0)
    assert window.size == Sizes().start


def test_it_changes_once_a_round_trip() -> None:
    """What was sent before a change does not bear on the next."""
    window = Window(Sizes(start=100))
    last = fill(window)
    for number in range(1, last + 1):
        window.waited(number, Waits(5_000))
    assert window.size == 50


def test_delay_shrinks_it_by_half_at_most_and_to_what_meets_the_target() -> None:
    halved, little = Window(Sizes(start=100)), Window(Sizes(start=100))
    round_trip(halved, waited_ms=60_000)
    round_trip(little, waited_ms=200, ran_ms=900)
    assert halved.size == 50
    assert little.size == int(100 * (900 + 900 * TARGET_OF_RUN) / (900 + 200))


def test_a_worker_that_stood_still_does_not_speak_for_all() -> None:
    window = Window(Sizes(start=100))
    last = fill(window)
    for number in range(1, last + 1):
        window.waited(number, Waits(60_000 if number % 10 == 0 else 5))
    assert window.size >= 100


def test_beside_a_long_run_a_longer_wait_is_no_delay() -> None:
    window = Window(Sizes(start=100))
    round_trip(window, waited_ms=900, ran_ms=10_000)
    assert window.size >= 100


def test_ends_that_tell_nothing_open_a_closed_window_to_its_start_and_no_further() -> None:
    window = Window(Sizes())
    for _ in range(20):
        round_trip(window, waited_ms=60_000)
    assert window.size == Sizes().floor
    for _ in range(1_000):
        window.ended(window.sent(window.size), Waits(), window.size, 0)
    assert window.size == Sizes().start


def test_a_start_told_before_counts_once() -> None:
    window = Window(Sizes(start=4))
    for outstanding in range(1, 5):
        window.sent(outstanding)
    window.waited(1, Waits(5))
    window.ended(0, Waits(5, ran_ms=10), 4, 0)
    assert window.size == 4
    window.waited(2, Waits(5))
    assert window.size == 8


def test_it_stays_within_its_sizes() -> None:
    sizes = Sizes(floor=2, start=4, ceiling=50)
    window = Window(sizes)
    for _ in range(20):
        round_trip(window, waited_ms=0)
    assert window.size == sizes.ceiling
    for _ in range(20):
        round_trip(window, waited_ms=60_000)
    assert window.size == sizes.floor
    restored = opened(1_000, sizes)
    assert restored.size == sizes.ceiling


def test_it_goes_on_where_a_predecessor_was() -> None:
    assert opened(700).size == 700


def test_a_task_that_was_given_up_and_lives_does_not_open_it() -> None:
    window = Window(Sizes())
    last = fill(window)
    window.ended(last, Waits(), window.size, 0)
    window.sent(window.size)
    window.sent(window.size + 1)
    window.restored(window.size + 1)
    assert window.size == Sizes().start


def test_what_was_learned_is_forgotten_when_it_was_long_half_empty() -> None:
    window = opened(100)
    for now_ms in range(0, 10 * STALE_MS, STALE_MS // 4):
        window.ended(window.sent(60), Waits(), 60, now_ms)
    assert window.size == 100
    for now_ms in range(10 * STALE_MS, 20 * STALE_MS, STALE_MS // 4):
        window.ended(window.sent(1), Waits(), 1, now_ms)
    assert window.size == 16
