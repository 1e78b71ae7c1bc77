"""Decide what begins of a step of a plan: it, or one of it for each element of a list. Pure.

How many there are is said by the decision that begins them, which makes all of them ready. Where
there are none, the step itself has succeeded, with no results; where it has no list, it has failed.
"""

from __future__ import annotations

import msgspec

from symphainy_processors.fold.sources import listed
from symphainy_schemas import events as e
from symphainy_schemas import templates
from symphainy_schemas.ids import element_of
from symphainy_schemas.records import Error, PlanStep
from symphainy_schemas.state import ExecutionState

Events = tuple[e.Event, ...]
MOST_ELEMENTS = 1_000
"""Each has a state of its own, and one of what undoes it, in the record of their execution's."""


def begin(state: ExecutionState, one: PlanStep, now: int) -> Events:
    """What is ready of a step of which all needs have ended."""
    if not one.for_each:
        return (e.StepReady(step=one.step, attempt=1),)
    found = listed(state, one)
    error = _unfit(one, found)
    if error is not None:
        failed = e.StepFailed(step=one.step, attempt=1, delivery=0, worker="", error=error)
        return (failed,)
    if not found:
        none = e.StepSucceeded(
            step=one.step,
            attempt=1,
            delivery=0,
            worker="",
            started_at=now,
            ended_at=now,
            result=b"[]",
        )
        return (none,)
    names = (element_of(one.step, number) for number in range(len(found)))
    return tuple(e.StepReady(step=name, attempt=1) for name in names)


def _unfit(one: PlanStep, found: object) -> Error | None:
    """Why nothing can be run for each element of what was found."""
    stated = msgspec.json.decode(one.for_each)
    source = stated[templates.FROM]
    where = f"{stated[templates.AT]} of {source}" if stated[templates.AT] else source
    field = stated[templates.AT] if source == templates.PAYLOAD else ""
    if not isinstance(found, list):
        return Error(
            code="not_a_list",
            message=f"Step {one.step} is run for each element of {where}, which is "
            f"{_type_of(found)}.",
            field=field,
            step=one.step,
            cure="Submit it with a list there; an empty one will do."
            if source == templates.PAYLOAD
            else f"Let {source} return a list there; an empty one will do.",
        )
    if len(found) > MOST_ELEMENTS:
        return Error(
            code="too_many_elements",
            message=f"Step {one.step} is run for each element of {where}, which are {len(found)}; "
            f"the limit is {MOST_ELEMENTS}.",
            field=field,
            step=one.step,
            cure="Make lists of them, and run the step for each list; or submit several "
            "executions.",
        )
    return None


def _type_of(value: object) -> str:
    if value is None:
        return "null or not there"
    names = {bool: "a boolean", str: "a text", dict: "an object"}
    return names.get(type(value), "a number")
