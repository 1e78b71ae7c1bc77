"""Backlogs.

- Where nothing is known nothing is refused, and what was known long ago is not known.
- Refusing begins above the limit, and ends a fifth below it.
- Own appends count at once; what others appended, with the next look.
- A read model that is behind the journal is not held against the owner.
- While a partition refuses it says when to come back, within 1 to 60 s: by its drain rate, and of a
  stall as long again as it has lasted.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphainy_gateway.backlog import STALE_S, Backlog, Sighting
from symphainy_runtime.read_model.positions import Position

P = 3
LIMIT = 1_000


def seen(end: int | None, intents_next: int, unprojected: int = 0) -> Sighting:
    """A look at a partition whose journal holds two records a decided intent."""
    offset = 2 * intents_next
    return Sighting(end, offset + 1 + unprojected, Position(offset, intents_next, 0))


def backlog(*sightings: Sighting, every_s: float = 0.5) -> Backlog:
    """A backlog that saw these, the last of them at 0."""
    made = Backlog(LIMIT)
    for number, sighting in enumerate(sightings):
        made.see(P, sighting, (number + 1 - len(sightings)) * every_s)
    return made


def refuses(one: Backlog, now: float = 0.0) -> bool:
    return one.retry_after_s(P, now) > 0


def test_a_partition_that_was_never_seen_takes_everything() -> None:
    one = Backlog(LIMIT)
    one.appended(P, 10 * LIMIT)
    assert not refuses(one)
    assert list(one.waiting()) == []


@pytest.mark.parametrize("journal_end", [None, 1, 5_000])
def test_a_backlog_without_a_position_is_not_known(journal_end: int | None) -> None:
    one = backlog(Sighting(10 * LIMIT, journal_end, None))
    one.appended(P, 20 * LIMIT)
    assert not refuses(one)
    assert dict(one.waiting()) == {}


def test_an_empty_journal_has_decided_nothing() -> None:
    assert refuses(backlog(Sighting(LIMIT + 1, 0, None)))
    assert not refuses(backlog(Sighting(LIMIT, 0, None)))


def test_refusing_begins_above_the_limit_and_ends_a_fifth_below() -> None:
    one = Backlog(LIMIT)
    for waiting, refused in (
        (LIMIT, False),
        (LIMIT + 1, True),
        (LIMIT, True),
        (801, True),
        (800, False),
        (801, False),
        (LIMIT, False),
        (LIMIT + 1, True),
    ):
        one.see(P, seen(waiting, 0), 0.0)
        assert refuses(one) == refused, waiting


def test_own_appends_count_at_once() -> None:
    one = backlog(seen(5_000, 4_500))
    for offset in range(5_000, 5_500):
        assert not refuses(one)
        one.appended(P, offset)
    assert dict(one.waiting()) == {P: LIMIT}
    one.appended(P, 5_500)
    assert refuses(one)


def test_an_append_that_was_seen_already_counts_once() -> None:
    one = backlog(seen(5_000, 4_500))
    one.appended(P, 4_999)
    assert dict(one.waiting()) == {P: 500}


def test_a_look_that_is_older_than_an_append_does_not_undo_it() -> None:
    one = backlog(seen(5_000, 4_500))
    one.appended(P, 5_500)
    one.see(P, seen(5_000, 4_500), 0.5)
    assert dict(one.waiting()) == {P: 1_001}
    assert refuses(one, 0.5)


def test_other_partitions_go_on() -> None:
    one = backlog(seen(5_000, 0))
    one.see(P + 1, seen(5_000, 4_999), 0.0)
    assert refuses(one)
    assert one.retry_after_s(P + 1, 0.0) == 0


def test_a_projector_that_stands_still_is_not_held_against_the_owner() -> None:
    """The owner decided every intent, with two journal records each; the read model saw none."""
    one = backlog(seen(LIMIT, 0), Sighting(9_000, 2 * 9_000 + 1, Position(0, 0, 0)))
    one.appended(P, 9_000 + LIMIT)
    assert not refuses(one)


def test_an_owner_that_stands_still_too_is_seen_all_the_same() -> None:
    behind = Sighting(9_000, 2 * 3_000 + 1, Position(0, 0, 0))
    assert refuses(backlog(behind))


def test_an_owner_that_stands_still_is_seen_through_any_read_model_that_is_up_to_date() -> None:
    one = backlog(seen(LIMIT, 0))
    one.appended(P, LIMIT)
    assert refuses(one)


def test_a_position_is_kept_while_redis_is_away_for_a_moment() -> None:
    one = backlog(seen(2_000, 0))
    gone = Sighting(2_000, 1, None)
    one.see(P, gone, STALE_S)
    assert refuses(one, STALE_S)
    one.see(P, gone, STALE_S + 0.1)
    assert not refuses(one, STALE_S + 0.1)
    one.see(P, seen(2_000, 0), STALE_S + 0.2)
    assert refuses(one, STALE_S + 0.2)


def test_without_kafka_what_was_known_of_the_end_stays() -> None:
    one = backlog(seen(2_000, 0))
    one.see(P, Sighting(None, None, Position(0, 0, 0)), 1.0)
    assert refuses(one, 1.0)
    one.see(P, Sighting(None, None, Position(2_800, 1_400, 0)), 2.0)
    assert not refuses(one, 2.0)


def test_a_log_that_was_made_anew_begins_anew() -> None:
    one = backlog(seen(2_000, 0))
    one.appended(P, 2_000)
    for now in (1.0, 1.5):
        one.see(P, Sighting(0, 0, None), now)
    assert not refuses(one, 1.5)


def test_who_is_refused_comes_back_when_the_rest_is_drained() -> None:
    """1,000 a second are decided, and 10,000 stand above the low mark."""
    drained = [seen(30_800, 500 * look) for look in range(41)]
    one = backlog(*drained)
    assert dict(one.waiting()) == {P: 10_800}
    assert one.retry_after_s(P, 0.0) in (10, 11)


def test_a_slow_drain_is_asked_for_again_within_a_minute() -> None:
    assert backlog(*(seen(30_000, look) for look in range(41))).retry_after_s(P, 0.0) == 60


@pytest.mark.parametrize(("stalled_s", "after_s"), [(0.2, 1), (10, 10), (30.5, 31), (900, 60)])
def test_of_a_stall_nothing_tells_its_end(stalled_s: float, after_s: int) -> None:
    one = backlog(seen(2_000, 0))
    one.see(P, seen(2_000, 0), stalled_s)
    assert one.retry_after_s(P, stalled_s) == after_s


def test_a_stall_after_a_drain_is_told_as_one() -> None:
    one = backlog(*(seen(30_800, 500 * look) for look in range(41)))
    one.see(P, seen(30_800, 20_000), 20.0)
    assert one.retry_after_s(P, 20.0) == 20


def test_idleness_is_no_stall() -> None:
    one = backlog(seen(500, 500))
    one.see(P, seen(500, 500), 100.0)
    one.see(P, seen(9_000, 500), 100.5)
    assert one.retry_after_s(P, 100.5) == 1


OFFSETS = st.none() | st.integers(0, 5_000)
POSITIONS = st.none() | st.builds(
    Position, st.integers(-1, 5_000), st.integers(0, 5_000), st.just(0)
)
LOOKS = st.tuples(
    st.builds(Sighting, OFFSETS, OFFSETS, POSITIONS),
    st.floats(0, 100),
    st.lists(st.integers(0, 6_000), max_size=5),
)


@given(st.lists(LOOKS, max_size=30), st.integers(1, 2_000))
def test_whatever_is_seen_answers_stay_within_bounds(
    looks: list[tuple[Sighting, float, list[int]]], limit: int
) -> None:
    one = Backlog(limit)
    now = 0.0
    for sighting, elapsed_s, offsets in looks:
        now += elapsed_s
        one.see(P, sighting, now)
        for offset in offsets:
            one.appended(P, offset)
        waiting = dict(one.waiting()).get(P, 0)
        after_s = one.retry_after_s(P, now)
        assert waiting >= 0
        assert after_s == 0 or 1 <= after_s <= 60
        assert after_s or waiting <= limit
        assert not after_s or waiting > int(limit * 0.8)
