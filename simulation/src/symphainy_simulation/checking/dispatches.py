"""G4: no handler is invoked without a journaled dispatch; and no journaled dispatch is forgotten.

A task comes after the record that dispatches it, says the same, and asks to be started earlier by
the skew that a worker's clock may have (rule 13). `acted_to` passes no dispatch whose task Kafka
does not have (rule 11).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from symphainy_schemas import events as e
from symphainy_schemas.records import Task
from symphainy_simulation.checking.history import HandlerStart
from symphainy_simulation.checking.inputs import entry_of, input_at
from symphainy_simulation.checking.lives import Book, Dispatch
from symphainy_simulation.checking.logs import PartitionLogs, Read
from symphainy_simulation.checking.violation import Place, Violation
from symphainy_transport.topics import JOURNAL

G = "G4"
Settling = (
    e.StepStarted
    | e.StepSucceeded
    | e.StepFailed
    | e.StepHandedBack
    | e.StepSuspended
    | e.DeliveryClosed
)
_SETTLES = Settling.__args__


class Dispatched(NamedTuple):
    """A delivery whose task may not have been sent yet."""

    name: tuple[str, str]
    place: Place
    event: e.StepDispatched


def check(book: Book) -> Iterator[Violation]:
    """Every task and every start answers a valid dispatch; every dispatch acted on has its task."""
    for task in book.logs.tasks:
        yield from _task(book, task)
    for start in book.history.starts:
        yield from _start(book, start)
    for logs, _ in book.partitions():
        yield from _acted(book, logs)


def dispatch_of(book: Book, task: Task) -> Dispatch | None:
    """The valid dispatch at the place that the task names, of its step."""
    return next(
        (
            one
            for one in book.dispatched_at.get((task.partition, task.dispatched_at), ())
            if (one.life.execution_id, one.event.step) == (task.execution_id, task.step)
        ),
        None,
    )


def _task(book: Book, found: Read[Task]) -> Iterator[Violation]:
    task = found.record
    if task is None:
        yield Violation(G, "a task cannot be read", (found.place,))
        return
    logs = book.logs.partitions.get(task.partition)
    if logs is None or task.dispatched_at < logs.before.journal_next:
        return
    dispatched = dispatch_of(book, task)
    if dispatched is None:
        place = Place(JOURNAL, task.partition, task.dispatched_at)
        if task.dispatched_at not in logs.entries or task.dispatched_at in logs.counts:
            sentence = f"a task of {task.execution_id} was sent that no journal record dispatches"
            yield Violation(G, sentence, (found.place, place))
        return  # sent from a record that does not count: G13 tells
    differing = _differing(task, dispatched, found.place.topic, book.history.skew_ms)
    if differing:
        sentence = f"a task of {task.execution_id} differs from its dispatch: {differing}"
        yield Violation(G, sentence, (found.place, dispatched.entry.place))
    if found.at_ms < dispatched.entry.at_ms:
        sentence = f"a task of {task.execution_id} was sent before its dispatch stood"
        yield Violation(G, sentence, (found.place, dispatched.entry.place))


def _differing(task: Task, dispatched: Dispatch, topic: str, skew_ms: int) -> str:
    event, life = dispatched.event, dispatched.life
    received, entry = life.received, entry_of(life, event.step)
    names = [
        name
        for name in ("attempt", "delivery", "token", "timeout_ms")
        if getattr(task, name) != getattr(event, name)
    ]
    if task.start_by > event.start_by - skew_ms:
        names.append("start_by")
    named = task.realm, task.intent_type, task.capability_version, task.handler, task.compensates
    if entry is not None and named != entry:
        names.append("capability")
    if topic != f"tasks.{task.realm}":
        names.append("topic")
    if received is not None and (task.intent_id, task.principal) != (
        received.intent_id,
        received.principal,
    ):
        names.append("intent")
    if received is not None and not _has_payload(task, dispatched, received):
        names.append("intent")
    return ", ".join(names)


def _has_payload(task: Task, dispatched: Dispatch, received: e.IntentReceived) -> bool:
    if dispatched.life.planned(task.step) is None:
        return task.payload == received.payload
    offset = dispatched.entry.offset
    wanted = input_at(dispatched.life, task.step, offset)
    got = msgspec.json.decode(task.payload) if task.payload else None
    return bool(got == wanted)


def _start(book: Book, start: HandlerStart) -> Iterator[Violation]:
    several = book.dispatches.get((start.execution_id, start.step, start.delivery), ())
    own = [one for one in several if one.event.token == start.token]
    whose = f"a handler of {start.execution_id} was started, delivery {start.delivery}"
    if not own and _earlier(book, start.execution_id):
        return
    if not own:
        yield Violation(G, f"{whose}, that no journal record dispatches")
        return
    dispatched = own[-1]
    if start.attempt != dispatched.event.attempt:
        sentence = f"{whose}, as attempt {start.attempt}, not {dispatched.event.attempt}"
        yield Violation(G, sentence, (dispatched.entry.place,))
    if start.at_ms < dispatched.entry.at_ms:
        yield Violation(G, f"{whose}, before its dispatch stood", (dispatched.entry.place,))
    late = start.at_ms - dispatched.event.start_by
    if book.history.clocks_kept and late > 0:
        sentence = f"{whose}, {late} ms after the time by which it had to be"
        yield Violation(G, sentence, (dispatched.entry.place,))


def _earlier(book: Book, execution_id: str) -> bool:
    """Whether an earlier window knows the execution: a start of it cannot be judged here."""
    return any(
        life.carried is not None
        for lives in book.lives.values()
        for life in lives.by_id.get(execution_id, ())
    )


def _acted(book: Book, logs: PartitionLogs) -> Iterator[Violation]:
    """Where `acted_to` first passes a dispatch that is still the step's last, its task is there."""
    sent = _sent(book, logs.partition)
    ahead: deque[Dispatched] = deque()
    current: dict[tuple[str, str], Dispatched] = {}
    for entry in logs.valid:
        while ahead and ahead[0].place.offset <= entry.record.acted_to:
            one = ahead.popleft()
            if current.get(one.name) is not one:
                continue
            at = sent.get((one.place.offset, one.event.step, one.event.delivery))
            if at is None or at > entry.at_ms:
                sentence = (
                    f"effects up to {entry.record.acted_to} are said to be acknowledged, but the "
                    f"task of {one.name[0]} was not sent"
                )
                yield Violation(G, sentence, (one.place, entry.place))
        for event in entry.record.events:
            if isinstance(event, e.StepDispatched):
                name = (entry.record.execution_id, event.step)
                current[name] = Dispatched(name, entry.place, event)
                ahead.append(current[name])
            elif isinstance(event, e.StepReady | e.StepHeld | e.StepCancelled):  # given up
                current.pop((entry.record.execution_id, event.step), None)
            elif isinstance(event, _SETTLES):
                _settle(current, (entry.record.execution_id, event.step), event)


def _settle(
    current: dict[tuple[str, str], Dispatched], name: tuple[str, str], event: Settling
) -> None:
    one = current.get(name)
    any_delivery = isinstance(event, e.StepSucceeded | e.StepFailed)
    if one is not None and (any_delivery or event.delivery == one.event.delivery):
        del current[name]


def _sent(book: Book, p: int) -> dict[tuple[int, str, int], int]:
    """When each task of a partition was first written, by dispatch."""
    sent: dict[tuple[int, str, int], int] = {}
    for found in book.logs.tasks:
        task = found.record
        if task is not None and task.partition == p:
            key = (task.dispatched_at, task.step, task.delivery)
            sent[key] = min(found.at_ms, sent.get(key, found.at_ms))
    return sent
