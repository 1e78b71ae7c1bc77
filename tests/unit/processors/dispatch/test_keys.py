"""Invariants of concurrency keys, inside one tenant.

- A key lets at most its limit out, over all realms and priorities; two tenants never share one.
- What a key holds back does not hold back what is behind it; a line is else first in, first out.
- However many steps one key holds back, and however many keys there are: their order is kept, none
  is lost, and what is read again is in proportion to what goes.
- A look reads a bounded number of pages, also when it must look deep, and others go meanwhile.
- Those who must look deep take turns.
- A key that nobody waits for is forgotten.
"""

from __future__ import annotations

import pytest
from tests.unit.processors.dispatch.backlog import NARROW, Owner, in_order

from symphainy_processors.dispatch.rules import Bounds, Ready
from symphainy_processors.dispatch.window import Sizes


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


def test_those_who_must_look_deep_take_turns() -> None:
    owner = Owner(bounds=NARROW)
    for tenant_id, depth in (("deep", 400), ("shallow", 20)):
        for _ in range(depth):
            owner.ready(tenant_id, "k")
    last = owner.ready("shallow")
    assert last in [owner.take() for _ in range(10)]


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
def test_a_key_that_reads_again_leaves_what_is_not_looked_at_yet(indexed: bool) -> None:
    """Else it would be there twice: under its key, and fresh."""
    sizes = Sizes(floor=2, start=2, ceiling=2)
    owner = Owner(bounds=Bounds(page=3, scant=3, held=10_000), sizes=sizes, indexed=indexed)
    for number in range(17):
        owner.ready(key="" if number == 10 else "k")
    items = owner.take_all()
    while keyed := [item for item in owner.outstanding.values() if item.concurrency_key]:
        owner.end(keyed[0])
        items += owner.take_all()
    assert len({item.execution_id for item in items}) == len(items) == 17
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


def test_a_full_realm_is_looked_through_when_it_has_room_again() -> None:
    owner = Owner(bounds=NARROW, sizes=Sizes(floor=2, start=2, ceiling=2))
    for _ in range(2_000):
        owner.ready("keyed", "k")
    behind = owner.ready("keyed", "other")
    assert owner.take() is not None
    assert owner.take() is None
    light = owner.step("light")
    assert owner.go(light)
    assert not owner.dispatcher.scanning
    reads = owner.backlog.reads
    assert owner.take() is None
    assert owner.backlog.reads == reads
    owner.end(light)
    assert owner.take_all() == [behind]


def test_a_tenant_that_looks_deep_keeps_nobody_else_from_going_at_once() -> None:
    owner = Owner(bounds=NARROW)
    for _ in range(2_000):
        owner.ready("keyed", "k")
    assert owner.take() is not None
    assert owner.take() is None
    assert owner.dispatcher.scanning
    assert owner.go(owner.step("light"))
    assert not owner.go(owner.step("keyed"))


def test_a_key_that_nobody_waits_for_is_forgotten() -> None:
    owner = Owner()
    assert owner.go(owner.step())  # so that its tenant is remembered
    for number in range(200):
        owner.ready(key=f"k{number % 100}")
    while taken := owner.take_all():
        for item in taken:
            owner.end(item)
    keys = owner.dispatcher._turns._accounts["t"].keys
    assert (keys.outstanding, keys.waiting) == ({}, {})
