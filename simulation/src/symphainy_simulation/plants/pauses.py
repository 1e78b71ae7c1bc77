"""Planted bugs around executions that rest."""

from __future__ import annotations

from typing import Any

from symphainy_processors.saga import pausing
from symphainy_schemas.events import StepHeld
from symphainy_simulation.plants.plant import Patch, Plant


def _as_ever(original: Any) -> Any:
    return lambda state, events: events


def _leaves_what_is_ready(original: Any) -> Any:
    return lambda state, event: tuple(
        x for x in original(state, event) if not isinstance(x, StepHeld)
    )


def _stays(original: Any) -> Any:
    return lambda state, event: (event,)


PLANTS = (
    Plant(
        "paused-goes-on",
        "",
        "What rests is tried and delivered again.",
        (Patch(pausing, "instead", _as_ever),),
    ),
    Plant(
        "paused-in-the-queue",
        "",
        "What waits for its turn when its execution is paused is dispatched all the same.",
        (Patch(pausing, "paused", _leaves_what_is_ready),),
    ),
    Plant(
        "resumed-stays",
        "",
        "What was held is forgotten when its execution is resumed.",
        (Patch(pausing, "resumed", _stays),),
    ),
)
