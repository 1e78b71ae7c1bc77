"""G5: a step has one recorded result; delivery numbers never repeat; checkpoints are kept.

The numbers of attempts and deliveries are followed here by themselves, event by event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from symphainy_schemas import events as e
from symphainy_schemas.records import Call, ReportKind, StepReport, Task
from symphainy_simulation.checking.lives import Book, Life, gives_up
from symphainy_simulation.checking.logs import Entry, PartitionLogs, Read, Told
from symphainy_simulation.checking.violation import Place, Violation
from symphainy_transport.topics import STEPS

G = "G5"
Reported = (
    e.StepSucceeded
    | e.StepFailed
    | e.StepCheckpointed
    | e.StepHandedBack
    | e.StepSuspended
    | e.ChildInvoked
)
_REPORTED = Reported.__args__
_CURRENT = (e.StepStarted, e.StepCheckpointed, e.StepSuspended)
_KINDS = {
    e.StepSucceeded: ReportKind.SUCCEEDED,
    e.StepFailed: ReportKind.FAILED,
    e.StepCheckpointed: ReportKind.CHECKPOINT,
    e.StepHandedBack: ReportKind.HANDED_BACK,
    e.StepSuspended: ReportKind.SUSPENDED,
    e.ChildInvoked: ReportKind.INVOKED,
}


def check(book: Book) -> Iterator[Violation]:
    """Each step's results, numbers and reports; each task once."""
    for logs, life in book.all_lives():
        for told in life.steps().values():
            yield from _results(life, told)
            yield from _numbers(life, told)
            yield from _reports(life, told, logs)
    yield from _tasks(book)


def _results(life: Life, told: Sequence[Told]) -> Iterator[Violation]:
    result: Told | None = None
    for one in told:
        final = isinstance(one.event, e.StepSucceeded | e.StepSkipped) or gives_up(one)
        if isinstance(one.event, e.StepRetryRequested):
            failed = result is not None and isinstance(result.event, e.StepFailed)
            if not failed:
                sentence = f"{life.execution_id}: a step is tried again that had not failed"
                yield Violation(G, sentence, (one.entry.place,))
            result = None
        elif result is not None and not isinstance(one.event, e.DeliveryClosed | e.StepClosed):
            what = "a second result" if final else type(one.event).__name__
            sentence = f"{life.execution_id}: {what} of a step after its result"
            yield Violation(G, sentence, (result.entry.place, one.entry.place))
        if final and result is None:
            result = one


def _numbers(life: Life, told: Sequence[Told]) -> Iterator[Violation]:
    last = 0
    tokens: dict[int, str] = {}
    for one in told:
        entry, event = one
        if isinstance(event, e.StepDispatched):
            if event.delivery != last + 1:
                sentence = f"{life.execution_id}: delivery {event.delivery} follows {last}"
                yield Violation(G, sentence, (entry.place,))
            last = event.delivery
            if tokens.setdefault(event.attempt, event.token) != event.token or not event.token:
                sentence = f"{life.execution_id}: the token changes within attempt {event.attempt}"
                yield Violation(G, sentence, (entry.place,))
        elif isinstance(event, _CURRENT) and _is_sign_of_life(one) and event.delivery != last:
            sentence = (
                f"{life.execution_id}: {type(event).__name__} counts from delivery "
                f"{event.delivery}, but {last} is current"
            )
            yield Violation(G, sentence, (entry.place,))
    if len(set(tokens.values())) < len(tokens):
        yield Violation(G, f"{life.execution_id}: two attempts have one token", life.place)


def _is_sign_of_life(told: Told) -> bool:
    """What a result tells of its own start may be of an older delivery; a sign of life may not."""
    return isinstance(told.event, e.StepCheckpointed) or len(told.entry.record.events) == 1


# --- what is recorded is what was reported ------------------------------------------------------


def _reports(life: Life, told: Sequence[Told], logs: PartitionLogs) -> Iterator[Violation]:
    tokens: dict[int, e.StepDispatched] = {}
    names: set[str] = set()
    for entry, event in told:
        if isinstance(event, e.StepDispatched):
            tokens[event.delivery] = event
        elif isinstance(event, e.StepCheckpointed | e.ChildInvoked):
            if event.name in names:
                sentence = f"{life.execution_id}: checkpoint {event.name} was recorded twice"
                yield Violation(G, sentence, (entry.place,))
            names.add(event.name)
        elif isinstance(event, e.StepRetryRequested):
            names.difference_update(event.forgets)
        if isinstance(event, _REPORTED) and not life.is_whole(event.step):
            yield from _reported(life, entry, event, tokens.get(event.delivery), logs)


def _reported(
    life: Life,
    entry: Entry,
    event: Reported,
    dispatched: e.StepDispatched | None,
    logs: PartitionLogs,
) -> Iterator[Violation]:
    what = f"{life.execution_id}: {type(event).__name__}"
    cause = entry.record.cause
    if dispatched is None:
        sentence = f"{what} from delivery {event.delivery}, which was never dispatched"
        yield Violation(G, sentence, (entry.place,))
        return
    if cause is None or cause.topic != STEPS:
        if not _owner_decided(entry, event):
            yield Violation(G, f"{what} without a report", (entry.place,))
        return
    found = logs.steps.get(cause.offset)
    report = None if found is None else found.record
    if report is None or _is_poison(event):
        return
    place = Place(STEPS, logs.partition, cause.offset)
    if report.kind is not _KINDS[type(event)] or not _same(report, event):
        yield Violation(G, f"{what} is not what was reported", (place, entry.place))
    elif report.token != dispatched.token:
        sentence = f"{what} from a report that does not know the delivery's token"
        yield Violation(G, sentence, (place, entry.place))


def _owner_decided(entry: Entry, event: Reported) -> bool:
    """Only a timeout fails an attempt without a report."""
    fired = any(isinstance(x, e.TimerFired) for x in entry.record.events)
    return fired and isinstance(event, e.StepFailed)


def _is_poison(event: Reported) -> bool:
    """A report that could not be decided became a failure that says so (rule 7)."""
    if not isinstance(event, e.StepFailed):
        return False
    return event.error.code == "decision_too_large" or bool(event.error.operator_action)


def _same(report: StepReport, event: Reported) -> bool:
    numbers = (report.step, report.attempt, report.delivery)
    if numbers != (event.step, event.attempt, event.delivery):
        return False
    if isinstance(event, e.StepSucceeded):
        return report.result == event.result
    if isinstance(event, e.StepCheckpointed):
        return (report.name, report.result) == (event.name, event.result)
    if isinstance(event, e.ChildInvoked):
        said = Call(event.intent_type, event.realm, event.payload, event.awaited)
        return (report.name, report.call) == (event.name, said)
    if isinstance(event, e.StepFailed) and report.error is not None:
        return report.error == event.error
    return True


# --- tasks --------------------------------------------------------------------------------------


def repeated_tasks(book: Book) -> list[Place]:
    """The tasks that stand there again under their old delivery number."""
    return [found.place for several in _by_number(book).values() for found in several[1:]]


def stand_twice(book: Book) -> frozenset[tuple[str, str, int, str]]:
    """The deliveries (execution, step, number, token) whose task stands there again."""
    several = (key for key, found in _by_number(book).items() if len(found) > 1)
    return frozenset(
        (execution, step, number, token) for _, execution, step, number, token in several
    )


def _by_number(book: Book) -> dict[tuple[int, str, str, int, str], list[Read[Task]]]:
    by_number: dict[tuple[int, str, str, int, str], list[Read[Task]]] = defaultdict(list)
    for found in book.logs.tasks:
        task = found.record
        if task is not None and task.partition in book.logs.partitions:
            key = (task.partition, task.execution_id, task.step, task.delivery, task.token)
            by_number[key].append(found)
    return by_number


def _tasks(book: Book) -> Iterator[Violation]:
    for (_, execution, _, delivery, _), several in _by_number(book).items():
        if any(found.record != several[0].record for found in several):
            sentence = f"{execution}: two different tasks were sent as delivery {delivery}"
            yield Violation(G, sentence, tuple(found.place for found in several))
    extra, allowed = repeated_tasks(book), book.history.task_duplicates
    if allowed is not None and len(extra) > allowed:
        sentence = (
            f"{len(extra)} tasks were sent again under their old delivery number; the transport "
            f"alone may have repeated {allowed}"
        )
        yield Violation(G, sentence, tuple(extra[:5]))
