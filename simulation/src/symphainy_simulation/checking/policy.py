"""G3: what is decided at acceptance is decided once, before any dispatch, and never changes."""

from __future__ import annotations

from collections.abc import Iterator

from symphainy_schemas import events as e
from symphainy_simulation.checking.lives import Book, Life
from symphainy_simulation.checking.logs import Told
from symphainy_simulation.checking.violation import Violation

G = "G3"
_DECIDED = (e.CapabilityResolved, e.ExecutionStarted, e.IntentReceived)


def check(book: Book) -> Iterator[Violation]:
    """Each part of the decision once, ahead of the first step."""
    for _, life in book.all_lives():
        yield from _once(life)
        yield from _before_dispatch(life)


def _once(life: Life) -> Iterator[Violation]:
    for kind in _DECIDED:
        told = [t for t in life.told if isinstance(t.event, kind)]
        if len(told) > 1:
            places = tuple(t.entry.place for t in told)
            sentence = f"{life.execution_id}: {kind.__name__} was decided {len(told)} times"
            yield Violation(G, sentence, places)


def _before_dispatch(life: Life) -> Iterator[Violation]:
    resolved = started = False
    for told in life.told:
        resolved = resolved or isinstance(told.event, e.CapabilityResolved)
        started = started or isinstance(told.event, e.ExecutionStarted)
        if isinstance(told.event, e.StepReady | e.StepHeld | e.StepDispatched) and not (
            resolved and started
        ):
            sentence = f"{life.execution_id} was dispatched before it was decided that it may run"
            yield Violation(G, sentence, (told.entry.place,))
        if isinstance(told.event, e.StepDispatched):
            yield from _under_policy(life, told, told.event)


def _under_policy(life: Life, told: Told, event: e.StepDispatched) -> Iterator[Violation]:
    policy = life.policy_of(event.step)
    if policy is not None and event.timeout_ms != policy.timeout_ms:
        sentence = (
            f"{life.execution_id} was dispatched with a limit of {event.timeout_ms} ms; "
            f"{policy.timeout_ms} ms was decided"
        )
        yield Violation(G, sentence, (*life.place, told.entry.place))
