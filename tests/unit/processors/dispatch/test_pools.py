"""Invariants of what the partitions of one owner share of a realm.

- Together they have no more outstanding than the window, but for two shares: a partition has its
  equal one, at least one step, and a tenant its own by weight.
- What others leave is anybody's.
- Who was full hears of room that another partition makes.
- A partition or a tenant that goes leaves nothing behind.
- A tenant over its share waits for its turn.
"""

from __future__ import annotations

import pytest
from tests.unit.processors.dispatch.backlog import Owner

from symphainy_processors.dispatch.pools import Pools
from symphainy_processors.dispatch.rules import Limits
from symphainy_processors.dispatch.window import Sizes, Waits


def partitions(
    count: int, size: int, limits: dict[str, Limits] | None = None, ceiling: int = 0
) -> list[Owner]:
    """Partitions of one owner before a realm with a window of `size`, at most `ceiling`."""
    pools = Pools(Sizes(floor=size, start=size, ceiling=ceiling or size))
    return [Owner(limits, pools=pools) for _ in range(count)]


def flood(owner: Owner, tenant_id: str = "noisy", count: int = 20) -> None:
    """More than can go."""
    for _ in range(count):
        owner.go(owner.step(tenant_id))


def started(owner: Owner) -> None:
    """All that it has outstanding is, at once: the window grows."""
    for item in owner.outstanding.values():
        owner.dispatcher.started(item.execution_id, item.step, Waits(1, 0))


def out(owner: Owner, tenant_id: str = "noisy") -> int:
    """How many of a tenant are outstanding in one partition."""
    return sum(item.tenant_id == tenant_id for item in owner.outstanding.values())


def test_one_partition_alone_has_the_whole_window() -> None:
    first, second = partitions(2, 8)
    flood(first)
    assert (out(first), out(second)) == (8, 0)


def test_what_another_leaves_of_its_share_is_anybodys() -> None:
    first, second = partitions(2, 8)
    flood(second, count=1)
    for _ in range(20):
        first.ready()
    assert len(first.take_all()) == 7


def test_one_that_comes_late_has_its_share_at_once_and_the_other_shrinks_to_its_own() -> None:
    first, second = partitions(2, 8)
    flood(first)
    flood(second)
    assert (out(first), out(second)) == (8, 4)
    assert second.take() is None
    for _ in range(4):
        first.end(next(iter(first.outstanding.values())))
        assert first.take() is None
        assert second.dispatcher.idle, "there is no room that it should hear of"
    first.end(next(iter(first.outstanding.values())))
    assert first.take() is not None
    assert (out(first), out(second)) == (4, 4)


def test_who_waits_has_a_share_before_anything_of_it_goes() -> None:
    first, second, third = partitions(3, 8)
    flood(first, count=8)
    second.ready("other")
    flood(third)
    assert out(third) == 8 // 3


def test_a_window_smaller_than_its_sharers_lets_each_have_one_step() -> None:
    owners = partitions(5, 2)
    for owner in owners:
        flood(owner)
    assert [out(owner) for owner in owners] == [2, 1, 1, 1, 1]


def test_room_that_another_partition_makes_is_heard_of() -> None:
    first, second = partitions(2, 4)
    flood(first, count=2)
    flood(second)
    assert out(second) == 2
    assert second.take() is None
    assert second.dispatcher.idle
    for item in list(first.outstanding.values()):
        first.end(item)
    assert len(second.take_all()) == 2


def test_all_hear_of_room_and_not_only_the_first_who_waits() -> None:
    first, second, third = partitions(3, 6)
    flood(first, count=6)
    flood(second)
    flood(third)
    assert (out(first), out(second), out(third)) == (6, 3, 2)
    assert [second.take(), third.take()] == [None, None]
    for item in list(first.outstanding.values()):
        first.end(item)
    assert second.take() is not None
    assert third.take() is not None


def test_a_window_that_grows_is_heard_of() -> None:
    first, second = partitions(2, 4, ceiling=100)
    flood(first, count=4)
    flood(second)
    assert out(second) == 2
    assert second.take() is None
    started(first)
    assert len(second.take_all()) == 2


def test_one_below_its_share_goes_on_though_the_window_is_full() -> None:
    first, second = partitions(2, 8)
    flood(first)
    flood(second)
    assert second.take() is None
    second.end(next(iter(second.outstanding.values())))
    assert (out(first), out(second)) == (8, 3)
    assert len(second.take_all()) == 1


def test_a_share_that_grows_is_heard_of_though_the_window_is_full() -> None:
    first, second = partitions(2, 8, ceiling=10)
    flood(first)
    flood(second)
    assert second.take() is None
    started(second)
    assert (out(first), out(second)) == (8, 4)
    assert len(second.take_all()) == 1


def test_a_partition_that_goes_leaves_nothing_behind() -> None:
    first, second = partitions(2, 4)
    flood(first)
    flood(second)
    first.dispatcher.close()
    assert second.take_all()
    assert out(second) == 4
    flood(second, "other")
    assert out(second, "other") == 2, "the tenant has half, of two that are there"


def test_a_full_partition_that_goes_is_told_of_room_no_more() -> None:
    pools = Pools(Sizes(floor=4, start=4, ceiling=4))
    first, second = Owner(pools=pools), Owner(pools=pools)
    flood(first)
    flood(second)
    assert second.take() is None
    assert pools.of("r").parked
    second.dispatcher.close()
    assert not pools.of("r").parked


def test_room_that_a_partition_leaves_is_heard_of() -> None:
    first, second = partitions(2, 4)
    flood(first, count=4)
    flood(second)
    assert out(second) == 2
    assert second.take() is None
    first.dispatcher.close()
    assert len(second.take_all()) == 2


def test_a_tenant_below_its_share_waits_for_no_slot() -> None:
    first, second = partitions(2, 8)
    flood(first)
    flood(second)
    went = [second.go(second.step("quiet")) for _ in range(6)]
    assert went == [True] * 4 + [False] * 2


def test_its_share_is_of_all_partitions_together() -> None:
    first, second = partitions(2, 8)
    flood(first)
    flood(second)
    assert all(first.go(first.step("quiet")) for _ in range(3))
    assert [second.go(second.step("quiet")) for _ in range(2)] == [True, False]


def test_shares_are_by_weight() -> None:
    (owner,) = partitions(1, 8, {"quiet": Limits(weight=3)})
    flood(owner)
    assert sum(owner.go(owner.step("quiet")) for _ in range(8)) == 6


def test_the_weight_of_who_only_waits_its_turn_counts() -> None:
    (owner,) = partitions(1, 8, {"noisy": Limits(weight=3)})
    for _ in range(20):
        owner.ready("noisy")
    assert len(owner.take_all()) == 8
    assert sum(owner.go(owner.step("quiet")) for _ in range(8)) == 2


def test_the_weight_of_who_had_nothing_yet_counts() -> None:
    (owner,) = partitions(1, 2, {"quiet": Limits(weight=3)})
    flood(owner)
    assert [owner.go(owner.step("quiet")) for _ in range(2)] == [True, False]


def test_as_many_tenants_as_have_room_have_one_step_each() -> None:
    (owner,) = partitions(1, 2)
    flood(owner)
    assert [owner.go(owner.step(tenant_id)) for tenant_id in ("quiet", "late")] == [True, False]


def test_a_tenant_that_goes_leaves_its_share_to_the_others() -> None:
    (owner,) = partitions(1, 8, {"gone": Limits(weight=3)})
    owner.ready("gone")
    for item in owner.take_all():
        owner.end(item)
    flood(owner)
    assert sum(owner.go(owner.step("quiet")) for _ in range(8)) == 4


@pytest.mark.parametrize("tenant_id", ["noisy", "quiet"])
@pytest.mark.parametrize("weight", [0, -3])
def test_a_weight_below_one_shares_as_one(tenant_id: str, weight: int) -> None:
    (owner,) = partitions(1, 8, {tenant_id: Limits(weight=weight)})
    flood(owner)
    owner.end(next(iter(owner.outstanding.values())))
    assert owner.take() is not None
    assert sum(owner.go(owner.step("quiet")) for _ in range(8)) == 4


def test_a_tenants_limit_and_key_hold_within_its_share() -> None:
    (owner,) = partitions(1, 8, {"quiet": Limits(max_concurrency=2)})
    flood(owner)
    assert owner.go(owner.step("quiet", "k"))
    assert not owner.go(owner.step("quiet", "k"))
    assert [owner.go(owner.step("quiet", "j")) for _ in range(2)] == [False, False]


def test_its_own_older_steps_are_not_overtaken() -> None:
    (owner,) = partitions(1, 4)
    flood(owner)
    older = [owner.step("quiet") for _ in range(3)]
    assert [owner.go(item) for item in older] == [True, True, False]
    owner.end(older[0])
    newer = owner.step("quiet")
    assert not owner.go(newer)
    served = [item for item in owner.drain(parallel=4) if item.tenant_id == "quiet"]
    assert served == [older[2], newer]
