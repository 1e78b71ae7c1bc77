"""Rooms.

- A room never holds more things or bytes than it may, but for one thing larger than it all.
- One holder has at most half of it.
- What left makes room again, and leaves nothing behind.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphainy_gateway.rooms import Place, Room


def test_a_full_room_takes_nobody_until_one_leaves() -> None:
    room = Room(4)
    assert [room.enter(who) for who in "abcde"] == [True, True, True, True, False]
    room.leave("a")
    assert room.enter("e")


def test_one_holder_has_half_of_the_places() -> None:
    room = Room(4)
    assert [room.enter("a") for _ in range(3)] == [True, True, False]
    assert [room.enter("b") for _ in range(3)] == [True, True, False]


def test_one_holder_has_half_of_the_bytes() -> None:
    room = Room(100, 1_000)
    assert [room.enter("a", 300), room.enter("a", 300)] == [True, False]
    assert [room.enter("b", 500), room.enter("c", 300)] == [True, False]
    assert room.bytes == 800


def test_an_empty_room_takes_what_is_larger_than_itself() -> None:
    room = Room(4, 10)
    assert room.enter("a", 50)
    assert not room.enter("b", 0)
    room.leave("a", 50)
    assert room.enter("b", 0)


def test_who_left_has_its_whole_share_again() -> None:
    room = Room(4, 1_000)
    assert room.enter("b")
    for _ in range(10):
        assert room.enter("a", 500)
        room.leave("a", 500)
    assert [room.enter("a") for _ in range(3)] == [True, True, False]


def test_a_room_of_one_place_has_one_place() -> None:
    room = Room(1)
    assert [room.enter("a"), room.enter("a"), room.enter("b")] == [True, False, False]


def test_a_place_is_given_back_whatever_happens() -> None:
    room = Room(1)
    with pytest.raises(KeyError), Place(room, RuntimeError, "a", 5):
        raise KeyError
    assert (room.count, room.bytes) == (0, 0)


def test_who_finds_no_place_gives_none_back() -> None:
    room = Room(1)
    with Place(room, RuntimeError, "a"):
        with pytest.raises(RuntimeError), Place(room, RuntimeError, "b"):
            raise AssertionError("there was a place")
        assert room.count == 1


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.integers(0, 9)), max_size=60),
    st.integers(1, 8),
    st.integers(0, 100),
)
def test_whoever_comes_and_goes_there_is_room_within_the_bounds_and_no_more(
    moves: list[tuple[bool, str, int]], places: int, size: int
) -> None:
    room = Room(places, size)
    inside: list[tuple[str, int]] = []
    for comes, who, of in moves:
        mine = [held for holder, held in inside if holder == who]
        fits = not inside or (
            len(inside) < places
            and len(mine) < max(1, places // 2)
            and room.bytes + of <= size
            and sum(mine) + of <= size // 2
        )
        if comes:
            assert room.enter(who, of) == fits
            inside += [(who, of)] * fits
        elif inside:
            room.leave(*inside.pop(of % len(inside)))
        assert room.count == len(inside)
        assert room.bytes == sum(held for _, held in inside)
    while inside:
        room.leave(*inside.pop())
    assert room.enter("a", size)
