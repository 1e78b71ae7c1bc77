"""Small histories, written by hand: each line does what an owner, a producer or a worker does.

A story follows every rule unless it is told otherwise: `record` takes any member of the journal
record, and the lists of what was written can be changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from msgspec.structs import replace
from tests.unit.checking.logbook import NOBODY, SESSION, TENANT, Logbook, P, execution

from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_schemas import events as e
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.records import (
    Checkpoint,
    Error,
    PolicyDecision,
    ReportKind,
    Stage,
    StageDecision,
    Task,
)
from symphainy_schemas.state import SessionState, State, StateMarker
from symphainy_simulation.checking import History, Snapshot, Violation, check_all
from symphainy_simulation.checking.folding import fold
from symphainy_simulation.checking.governance import BEFORE_POLICY
from symphainy_simulation.checking.history import Body
from symphainy_simulation.checking.logs import Entry
from symphainy_simulation.checking.violation import Place

WINDOW_MS = 60_000
SKEW_MS = 100
POLICY = e.CapabilityResolved(
    name="work.add",
    version=1,
    realm="work",
    handler="add",
    timeout_ms=1_000,
    attempts=3,
    backoff_ms=100,
    backoff_factor=2.0,
    backoff_max_ms=150,
)
ALLOWED = PolicyDecision(
    platform_version=0,
    tenant_version=0,
    sha256=sha256(BUILT_IN.sha256).digest(),
    stages=(
        StageDecision(Stage.SECURITY_GUARD, True, ("platform/security_guard/own_tenant",), ()),
        StageDecision(Stage.CITY_MANAGER, True, ("platform/city_manager/everything",), ()),
        StageDecision(Stage.DATA_STEWARD, True, (), ()),
    ),
)
"""By the policies that are built in."""
PASSING = Error(code="flaky", message="Not yet.", retryable=True)
FINAL = Error(code="refused", message="Never.")


@dataclass
class Story(Logbook):
    """The same with an owner."""

    live: list[Snapshot] = field(default_factory=list)
    term: int = -1
    seq: int = 0
    last: e.Predecessor | None = None
    before: e.Predecessor | None = None
    intents_next: int = 0
    steps_next: int = 0
    acted_to: int = -1
    salt: str = ""
    states: dict[str, Body] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)

    # --- the owner ------------------------------------------------------------------------------

    def marker(self, **other: Any) -> int:
        """A marker in our own steps; the offset."""
        told = {"worker": "o1", "dispatched_at": self.term} | other
        return self.report(ReportKind.MARKER, NOBODY, **told)

    def takeover(self, **other: Any) -> int:
        """A new owner's first record; the term."""
        told: dict[str, Any] = {
            "term": -1,
            "seq": 0,
            "prev_hash": b"" if self.last is None else self.last.hash,
            "previous": None
            if self.last is None
            else e.Predecessor(self.last.term, self.last.offset),
        }
        before = self.last or e.Predecessor(-1, -1, b"")
        events = (e.OwnershipTaken(owner="o1", feature_level=1),)
        self.term = self.record(events, **(told | other))
        self.seq, self.before = 0, before
        self.last = e.Predecessor(self.term, self.term, self.last.hash if self.last else b"")
        return self.term

    def record(
        self,
        events: tuple[e.Event, ...],
        name: str = "",
        cause: tuple[str, int] = ("", 0),
        *,
        by_policy: bool = True,
        **o: Any,
    ) -> int:
        """Append one decision; its offset. The positions follow its cause. Behind a reception comes
        what policy decided, unless `by_policy` is false or that stands there already."""
        events = validated(events) if by_policy else events
        self.tick()
        topic, at = cause
        if topic == "intents":
            self.intents_next = at + 1
        elif topic == "steps":
            self.steps_next = at + 1
        self.seq += 1
        told: dict[str, Any] = {
            "term": self.term,
            "seq": self.seq,
            "at": self.now,
            "cause": e.Position(topic, P, at) if topic else None,
            "intents_next": self.intents_next,
            "steps_next": self.steps_next,
            "acted_to": self.acted_to,
            "prev_hash": self.last.hash if self.last else b"",
            "previous": self.before if self.seq == 1 else None,
            "tenant_id": TENANT if name else "",
            "session_id": SESSION if name else "",
            "execution_id": name,
            "events": events,
        }
        record = e.JournalRecord(**(told | o))
        value = encode(record)
        offset = self.write(self.journal, value, same_time=True)
        self.last = e.Predecessor(self.term, offset, sha256(value).digest())
        entry = Entry(Place("journal", P, offset), self.now, value, record)
        self.changed.update(fold(self.states, entry))
        return offset

    def admit(
        self, at: int, intent_id: str = "i1", policy: e.CapabilityResolved = POLICY, **o: Any
    ) -> Task:
        """Accept an intent, dispatch its step, send the task."""
        name = execution(intent_id)
        events = (self.received(intent_id), policy, e.ExecutionStarted(), self.delivery(1, 1))
        offset = self.record(events, name, ("intents", at), **o)
        return self.send(offset)

    def received(self, intent_id: str = "i1", payload: bytes = b"{}") -> e.IntentReceived:
        """The event of an intent."""
        return e.IntentReceived(
            intent_id=intent_id,
            intent_type="work.add",
            realm="work",
            principal="ann",
            causation_id="",
            payload=payload,
            payload_sha256=sha256(payload).digest(),
            metadata=b"{}",
            solution_context=b"",
            created_at=self.now,
        )

    def delivery(self, attempt: int, number: int, **other: Any) -> e.StepDispatched:
        """The event of a delivery."""
        told = e.StepDispatched(
            step="main",
            attempt=attempt,
            delivery=number,
            token=f"token-{attempt}{self.salt}",
            start_by=self.now + 5_000,
            timeout_ms=POLICY.timeout_ms,
        )
        return replace(told, **other)

    def answer(self, kind: ReportKind, task: Task, *events: e.Event, **reported: Any) -> int:
        """A worker reports, and the owner decides these events; their offset."""
        at = self.report(kind, task, **reported)
        return self.record(events, task.execution_id, ("steps", at))

    def succeed(self, task: Task) -> int:
        """A worker reports success; the execution ends."""
        return self.answer(
            ReportKind.SUCCEEDED, task, *succeeded(task), e.ExecutionSucceeded(), result=b"1"
        )

    def send(self, offset: int, **other: Any) -> Task:
        """Send the task of the dispatch in the record at `offset`."""
        record = self.records()[offset]
        dispatched = next(x for x in record.events if isinstance(x, e.StepDispatched))
        told = self._told(record.execution_id)
        received = next(x for x in told if isinstance(x, e.IntentReceived))
        policy = next(x for x in told if isinstance(x, e.CapabilityResolved))
        checkpoints = [x for x in told if isinstance(x, e.StepCheckpointed | e.StepResumed)]
        session = self.states.get(SESSION)
        task = replace(
            NOBODY,
            execution_id=record.execution_id,
            dispatched_at=offset,
            attempt=dispatched.attempt,
            delivery=dispatched.delivery,
            token=dispatched.token,
            start_by=dispatched.start_by - SKEW_MS,
            timeout_ms=dispatched.timeout_ms,
            handler=policy.handler,
            capability_version=policy.version,
            intent_id=received.intent_id,
            payload=received.payload,
            policy=next((x.decision for x in told if isinstance(x, e.PolicyValidated)), None),
            session=session.attributes if isinstance(session, SessionState) else b"",
            checkpoints=tuple(Checkpoint(x.name, x.result) for x in checkpoints),
        )
        task = replace(task, **other)
        self.write(self.tasks, encode(task))
        return task

    def publish(self, as_of: int | None = None, **other: Any) -> None:
        """Commit a batch of `state` with all that changed."""
        assert self.last is not None
        record = self.records()[self.last.offset]
        place: dict[str, Any] = {
            "as_of": self.last.offset if as_of is None else as_of,
            "term": self.term,
            "seq": record.seq,
            "evolve_version": 1,
        }
        for name in sorted(self.changed):
            row = State(**place, body=self.states[name])
            self.write(self.state, encode(row), key=name.encode())
        self.changed.clear()
        body = StateMarker(
            hash=self.last.hash or b"",
            intents_next=record.intents_next,
            steps_next=record.steps_next,
            acted_to=record.acted_to,
            at=record.at,
        )
        row = State(**(place | other), body=body)
        self.write(self.state, encode(row), key=b"marker")

    def photograph(self) -> None:
        """Keep the live state as of now."""
        assert self.last is not None
        self.live.append(Snapshot(self.last.offset, dict(self.states)))

    # --- the end --------------------------------------------------------------------------------

    def history(self, **other: Any) -> History:
        """All of it."""
        told: dict[str, Any] = {
            "partitions": 1,
            "intents": {P: self.intents},
            "steps": {P: self.steps},
            "journal": {P: self.journal},
            "state": {P: self.state},
            "tasks": {"tasks.work": self.tasks},
            "dead_letters": self.letters,
            "acknowledged": self.acknowledged,
            "starts": self.starts,
            "live": {P: self.live},
            "dedupe_window_ms": WINDOW_MS,
            "skew_ms": SKEW_MS,
        }
        return History(**(told | other))

    def records(self) -> dict[int, e.JournalRecord]:
        """The journal's records by offset."""
        return {w.offset: decode(w.value, e.JournalRecord) for w in self.journal}

    def _told(self, name: str) -> list[e.Event]:
        found = [r for r in self.records().values() if r.execution_id == name]
        return [event for record in found for event in record.events]


def validated(events: tuple[e.Event, ...]) -> tuple[e.Event, ...]:
    """With what policy decided of an intent that came so far."""
    received = next((n for n, x in enumerate(events) if isinstance(x, e.IntentReceived)), None)
    refused = any(isinstance(x, e.IntentRejected) and x.error.code in BEFORE_POLICY for x in events)
    told = any(isinstance(x, e.PolicyValidated) for x in events)
    if received is None or refused or told:
        return events
    return (*events[: received + 1], e.PolicyValidated(ALLOWED), *events[received + 1 :])


def succeeded(task: Task) -> tuple[e.Event, ...]:
    """The events of a result."""
    return (
        started(task),
        e.StepSucceeded(
            step=task.step,
            attempt=task.attempt,
            delivery=task.delivery,
            worker="w1",
            started_at=0,
            ended_at=0,
            result=b"1",
        ),
    )


def started(task: Task) -> e.StepStarted:
    """The event of a start."""
    return e.StepStarted(
        step=task.step, attempt=task.attempt, delivery=task.delivery, worker="w1", started_at=0
    )


def failed(task: Task, error: Error, worker: str = "w1") -> e.StepFailed:
    """The event of a failed attempt."""
    return e.StepFailed(
        step=task.step, attempt=task.attempt, delivery=task.delivery, worker=worker, error=error
    )


def checkpoint(task: Task, name: str, result: bytes = b"1") -> e.StepCheckpointed:
    """The event of a checkpoint."""
    return e.StepCheckpointed(
        step=task.step, attempt=task.attempt, delivery=task.delivery, name=name, result=result
    )


def handed_back(task: Task) -> e.StepHandedBack:
    """The event of a hand-back."""
    return e.StepHandedBack(
        step=task.step, attempt=task.attempt, delivery=task.delivery, worker="w1", reason="r"
    )


def told(violations: Sequence[Violation]) -> str:
    """All violations, for a failing test's message."""
    return "\n".join(map(str, violations))


def holds(story: Story, **other: Any) -> None:
    """Nothing is violated."""
    violations = check_all(story.history(**other))
    assert not violations, told(violations)


def breaks(story: Story, guarantee: str, *phrases: str, **other: Any) -> None:
    """Exactly this guarantee is violated, by sentences that hold one of the phrases each."""
    violations = check_all(story.history(**other))
    for phrase in phrases:
        assert any(phrase in v.sentence for v in violations), (
            f"no {phrase!r} in:\n{told(violations)}"
        )
    for one in violations:
        assert one.guarantee == guarantee, told(violations)
        assert any(phrase in one.sentence for phrase in phrases), told(violations)
