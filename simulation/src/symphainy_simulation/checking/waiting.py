"""G6: a handler that waits is run again once, for what it waited for, and not before.

A wait ends by its signal or by the time that it was first given; a signal that was taken is
received once, by the execution that it names, and used up once, the oldest first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from math import inf

import msgspec

from symphainy_schemas import events as e
from symphainy_schemas.records import Wait
from symphainy_simulation.checking.lives import Book, Life
from symphainy_simulation.checking.logs import ASKED, PartitionLogs, Told
from symphainy_simulation.checking.violation import Violation

G = "G6"
ONCE = frozenset({"runtime.cancel", "runtime.pause", "runtime.resume", "runtime.compensate"})
CONTROL = frozenset({"runtime.signal", "runtime.retry_step", *ONCE})


def check(book: Book) -> Iterator[Violation]:
    """Every wait and every signal of whole lives."""
    for _, life in book.all_lives():
        if life.received is not None:
            yield from _waits(life)
            yield from _goes_on(life)
            yield from _signals(life)
    yield from _received_once(book)


def _waits(life: Life) -> Iterator[Violation]:
    first: dict[tuple[str, str], Wait] = {}
    ended: set[tuple[str, str]] = set()
    for told in life.told:
        event = told.event
        if isinstance(event, e.StepSuspended):
            for wait in event.waits:
                known = first.setdefault((event.step, wait.name), wait)
                if known.until != wait.until:
                    yield _wrong(life, told, f"wait {wait.name} was given another time")
        elif isinstance(event, e.StepResumed):
            key = event.step, event.name
            wait = first.get(key, Wait(event.name, -1))
            if key in ended:
                yield _wrong(life, told, f"wait {event.name} ended twice")
            ended.add(key)
            if wait.until < 0:
                yield _wrong(life, told, f"nobody waited for {event.name}")
            elif event.signal and event.signal != wait.signal:
                yield _wrong(life, told, f"wait {event.name} ended by signal {event.signal}")
            elif not event.signal and not 0 < wait.until <= told.entry.record.at:
                yield _wrong(life, told, f"wait {event.name} ended before its time")
        elif isinstance(event, e.StepCancelled):
            # Nobody waits any more; who says so late, of a wait, only ends its delivery by it.
            first = {key: wait for key, wait in first.items() if key[0] != event.step}
        elif isinstance(event, e.StepRetryRequested):
            anew = {
                (step, wait.name)
                for (step, _), wait in first.items()
                if step == event.step and {wait.name, wait.signal} & set(event.forgets)
            }
            first = {key: wait for key, wait in first.items() if key not in anew}
            ended -= anew


def _goes_on(life: Life) -> Iterator[Violation]:
    """A handler that waits is not run again before something has come."""
    waiting: set[str] = set()
    for told in life.told:
        event = told.event
        if isinstance(event, e.StepSuspended):
            waiting.add(event.step)
        elif isinstance(event, e.StepResumed):
            waiting.discard(event.step)
        elif isinstance(event, e.StepReady | e.StepHeld | e.StepDispatched | e.StepRetryScheduled):
            if event.step in waiting:
                yield _wrong(life, told, f"step {event.step} goes on although nothing came")
            waiting.discard(event.step)


def _signals(life: Life) -> Iterator[Violation]:
    kept: dict[str, list[bytes]] = defaultdict(list)
    for told in life.told:
        event = told.event
        if isinstance(event, e.SignalReceived):
            kept[event.name].append(event.data)
        elif isinstance(event, e.ChildEnded):
            kept[event.child].append(event.outcome)
        elif isinstance(event, e.StepResumed) and event.signal:
            if not kept[event.signal] or kept[event.signal][0] != event.result:
                yield _wrong(life, told, f"signal {event.signal} is not the oldest that is left")
            else:
                del kept[event.signal][0]


def _received_once(book: Book) -> Iterator[Violation]:
    """A control intent that succeeded stands in its target once; one that did not, never."""
    for logs, lives in book.partitions():
        received: dict[int, list[Told]] = defaultdict(list)
        for life in lives.all():
            for told in life.told:
                cause = told.entry.record.cause
                if told.entry.applies and isinstance(told.event, ASKED) and cause is not None:
                    received[cause.offset].append(told)
        for several in received.values():
            if len(several) > 1:
                yield Violation(
                    G,
                    "a control intent was applied twice",
                    tuple(told.entry.place for told in several),
                )
        window = book.history.dedupe_window_ms
        forgotten_at = {
            life.execution_id: life.ended_at + life.window_ms(window)
            for life in lives.all()
            if life.ended_at
        }
        for life in lives.all():
            yield from _taken(life, received, logs, forgotten_at)


def _taken(
    life: Life,
    received: dict[int, list[Told]],
    logs: PartitionLogs,
    forgotten_at: Mapping[str, int],
) -> Iterator[Violation]:
    asked = life.received
    cause = life.entries[0].record.cause if life.entries else None
    if asked is None or cause is None or asked.intent_type not in CONTROL or life.end is None:
        return
    here = received.get(cause.offset, [])
    succeeded = isinstance(life.end.event, e.ExecutionSucceeded)
    # Retention may have taken what stood before its own record.
    whole = logs.valid[0].record.intents_next < cause.offset
    # To ask again for an end, or for rest, changes nothing.
    if succeeded and not here and whole and asked.intent_type not in ONCE:
        yield Violation(G, f"{life.execution_id} was taken, but nobody has it", life.place)
    # Between its two records the execution may be forgotten: then it is not found any more.
    target_gone_at = forgotten_at.get(here[0].entry.record.execution_id, inf) if here else inf
    if not succeeded and here and life.entries[0].record.at < target_gone_at:
        yield Violation(G, f"{life.execution_id} was refused, but is had", life.place)
    target = msgspec.json.decode(asked.payload).get("execution_id") if succeeded else None
    if succeeded and here and target != here[0].entry.record.execution_id:
        yield Violation(G, f"{life.execution_id} went to another execution", life.place)


def _wrong(life: Life, told: Told, what: str) -> Violation:
    return Violation(G, f"in {life.execution_id}, {what}", (told.entry.place,))
