"""Invariants inside one tenant: priorities, and what of a line lies in memory.

- The highest priority goes first, and none waits for more than its patience.
- Memory is bounded: by pages, lines and keys, not by what waits.
- A step is neither lost nor doubled when it comes out of order, is withdrawn, or comes back.
"""

from __future__ import annotations

import gc
from itertools import pairwise

from tests.unit.processors.dispatch.backlog import NARROW, Owner, in_order

from symphainy_processors.dispatch.rules import Bounds, Line, Ready
from symphainy_processors.dispatch.window import Sizes


def alive() -> int:
    """How many `Ready` there are in this process."""
    gc.collect()
    return sum(type(one) is Ready for one in gc.get_objects())


# --- priorities -----------------------------------------------------------------------------------


def test_whoever_has_nothing_left_but_what_was_withdrawn_is_counted_once() -> None:
    owner = Owner()
    owner.backlog.add(gone := owner.step())
    owner.restart()
    owner.backlog.remove(gone)
    item = owner.step()
    assert owner.go(item)
    owner.end(item)
    assert owner.take() is None
    assert owner.dispatcher.idle
    assert owner.dispatcher.outstanding == 0


def test_the_highest_priority_goes_first() -> None:
    owner = Owner()
    for priority in (5, 3, 1, 4, 2):
        owner.ready(priority=priority)
    assert [item.priority for item in owner.take_all()] == [1, 2, 3, 4, 5]


def test_no_priority_starves() -> None:
    owner = Owner()
    patience = Bounds().patience
    for priority in (1, 2, 5):
        for _ in range(200):
            owner.ready(priority=priority)
    priorities = [item.priority for item in owner.drain()][:400]
    for low in (2, 5):
        gaps = [b - a for a, b in pairwise([n for n, p in enumerate(priorities) if p == low])]
        assert max(gaps[:10]) <= patience + 2
    assert priorities[:200].count(1) >= 200 * 0.9 - 1


# --- memory ---------------------------------------------------------------------------------------


def test_a_backlog_stays_in_the_state() -> None:
    owner = Owner(bounds=Bounds(page=10, held=100, scant=2))
    before = alive()
    for n in range(20_000):
        owner.dispatcher.offer(
            Ready("r", f"t{n % 20}", 1 + n % 5, n, f"e{n}", "main", f"k{n % 4}", 1)
        )
    assert owner.dispatcher.held == alive() - before <= 100 + 10 + 2 * 100


def test_ten_thousand_lines_hold_the_least_each() -> None:
    bounds = Bounds(page=64, held=1_000, scant=2)
    owner = Owner(bounds=bounds, sizes=Sizes(start=1))
    for n in range(40_000):
        owner.ready(f"t{n % 4_000}")
    owner.restart()
    for _ in range(4_000):
        item = owner.take()
        assert item is not None
        owner.end(item)
    assert owner.dispatcher.held <= 1_000 + 64 + 2 * 4_000


def test_a_flood_of_one_key_holds_a_page() -> None:
    owner = Owner(bounds=NARROW)
    for _ in range(5_000):
        owner.ready(key="k")
    owner.take_all()
    assert owner.dispatcher.held <= 2 * NARROW.page


def test_a_restart_loses_nothing_and_doubles_nothing() -> None:
    owner = Owner(bounds=NARROW)
    for n in range(500):
        owner.ready(f"t{n % 3}", f"k{n % 5}" if n % 2 else "", 2, 1 + n % 2)
    items = []
    for _ in range(60):
        owner.restart()
        for _ in range(3):
            item = owner.take()
            items += [] if item is None else [item]
        for item in list(owner.outstanding.values())[:2]:
            owner.end(item)
    items += owner.drain(parallel=30)
    assert len({item.execution_id for item in items}) == len(items) == 500
    assert in_order(items)


def test_a_key_that_reads_again_holds_no_more_of_the_others_than_they_may() -> None:
    owner = Owner(bounds=NARROW, indexed=False)
    for n in range(3_000):
        owner.ready(key="rare" if n % 50 == 1 else "dense")
    taken = owner.take_all()
    for _ in range(40):
        (rare,) = [item for item in taken if item.concurrency_key == "rare"]
        owner.end(rare)
        taken = owner.take_all()
        assert owner.dispatcher.held <= 3 * NARROW.page


# --- what an owner may do -------------------------------------------------------------------------


def test_steps_of_one_record_are_all_found_in_whatever_order_they_come() -> None:
    owner = Owner()
    items = [Ready("r", "t", 3, 7, "e", step) for step in "cab"]
    for item in items:
        owner.wait(item)
    assert [item.step for item in owner.take_all()] == ["a", "b", "c"]


def test_a_step_that_is_offered_twice_goes_once() -> None:
    owner = Owner()
    item = owner.ready()
    owner.dispatcher.offer(item)
    assert owner.take() == item
    owner.end(item)
    assert owner.take() is None


def test_a_key_frees_while_its_line_is_to_be_read_again() -> None:
    owner = Owner()
    holder, following = owner.ready(key="k"), owner.ready(key="k")
    assert owner.take_all() == [holder]
    early = owner.wait(holder._replace(order=0, execution_id="early", concurrency_key=""))
    owner.end(holder)
    assert owner.take_all() == [early, following]


def test_a_step_that_became_ready_anew_is_not_taken_from_its_old_place() -> None:
    """Withdrawn and readied again by an operator, while its old place is still in memory."""
    owner = Owner(bounds=Bounds(page=4))
    blocker = owner.ready(key="k")
    old = owner.ready(key="k")
    owner.take_all()
    owner.backlog.remove(old)
    new = old._replace(order=99, concurrency_key="")
    assert owner.go(new)
    owner.end(blocker)
    assert owner.take_all() == []
    assert owner.dispatcher.outstanding == 1
    assert owner.dispatcher.held == 0


def test_an_empty_line_is_forgotten() -> None:
    owner = Owner()
    owner.dispatcher.restore(Line("r", "t", 3))
    assert owner.take() is None
    assert owner.dispatcher.idle
    assert owner.dispatcher.figures()[0].tenants == 0
    assert owner.dispatcher._turns._accounts == {}
    assert owner.go(owner.step())
