"""G7: what is to end begins nothing more, and ends.

A request is applied once, a deadline passes once, and not before its time; only what was asked to
end ends as cancelled, and only what is overdue fails for that; a success stands, should one have
been reported before the end. Workers are told of it only when it stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from symphainy.worker.admission import CANCELLED
from symphainy_schemas import events as e
from symphainy_schemas.ids import undone_by
from symphainy_simulation.checking.lives import ASKS_FOR_END, Book, Life
from symphainy_simulation.checking.violation import Violation

G = "G7"
_BEGINS = (e.StepReady, e.StepDispatched, e.StepRetryScheduled)


def check(book: Book) -> Iterator[Violation]:
    """Every whole life."""
    for _, life in book.all_lives():
        if life.received is not None:
            yield from _begins_nothing(life)
            yield from _was_asked(life)
            yield from _in_time(life)


def _begins_nothing(life: Life) -> Iterator[Violation]:
    asked: set[type] = set()
    failed: set[str] = set()  # a plan's steps, for which the others are told to end
    stuck = False  # then asking again ends it as it is
    for entry, event in life.told:
        if isinstance(event, e.StepFailed):
            failed.add(event.step)
        elif isinstance(event, e.StepRetryScheduled):
            failed.discard(event.step)
        if isinstance(event, e.ExecutionStuck | e.CompensationStarted | e.StepRetryRequested):
            stuck = isinstance(event, e.ExecutionStuck)
        if isinstance(event, ASKS_FOR_END):
            if type(event) in asked and not stuck:
                sentence = f"the end of {life.execution_id} was asked for twice"
                yield Violation(G, sentence, (entry.place,))
            asked.add(type(event))
        elif isinstance(event, e.CompensationRequested):
            asked.add(type(event))
        elif _as_asked(event) and not (asked or (_has_plan(life) and failed)):
            sentence = f"a worker ended {life.execution_id} as asked, before that was asked"
            yield Violation(G, sentence, (entry.place,))
        elif asked and isinstance(event, _BEGINS) and not undone_by(event.step):
            sentence = (
                f"{type(event).__name__} in {life.execution_id}, although it was to end before"
            )
            yield Violation(G, sentence, (entry.place,))


def _as_asked(event: e.Event) -> bool:
    return isinstance(event, e.StepHandedBack) and event.reason == CANCELLED


def _has_plan(life: Life) -> bool:
    return life.resolved is not None and bool(life.resolved.plan)


def _was_asked(life: Life) -> Iterator[Violation]:
    if life.end is None or not isinstance(life.end.event, e.ExecutionCancelled):
        return
    asked = [event for _, event in life.told if isinstance(event, e.CancelRequested)]
    if not asked:
        sentence = f"{life.execution_id} was cancelled, but nobody had asked for that"
        yield Violation(G, sentence, (life.end.entry.place,))
    elif asked[0].reason != life.end.event.reason:
        sentence = f"{life.execution_id} was cancelled for another reason than was asked"
        yield Violation(G, sentence, (life.end.entry.place,))
    # What a plan did and nothing undoes stands; `sagas` says what is undone.
    if not _has_plan(life) and any(isinstance(event, e.StepSucceeded) for _, event in life.told):
        sentence = f"{life.execution_id} was cancelled, although its step had succeeded"
        yield Violation(G, sentence, (life.end.entry.place,))


def _in_time(life: Life) -> Iterator[Violation]:
    """Its deadline passes at its time, and it fails for nothing else that is called so."""
    limit_ms = life.resolved.deadline_ms if life.resolved is not None else 0
    due_at = life.entries[0].record.at + limit_ms if limit_ms else inf
    passed = False
    for entry, event in life.told:
        if isinstance(event, e.DeadlinePassed):
            passed = True
            if event.due_at != due_at or entry.record.at < due_at:
                sentence = f"the deadline of {life.execution_id} passed before its time"
                yield Violation(G, sentence, (entry.place,))
        elif _for_its_deadline(event) and not passed:
            sentence = f"{life.execution_id} failed for a deadline that had not passed"
            yield Violation(G, sentence, (entry.place,))


def _for_its_deadline(event: e.Event) -> bool:
    return isinstance(event, e.ExecutionFailed) and event.error.code == "deadline_exceeded"
