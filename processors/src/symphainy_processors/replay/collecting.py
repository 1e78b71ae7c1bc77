"""Whole executions of a range of the journal, as they end."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from msgspec import Struct, field

from symphainy_processors.replay.history import History, Kept
from symphainy_processors.replay.reading import JournalReader, Progress
from symphainy_schemas import events as e

_ENDS = frozenset(
    {
        e.ExecutionSucceeded,
        e.ExecutionFailed,
        e.ExecutionCancelled,
        e.ExecutionCompensated,
        e.IntentRejected,
    }
)
_RUNTIME = "runtime."
_WHOLE = 1 << 32


class Wanted(Struct, frozen=True, kw_only=True):
    """Executions that were admitted at [start, end) of a partition. Empty: any.

    `sample` is which part of them, from 0 to 1; by their ids, so that each is chosen always or
    never. `own`: the runtime's own intents, too, which have no handler.
    """

    partition: int
    start: int
    end: int
    tenant_id: str = ""
    session_id: str = ""
    intent_types: frozenset[str] = frozenset()
    sample: float = 1.0
    own: bool = False

    def takes(self, record: e.JournalRecord, offset: int) -> bool:
        """Whether an admission is of one that is wanted."""
        received = record.events[0] if record.events else None
        if not isinstance(received, e.IntentReceived) or not self.start <= offset < self.end:
            return False
        if len(record.events) > 1 and isinstance(record.events[1], e.IntentRepeated):
            return False
        return (
            (self.own or not received.intent_type.startswith(_RUNTIME))
            and self.tenant_id in ("", record.tenant_id)
            and self.session_id in ("", record.session_id)
            and (not self.intent_types or received.intent_type in self.intent_types)
            and chosen(record.execution_id, self.sample)
        )


class Left(Struct):
    """What a range does not give whole: executions that had not ended when the journal did."""

    running: list[str] = field(default_factory=list)


def chosen(execution_id: str, sample: float) -> bool:
    """Whether an execution is within a sample."""
    number = int.from_bytes(sha256(execution_id.encode()).digest()[:4], "big")
    return number < sample * _WHOLE


def collect(
    reader: JournalReader, wanted: Wanted, left: Left, progress: Progress
) -> Iterator[History]:
    """The wanted executions, each when it has ended; what has not is told in `left`.

    The journal is read behind the range's end until the last of them has ended.

    Raises:
        Unavailable: Kafka did not go on.
    """
    _, high = reader.bounds(wanted.partition)
    going: dict[str, list[Kept]] = {}

    def looked_at(record: e.JournalRecord) -> bool:
        return bool(record.execution_id)

    for kept in reader.scan(wanted.partition, wanted.start, high, looked_at, progress):
        record, name = kept.record, kept.record.execution_id
        if wanted.takes(record, kept.offset):
            going[name] = []
        known = going.get(name)
        if known is not None:
            known.append(kept)
            if any(type(event) in _ENDS for event in record.events):
                del going[name]
                yield History(execution_id=name, partition=wanted.partition, records=tuple(known))
        if kept.offset >= wanted.end - 1 and not going:
            return
    left.running += going
