"""What each step of a plan gets, worked out anew from the journal: who runs it, and with what."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple

import msgspec

from symphainy_schemas import events as e
from symphainy_schemas.ids import undone_by
from symphainy_schemas.records import PlanStep
from symphainy_simulation.checking.lives import Life

_PAYLOAD = "payload"
_ELEMENT = "$each"


class Entry(NamedTuple):
    """An entry point, as a task names it."""

    realm: str
    intent_type: str
    version: int
    handler: str
    compensates: str = ""


def entry_of(life: Life, step: str) -> Entry | None:
    """Who runs a step."""
    one, policy = life.planned(step), life.resolved
    if one is not None:
        undone = undone_by(step)
        handler = one.compensation if undone else one.handler
        return Entry(one.realm, one.intent_type, one.version, handler, undone)
    if policy is None:
        return None
    return Entry(policy.realm, policy.name, policy.version, policy.handler)


def results_at(life: Life, offset: float) -> Mapping[str, bytes]:
    """The results recorded up to a journal record, by step."""
    return {
        event.step: event.result
        for entry, event in life.told
        if isinstance(event, e.StepSucceeded) and entry.offset <= offset
    }


def input_at(life: Life, step: str, offset: int) -> Any:
    """The JSON that a step gets which is dispatched in a journal record."""
    one, received = life.planned(step), life.received
    if received is None:
        return None
    if one is not None:
        forward = undone_by(step) or step
        for name in (step, forward):  # what undoes a step gets what that got
            corrected = _corrected(life, name, offset)
            if corrected is not None:
                return _read(corrected)
        if one.input:
            sources = _sources(life, offset)
            if one.for_each:
                elements = _filled(_read(one.for_each), sources)
                sources[_ELEMENT] = elements[int(forward.partition("[")[2][:-1])]
            return _filled(_read(one.input), sources)
    return _read(received.payload)


def holds_at(life: Life, one: PlanStep, offset: int) -> bool:
    """Whether a step's condition does, by what is recorded up to a journal record."""
    if not one.condition:
        return True
    stated = _read(one.condition)
    found = _filled({key: stated[key] for key in ("$from", "at")}, _sources(life, offset))
    among = any(found == x and isinstance(found, bool) == isinstance(x, bool) for x in stated["in"])
    return among is not stated.get("not", False)


def elements_of(life: Life, one: PlanStep, offset: float = inf) -> Any:
    """What a step is to be run for each of; its length is certain once what it needs has ended."""
    return _filled(_read(one.for_each), _sources(life, offset))


def _corrected(life: Life, step: str, offset: int) -> bytes | None:
    asked = [
        event.input
        for entry, event in life.told
        if isinstance(event, e.StepRetryRequested)
        and event.step == step
        and event.input is not None
        and entry.offset <= offset
    ]
    return asked[-1] if asked else None


def _sources(life: Life, offset: float) -> dict[str, Any]:
    found = {step: _read(result) for step, result in results_at(life, offset).items()}
    found[_PAYLOAD] = _read(b"" if life.received is None else life.received.payload)
    for one in () if life.resolved is None else life.resolved.plan:  # needs come first
        if one.for_each and one.step not in found:
            elements = _filled(_read(one.for_each), found)
            count = len(elements) if isinstance(elements, list) else 0
            found[one.step] = [found.get(f"{one.step}[{n}]") for n in range(count)] or None
    return found


def _filled(template: Any, sources: Mapping[str, Any]) -> Any:
    if isinstance(template, list):
        return [_filled(one, sources) for one in template]
    if not isinstance(template, dict):
        return template
    if "$from" not in template:
        return {key: _filled(value, sources) for key, value in template.items()}
    value = sources.get(template["$from"])
    for part in template["at"].split("/")[1:]:
        known = value if isinstance(value, dict) else {}
        value = known.get(part.replace("~1", "/").replace("~0", "~"))
    return value


def _read(raw: bytes) -> Any:
    return msgspec.json.decode(raw) if raw else None
