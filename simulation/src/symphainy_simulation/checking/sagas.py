"""G7, rule 15: what a plan begins, what is undone, in which order, and how it ends.

From the journal's events and the handlers' starts alone. A step has certainly been done if its
success was recorded; it may have been if a delivery of it was started, or could have been, and
nobody told how that ended: an attempt that a limit gave up, a delivery that nobody closed but time,
a success that came too late to be recorded, or an attempt that was stopped on its way.
"""

from __future__ import annotations

from collections.abc import Iterator

from symphainy_schemas import events as e
from symphainy_schemas.ids import compensation_of, undone_by
from symphainy_schemas.records import PlanStep, Task
from symphainy_simulation.checking.courses import Course
from symphainy_simulation.checking.dispatches import dispatch_of
from symphainy_simulation.checking.inputs import elements_of, holds_at, results_at
from symphainy_simulation.checking.lives import BEGINS, Book, Life
from symphainy_simulation.checking.logs import PartitionLogs, Read, Told
from symphainy_simulation.checking.violation import Violation

G = "G7"
_MOST_ELEMENTS = 1_000


def check(book: Book) -> Iterator[Violation]:
    """Every whole life with a plan, every task of a compensation, every start of a handler."""
    for logs, life in book.all_lives():
        if life.received is not None and life.resolved is not None and life.resolved.plan:
            yield from _Check(book, logs, life).all()
    for found in book.logs.tasks:
        if found.record is not None and undone_by(found.record.step):
            yield from _result(book, found, found.record)
    if book.history.clocks_kept:
        yield from _starts(book)


class _Check:
    """One life, event by event."""

    def __init__(self, book: Book, logs: PartitionLogs, life: Life) -> None:
        assert life.resolved is not None
        self._book, self._life, self._plan = book, life, life.resolved
        self._course = Course(book, logs, life)
        self._undoing = False

    def all(self) -> Iterator[Violation]:
        """Everything that does not hold."""
        course = self._course
        for told in self._life.told:
            yield from self._event(told)
            course.take(told)
        if self._book.history.quiet and self._life.end is None and not self._life.is_stuck:
            what = (
                "is left although nothing of it moves" if not course.moving() else "has not ended"
            )
            yield self._wrong(self._life.told[-1], what)

    def _event(self, told: Told) -> Iterator[Violation]:
        event = told.event
        if isinstance(event, BEGINS):
            undone = undone_by(event.step)
            first = event.step not in self._course.begun
            if undone:
                yield from self._undoes(told, undone, first=first)
            elif self._undoing:
                yield self._wrong(told, f"begins step {event.step} although it is undone")
            elif first:
                yield from self._begins(told, event.step)
            if self._life.planned(event.step) is None:
                yield self._wrong(told, f"has no step {event.step} in its plan")
        elif isinstance(event, e.StepSkipped):
            yield from self._skips(told, event.step)
        elif isinstance(event, e.StepSucceeded):
            yield from self._succeeds(told, event.step)
            yield from self._stands_for_all(told, event.step, failed=False)
        elif isinstance(event, e.StepFailed):
            yield from self._stands_for_all(told, event.step, failed=True)
        elif isinstance(event, e.StepClosed):
            yield from self._closes(told, event.step)
        elif isinstance(event, e.CompensationStarted):
            yield from self._still(told, "is undone")
            self._undoing = True
        else:
            yield from self._ends(told)

    # --- a: what begins -------------------------------------------------------------------------

    def _begins(self, told: Told, step: str) -> Iterator[Violation]:
        one = self._life.planned(step)
        if one is None:
            return
        yield from self._is_for_an_element(told, one, step)
        over = self._course.over()
        late = [need for need in one.needs if need not in over]
        if late:
            yield self._wrong(told, f"begins {step} before {', '.join(late)} ended")
        elif self._is_not_needed(told, one):
            yield self._wrong(told, f"begins {step}, which is to be skipped")
        if told.entry.offset > self._life.stops_at:
            yield self._wrong(told, f"begins {step} although it is stopping")

    def _skips(self, told: Told, step: str) -> Iterator[Violation]:
        one = self._life.planned(step)
        over = self._course.over()
        if one is None or step in self._course.begun or not set(one.needs) <= over:
            yield self._wrong(told, f"skips {step}, whose turn it is not")
        elif not self._is_not_needed(told, one):
            yield self._wrong(told, f"skips {step}, which is needed")

    def _is_for_an_element(self, told: Told, one: PlanStep, step: str) -> Iterator[Violation]:
        if not one.for_each:
            return
        elements = elements_of(self._life, one)
        names = [f"{one.step}[{n}]" for n in range(len(elements))] if _fits(elements) else []
        if step not in names:
            yield self._wrong(told, f"begins {step}, and there are {len(names)} elements")
        together = {x.step for x in told.entry.record.events if isinstance(x, BEGINS)}
        if not together.issuperset(names):
            yield self._wrong(told, f"begins {step}, but not all of {one.step} in one decision")

    def _stands_for_all(self, told: Told, step: str, *, failed: bool) -> Iterator[Violation]:
        """That a step has succeeded, or failed, of which no element is run."""
        one = self._life.planned(step)
        if one is None or not self._life.is_whole(step):
            return
        elements = elements_of(self._life, one)
        if _fits(elements) if failed else elements != []:
            what = "fails" if failed else "succeeds"
            yield self._wrong(told, f"{what} as a whole in {step}, which has {elements!r:.80}")

    def _is_not_needed(self, told: Told, one: PlanStep) -> bool:
        all_skipped = bool(one.needs) and set(one.needs) <= self._course.skipped
        return all_skipped or not holds_at(self._life, one, told.entry.offset)

    # --- b, c and d: what is undone -------------------------------------------------------------

    def _undoes(self, told: Told, undone: str, *, first: bool) -> Iterator[Violation]:
        if not self._undoing:
            yield self._wrong(told, f"undoes {undone}, although nothing is to be undone")
        if not first:
            return
        course = self._course
        certain, possible = course.covered()
        if undone not in possible:
            yield self._wrong(told, f"undoes {undone}, which has nothing to undo")
        needing = self._needing(self._life.whole(undone))
        needs_it = {x for x in certain if self._life.whole(x) in needing}
        left = sorted(x for x in needs_it if compensation_of(x) not in course.succeeded)
        if left:
            yield self._wrong(told, f"undoes {undone} before {', '.join(left)}")

    def _needing(self, step: str) -> set[str]:
        found: set[str] = set()
        for _ in self._plan.plan:
            found |= {
                one.step
                for one in self._plan.plan
                if step in one.needs or not found.isdisjoint(one.needs)
            }
        return found

    def _succeeds(self, told: Told, step: str) -> Iterator[Violation]:
        if not undone_by(step) and self._undoing:
            yield self._wrong(told, f"counts a success of {step} while it is undone")
        if undone_by(step) and step in self._course.succeeded:
            yield self._wrong(told, f"undoes {undone_by(step)} twice")

    def _closes(self, told: Told, step: str) -> Iterator[Violation]:
        for number, until in self._course.open_of(step).items():
            left = until - told.entry.record.at
            if left > 0:
                what = f"counts on delivery {number} of {step} no more, {left} ms too early"
                yield self._wrong(told, what)

    def _still(self, told: Told, what: str) -> Iterator[Violation]:
        """Nothing of it may start or run any more."""
        moving = self._course.moving()
        if moving:
            yield self._wrong(told, f"{what} while {', '.join(moving)} may start or run")

    # --- e: how it ends -------------------------------------------------------------------------

    def _ends(self, told: Told) -> Iterator[Violation]:
        course, steps = self._course, {one.step for one in self._plan.plan}
        match told.event:
            case e.ExecutionSucceeded():
                left = sorted(steps - course.over())
                if left:
                    yield self._wrong(told, f"succeeds without {', '.join(left)}")
            case e.ExecutionCompensated():
                yield from self._still(told, "is compensated")
                yield from self._undone(told, "is compensated")
            case e.ExecutionCancelled():
                yield from self._undone(told, "is cancelled")
            case e.ExecutionFailed():
                if not any(undone_by(step) for step in course.failed):
                    yield from self._undone(told, "fails")
            case e.ExecutionStuck():
                yield from self._still(told, "is stuck")
                if not course.failed:
                    yield self._wrong(told, "is stuck although nothing of it has failed for good")

    def _undone(self, told: Told, what: str) -> Iterator[Violation]:
        certain, _ = self._course.covered()
        left = sorted(x for x in certain if compensation_of(x) not in self._course.succeeded)
        if left:
            yield self._wrong(told, f"{what}, although {', '.join(left)} is not undone")

    def _wrong(self, told: Told, what: str) -> Violation:
        return Violation(G, f"{self._life.execution_id} {what}", (told.entry.place,))


def _fits(elements: object) -> bool:
    """Whether a step can be run for each of them."""
    return isinstance(elements, list) and len(elements) <= _MOST_ELEMENTS


# --- what a compensation gets, and what runs beside it ------------------------------------------


def _result(book: Book, found: Read[Task], task: Task) -> Iterator[Violation]:
    dispatched = dispatch_of(book, task)
    if dispatched is None or dispatched.life.received is None:
        return
    recorded = results_at(dispatched.life, dispatched.entry.offset).get(undone_by(task.step))
    if task.result != recorded:
        sentence = (
            f"what undoes {undone_by(task.step)} of {task.execution_id} was given {task.result!r}, "
            f"recorded is {recorded!r}"
        )
        yield Violation(G, sentence, (found.place, dispatched.entry.place))


def _starts(book: Book) -> Iterator[Violation]:
    """No handler of a step is started once what was done is undone."""
    for start in book.history.starts:
        if undone_by(start.step):
            continue
        several = book.dispatches.get((start.execution_id, start.step, start.delivery), ())
        own = [one for one in several if one.event.token == start.token]
        begun = None if not own else own[-1].life.undone_from
        if begun is None or start.at_ms <= begun.at_ms:
            continue
        sentence = (
            f"a handler of {start.execution_id}, delivery {start.delivery}, was started "
            f"{start.at_ms - begun.at_ms} ms after CompensationStarted"
        )
        yield Violation(G, sentence, (begun.place,))
