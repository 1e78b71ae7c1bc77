"""Invariants of turns among tenants and realms.

- While all have work, their shares are as their weights, at every moment to within one turn.
- Priorities move nothing between tenants; nor do bursts, limits, or coming back.
- Who comes with little waits for one round of the others at most.
- A weight counts from the tenant's next turn on.
- The same calls yield the same steps.
- Finding the next costs the same with ten thousand tenants at their limits or asleep.
- Realms take turns; a full one holds up no other.
"""

from __future__ import annotations

from collections import Counter

import pytest
from tests.unit.processors.dispatch.backlog import Owner

from symphainy_processors.dispatch.rules import Limits, Ready
from symphainy_processors.dispatch.window import Sizes


def served(owner: Owner, many: int) -> list[str]:
    """Whose steps go, one after the other."""
    tenants = []
    for _ in range(many):
        item = owner.take()
        assert item is not None
        tenants.append(item.tenant_id)
        owner.end(item)
    return tenants


@pytest.mark.parametrize("weights", [(1, 1), (1, 2, 3), (5, 1, 1, 7), (1, 100)])
def test_shares_are_as_weights_at_every_moment_to_within_a_turn(weights: tuple[int, ...]) -> None:
    owner = Owner({f"t{n}": Limits(weight=weight) for n, weight in enumerate(weights)})
    for _ in range(600):
        for n in range(len(weights)):
            owner.ready(f"t{n}")
    counts = Counter[str]()
    for tenant_id in served(owner, 600):
        counts[tenant_id] += 1
        turns = [counts[f"t{n}"] / weight for n, weight in enumerate(weights)]
        assert max(turns) - min(turns) <= 1


def test_nobody_gains_by_calling_everything_urgent() -> None:
    owner = Owner()
    for _ in range(100):
        owner.ready("modest", priority=5)
        owner.ready("urgent", priority=1)
    assert Counter(served(owner, 100)) == {"modest": 50, "urgent": 50}


def test_a_flood_holds_up_a_light_tenant_by_one_turn() -> None:
    owner = Owner({"flood": Limits(weight=3)})
    for _ in range(1_000):
        owner.ready("flood")
    for _ in range(20):
        served(owner, 5)
        owner.ready("light")
        assert "light" in served(owner, 4)


def test_nothing_is_saved_up_while_there_is_nothing_to_send() -> None:
    owner = Owner({"rich": Limits(weight=10)})
    owner.ready("rich")
    served(owner, 1)
    for _ in range(40):
        owner.ready("rich")
        owner.ready("poor")
    for _ in range(3):
        assert Counter(served(owner, 11)) == {"rich": 10, "poor": 1}


def test_nothing_is_saved_up_while_a_key_holds_it_back() -> None:
    owner = Owner({"rich": Limits(weight=10)})
    holder = owner.ready("rich", "k")
    owner.ready("rich", "k")
    assert owner.take_all() == [holder]
    for _ in range(40):
        owner.ready("rich")
        owner.ready("poor")
    for _ in range(3):
        assert served(owner, 11) == [*["rich"] * 10, "poor"]


def test_a_limit_that_opens_and_closes_gains_nothing() -> None:
    owner = Owner({"limited": Limits(max_concurrency=1)})
    for _ in range(200):
        owner.ready("limited")
        owner.ready("free")
    counts = Counter(served(owner, 200))
    assert counts["limited"] <= counts["free"] + 1
    assert counts["limited"] >= 99


def test_what_becomes_ready_at_a_limit_gains_nothing() -> None:
    owner = Owner({"limited": Limits(max_concurrency=1)})
    for _ in range(20):
        owner.ready("limited")
        owner.take()
    for _ in range(20):
        owner.ready("free")
    owner.limits["limited"] = Limits()
    served(owner, 2)
    assert Counter(served(owner, 20)) == {"limited": 10, "free": 10}


def test_a_weight_counts_from_the_next_turn_on() -> None:
    owner = Owner()
    for _ in range(100):
        owner.ready("a")
        owner.ready("b")
    served(owner, 10)
    owner.limits["a"] = Limits(weight=4)
    served(owner, 5)
    assert Counter(served(owner, 50)) == {"a": 40, "b": 10}


@pytest.mark.parametrize("weight", [0, -3])
def test_a_weight_below_one_counts_as_one(weight: int) -> None:
    owner = Owner({"a": Limits(weight=weight)})
    for _ in range(10):
        owner.ready("a")
        owner.ready("b")
    assert Counter(served(owner, 10)) == {"a": 5, "b": 5}


def test_the_same_calls_yield_the_same_steps() -> None:
    def story() -> list[Ready]:
        owner = Owner({"t1": Limits(2, 3), "t2": Limits(1, 2)})
        for n in range(300):
            owner.ready(f"t{n % 7}", f"k{n % 5}", 2, 1 + n % 3, f"r{n % 2}")
        return owner.drain(parallel=9)

    assert story() == story()


def test_ten_thousand_who_cannot_go_cost_nothing() -> None:
    """Counted in limits asked and pages read, not in time."""
    owner = Owner({f"t{n}": Limits(max_concurrency=1) for n in range(5_000)})
    for n in range(5_000):
        for _ in range(2):
            owner.ready(f"t{n}")
            owner.ready(f"s{n}", "k")
    assert len(owner.take_all()) == 10_000
    asked, reads = owner.asked, owner.backlog.reads
    for _ in range(1_000):
        owner.ready("busy")
        assert served(owner, 1) == ["busy"]
    assert owner.go(owner.step("busy"))
    assert owner.asked - asked <= 3 * 1_001
    assert owner.backlog.reads == reads


def test_realms_take_turns_however_many_tenants_wait_in_one() -> None:
    owner = Owner()
    for n in range(10):
        owner.ready(f"t{n}", realm="a")
    for _ in range(10):
        owner.ready(realm="b")
    realms = []
    for _ in range(10):
        item = owner.take()
        assert item is not None
        realms.append(item.realm)
    assert Counter(realms) == {"a": 5, "b": 5}


def test_a_full_realm_holds_up_no_other() -> None:
    owner = Owner(sizes=Sizes(start=2))
    for _ in range(10):
        owner.ready(realm="slow")
    assert len(owner.take_all()) == 2
    assert owner.go(owner.step(realm="quick"))
    first = next(iter(owner.outstanding.values()))
    owner.end(first)
    assert [item.realm for item in owner.take_all()] == ["slow"]
