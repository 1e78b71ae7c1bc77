"""Glances: some of a record's first members, read without what follows them.

A glance is a frozen class with `of`, the record class, and some of that record's members under
their own names and types; a member `type | None` in place of an array of a union's records tells
the first one's class. Members between these are passed over. Nothing behind the last is looked at,
so a glance says nothing of the rest of the bytes, not even whether it is a record's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

from symphainy_schemas.avro_code.shapes import First, Items, Members, OneOf, Shape, Unread

Narrow = Callable[[Any], Any]


def glanced(shape: Members, glance: type) -> Members:
    """What a glance reads of `shape`.

    Raises:
        TypeError: it is no glance at that record.
    """
    if getattr(glance, "of", None) is not shape.record or glance.__name__ == shape.name:
        raise TypeError(f"{glance.__name__} is no glance at {shape.name}.")
    hints, known = _hints(glance), get_type_hints(shape.record)
    wrong = [name for name, hint in hints.items() if hint not in (known.get(name), type | None)]
    if wrong or not hints:
        raise TypeError(f"{shape.name} has no such members: {', '.join(sorted(wrong))}.")
    last = max(index for index, (name, _) in enumerate(shape.fields) if name in hints)
    return Members(
        glance,
        tuple((name, _glanced(of, hints.get(name))) for name, of in shape.fields[: last + 1]),
    )


def _glanced(shape: Shape, hint: Any) -> Shape:
    if hint is None:
        return Unread(shape)
    if hint != type | None:
        return shape
    if not isinstance(shape, Items) or not isinstance(shape.of, OneOf):
        raise TypeError(f"There is no first record of {shape}.")
    return First(shape.of)


def narrowing(glance: type) -> Narrow:
    """From a record that was read whole to a glance at it: for bytes of another schema."""
    hints = _hints(glance)

    def narrow(whole: Any) -> Any:
        found = {name: getattr(whole, name) for name in hints}
        for name in (name for name, hint in hints.items() if hint == type | None):
            found[name] = type(found[name][0]) if found[name] else None
        return glance(**found)

    return narrow


def _hints(glance: type) -> dict[str, Any]:
    hints = get_type_hints(glance)
    return {name: hint for name, hint in hints.items() if name != "of"}
