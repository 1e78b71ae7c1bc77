"""G5: what `ctx.step` recorded travels with every later delivery, and never runs again."""

from __future__ import annotations

from collections.abc import Iterator

from symphainy_schemas import events as e
from symphainy_schemas.records import Checkpoint, Task
from symphainy_simulation.checking.dispatches import dispatch_of
from symphainy_simulation.checking.history import HandlerStart
from symphainy_simulation.checking.lives import Book, Dispatch
from symphainy_simulation.checking.logs import Read
from symphainy_simulation.checking.violation import Violation

G = "G5"
_RECORDED = (e.StepCheckpointed, e.StepResumed, e.ChildInvoked)


def check(book: Book) -> Iterator[Violation]:
    """Tasks carry what was recorded before their dispatch; handlers run none of it again."""
    for found in book.logs.tasks:
        if found.record is not None:
            yield from _task(book, found, found.record)
    for start in book.history.starts:
        several = book.dispatches.get((start.execution_id, start.step, start.delivery), ())
        for one in several:
            if one.event.token == start.token:
                yield from _start(one, start)


def recorded_before(dispatched: Dispatch) -> tuple[Checkpoint, ...]:
    """The checkpoints that stand before a dispatch, in order."""
    found: list[Checkpoint] = []
    for entry, event in dispatched.life.told:
        # What leads to a dispatch is recorded with it, or before.
        leads = isinstance(event, e.StepResumed | e.StepRetryRequested)
        if entry.offset >= dispatched.entry.offset + leads:
            continue
        if isinstance(event, _RECORDED) and event.step == dispatched.event.step:
            found.append(Checkpoint(event.name, _recorded(event)))
        elif isinstance(event, e.StepRetryRequested) and event.step == dispatched.event.step:
            found = [known for known in found if known.name not in event.forgets]
    return tuple(found)


def _recorded(event: e.StepCheckpointed | e.StepResumed | e.ChildInvoked) -> bytes:
    return f'"{event.child}"'.encode() if isinstance(event, e.ChildInvoked) else event.result


def _task(book: Book, found: Read[Task], task: Task) -> Iterator[Violation]:
    dispatched = dispatch_of(book, task)
    if dispatched is None or task.checkpoints == recorded_before(dispatched):
        return
    carried = [known.name for known in task.checkpoints]
    recorded = [known.name for known in recorded_before(dispatched)]
    sentence = (
        f"a task of {task.execution_id}, delivery {task.delivery}, carries checkpoints {carried}; "
        f"recorded before its dispatch were {recorded}"
    )
    yield Violation(G, sentence, (found.place, dispatched.entry.place))


def _start(dispatched: Dispatch, start: HandlerStart) -> Iterator[Violation]:
    recorded = {known.name for known in recorded_before(dispatched)}
    whose = f"a handler of {start.execution_id}, delivery {start.delivery},"
    lacking = recorded - set(start.carried)
    if lacking:
        sentence = f"{whose} was started without checkpoints {sorted(lacking)}"
        yield Violation(G, sentence, (dispatched.entry.place,))
    again = recorded & set(start.ran)
    if again:
        sentence = f"{whose} ran {sorted(again)} again, which were recorded before its dispatch"
        yield Violation(G, sentence, (dispatched.entry.place,))
