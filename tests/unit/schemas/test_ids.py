"""Invariants of ids and routes.

- An execution's id is a function of (tenant, session, intent id) and carries its partition.
- A session's id carries a partition of its tenant's shard.
- Two tenants' shards rarely coincide, and one tenant's sessions use all of its shard.
- A shard is a function of the tenant, of so many partitions, all different; one more partition
  moves at most one place of it, and that to the new one.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError

NAMES = st.text(min_size=1, max_size=20)
WHERE_ACME_STANDS = (16, 33, 50, 57)  # with another, its sessions would be where nobody looks


@given(NAMES, NAMES, NAMES, st.integers(0, 99_999))
def test_an_execution_id_is_a_function_of_its_intent(
    tenant: str, session: str, intent: str, partition: int
) -> None:
    one = ids.execution_id(tenant, session, intent, partition)
    assert one == ids.execution_id(tenant, session, intent, partition)
    assert ids.partition_of(one) == partition
    assert ids.is_execution_id(one)


@given(NAMES, NAMES, NAMES)
def test_no_two_intents_share_an_execution_by_moving_a_boundary(a: str, b: str, c: str) -> None:
    if "\0" not in a + b + c:
        assert ids.execution_id(a + b, "", c, 0) != ids.execution_id(a, b, c, 0)


@given(st.integers(1, 64), st.integers(0, 80))
def test_a_session_lives_in_its_tenants_shard(partitions: int, size: int) -> None:
    shard = ids.shuffle_shard("acme", partitions, size)
    session = ids.new_session_id("acme", partitions, size)
    assert ids.is_session_id(session)
    assert ids.partition_of(session) in shard
    assert len(shard) == (partitions if size in (0, *range(partitions, 81)) else size)


def test_sessions_spread_over_the_shard() -> None:
    used = {ids.partition_of(ids.new_session_id("acme", 8)) for _ in range(400)}
    assert used == set(range(8))


@given(NAMES, st.integers(1, 64), st.integers(1, 80))
def test_a_shard_is_so_many_different_partitions(tenant: str, partitions: int, size: int) -> None:
    shard = ids.shuffle_shard(tenant, partitions, size)
    assert shard == ids.shuffle_shard.__wrapped__(tenant, partitions, size)
    assert len(set(shard)) == len(shard) == min(size, partitions)
    assert set(shard) <= set(range(partitions))


@given(NAMES, st.integers(2, 64), st.data())
def test_one_more_partition_moves_at_most_one_place(
    tenant: str, partitions: int, data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, partitions - 1))
    before = set(ids.shuffle_shard(tenant, partitions, size))
    after = set(ids.shuffle_shard(tenant, partitions + 1, size))
    assert after - before <= {partitions}
    assert len(before - after) <= 1


def test_where_a_shard_stands_never_changes() -> None:
    assert ids.shuffle_shard("acme", 64, 4) == WHERE_ACME_STANDS


def test_two_tenants_rarely_share_all_partitions() -> None:
    shards = [ids.shuffle_shard(f"tenant-{n}", 32, 4) for n in range(200)]
    same = sum(a == b for i, a in enumerate(shards) for b in shards[:i])
    assert same < 20  # of 19,900 pairs; chance gives about 0.6


@pytest.mark.parametrize("bad", ["", "ses-1", "exe-x-" + "0" * 32, "ses-1-" + "G" * 32])
def test_malformed_ids_name_the_cure(bad: str) -> None:
    with pytest.raises(CallerError) as caught:
        ids.partition_of(bad)
    assert caught.value.code == "malformed_id"
    assert caught.value.cure


def test_new_intent_ids_sort_by_creation() -> None:
    made = [ids.new_intent_id() for _ in range(50)]
    assert len(set(made)) == 50
    assert made == sorted(made)
