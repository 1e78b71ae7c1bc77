"""Planted bugs around restarts: local state, restores, what a new owner takes up."""

from __future__ import annotations

from typing import Any

from symphainy_processors.dispatch.rules import Line
from symphainy_processors.fold import layout
from symphainy_processors.fold.agenda import Agenda
from symphainy_processors.fold.checkpoint import unpack_checkpoint
from symphainy_processors.owner.dispatching import Dispatching, waiting
from symphainy_processors.owner.partition import OwnedPartition
from symphainy_processors.owner.restoring import Restoring
from symphainy_schemas.state import ExecutionState
from symphainy_simulation.plants.plant import Patch, Plant


def _trusts_the_disk(original: Any) -> Any:
    def trusted(self: Any, p: int, store: Any, identity: str, low: int, high: int) -> Any:
        value = store.get(layout.CHECKPOINT)
        found = None if value is None else unpack_checkpoint(value)
        yield from ()
        if found is None or not low - 1 <= found.offset < high:
            return None
        return found

    return trusted


def _stops_at_the_marker(original: Any) -> Any:
    def fold(self: Any, p: int, restored: Any, end: int) -> Any:
        if restored.state.changed_since >= 0:
            restored.read_to = max(restored.read_to, end - 1)
        yield from original(self, p, restored, end)

    return fold


def _forgets_what_ended(original: Any) -> Any:
    def restore(self: Any, p: int, store: Any) -> Any:
        restored = yield from original(self, p, store)
        state = restored.state
        ended = [
            name
            for name, body in state.everything().items()
            if isinstance(body, ExecutionState) and body.status.ended
        ]
        store.write([(layout.state_key(name), None) for name in ended])
        for name in ended:
            state.states.forget(name)
            state.states.unflushed.pop(name, None)
        return restored

    return restore


def _skips_a_report(original: Any) -> Any:
    def init(self: Any, *args: Any, **more: Any) -> None:
        original(self, *args, **more)
        if self.positions.steps_next:
            self.positions.steps_next += 1

    return init


def _occupies_nothing(original: Any) -> Any:
    def restore(self: Any) -> None:
        for line in self._state.work.lines():
            self.dispatcher.restore(Line(line.realm, line.tenant_id, line.priority))

    return restore


def _queues_nothing(original: Any) -> Any:
    def restore(self: Any) -> None:
        for state, step in self._state.work.outstanding():
            self.dispatcher.occupy(waiting(state, step.step, step.dispatched_at))

    return restore


def _knows_only_new_timers(original: Any) -> Any:
    def load(self: Any, to: bytes) -> None:
        self._loaded_to = to

    return load


PLANTS = (
    Plant(
        "any-local-state-trusted",
        "17",
        "Local state is used whatever log, term or partition it comes from.",
        (Patch(Restoring, "_trusted", _trusts_the_disk),),
    ),
    Plant(
        "restore-without-tail",
        "1",
        "What the journal holds behind the restored state is not folded.",
        (Patch(Restoring, "fold", _stops_at_the_marker),),
    ),
    Plant(
        "dedupe-forgotten-at-restart",
        "10",
        "A restart forgets which intent ids were decided.",
        (Patch(Restoring, "restore", _forgets_what_ended),),
    ),
    Plant(
        "report-skipped-at-restart",
        "6",
        "A new owner begins one report too late.",
        (Patch(OwnedPartition, "__init__", _skips_a_report),),
    ),
    Plant(
        "limits-forgotten-at-restart",
        "20",
        "A restart counts nothing as outstanding.",
        (Patch(Dispatching, "restore", _occupies_nothing),),
    ),
    Plant(
        "ready-work-forgotten-at-restart",
        "6",
        "A restart does not take up what waits for its turn.",
        (Patch(Dispatching, "restore", _queues_nothing),),
    ),
    Plant(
        "timers-forgotten-at-restart",
        "14",
        "A restart does not take up timers that are far away.",
        (Patch(Agenda, "_load", _knows_only_new_timers),),
    ),
)
