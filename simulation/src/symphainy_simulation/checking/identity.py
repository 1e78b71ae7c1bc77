"""G2: an intent id is decided once, a repeat gets the first answer, an execution ends once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.records import Intent
from symphainy_simulation.checking.acceptance import payload_sha256
from symphainy_simulation.checking.lives import ENDS, Book, Life, Lives
from symphainy_simulation.checking.logs import Entry, PartitionLogs
from symphainy_simulation.checking.violation import Violation
from symphainy_transport.topics import INTENTS, STEPS

G = "G2"


def check(book: Book) -> Iterator[Violation]:
    """One decision an input, one reception an id, one end an execution."""
    for logs, lives in book.partitions():
        yield from _causes(logs)
        for entry in lives.orphans:
            sentence = f"something happens to {entry.record.execution_id}, which was never received"
            yield Violation(G, sentence, (entry.place,))
        yield from _receptions(book, logs, lives)
        for life in lives.all():
            yield from _repeats(life, logs)
            yield from _ends(life)


def _causes(logs: PartitionLogs) -> Iterator[Violation]:
    for entry in logs.valid:
        cause = entry.record.cause
        if cause is None or entry.applies or entry.follows:
            continue
        first = logs.decided[cause.topic, cause.offset]
        if first is not entry:
            sentence = f"{cause.topic}[{cause.partition}]@{cause.offset} was decided twice"
            yield Violation(G, sentence, (first.place, entry.place))
        if cause.topic == INTENTS:
            yield from _answers_intent(logs, entry, cause.offset)
        elif cause.topic == STEPS:
            found = logs.steps.get(cause.offset)
            report = None if found is None else found.record
            if report is not None and report.execution_id != entry.record.execution_id:
                sentence = "a report was decided for another execution than its own"
                yield Violation(G, sentence, (entry.place,))


def _answers_intent(logs: PartitionLogs, entry: Entry, offset: int) -> Iterator[Violation]:
    found = logs.intents.get(offset)
    intent = None if found is None else found.record
    if intent is None:
        return
    record = entry.record
    own = ids.execution_id(intent.tenant_id, intent.session_id, intent.intent_id, logs.partition)
    if record.execution_id != own:
        sentence = f"intent {intent.intent_id} was decided as {record.execution_id}, not as {own}"
        yield Violation(G, sentence, (entry.place,))
    answers = [x for x in record.events if isinstance(x, e.IntentReceived | e.IntentRepeated)]
    if len(answers) != 1:
        sentence = f"intent {intent.intent_id} was answered {len(answers)} times in one decision"
        yield Violation(G, sentence, (entry.place,))
    elif isinstance(answers[0], e.IntentReceived):
        rejected = any(isinstance(event, e.IntentRejected) for event in record.events)
        stated = payload_sha256(intent)
        # What could not be decided is rejected without its payload (rule 7).
        if answers[0].payload_sha256 != stated and not (rejected and not answers[0].payload_sha256):
            sentence = f"intent {intent.intent_id} was received with another payload"
            yield Violation(G, sentence, (entry.place,))


def _receptions(book: Book, logs: PartitionLogs, lives: Lives) -> Iterator[Violation]:
    window = book.history.dedupe_window_ms
    for name, several in lives.by_id.items():
        for before, life in pairwise(several):
            again = life.entries[0]
            ended_at = before.ended_at
            if ended_at is None or ended_at >= again.record.at - before.window_ms(window):
                sentence = f"{name} was received twice within its dedupe window"
                yield Violation(G, sentence, (*before.place, again.place))
        for life in several:
            received = [t.entry for t in life.told if isinstance(t.event, e.IntentReceived)]
            for entry in received:
                cause = entry.record.cause
                if cause is None or cause.topic != INTENTS:
                    sentence = f"{name} was received without an intent"
                    yield Violation(G, sentence, (entry.place,))


def _repeats(life: Life, logs: PartitionLogs) -> Iterator[Violation]:
    for entry in life.repeats:
        cause = entry.record.cause
        found = None if cause is None else logs.intents.get(cause.offset)
        intent: Intent | None = None if found is None else found.record
        if intent is None:
            yield Violation(G, "a repeat was told without an intent", (entry.place,))
            continue
        same = payload_sha256(intent) == life.payload_sha256
        for event in entry.record.events:
            if isinstance(event, e.IntentRepeated) and event.same_payload != same:
                told = "the same" if event.same_payload else "another"
                sentence = f"a repeat of {life.execution_id} is said to have {told} payload"
                yield Violation(G, sentence, (*life.place, entry.place))


def _ends(life: Life) -> Iterator[Violation]:
    ended = life.carried is not None and life.carried.status.ended
    for entry in life.entries:
        if ended:
            sentence = f"something happens to {life.execution_id} after its end"
            yield Violation(G, sentence, (*life.place, entry.place))
        ends = [event for event in entry.record.events if isinstance(event, ENDS)]
        if len(ends) > 1 or (ended and ends):
            sentence = f"{life.execution_id} ended more than once"
            yield Violation(G, sentence, (*life.place, entry.place))
        ended = ended or bool(ends)
