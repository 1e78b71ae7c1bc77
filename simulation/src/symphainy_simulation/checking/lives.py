"""What the journal says of each execution, from its IntentReceived on.

An id may live twice: after its dedupe window it is forgotten, and may be received anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import inf

from symphainy_schemas import events as e
from symphainy_schemas.state import ExecutionState
from symphainy_simulation.checking.logs import Entry, Logs, PartitionLogs, Told
from symphainy_simulation.checking.violation import Place

ENDS = (e.IntentRejected, e.ExecutionSucceeded, e.ExecutionFailed, e.ExecutionCancelled)
ASKS_FOR_END = (e.CancelRequested, e.DeadlinePassed)
StepEvent = (
    e.StepReady
    | e.StepDispatched
    | e.StepStarted
    | e.StepCheckpointed
    | e.StepProgressed
    | e.StepSucceeded
    | e.StepFailed
    | e.StepRetryScheduled
    | e.StepHandedBack
    | e.DeliveryClosed
    | e.StepSuspended
    | e.StepResumed
    | e.StepHeld
)


@dataclass
class Life:
    """One life of an execution id. `carried` is what an earlier window left of it, ended."""

    execution_id: str
    entries: list[Entry] = field(default_factory=list)
    repeats: list[Entry] = field(default_factory=list)
    carried: ExecutionState | None = None

    @cached_property
    def received(self) -> e.IntentReceived | None:
        """How it began, if it began in this window."""
        return next((x for x in self._first if isinstance(x, e.IntentReceived)), None)

    @cached_property
    def resolved(self) -> e.CapabilityResolved | None:
        """The policy in force."""
        return next((t.event for t in self.told if isinstance(t.event, e.CapabilityResolved)), None)

    @cached_property
    def told(self) -> list[Told]:
        """Its events, in order, without repeats."""
        return [Told(entry, event) for entry in self.entries for event in entry.record.events]

    @cached_property
    def end(self) -> Told | None:
        """Its first end."""
        return next((told for told in self.told if isinstance(told.event, ENDS)), None)

    @cached_property
    def to_end_at(self) -> float:
        """The journal offset from which on it is to end; endless where that never was."""
        asked = (x for x in self.told if isinstance(x.event, ASKS_FOR_END))
        return next((told.entry.offset for told in asked), inf)

    @property
    def ended_at(self) -> int | None:
        """The journaled time of its end."""
        if self.carried is not None:
            return self.carried.ended_at
        return None if self.end is None else self.end.entry.record.at

    @property
    def payload_sha256(self) -> bytes:
        """The hash of what was stated first."""
        if self.carried is not None:
            return self.carried.payload_sha256
        return self.received.payload_sha256 if self.received is not None else b""

    @property
    def place(self) -> tuple[Place, ...]:
        """Where it began."""
        return (self.entries[0].place,) if self.entries else ()

    @property
    def _first(self) -> Iterable[e.Event]:
        return self.entries[0].record.events if self.entries else ()

    def steps(self) -> Mapping[str, list[Told]]:
        """Its step events by step, in order."""
        found: dict[str, list[Told]] = defaultdict(list)
        for told in self.told:
            if isinstance(told.event, StepEvent):
                found[told.event.step].append(told)
        return found


@dataclass(frozen=True)
class Lives:
    """All lives of a partition, and what is told of executions that were never received."""

    by_id: Mapping[str, list[Life]]
    orphans: list[Entry]

    def all(self) -> Iterator[Life]:
        """Every life."""
        for lives in self.by_id.values():
            yield from lives


def lives_of(logs: PartitionLogs) -> Lives:
    """Group a partition's valid records by execution and life."""
    by_id: dict[str, list[Life]] = defaultdict(list)
    orphans = []
    for name, state in logs.before.states.items():
        if isinstance(state, ExecutionState):
            by_id[name].append(Life(name, carried=state))
    for entry in logs.valid:
        name = entry.record.execution_id
        if not name:
            continue
        kinds = [type(event) for event in entry.record.events]
        if e.IntentReceived in kinds:
            by_id[name].append(Life(name, [entry]))
        elif not by_id.get(name):
            orphans.append(entry)
        elif kinds == [e.IntentRepeated]:
            by_id[name][-1].repeats.append(entry)
        else:
            by_id[name][-1].entries.append(entry)
    return Lives(by_id, orphans)


@dataclass(frozen=True)
class Dispatch:
    """A journaled delivery."""

    life: Life
    entry: Entry
    event: e.StepDispatched


class Book:
    """Everything that several checkers ask for."""

    def __init__(self, logs: Logs) -> None:
        self.logs = logs
        self.history = logs.history
        self.lives = {p: lives_of(one) for p, one in logs.partitions.items()}
        self.dispatches: dict[tuple[str, str, int], list[Dispatch]] = defaultdict(list)
        self.dispatched_at: dict[tuple[int, int], list[Dispatch]] = defaultdict(list)
        for p, lives in self.lives.items():
            for life in lives.all():
                for entry, event in life.told:
                    if isinstance(event, e.StepDispatched):
                        one = Dispatch(life, entry, event)
                        key = (life.execution_id, event.step, event.delivery)
                        self.dispatches[key].append(one)
                        self.dispatched_at[p, entry.offset].append(one)

    def partitions(self) -> Iterator[tuple[PartitionLogs, Lives]]:
        """Each partition's logs and lives."""
        for p, logs in self.logs.partitions.items():
            yield logs, self.lives[p]

    def all_lives(self) -> Iterator[tuple[PartitionLogs, Life]]:
        """Each life, with its partition's logs."""
        for logs, lives in self.partitions():
            for life in lives.all():
                yield logs, life
