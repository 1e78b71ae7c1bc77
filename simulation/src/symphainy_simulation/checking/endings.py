"""G7, rule 13: an execution does not fail or end early while a delivery of it may still start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeGuard

from symphainy_schemas import events as e
from symphainy_schemas.ids import is_compensation
from symphainy_simulation.checking.lives import Book, Dispatch, Life
from symphainy_simulation.checking.logs import Told
from symphainy_simulation.checking.results import stand_twice
from symphainy_simulation.checking.violation import Violation

G = "G7"
_WAITING = (e.ExecutionFailed, e.ExecutionCancelled, e.ExecutionCompensated)
_CLOSE = (e.StepFailed, e.StepSucceeded, e.StepHandedBack, e.StepSuspended, e.DeliveryClosed)


def check(book: Book) -> Iterator[Violation]:
    """The journal waited for every open delivery; no handler was started afterwards."""
    for _, life in book.all_lives():
        end = life.end
        if end is not None and isinstance(end.event, _WAITING):
            yield from _waited(life, end)
    if book.history.clocks_kept:
        yield from _starts(book)


def _waited(life: Life, end: Told) -> Iterator[Violation]:
    """Each delivery has ended, was handed back, or is past the time by which it had to start and
    then to end."""
    open_: dict[tuple[str, int], e.StepDispatched] = {}
    for entry, event in life.told:
        if isinstance(event, e.StepDispatched):
            open_[event.step, event.delivery] = event
        elif isinstance(event, e.StepClosed) or _is_undone(event):  # too early: `sagas` tells
            open_ = {key: one for key, one in open_.items() if key[0] != event.step}
        elif isinstance(event, _CLOSE):
            open_.pop((event.step, event.delivery), None)
        if entry is end.entry and event is end.event:
            break
    at = end.entry.record.at
    for (_, number), event in open_.items():
        left = event.start_by + event.timeout_ms - at
        if left > 0:
            sentence = (
                f"{life.execution_id} ended as {type(end.event).__name__} while delivery {number} "
                f"was open for {left} ms more"
            )
            yield Violation(G, sentence, (end.entry.place,))


def _is_undone(event: e.Event) -> TypeGuard[e.StepSucceeded]:
    """A success of what undoes a step stands, whatever else of it may run."""
    return isinstance(event, e.StepSucceeded) and is_compensation(event.step)


def _starts(book: Book) -> Iterator[Violation]:
    twice = stand_twice(book)
    for start in book.history.starts:
        # The transport has repeated it: the second task is nobody's but its worker's, until
        # `start_by` (docs/journal-protocol.md, What is not covered).
        if (start.execution_id, start.step, start.delivery, start.token) in twice:
            continue
        several = book.dispatches.get((start.execution_id, start.step, start.delivery), ())
        own: list[Dispatch] = [one for one in several if one.event.token == start.token]
        end = own[-1].life.end if own else None
        if end is None or not isinstance(end.event, _WAITING):
            continue
        if is_compensation(start.step) and isinstance(end.event, e.ExecutionCompensated):
            continue  # it had succeeded: that stands, as any success does
        late = start.at_ms - end.entry.at_ms
        if late > 0:
            sentence = (
                f"a handler of {start.execution_id}, delivery {start.delivery}, was started "
                f"{late} ms after {type(end.event).__name__}"
            )
            yield Violation(G, sentence, (end.entry.place,))
