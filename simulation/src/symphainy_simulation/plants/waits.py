"""Planted bugs around handlers that wait, and what is asked of executions."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from symphainy_processors.owner.intents import Intents
from symphainy_processors.saga import attempts, waiting
from symphainy_schemas.state import StepStatus
from symphainy_simulation.plants.plant import Patch, Plant


def _starts_anew(original: Any) -> Any:
    return lambda state, step, *rest: original(state, replace(step, waits=()), *rest)


def _passes_at_once(original: Any) -> Any:
    return lambda self, target, offset, moment: original(self, target, offset + 1, moment)


def _wakes_for_nothing(original: Any) -> Any:
    def handed_back(step: Any, report: Any, moment: Any) -> Any:
        return original(replace(step, status=StepStatus.STARTED), report, moment)

    return handed_back


def _comes_early(original: Any) -> Any:
    return lambda step, waits, signals, now: original(step, waits, signals, now + 50)


PLANTS = (
    Plant(
        "wait-starts-anew",
        "",
        "A handler that comes back to a wait begins it anew.",
        (Patch(waiting, "suspended", _starts_anew),),
    ),
    Plant(
        "control-passed-too-early",
        "6",
        "What is asked of an execution passes its intent, whose own record a crash then loses.",
        (Patch(Intents, "_apply", _passes_at_once),),
    ),
    Plant(
        "found-task-wakes",
        "13",
        "A worker that only found a task wakes the handler that waits.",
        (Patch(attempts, "_handed_back", _wakes_for_nothing),),
    ),
    Plant(
        "wait-ends-early",
        "",
        "A wait ends up to 50 ms before its time.",
        (Patch(waiting, "_come", _comes_early),),
    ),
)
