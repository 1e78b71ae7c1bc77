"""Invariants inside one tenant: priorities, concurrency keys, and what of a line lies in memory.

- The highest priority goes first, and none waits for more than its patience.
- A key lets at most its limit out, over all realms and priorities; two tenants never share one.
- What a key holds back does not hold back what is behind it; a line is else first in, first out.
- However many steps one key holds back, and however many keys there are: their order is kept, none
  is lost, and what is read again is in proportion to what goes.
- Memory is bounded: by pages, lines and keys, not by what waits.
- A look reads a bounded number of pages, also when it must look deep, and others go meanwhile.
- A step is neither lost nor doubled when it comes out of order, is withdrawn, or comes back.
"""

from __future__ import annotations

import gc
from itertools import pairwise

import pytest
from tests.unit.processors.dispatch.backlog import Owner

from symphainy_processors.dispatch.rules import Bounds, Line, Ready
from symphainy_processors.dispatch.window import Sizes

NARROW = Bounds(page=8, held=100_000, scant=8, scans=2)


def in_order(items: list[Ready]) -> bool:
    """Whether the steps of every tenant, priority and key are."""
    lines: dict[tuple[str, int, str], list[int]] = {}
    for item in items:
        name = (item.tenant_id, item.priority, item.concurrency_key)
        lines.setdefault(name, []).append(item.order)
    return all(a < b for orders in lines.values() for a, b in pairwise(orders))


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


# --- keys -----------------------------------------------------------------------------------------


def test_a_key_lets_its_limit_out_over_realms_and_priorities() -> None:
    owner = Owner()
    for n in range(6):
        owner.ready(key="k", key_limit=2, priority=1 + n % 2, realm=f"r{n % 3}")
    taken = owner.take_all()
    assert len(taken) == 2
    owner.end(taken[0])
    assert len(owner.take_all()) == 1


def test_two_tenants_never_share_a_key() -> None:
    owner = Owner()
    for n in range(6):
        owner.ready(f"t{n % 3}", "k")
    assert len(owner.take_all()) == 3


def test_no_limit_below_one_and_none_without_a_key() -> None:
    owner = Owner()
    for _ in range(10):
        owner.ready(key="k", key_limit=0)
        owner.ready(key="", key_limit=1)
    assert len(owner.take_all()) == 20


def test_what_a_key_holds_back_holds_back_nobody_behind_it() -> None:
    owner = Owner()
    first, second = owner.ready(key="a"), owner.ready(key="a")
    behind, last = owner.ready(), owner.ready(key="b")
    assert owner.take_all() == [first, behind, last]
    newer = owner.ready()
    owner.end(first)
    assert owner.take_all() == [second, newer]


def test_a_line_is_first_in_first_out_among_what_its_keys_let_go() -> None:
    owner = Owner()
    items = [owner.ready(key=key) for key in "abababab"]
    out = owner.take_all()
    for item in (out[1], out[0]):
        owner.end(item)
    assert owner.take_all() == [items[2], items[3]]


def test_an_older_step_of_the_key_with_a_smaller_limit_goes_first() -> None:
    owner = Owner()
    first = owner.ready(key="k", key_limit=2)
    assert owner.take_all() == [first]
    owner.ready(key="k", key_limit=1)
    owner.ready(key="k", key_limit=5)
    assert owner.take_all() == []
    assert not owner.go(owner.step(key="k", key_limit=5))


@pytest.mark.parametrize("indexed", [True, False])
def test_many_steps_under_few_keys_are_not_lost_and_keep_their_order(indexed: bool) -> None:
    owner = Owner(bounds=NARROW, indexed=indexed)
    for n in range(3_000):
        owner.ready(key=f"k{n % 3 if n % 50 else 7}", key_limit=2)
    items = owner.drain(parallel=20)
    assert len({item.execution_id for item in items}) == len(items) == 3_000
    assert in_order(items)
    assert owner.dispatcher.held == 0


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("window", [1, 2, 3, 5])
def test_steps_behind_a_full_window_are_not_doubled(window: int, indexed: bool) -> None:
    """Then a page is half looked at while a key reads again what lies before it."""
    sizes = Sizes(floor=window, start=window, ceiling=window)
    owner = Owner(bounds=Bounds(page=3, scant=3, held=10_000), sizes=sizes, indexed=indexed)
    for n in range(600):
        owner.ready(key="" if n % 7 in (2, 3) else f"k{n * n % 11 % 2}")
    items = owner.take_all()
    while owner.outstanding:
        out = list(owner.outstanding.values())
        owner.end(out[len(items) * 5 % len(out)])
        items += owner.take_all()
    assert len({item.execution_id for item in items}) == len(items) == 600
    assert in_order(items)


@pytest.mark.parametrize("indexed", [True, False])
def test_a_flood_of_one_key_is_read_in_proportion_to_what_goes(indexed: bool) -> None:
    owner = Owner(bounds=NARROW, indexed=indexed)
    for _ in range(4_000):
        owner.ready(key="k")
    assert len(owner.drain()) == 4_000
    assert owner.backlog.items_read <= 3 * 4_000


@pytest.mark.parametrize("keys", [5, 50, 500])
def test_many_keys_are_read_in_proportion_to_what_goes(keys: int) -> None:
    """Whatever their number, and in whatever order their steps end."""
    owner = Owner(bounds=NARROW)
    for n in range(5_000):
        owner.ready(key=f"k{n % keys}")
    items = owner.take_all()
    while owner.outstanding:
        out = list(owner.outstanding.values())
        owner.end(out[len(items) * 7 % len(out)])
        items += owner.take_all()
    assert len({item.execution_id for item in items}) == len(items) == 5_000
    assert in_order(items)
    assert owner.backlog.items_read <= 3 * 5_000


def test_what_is_behind_a_flood_of_one_key_is_found_page_by_page() -> None:
    """Each look reads a few pages; whoever else waits goes meanwhile."""
    owner = Owner(bounds=NARROW)
    for _ in range(2_000):
        owner.ready("keyed", "k")
    behind = owner.ready("keyed", "other")
    for _ in range(100):
        owner.ready("light")
    seen: list[Ready] = []
    for _ in range(100):
        reads = owner.backlog.reads
        item = owner.take()
        assert owner.backlog.reads - reads <= 2 * (NARROW.scans + 1)
        assert item is not None
        seen.append(item)
    assert sum(item.tenant_id == "light" for item in seen) >= 98
    looks = 0
    while behind not in seen:
        assert owner.dispatcher.scanning
        reads = owner.backlog.reads
        item = owner.take()
        assert owner.backlog.reads - reads <= 2 * (NARROW.scans + 1)
        seen += [] if item is None else [item]
        looks += 1
    assert looks <= 2_000 // NARROW.page
    assert owner.take_all() == []
    assert not owner.dispatcher.scanning


def test_a_tenant_that_looks_deep_keeps_nobody_else_from_going_at_once() -> None:
    owner = Owner(bounds=NARROW)
    for _ in range(2_000):
        owner.ready("keyed", "k")
    assert owner.take() is not None
    assert owner.take() is None
    assert owner.dispatcher.scanning
    assert owner.go(owner.step("light"))
    assert not owner.go(owner.step("keyed"))


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
    assert owner.go(owner.step())
