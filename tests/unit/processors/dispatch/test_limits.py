"""Invariants of limits, and of what goes at once.

- A tenant never has more outstanding than its limit, over all realms; at it, it holds up nobody.
- A limit that is raised, lowered or lifted counts soon, without a restart, whoever else waits.
- What a restart finds outstanding counts, even above the limits, and once.
- A step goes at once if nobody who could go waits; never past its own tenant's older work.
- Who is held back by a limit or a key keeps nobody else from going at once.
- When something ends and nobody waits, there is nothing to look for.
- What is released unknown, twice, or without being dispatched changes nothing.
"""

from __future__ import annotations

import pytest
from tests.unit.processors.dispatch.backlog import Owner

from symphainy_processors.dispatch.rules import Bounds, Limits
from symphainy_processors.dispatch.window import Sizes, Waits


def test_a_tenant_stays_below_its_limit_over_all_realms() -> None:
    owner = Owner({"t": Limits(max_concurrency=3)})
    for _ in range(5):
        owner.ready(realm="a")
        owner.ready(realm="b")
        owner.ready("other")
    taken = owner.take_all()
    assert sum(item.tenant_id == "t" for item in taken) == 3
    assert sum(item.tenant_id == "other" for item in taken) == 5
    owner.end(next(item for item in taken if item.tenant_id == "t"))
    assert len(owner.take_all()) == 1


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_below_one_is_none(limit: int) -> None:
    owner = Owner({"t": Limits(max_concurrency=limit)})
    assert all(owner.go(owner.step()) for _ in range(100))


def test_a_raised_limit_counts_without_anything_ending() -> None:
    owner = Owner({"t": Limits(max_concurrency=1)})
    for _ in range(5):
        owner.ready()
    assert len(owner.take_all()) == 1
    assert not owner.dispatcher.idle
    owner.limits["t"] = Limits(max_concurrency=3)
    assert len(owner.take_all()) == 2
    del owner.limits["t"]
    assert len(owner.take_all()) == 2


def test_a_raised_limit_is_found_at_once_among_few() -> None:
    owner = Owner({f"t{n}": Limits(max_concurrency=1) for n in range(10)})
    for n in range(10):
        owner.ready(f"t{n}")
        owner.ready(f"t{n}")
    assert len(owner.take_all()) == 10
    owner.limits["t5"] = Limits(max_concurrency=2)
    item = owner.take()
    assert item is not None
    assert item.tenant_id == "t5"


def test_a_raised_limit_is_found_among_many_within_a_bounded_number_of_looks() -> None:
    owner = Owner({f"t{n}": Limits(max_concurrency=1) for n in range(1_000)})
    for n in range(1_000):
        owner.ready(f"t{n}")
        owner.ready(f"t{n}")
    assert len(owner.take_all()) == 1_000
    owner.limits["t500"] = Limits(max_concurrency=2)
    for _ in range(1_000 // Bounds().rechecks + 1):
        item = owner.take()
        if item is not None:
            assert item.tenant_id == "t500"
            return
    pytest.fail("never found")


def test_a_tenant_at_its_limit_goes_on_at_once_when_one_of_its_steps_ends() -> None:
    """However many others wait at theirs."""
    owner = Owner({f"t{n}": Limits(max_concurrency=1) for n in range(1_000)})
    for n in range(1_000):
        owner.ready(f"t{n}")
        owner.ready(f"t{n}")
    taken = owner.take_all()
    for item in (taken[900], taken[500], taken[700]):
        owner.end(item)
        following = owner.take()
        assert following is not None
        assert following.tenant_id == item.tenant_id


def test_a_raised_limit_is_found_while_others_keep_the_realm_busy() -> None:
    owner = Owner({"t": Limits(max_concurrency=1)})
    for _ in range(2):
        owner.ready()
    for _ in range(50):
        owner.ready("busy")
    first = [owner.take(), owner.take()]
    assert owner.take() is not None
    owner.limits["t"] = Limits(max_concurrency=2)
    following = [owner.take() for _ in range(3)]
    assert any(item is not None and item.tenant_id == "t" for item in [*first[1:], *following])


def test_a_lowered_limit_counts_from_now_on() -> None:
    owner = Owner({"t": Limits(max_concurrency=5)})
    for _ in range(10):
        owner.ready()
    taken = owner.take_all()
    owner.limits["t"] = Limits(max_concurrency=2)
    for item in taken[:3]:
        owner.end(item)
        assert owner.take_all() == []
    owner.end(taken[3])
    assert len(owner.take_all()) == 1


def test_what_a_restart_finds_outstanding_counts_even_above_the_limits() -> None:
    owner = Owner(sizes=Sizes(start=8))
    for _ in range(8):
        assert owner.go(owner.step(key="k", key_limit=8))
    for _ in range(3):
        owner.ready(key="k", key_limit=6)
    owner.limits["t"] = Limits(max_concurrency=7)
    owner.restart()
    for item in list(owner.outstanding.values()):
        owner.dispatcher.occupy(item)
    assert owner.dispatcher.outstanding == 8
    for left in (7, 6):
        owner.end(next(iter(owner.outstanding.values())))
        assert owner.take_all() == []
        assert len(owner.outstanding) == left
    owner.end(next(iter(owner.outstanding.values())))
    assert len(owner.take_all()) == 1


def test_the_window_of_a_predecessor_stays_open() -> None:
    owner = Owner(sizes=Sizes(start=4))
    owner.limits["t"] = Limits()
    for _ in range(10):
        owner.dispatcher.occupy(owner.step())
    (figures,) = owner.dispatcher.figures()
    assert (figures.window, figures.outstanding) == (10, 10)
    assert not owner.go(owner.step())


def test_what_a_restart_finds_outstanding_moves_no_window() -> None:
    """How long it waited nobody knows any more."""
    owner = Owner(sizes=Sizes(start=4))
    found = [owner.step() for _ in range(4)]
    for item in found:
        owner.dispatcher.occupy(item)
    for item in found:
        owner.dispatcher.started(item.execution_id, item.step, Waits(60_000))
        owner.dispatcher.release(item.execution_id, item.step, Waits(60_000, ran_ms=1), now_ms=0)
    (figures,) = owner.dispatcher.figures()
    assert (figures.window, figures.outstanding) == (4, 0)


def test_a_step_goes_at_once_when_nobody_waits() -> None:
    owner = Owner(sizes=Sizes(start=2))
    assert owner.go(owner.step())
    assert owner.go(owner.step("other"))
    assert not owner.go(owner.step("third"))


def test_an_end_that_nobody_waits_for_leaves_nothing_to_look_for() -> None:
    owner = Owner()
    item = owner.step()
    assert owner.go(item)
    owner.end(item)
    assert owner.dispatcher.idle


def test_a_step_overtakes_nobody_who_could_go() -> None:
    owner = Owner(sizes=Sizes(start=1))
    assert owner.go(owner.step())
    waiting = owner.ready("other")
    owner.end(next(iter(owner.outstanding.values())))
    assert not owner.go(owner.step(priority=1))
    assert owner.take() == waiting


def test_a_step_does_not_overtake_its_own_tenants_blocked_work() -> None:
    """The limit was raised, and nobody has looked yet."""
    owner = Owner({"t": Limits(max_concurrency=1)})
    assert owner.go(owner.step())
    waiting = owner.ready()
    assert owner.take() is None
    owner.limits["t"] = Limits(max_concurrency=2)
    assert not owner.go(owner.step())
    assert owner.take() == waiting


def test_who_is_held_back_keeps_nobody_else_from_going_at_once() -> None:
    owner = Owner({"limited": Limits(max_concurrency=1)})
    for _ in range(2):
        owner.go(owner.step("limited"))
        owner.go(owner.step("keyed", "k"))
    assert len(owner.outstanding) == 2
    assert owner.go(owner.step("free"))
    assert owner.go(owner.step("keyed", "other key"))
    assert owner.go(owner.step("keyed"))
    assert not owner.go(owner.step("keyed", "k", key_limit=9))


def test_an_unknown_release_changes_nothing() -> None:
    owner = Owner(sizes=Sizes(start=2))
    item = owner.step()
    owner.dispatcher.release(item.execution_id, item.step, Waits(5, ran_ms=5), now_ms=0)
    assert owner.dispatcher.figures() == []
    assert owner.go(item)
    owner.end(item)
    owner.dispatcher.release(item.execution_id, item.step, now_ms=0)
    assert owner.dispatcher.outstanding == 0
    assert [owner.go(owner.step()) for _ in range(3)] == [True, True, False]


def test_what_ended_is_forgotten() -> None:
    owner = Owner()
    for n in range(1_000):
        owner.go(owner.step(f"t{n}", f"k{n}"))
        owner.ready(f"t{n}", f"k{n}")
    owner.drain()
    assert owner.dispatcher.idle
    assert owner.dispatcher.held == 0
    assert owner.dispatcher._turns._accounts == {}


def test_a_started_step_opens_the_window_before_it_ends() -> None:
    owner = Owner(sizes=Sizes(start=2, ceiling=100))
    for _ in range(10):
        owner.ready()
    for item in owner.take_all():
        owner.dispatcher.started(item.execution_id, item.step, Waits(5))
    assert len(owner.take_all()) == 2
    for item in list(owner.outstanding.values()):
        owner.dispatcher.started(item.execution_id, item.step, Waits(5))
        owner.dispatcher.started(item.execution_id, item.step, Waits(60_000))
    assert len(owner.take_all()) == 4
