"""What each step of a plan gets, worked out anew from the journal: who runs it, and with what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from symphainy_schemas import events as e
from symphainy_schemas.ids import undone_by
from symphainy_schemas.records import PlanStep
from symphainy_simulation.checking.lives import Life

_PAYLOAD = "payload"


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


def results_at(life: Life, offset: int) -> Mapping[str, bytes]:
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
        for name in (step, one.step):  # what undoes a step gets what that got
            corrected = _corrected(life, name, offset)
            if corrected is not None:
                return _read(corrected)
        if one.input:
            return _filled(_read(one.input), _sources(life, offset))
    return _read(received.payload)


def holds_at(life: Life, one: PlanStep, offset: int) -> bool:
    """Whether a step's condition does, by what is recorded up to a journal record."""
    if not one.condition:
        return True
    stated = _read(one.condition)
    found = _filled({key: stated[key] for key in ("$from", "at")}, _sources(life, offset))
    among = any(found == x and isinstance(found, bool) == isinstance(x, bool) for x in stated["in"])
    return among is not stated.get("not", False)


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


def _sources(life: Life, offset: int) -> dict[str, Any]:
    found = {step: _read(result) for step, result in results_at(life, offset).items()}
    payload = b"" if life.received is None else life.received.payload
    return {**found, _PAYLOAD: _read(payload)}


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
