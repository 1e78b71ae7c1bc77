"""G7: what rests begins nothing until it is resumed, and then goes on where it stood.

A step is held only while its execution rests, and only in the place of a beginning; nothing rests
twice, or is resumed that does not rest.
"""

from __future__ import annotations

from collections.abc import Iterator

from symphainy_schemas import events as e
from symphainy_simulation.checking.lives import Book, Life
from symphainy_simulation.checking.logs import Told
from symphainy_simulation.checking.violation import Violation

G = "G7"


def check(book: Book) -> Iterator[Violation]:
    """Every whole life."""
    for _, life in book.all_lives():
        if life.received is not None:
            yield from _rests(life)
            yield from _goes_on(life)


def _rests(life: Life) -> Iterator[Violation]:
    rests = False
    for told in life.told:
        event = told.event
        if isinstance(event, e.ExecutionPaused | e.ExecutionResumed):
            if rests is isinstance(event, e.ExecutionPaused):
                yield _wrong(life, told, "is asked for what it does already")
            rests = isinstance(event, e.ExecutionPaused)
        elif isinstance(event, e.StepReady | e.StepDispatched) and rests:
            yield _wrong(life, told, "begins something although it rests")
        elif isinstance(event, e.StepHeld) and not rests:
            yield _wrong(life, told, "is held although it does not rest")


def _goes_on(life: Life) -> Iterator[Violation]:
    """What was held goes on in the record that resumes it, in the same attempt."""
    held: dict[str, int] = {}
    for told in life.told:
        event = told.event
        if isinstance(event, e.StepHeld):
            held[event.step] = event.attempt
        elif isinstance(event, e.StepReady | e.StepDispatched):
            if held.pop(event.step, event.attempt) != event.attempt:
                yield _wrong(life, told, "goes on in another attempt than it was held in")
        elif isinstance(event, _LEAVES):
            held.pop(event.step, None)
        elif isinstance(event, e.ExecutionResumed):
            going = {x.step for x in told.entry.record.events if isinstance(x, _GOES)}
            if held.keys() - going:
                yield _wrong(life, told, "was resumed, and does not go on")


_GOES = (e.StepReady, e.StepDispatched)
# Who had the step before may still run it: it goes on, fails, or is handed back, by itself.
_LEAVES = (
    e.StepStarted,
    e.StepSucceeded,
    e.StepFailed,
    e.StepRetryScheduled,
    e.StepSuspended,
    e.StepCancelled,
)


def _wrong(life: Life, told: Told, what: str) -> Violation:
    return Violation(G, f"{life.execution_id} {what}", (told.entry.place,))
