"""G1: what Kafka acknowledged is never lost, and is decided; no position passes it undecided."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from symphainy_schemas.records import Intent
from symphainy_simulation.checking.history import Acknowledged
from symphainy_simulation.checking.lives import Book
from symphainy_simulation.checking.logs import Entry, PartitionLogs, Read
from symphainy_simulation.checking.opinion import takes_ownership
from symphainy_simulation.checking.violation import Place, Violation
from symphainy_transport.topics import INTENTS, STEPS

G = "G1"


def check(book: Book) -> Iterator[Violation]:
    """What was acknowledged stands and is decided; positions pass nothing; all comes to an end."""
    for stated in book.history.acknowledged:
        if stated.partition in book.logs.partitions:
            yield from _acknowledged(book, stated)
    for logs, _ in book.partitions():
        yield from _positions(book, logs)
        if book.history.quiet:
            yield from _all_read(logs)
    if book.history.quiet:
        yield from _all_ended(book)


def payload_sha256(intent: Intent) -> bytes:
    """The hash of what was stated."""
    if intent.payload_ref is not None:
        return intent.payload_ref.sha256
    return sha256(intent.payload).digest()


def _acknowledged(book: Book, stated: Acknowledged) -> Iterator[Violation]:
    logs = book.logs.partitions[stated.partition]
    if 0 <= stated.offset < logs.before.intents_next:
        return  # a repeat was told the first place, which an earlier window has checked
    place = Place(INTENTS, stated.partition, stated.offset)
    found = logs.intents.get(stated.offset) if stated.offset >= 0 else _by_id(logs, stated)
    if found is None:
        yield Violation(
            G, f"intent {stated.intent_id} was acknowledged, but is not there", (place,)
        )
        return
    intent = found.record
    told = (stated.tenant_id, stated.session_id, stated.intent_id, stated.payload_sha256)
    stands = intent and (
        intent.tenant_id,
        intent.session_id,
        intent.intent_id,
        payload_sha256(intent),
    )
    if stands != told:
        sentence = f"where intent {stated.intent_id} was acknowledged, something else stands"
        yield Violation(G, sentence, (found.place,))
        return
    decision = logs.decided.get((INTENTS, found.place.offset))
    if decision is None:
        if book.history.quiet:
            sentence = f"intent {stated.intent_id} was acknowledged, but never decided"
            yield Violation(G, sentence, (found.place,))
    elif decision.record.execution_id != stated.execution_id:
        sentence = (
            f"intent {stated.intent_id} was acknowledged as {stated.execution_id}, but decided as "
            f"{decision.record.execution_id}"
        )
        yield Violation(G, sentence, (found.place, decision.place))


def _by_id(logs: PartitionLogs, stated: Acknowledged) -> Read[Intent] | None:
    wanted = (stated.tenant_id, stated.session_id, stated.intent_id, stated.payload_sha256)
    for found in logs.intents.values():
        one = found.record
        if one is not None and wanted == (
            one.tenant_id,
            one.session_id,
            one.intent_id,
            payload_sha256(one),
        ):
            return found
    return None


def _positions(book: Book, logs: PartitionLogs) -> Iterator[Violation]:
    intents, steps = logs.before.intents_next, logs.before.steps_next
    for entry in logs.valid:
        to_intents, to_steps = entry.record.intents_next, entry.record.steps_next
        back = to_intents < intents or to_steps < steps
        # A takeover is written before its writer has seen the last owner's very last records.
        if back and not takes_ownership(entry.record):
            yield Violation(G, "the positions of the inputs run back", (entry.place,))
        for offset in range(intents, to_intents):
            yield from _passed_intent(book, logs, offset, entry)
        for offset in range(steps, to_steps):
            found = logs.steps.get(offset)
            if found is not None and found.record is None:
                yield from _letter(book, found.place, entry)
        yield from _caused(logs, entry)
        intents, steps = max(intents, to_intents), max(steps, to_steps)


def _passed_intent(
    book: Book, logs: PartitionLogs, offset: int, passing: Entry
) -> Iterator[Violation]:
    found = logs.intents.get(offset)
    if found is None:  # retention or a transaction's marker: there is nothing to decide
        return
    if found.record is None:
        yield from _letter(book, found.place, passing)
        return
    decision = logs.decided.get((INTENTS, offset))
    if decision is None or decision.offset > passing.offset:
        sentence = f"the position passes intent {found.record.intent_id}, which is not decided"
        yield Violation(G, sentence, (found.place, passing.place))


def _letter(book: Book, unreadable: Place, passing: Entry) -> Iterator[Violation]:
    at = book.logs.letters.get(unreadable)
    if at is None:
        sentence = "the position passes what cannot be read, and no dead letter keeps it"
        yield Violation(G, sentence, (unreadable, passing.place))
    elif at > passing.at_ms:
        sentence = "the position passed what cannot be read before its dead letter was there"
        yield Violation(G, sentence, (unreadable, passing.place))


def _caused(logs: PartitionLogs, entry: Entry) -> Iterator[Violation]:
    cause = entry.record.cause
    if cause is None or entry.follows:  # see `children`
        return
    inputs = {INTENTS: logs.intents, STEPS: logs.steps}.get(cause.topic, {})
    place = Place(cause.topic, cause.partition, cause.offset)
    if cause.partition != logs.partition or cause.offset not in inputs:
        yield Violation(G, "a decision names an input that is not there", (place, entry.place))
        return
    following = {INTENTS: entry.record.intents_next, STEPS: entry.record.steps_next}[cause.topic]
    if following != cause.offset + (not entry.applies):
        sentence = f"a decision stands with its input's next position at {following}"
        yield Violation(G, sentence, (place, entry.place))


def _all_read(logs: PartitionLogs) -> Iterator[Violation]:
    for topic, inputs, reached in (
        (INTENTS, logs.intents, logs.reached[0]),
        (STEPS, logs.steps, logs.reached[1]),
    ):
        end = max(inputs, default=-1) + 1
        if reached < end:
            sentence = f"all is quiet, but {topic} is read only up to {reached} of {end}"
            yield Violation(G, sentence, (Place(topic, logs.partition, reached),))


def _all_ended(book: Book) -> Iterator[Violation]:
    for _, life in book.all_lives():
        if life.end is None and not life.is_stuck:
            waits = type(life.told[-1].event).__name__
            sentence = f"{life.execution_id} never ended; the last that happened to it is {waits}"
            yield Violation(G, sentence, (*life.place, life.told[-1].entry.place))
