"""A history, read once: what is decoded, which journal records count, and what belongs together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

from symphainy_runtime.journal.validity import Validity, judge
from symphainy_schemas.codec import Record, decode
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import (
    CancelRequested,
    CompensationRequested,
    Event,
    ExecutionPaused,
    ExecutionResumed,
    JournalRecord,
    SignalReceived,
    StepRetryRequested,
    follows,
)
from symphainy_schemas.records import DeadLetter, Intent, StepReport, Task
from symphainy_simulation.checking.history import Carried, History, Written
from symphainy_simulation.checking.opinion import Stood, counting
from symphainy_simulation.checking.violation import Place
from symphainy_transport.topics import INTENTS, JOURNAL, STEPS

R = TypeVar("R", bound=Record)
ASKED = (
    SignalReceived
    | CancelRequested
    | ExecutionPaused
    | ExecutionResumed
    | StepRetryRequested
    | CompensationRequested
)


class Read(NamedTuple, Generic[R]):
    """A record of a topic; `record` is None if its bytes cannot be read."""

    place: Place
    at_ms: int
    record: R | None


class Entry(NamedTuple):
    """A journal record that can be read."""

    place: Place
    at_ms: int
    value: bytes
    record: JournalRecord

    @property
    def offset(self) -> int:
        """Its journal offset."""
        return self.place.offset

    @property
    def applies(self) -> bool:
        """Whether it does to an execution what a control intent asks. Of the intent itself it
        decides nothing: that is another record, behind it."""
        asked = any(isinstance(event, ASKED) for event in self.record.events)
        return asked and not self.follows

    @property
    def follows(self) -> bool:
        """Whether it follows from another decision, about another execution, and not from an
        input."""
        return follows(self.record)


class Told(NamedTuple):
    """An event, and the record that tells it."""

    entry: Entry
    event: Event


@dataclass(frozen=True)
class PartitionLogs:
    """The logs of one partition."""

    partition: int
    before: Carried
    intents: Mapping[int, Read[Intent]]
    steps: Mapping[int, Read[StepReport]]
    entries: Mapping[int, Entry]
    """Every journal record that can be read, by offset."""
    valid: Sequence[Entry]
    """Those that count by the second opinion, in order."""
    accepted: frozenset[int]
    """The offsets that the product's own filter takes."""
    states: Sequence[Written]

    @cached_property
    def counts(self) -> frozenset[int]:
        """The offsets of `valid`."""
        return frozenset(entry.offset for entry in self.valid)

    @cached_property
    def decided(self) -> Mapping[tuple[str, int], Entry]:
        """The first valid record that decides each input, by (topic, offset)."""
        found: dict[tuple[str, int], Entry] = {}
        for entry in self.valid:
            cause = entry.record.cause
            if cause is not None and not entry.applies and not entry.follows:
                found.setdefault((cause.topic, cause.offset), entry)
        return found

    @cached_property
    def reached(self) -> tuple[int, int]:
        """The next intents and steps offsets. An OwnershipTaken, which was written before its
        writer knew the last owner's very last records, may name earlier ones."""
        intents, steps = self.before.intents_next, self.before.steps_next
        for entry in self.valid:
            intents = max(intents, entry.record.intents_next)
            steps = max(steps, entry.record.steps_next)
        return intents, steps

    def told(self) -> Iterator[Told]:
        """Every valid event, in order."""
        for entry in self.valid:
            for event in entry.record.events:
                yield Told(entry, event)


@dataclass(frozen=True)
class Logs:
    """All that the checkers look at."""

    history: History
    partitions: Mapping[int, PartitionLogs]
    tasks: Sequence[Read[Task]]
    letters: Mapping[Place, int]
    """The places of what is in dead letters, with when it came there."""
    broken: tuple[str, ...] = field(default=())
    """What the product's filter refuses to read on behind."""


def read(history: History) -> Logs:
    """Decode a history."""
    broken: list[str] = []
    return Logs(
        history,
        {p: _partition(history, p, broken) for p in sorted(history.journal)},
        [
            _decoded(name, written, Task)
            for name, records in sorted(history.tasks.items())
            for written in records
        ],
        _letters(history.dead_letters),
        tuple(broken),
    )


def _partition(history: History, p: int, broken: list[str]) -> PartitionLogs:
    before = history.before.get(p, Carried())
    standing = Validity(before.term, before.seq, before.journal_offset, before.journal_hash)
    entries: dict[int, Entry] = {}
    accepted = set()
    for written in history.journal[p]:
        value = written.value or b""
        try:
            stored = judge(value, written.offset, standing)
        except Exception as error:  # whatever the product refuses: the checkers go on and tell
            broken.append(f"journal[{p}]@{written.offset}: {error}")
            continue
        standing = stored.standing
        if stored.valid:
            accepted.add(written.offset)
        if stored.record is not None:
            place = Place(JOURNAL, p, written.offset)
            entries[written.offset] = Entry(place, written.at_ms, value, stored.record)
    counts = counting(
        [Stood(entry.offset, entry.record) for entry in entries.values()],
        before.term,
        before.seq,
    )
    return PartitionLogs(
        p,
        before,
        {w.offset: _decoded(INTENTS, w, Intent) for w in history.intents.get(p, ())},
        {w.offset: _decoded(STEPS, w, StepReport) for w in history.steps.get(p, ())},
        entries,
        [entry for offset, entry in entries.items() if offset in counts],
        frozenset(accepted),
        history.state.get(p, ()),
    )


def _decoded(topic: str, written: Written, expected: type[R]) -> Read[R]:
    place = Place(topic, written.partition, written.offset)
    try:
        return Read(place, written.at_ms, decode(written.value, expected))
    except UnreadableRecord:
        return Read(place, written.at_ms, None)


def _letters(letters: Sequence[Written]) -> Mapping[Place, int]:
    found: dict[Place, int] = {}
    for written in letters:
        letter = decode(written.value, DeadLetter)
        place = Place(letter.topic, letter.partition, letter.offset)
        found.setdefault(place, written.at_ms)
    return found
