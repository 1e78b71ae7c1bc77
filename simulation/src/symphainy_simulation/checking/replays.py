"""G8: who replays leaves one record of that, and nothing about what is replayed.

Whether policy let it pass is judged with every other intent (`governance`).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from symphainy_runtime.policy.actions import REPLAY, REPLAY_MODES
from symphainy_schemas import events as e
from symphainy_simulation.checking.lives import Book, Life
from symphainy_simulation.checking.logs import PartitionLogs
from symphainy_simulation.checking.violation import Violation
from symphainy_transport.topics import INTENTS

G = "G8"


def check(book: Book) -> Iterator[Violation]:
    """Every replay that was asked for."""
    for logs, lives in book.partitions():
        for life in lives.all():
            if life.received is not None and life.received.intent_type == REPLAY:
                yield from _alone(life, logs)
                yield from _as_asked(life)


def _alone(life: Life, logs: PartitionLogs) -> Iterator[Violation]:
    if len(life.entries) != 1:
        yield Violation(G, f"replay {life.execution_id} is not told of in one record", life.place)
    cause = life.entries[0].record.cause
    for entry in logs.valid:
        same = entry.record.cause == cause and cause is not None and cause.topic == INTENTS
        if same and entry.record.execution_id != life.execution_id:
            sentence = f"{entry.record.execution_id} was changed by who replayed it"
            yield Violation(G, sentence, (entry.place,))


def _as_asked(life: Life) -> Iterator[Violation]:
    """What its record says of it is what was asked for, and that can be."""
    received, end = life.received, life.end
    if received is None or end is None or not isinstance(end.event, e.ExecutionSucceeded):
        return
    asked, told = (msgspec.json.decode(x) for x in (received.payload, end.event.result))
    if told != asked or told["mode"] not in REPLAY_MODES:
        sentence = f"replay {life.execution_id} is not recorded as it was asked for"
        yield Violation(G, sentence, life.place)
