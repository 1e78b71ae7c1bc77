"""G5, G7: what a handler invokes is stated once, and bound to whoever waits for its end.

What is journaled as invoked stands in the write-ahead log as that, and is one execution. Who waits
is told each end once, as it was; what nobody waits for any more does not begin, or is asked to end:
all of it before anything else is decided.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.records import INVOKED, Intent
from symphainy_simulation.checking import families
from symphainy_simulation.checking.history import HandlerStart
from symphainy_simulation.checking.lives import Book, Dispatch, Life, Lives
from symphainy_simulation.checking.logs import Entry, PartitionLogs, Read
from symphainy_simulation.checking.violation import Violation

G = "G5"


class Invoked(NamedTuple):
    """That a handler invoked something, as it is journaled."""

    life: Life
    entry: Entry
    event: e.ChildInvoked


def check(book: Book) -> Iterator[Violation]:
    """Every invocation, every intent of a handler, every turn, and what handlers ran."""
    for logs, lives in book.partitions():
        invoked = {
            event.child: Invoked(life, entry, event)
            for life in lives.all()
            for entry, event in life.told
            if isinstance(event, e.ChildInvoked)
        }
        yield from _named(lives)
        yield from _stated(book, logs, invoked)
        yield from _acted(book, logs, invoked)
        for one in invoked.values():
            yield from _executed(book, lives, one)
        yield from families.check(book, logs, lives)
    for start in book.history.starts:
        yield from _ran(book, start)


def _named(lives: Lives) -> Iterator[Violation]:
    """Under one name, and in one attempt, one intent; its id follows from the attempt's token."""
    several: dict[str, list[Invoked]] = defaultdict(list)
    for life in lives.all():
        tokens: dict[tuple[str, int], str] = {}
        for entry, event in life.told:
            if isinstance(event, e.StepDispatched):
                tokens[event.step, event.attempt] = event.token
            elif isinstance(event, e.ChildInvoked):
                several[event.child].append(Invoked(life, entry, event))
                token = tokens.get((event.step, event.attempt), "")
                if event.intent_id != ids.child_intent_id(token, event.name):
                    sentence = f"the id of {event.name} in {life.execution_id} is not its attempt's"
                    yield Violation(G, sentence, (entry.place,))
    for child, found in several.items():
        if len(found) > 1:
            places = tuple(one.entry.place for one in found)
            yield Violation(G, f"{child} was invoked {len(found)} times", places)


# --- what stands in the write-ahead log ---------------------------------------------------------


def _intents(logs: PartitionLogs) -> Iterator[tuple[str, Read[Intent], Intent]]:
    """Those that handlers state, with their executions."""
    for found in logs.intents.values():
        intent = found.record
        if intent is not None and intent.causation_id and intent.intent_id.startswith("child-"):
            name = ids.execution_id(
                intent.tenant_id, intent.session_id, intent.intent_id, logs.partition
            )
            yield name, found, intent


def _stated(book: Book, logs: PartitionLogs, invoked: dict[str, Invoked]) -> Iterator[Violation]:
    """Each such intent was journaled before, and is what was journaled."""
    for child, found, intent in _intents(logs):
        one = invoked.get(child)
        if one is None:
            if logs.before.journal_next == 0:
                sentence = f"{intent.intent_id} is stated, but no journal record invokes it"
                yield Violation(G, sentence, (found.place,))
            continue
        places = (one.entry.place, found.place)
        if found.at_ms < one.entry.at_ms:
            sentence = f"{intent.intent_id} was stated before its invocation stood"
            yield Violation(G, sentence, places)
        differing = _differing(intent, one)
        if differing:
            sentence = f"{intent.intent_id} is not what was invoked: {', '.join(differing)}"
            yield Violation(G, sentence, places)


def _differing(intent: Intent, one: Invoked) -> list[str]:
    event, life, record = one.event, one.life, one.entry.record
    wanted: dict[str, object] = {
        "intent_id": event.intent_id,
        "intent_type": event.intent_type,
        "realm": event.realm,
        "payload": event.payload,
        "payload_ref": None,
        "tenant_id": record.tenant_id,
        "session_id": record.session_id,
        "causation_id": life.execution_id,
        "created_at": record.at,
    }
    received = life.received
    if received is not None:
        inherits = ("principal", "solution_context", "traceparent", "priority", "correlation_id")
        wanted |= {name: getattr(received, name) for name in inherits if hasattr(received, name)}
    return [name for name, value in wanted.items() if getattr(intent, name) != value]


def _acted(book: Book, logs: PartitionLogs, invoked: dict[str, Invoked]) -> Iterator[Violation]:
    """`acted_to` passes no invocation whose intent Kafka does not have; all stand in the end."""
    stood: dict[str, int] = {}
    for child, found, _ in _intents(logs):
        stood[child] = min(found.at_ms, stood.get(child, found.at_ms))
    left = sorted(invoked.values(), key=lambda one: one.entry.offset)
    for entry in logs.valid:
        while left and left[0].entry.offset <= entry.record.acted_to:
            one = left.pop(0)
            at = stood.get(one.event.child)
            if at is None or at > entry.at_ms:
                sentence = (
                    f"effects up to {entry.record.acted_to} are said to be acknowledged, but "
                    f"{one.event.name} of {one.life.execution_id} was not stated"
                )
                yield Violation(G, sentence, (one.entry.place, entry.place))
    for one in left if book.history.quiet else ():
        if one.event.child not in stood:
            sentence = f"{one.event.name} of {one.life.execution_id} was never stated"
            yield Violation(G, sentence, (one.entry.place,))


# --- what became of it --------------------------------------------------------------------------


def _executed(book: Book, lives: Lives, one: Invoked) -> Iterator[Violation]:
    """It is one execution (`identity` says that it is not two), whose end is awaited or not."""
    several = lives.by_id.get(one.event.child, [])
    if not several:
        if book.history.quiet:
            sentence = f"{one.event.child} was invoked, and never received"
            yield Violation(G, sentence, (one.entry.place,))
        return
    life = several[0]
    received = life.received
    if received is None:
        return
    if life.entries[0].offset < one.entry.offset:
        sentence = f"{one.event.child} was received before it was invoked"
        yield Violation(G, sentence, (one.entry.place, *life.place))
    ended_at = one.life.ended_at
    forgotten = ended_at is not None and ended_at < life.entries[0].record.at - one.life.window_ms(
        book.history.dedupe_window_ms
    )
    awaited_by = one.life.execution_id if one.event.awaited else ""
    if received.awaited_by != awaited_by and not forgotten:
        sentence = f"{one.event.child} is awaited by {received.awaited_by!r}, not {awaited_by!r}"
        yield Violation(G, sentence, (one.entry.place, *life.place))


def _ran(book: Book, start: HandlerStart) -> Iterator[Violation]:
    """A handler whose success was recorded has stated nothing that is not journaled."""
    named = {name for name in start.ran if name.startswith(INVOKED)}
    if not named:
        return
    several = book.dispatches.get((start.execution_id, start.step, start.delivery), ())
    for one in several:
        if one.event.token == start.token:
            yield from _unheard(one, start, named)


def _unheard(one: Dispatch, start: HandlerStart, ran: set[str]) -> Iterator[Violation]:
    succeeded, named = None, set(ran)
    for entry, event in one.life.told:
        if isinstance(event, e.ChildInvoked) and event.step == start.step:
            named.discard(event.name)
        elif isinstance(event, e.StepRetryRequested) and event.step == start.step:
            named |= ran & set(event.forgets)
        elif isinstance(event, e.StepSucceeded) and event.step == start.step:
            succeeded = entry if event.delivery == start.delivery else None
            break
    if succeeded is not None and named:
        sentence = (
            f"a handler of {start.execution_id}, delivery {start.delivery}, has succeeded, but "
            f"that it invoked {sorted(named)} is not journaled"
        )
        yield Violation(G, sentence, (succeeded.place,))
