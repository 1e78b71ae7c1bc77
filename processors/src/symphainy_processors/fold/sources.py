"""What the templates of a plan refer to, as an execution has it: payload, results, elements. Pure.

A step with `for_each` is run once for each element of a list, as `charge[0]`, `charge[1]`, …, and
its result is the list of theirs. The list is read where the payload or a result holds it, as often
as it is asked for: both stay as they are while the execution lives.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from symphainy_processors.fold.content import SEALED, Contents, contents, read
from symphainy_schemas import templates
from symphainy_schemas.ids import element_of, number_of
from symphainy_schemas.records import PlanStep
from symphainy_schemas.state import ExecutionState


class Sources:
    """Looks up the payload and results, each decoded once; and the element that a step is for."""

    def __init__(self, state: ExecutionState, one: PlanStep | None = None, step: str = "") -> None:
        """`step` is what it is looked up for, `one` what the plan says of it."""
        self._state = state
        self._one, self._step = one, step
        self._known: dict[str, Any] = {}

    def __call__(self, source: str) -> Any:
        if source not in self._known:
            is_element = source == templates.ELEMENT
            self._known[source] = self._element() if is_element else self._read(source)
        return self._known[source]

    def _read(self, source: str) -> Any:
        return read(self._state.tenant_id, _raw(self._state, source))

    def _element(self) -> Any:
        found = None if self._one is None else listed(self._state, self._one)
        number = number_of(self._step)
        return found[number] if isinstance(found, list) and number < len(found) else None


def listed(state: ExecutionState, one: PlanStep) -> Any:
    """What stands where the list of a step with `for_each` should: that list, or something else."""
    (source,) = templates.sources(one.for_each)
    raw = _raw(state, source) or b"null"
    return _listed(one.for_each, raw, contents(state.tenant_id))


@lru_cache(maxsize=4)  # each of a thousand elements is looked up in the same list
def _listed(for_each: bytes, raw: bytes, opened: Contents) -> Any:
    value = msgspec.json.decode(raw)
    found = opened.reveal(value) if SEALED in raw else value
    return templates.find(found, msgspec.json.decode(for_each)[templates.AT])


def _raw(state: ExecutionState, source: str) -> bytes | None:
    if source == templates.PAYLOAD:
        return state.payload
    results = []
    first = element_of(source, 0)[:-2]
    for step in state.steps:
        if step.step == source:
            return step.result
        if step.step.startswith(first):  # they became ready in the order of the elements
            results.append(step.result or b"null")
    return b"[" + b",".join(results) + b"]" if results else None
