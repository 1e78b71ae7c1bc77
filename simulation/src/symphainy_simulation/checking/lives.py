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
from symphainy_schemas.ids import undone_by
from symphainy_schemas.records import PlanStep, Policy, Recovery
from symphainy_schemas.state import ExecutionState
from symphainy_simulation.checking.logs import Entry, Logs, PartitionLogs, Told
from symphainy_simulation.checking.violation import Place

ENDS = (
    e.IntentRejected,
    e.ExecutionSucceeded,
    e.ExecutionFailed,
    e.ExecutionCancelled,
    e.ExecutionCompensated,
)
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
    | e.StepRetryRequested
    | e.StepSkipped
    | e.StepClosed
    | e.ChildInvoked
)
# What an execution with a plan begins; of what is undone, too.
BEGINS = (e.StepReady, e.StepHeld, e.StepDispatched)


@dataclass
class Life:
    """One life of an execution id. `carried` is what an earlier window left of it, at rest."""

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

    @cached_property
    def stops_at(self) -> float:
        """The journal offset from which on nothing more of it begins but what undoes it."""
        return min(self.to_end_at, self._undone_from)

    @cached_property
    def undone_from(self) -> Entry | None:
        """The record that begins to undo it."""
        begun = (x.entry for x in self.told if isinstance(x.event, e.CompensationStarted))
        return next(begun, None)

    @cached_property
    def _undone_from(self) -> float:
        resolved = self.resolved
        for entry, event in self.told:
            if isinstance(event, e.CompensationRequested | e.CompensationStarted):
                return entry.offset
            if (
                isinstance(event, e.StepFailed)
                and resolved is not None
                and resolved.plan
                and resolved.recovery is Recovery.COMPENSATE
                and not undone_by(event.step)
                and gives_up(Told(entry, event))
            ):
                return entry.offset
        return inf

    @property
    def is_stuck(self) -> bool:
        """Whether what happened last is that it waits for an operator."""
        moves = (*BEGINS, e.ExecutionStuck)
        last = next((t.event for t in reversed(self.told) if isinstance(t.event, moves)), None)
        return isinstance(last, e.ExecutionStuck)

    def planned(self, step: str) -> PlanStep | None:
        """What its plan says of a step, or of the one that it undoes."""
        name = self.whole(undone_by(step) or step)
        plan = () if self.resolved is None else self.resolved.plan
        return next((one for one in plan if one.step == name), None)

    def whole(self, step: str) -> str:
        """The name that its plan has for a step: `b` for `b[2]`."""
        return step.partition("[")[0]

    def is_whole(self, step: str) -> bool:
        """Whether a step stands for all elements that it should have been run for."""
        one = self.planned(step)
        return one is not None and bool(one.for_each) and one.step == step

    def policy_of(self, step: str) -> Policy | e.CapabilityResolved | None:
        """How often and for how long a step is tried."""
        one = self.planned(step)
        if one is None:
            return self.resolved
        return (one.compensation_policy if undone_by(step) else None) or one.policy

    @property
    def ended_at(self) -> int | None:
        """The journaled time of its end."""
        if self.carried is not None and self.carried.status.ended:
            return self.carried.ended_at
        return None if self.end is None else self.end.entry.record.at

    def window_ms(self, otherwise: int) -> int:
        """How long it is remembered after its end."""
        if self.carried is not None:
            return self.carried.dedupe_window_ms or otherwise
        own = 0 if self.received is None else self.received.dedupe_window_ms
        return own or otherwise

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


def gives_up(told: Told) -> bool:
    """Whether a StepFailed is the step's result: no retry stands beside it."""
    if not isinstance(told.event, e.StepFailed):
        return False
    step = told.event.step
    return not any(
        isinstance(x, e.StepRetryScheduled) and x.step == step for x in told.entry.record.events
    )


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
        self.started: dict[str, set[tuple[str, int, str]]] = defaultdict(set)
        """The deliveries whose handlers were called, by execution: step, number, token."""
        for start in self.history.starts:
            self.started[start.execution_id].add((start.step, start.delivery, start.token))
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
        """Each life that began in this window, with its partition's logs: how another that was
        stuck goes on cannot be judged without its beginning."""
        for logs, lives in self.partitions():
            for life in lives.all():
                if life.carried is None:
                    yield logs, life
