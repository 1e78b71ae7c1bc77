"""Planted bugs around executions that are to end."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from symphainy_processors.owner.ledger import Ledger
from symphainy_processors.saga import cancelling
from symphainy_schemas.events import ExecutionCancelled
from symphainy_simulation.plants.plant import Patch, Plant


def _as_ever(original: Any) -> Any:
    return lambda state, step, events: events


def _at_once(original: Any) -> Any:
    def requested(state: Any, event: Any) -> Any:
        if any(step.open for step in state.steps):
            return (event, ExecutionCancelled(reason=event.reason))
        return original(state, event)

    return requested


def _forgets_what_is_open(original: Any) -> Any:
    return lambda state, step, events: original(state, replace(step, open=()), events)


def _fails_at_once(original: Any) -> Any:
    def overdue(state: Any, now: int) -> Any:
        events = original(state, now)
        late = replace(state, overdue=True)
        return (*events[:1], cancelling.end(late)) if events else ()

    return overdue


def _tells_at_once(original: Any) -> Any:
    def record(self: Any, *args: Any) -> None:
        original(self, *args)
        pending = self._pending[-1]
        for notice in pending.notices:
            self._port.notify(notice)
        pending.notices = ()

    return record


PLANTS = (
    Plant(
        "cancelled-goes-on",
        "",
        "What is to end is tried and delivered again.",
        (Patch(cancelling, "instead", _as_ever),),
    ),
    Plant(
        "cancelled-at-once",
        "13",
        "An execution is cancelled while a delivery of it may still start or run.",
        (Patch(cancelling, "requested", _at_once),),
    ),
    Plant(
        "cancelled-without-waiting",
        "13",
        "A step that is stopped on its way forgets that older deliveries of it are open.",
        (Patch(cancelling, "_ended", _forgets_what_is_open),),
    ),
    Plant(
        "overdue-at-once",
        "13",
        "At its deadline an execution fails while a delivery of it may still start or run.",
        (Patch(cancelling, "overdue", _fails_at_once),),
    ),
    Plant(
        "told-too-early",
        "3",
        "Workers are told to end what runs before the request for that stands.",
        (Patch(Ledger, "record", _tells_at_once),),
    ),
)
