"""Retellings: records read as something else that is made of some of their members.

As much is checked as when the record is read: what is left out is passed over only where that finds
the same faults. So bytes that do not fit are refused by both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from symphainy_schemas.avro_code.shapes import Members, Scalar, Shape, Unread

_PASSED_OVER = (Scalar("bytes"), Scalar("long"))
"""Read and left out they say no more than their end."""


class Retelling(Struct, frozen=True):
    """What is made of a record: `make` takes the members named, in their order.

    `turned` says what is made of a member before. Neither may raise: that would say that the bytes
    are at fault.
    """

    make: Callable[..., Any]
    members: tuple[str, ...]
    turned: Mapping[str, Callable[[Any], Any]] = {}


Instead = Mapping[type, Retelling]
"""What is made of records of these classes, wherever they stand."""


def left_out(shape: Members, told: Retelling) -> tuple[tuple[str, Shape], ...]:
    """The fields of `shape`, with those passed over that are not told."""
    return tuple(
        (name, Unread(of) if name not in told.members and of in _PASSED_OVER else of)
        for name, of in shape.fields
    )


def retold(value: Any, instead: Instead) -> Any:
    """What is made of a value that was read whole: for bytes of another schema."""
    if isinstance(value, tuple):
        return tuple(retold(one, instead) for one in value)
    told = instead.get(type(value))
    if told is None:
        return value
    found = {name: retold(getattr(value, name), instead) for name in told.members}
    for name, turn in told.turned.items():
        found[name] = turn(found[name])
    return told.make(*found.values())
