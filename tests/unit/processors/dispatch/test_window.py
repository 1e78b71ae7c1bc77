"""Invariants of a realm's window, most of them before a simulated pool of workers.

- It grows until workers are busy, soon, whether starts are reported or only ends.
- Before busy workers the wait settles near the target, and nobody idles; with few workers and many
  partitions too.
- More workers are found, a longer way to them as well; a partition that comes late gets its share.
- It grows only if it was full, and changes once a round trip, by what a whole round of it tells.
- Delay below the target slows its growth; the way is part of a trip, but no outage is.
- One worker that stood still does not close it.
- Ends that tell nothing neither move a window nor leave it closed.
- It stays within its sizes, goes on where a predecessor was, and forgets what it learned when it
  was long half empty.
"""

from __future__ import annotations

import pytest
from tests.unit.processors.dispatch.pool import Pool

from symphainy_processors.dispatch.window import (
    ENOUGH,
    LONGEST_WAY_MS,
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


def test_a_window_that_was_full_once_grows_once() -> None:
    window = Window(Sizes())
    round_trip(window, waited_ms=5)
    for _ in range(1_000):
        window.ended(window.sent(window.size - 1), Waits(5, ran_ms=10), window.size - 1, 0)
    assert window.size == 2 * Sizes().start


def test_what_it_heard_while_it_was_not_full_does_not_outweigh_a_delay() -> None:
    window = Window(Sizes(start=100))
    for _ in range(1_000):
        window.ended(window.sent(99), Waits(5, ran_ms=10), 99, 0)
    round_trip(window, waited_ms=60_000)
    assert window.size == 50


def test_delay_below_the_target_lets_it_grow_slowly() -> None:
    window = Window(Sizes(start=100))
    round_trip(window, waited_ms=0.8 * TARGET_MS)
    assert window.size == 110
    round_trip(window, waited_ms=5)
    assert window.size == 120
    round_trip(window, waited_ms=5)
    assert window.size == 140


def test_it_changes_once_a_round_trip() -> None:
    """What was sent before a change does not bear on the next."""
    window = Window(Sizes(start=100))
    last = fill(window)
    for number in range(1, last + 1):
        window.waited(number, Waits(5_000))
    assert window.size == 50


def test_what_was_sent_before_a_change_is_no_part_of_the_next_round() -> None:
    window = Window(Sizes(start=4))
    for number in range(1, fill(window) + 1):
        window.waited(number, Waits(5))
    assert window.size == 8
    sizes = []
    for number in range(5, fill(window) + 1):
        window.waited(number, Waits(5))
        sizes.append(window.size)
    assert sizes == [8] * 3 + [16] * 5


def test_only_a_whole_window_tells_of_delay_or_enough_of_a_large_one() -> None:
    for size, enough in ((100, 100), (1_000, ENOUGH)):
        window = opened(size, Sizes(start=1))
        last = fill(window)
        for number in range(last - size + 1, last - size + enough):
            window.waited(number, Waits(60_000))
        assert window.size == size
        window.waited(last, Waits(60_000))
        assert window.size == size // 2


@pytest.mark.parametrize(("waited_ms", "way_ms"), [(100, 0), (750, 500), (60_000, LONGEST_WAY_MS)])
def test_the_way_is_part_of_the_trip_and_no_longer_than_one_is(
    waited_ms: float, way_ms: float
) -> None:
    window = Window(Sizes(start=100))
    for number in range(1, fill(window) + 1):
        window.ended(number, Waits(waited_ms, 250, 900), 100, 0)
    trip = 900 + way_ms
    assert window.size == int(100 * (trip + 900 * TARGET_OF_RUN) / (trip + 250))


def test_runs_that_become_short_meanwhile_do_not_shrink_it_by_more_than_half() -> None:
    window = Window(Sizes(start=100))
    last = fill(window)
    window.ended(1, Waits(60_000, ran_ms=10_000), 100, 0)
    for number in range(2, last):
        window.waited(number, Waits(60_000))
    for _ in range(200):
        window.ended(0, Waits(ran_ms=0), 100, 0)
    window.waited(last, Waits(60_000))
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


def test_one_short_run_among_long_ones_makes_no_wait_a_delay() -> None:
    window = Window(Sizes(start=100))
    last = fill(window)
    for number in range(1, last):
        window.ended(number, Waits(900, ran_ms=10_000), 100, 0)
    window.ended(last, Waits(900, ran_ms=1), 100, 0)
    assert window.size == 110


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


def test_they_open_it_by_one_a_round() -> None:
    window = Window(Sizes(floor=4, start=8))
    round_trip(window, waited_ms=60_000)
    sizes = []
    for _ in range(9):
        window.ended(window.sent(window.size), Waits(), window.size, 0)
        sizes.append(window.size)
    assert sizes == [4, 4, 4, 5, 5, 5, 5, 5, 6]


def test_they_do_not_open_it_beside_others_that_tell_of_delay() -> None:
    window = Window(Sizes(floor=4, start=8))
    round_trip(window, waited_ms=60_000)
    for number in range(100):
        waits = Waits(60_000) if number % 4 == 0 else Waits()
        window.ended(window.sent(4), waits, 4, 0)
        assert window.size == 4


def test_the_end_of_what_was_told_before_opens_nothing() -> None:
    window = Window(Sizes(floor=4, start=8))
    round_trip(window, waited_ms=60_000)
    for _ in range(100):
        window.ended(0, Waits(), 4, 0)
    assert window.size == 4


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
        window.ended(window.sent(50), Waits(), 50, now_ms)
    assert window.size == 100
    for now_ms in range(10 * STALE_MS, 20 * STALE_MS, STALE_MS // 4):
        window.ended(window.sent(1), Waits(), 1, now_ms)
    assert window.size == 16


def test_it_forgets_half_a_minute() -> None:
    window = opened(100)
    sizes = []
    for now_ms in range(0, 3 * STALE_MS + 1, STALE_MS // 2):
        window.ended(0, Waits(), 10, now_ms)
        sizes.append(window.size)
    assert sizes == [100, 100, 50, 50, 25, 25, 16]


def test_a_window_that_forgot_doubles_again_and_no_more() -> None:
    window = Window(Sizes())
    while window.size < 1_000:
        round_trip(window, waited_ms=5)
    for now_ms in range(0, 20 * STALE_MS, STALE_MS // 4):
        window.ended(window.sent(1), Waits(), 1, now_ms)
    assert window.size == Sizes().start
    round_trip(window, waited_ms=5)
    assert window.size <= 2 * Sizes().start


def test_a_closed_window_that_is_long_half_empty_stays_closed() -> None:
    window = Window(Sizes(start=16))
    round_trip(window, waited_ms=60_000)
    for now_ms in range(0, 10 * STALE_MS, STALE_MS // 4):
        window.ended(0, Waits(), 1, now_ms)
    assert window.size == 8
