"""What the steps of a plan get: JSON with references into the intent's payload and into results.

A reference is the object `{"$from": SOURCE, "at": POINTER}`: SOURCE is `payload` or the name of a
step, POINTER a JSON pointer (RFC 6901). What it does not find is null, and so is all of a step that
was skipped; the contract of whoever gets it says whether that will do. A condition is
`{"$from": SOURCE, "at": POINTER, "in": [VALUES]}`, with `"not": true` for its opposite.

A step that is run for each element of a list has a reference to that list, and its input may refer
to the element: SOURCE is then `$each`. The result of such a step is the list of its results.

The runtime carries data to where a plan says, and compares; it does not know what it means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

PAYLOAD = "payload"
ELEMENT = "$each"
"""As a source: the element that a step is run for. No step can be called so."""
FROM, AT, IN, NOT = "$from", "at", "in", "not"
STEP_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
Lookup = Callable[[str], Any]


def reference(source: str, at: str) -> dict[str, Any]:
    """The template of what stands at the pointer `at` in a source."""
    return {FROM: source, AT: at}


def resolve(template: bytes, look_up: Lookup) -> bytes:
    """The JSON that a template stands for; `look_up` gives the value of a source, or None."""
    return msgspec.json.encode(_resolved(msgspec.json.decode(template), look_up))


def holds(condition: bytes, look_up: Lookup) -> bool:
    """Whether a condition does; an empty one always does."""
    if not condition:
        return True
    stated = msgspec.json.decode(condition)
    found = find(look_up(stated[FROM]), stated[AT])
    among = any(_same(found, value) for value in stated[IN])
    return not among if stated.get(NOT) else among


def sources(template: bytes) -> frozenset[str]:
    """What a template or a condition refers to."""
    return frozenset(_sources(msgspec.json.decode(template))) if template else frozenset()


def find(value: Any, pointer: str) -> Any:
    """What stands at a JSON pointer, or None."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _same(one: Any, other: Any) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _resolved(template: Any, look_up: Lookup) -> Any:
    if isinstance(template, dict):
        if FROM in template:
            return find(look_up(template[FROM]), template[AT])
        return {name: _resolved(value, look_up) for name, value in template.items()}
    if isinstance(template, list):
        return [_resolved(value, look_up) for value in template]
    return template


def _sources(template: Any) -> Iterator[str]:
    if isinstance(template, dict):
        if FROM in template:
            yield template[FROM]
            return
        for value in template.values():
            yield from _sources(value)
    elif isinstance(template, list):
        for value in template:
            yield from _sources(value)
