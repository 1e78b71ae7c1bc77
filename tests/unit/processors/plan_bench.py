"""A plan under the deciders, without an owner: what is decided is folded at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace
from tests.samples import JOURNAL, PLAIN, POLICY, REPORT

from symphainy_processors.fold.evolve import evolve_execution
from symphainy_processors.fold.plans import find_step
from symphainy_processors.moment import Moment
from symphainy_processors.saga import cancelling, retrying
from symphainy_processors.saga import decide as saga
from symphainy_schemas import events as e
from symphainy_schemas.records import Error, PlanStep, Recovery, ReportKind, StepReport
from symphainy_schemas.state import ExecutionState, ExecutionStatus, StepState

START_BY_MS = 60_000
LIMIT_MS = 1_000
FATAL = Error(code="no", message="It cannot be done.")
PASSING = Error(code="busy", message="Not now.", retryable=True)


def step(name: str, *needs: str, undo: bool = True, **more: object) -> PlanStep:
    """A step that is tried twice, and may take a second."""
    policy = replace(POLICY, attempts=2, timeout_ms=LIMIT_MS, heartbeat_ms=0, backoff_ms=100)
    planned = PlanStep(
        step=name,
        intent_type=f"work.{name}",
        needs=needs,
        input=b"",
        condition=b"",
        version=1,
        realm="work",
        handler=name,
        policy=policy,
        compensation="undo" if undo else "",
        compensation_policy=replace(policy, attempts=3) if undo else None,
    )
    return replace(planned, **more)


@dataclass
class Bench:
    """One execution; every step that is ready is dispatched at once."""

    plan: tuple[PlanStep, ...]
    recovery: Recovery = Recovery.COMPENSATE
    output: bytes = b""
    payload: bytes = b"{}"
    now: int = 1_000_000
    offset: int = 100
    told: list[e.Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state: ExecutionState = replace(
            PLAIN,
            status=ExecutionStatus.RUNNING,
            plan=self.plan,
            recovery=self.recovery,
            output=self.output,
            payload=self.payload,
            payload_ref=None,
            steps=(),
        )
        self.take(saga.on_planned(self.state, self.now))

    def take(self, events: tuple[e.Event, ...]) -> tuple[e.Event, ...]:
        """Fold a decision, as the owner does."""
        self.offset += 1
        sent = []
        for event in events:
            if isinstance(event, e.StepReady):
                known = find_step(self.state, event.step)
                start_by = self.now + START_BY_MS
                event = saga.delivery(known, event, LIMIT_MS, f"t{self.offset}", start_by)
            sent.append(event)
            record = replace(JOURNAL, at=self.now)
            folded = evolve_execution(self.state, record, self.offset, event)
            assert folded is not None
            self.state = folded
        self.told += sent
        return tuple(sent)

    def step(self, name: str) -> StepState:
        """A step as it is now."""
        found = find_step(self.state, name)
        assert found is not None, name
        return found

    def report(self, name: str, kind: ReportKind, /, **more: object) -> tuple[e.Event, ...]:
        """What the worker that has the step's delivery tells."""
        at = self.step(name)
        told: StepReport = replace(
            REPORT,
            kind=kind,
            step=name,
            attempt=at.attempt,
            delivery=at.delivery,
            token=at.token,
            error=None,
            result=b"",
            artifacts=(),
            events=(),
            state_changes=(),
            retry_after_ms=-1,
            waits=(),
        )
        moment = Moment(self.now, 0.0)
        return self.take(saga.on_report(self.state, replace(told, **more), moment))

    def starts(self, *names: str) -> None:
        """They run."""
        for name in names:
            self.report(name, ReportKind.STARTED)

    def succeeds(self, name: str, result: bytes = b"{}") -> tuple[e.Event, ...]:
        """It has ended well."""
        return self.report(name, ReportKind.SUCCEEDED, result=result)

    def fails(self, name: str, error: Error = FATAL) -> tuple[e.Event, ...]:
        """An attempt has failed."""
        return self.report(name, ReportKind.FAILED, error=error)

    def passes(self, ms: int) -> None:
        """Time, and whatever comes due in it, in order; markers are read at once."""
        end = self.now + ms
        while due := [s for s in self.state.steps if 0 < s.due_at <= end]:
            first = min(due, key=lambda one: one.due_at)
            self.now = max(self.now, first.due_at)
            if saga.needs_marker(self.state, first):
                events = saga.on_timeout(self.state, first, Moment(self.now, 0.0))
            else:
                events = saga.on_due(self.state, first, self.now)
            assert events, first
            self.take(events)
        self.now = end

    def cancel(self) -> tuple[e.Event, ...]:
        """Somebody cancels it."""
        events = cancelling.requested(self.state, e.CancelRequested(reason="no more"))
        return self.take(saga.onwards(self.state, events, self.now))

    def compensate(self) -> tuple[e.Event, ...]:
        """Somebody wants it undone."""
        assert retrying.undo_problem(self.state) is None
        undo = e.CompensationRequested(reason="wrong")
        return self.take(saga.onwards(self.state, (undo,), self.now))

    def retry(self, name: str, given: bytes | None = None) -> tuple[e.Event, ...]:
        """Somebody has a step tried again."""
        event = e.StepRetryRequested(step=name, input=given, reason="mended")
        assert retrying.problem(self.state, event) is None
        events = retrying.requested(self.state, event)
        return self.take(saga.onwards(self.state, events, self.now))

    def status(self) -> ExecutionStatus:
        """Where the execution is."""
        return self.state.status

    @property
    def running(self) -> set[str]:
        """Steps that have been dispatched, and have not ended."""
        return {s.step for s in self.state.steps if s.status in ("dispatched", "started")}
