"""Planted bugs around replays."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from symphainy_processors.admission import control
from symphainy_processors.fold import evolve
from symphainy_processors.owner.intents import Intents
from symphainy_schemas.events import CancelRequested
from symphainy_simulation.plants.plant import Patch, Plant


def _ends_it(original: Any) -> Any:
    def target(self: Any, intent: Any, offset: int) -> Any:
        found = original(self, intent, offset)
        if found is None or found.event is not None or found.state.status.ended:
            return found
        asked = found.state.cancel_reason is not None or found.state.controlled_at >= offset
        return replace(found, event=CancelRequested("", ""), applied=asked)

    return target


def _counts(original: Any) -> Any:
    return lambda record: False


def _any_mode(original: Any) -> Any:
    return (*original, "half")


PLANTS = (
    Plant(
        "replay-touches",
        "",
        "An execution that is replayed is asked to end.",
        (Patch(Intents, "_target", _ends_it),),
    ),
    Plant(
        "replay-uses-session",
        "",
        "Who replays an execution puts off the end of its session.",
        (Patch(evolve, "_only_reads", _counts),),
    ),
    Plant(
        "replay-in-any-mode",
        "",
        "An execution is replayed in a mode that there is not.",
        (Patch(control, "REPLAY_MODES", _any_mode),),
    ),
)
