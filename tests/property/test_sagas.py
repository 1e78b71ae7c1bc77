"""The deciders of plans, alone, under anything that workers, time and operators may do.

Random plans of up to six steps meet reports (late, repeated, under wrong tokens), due times,
takeovers, cancellations, pauses, retries and requests to undo, in any order. A small model follows
the events and holds:

- A step begins once all that it needs has ended, and never when the plan is stopping. One that is
  run for each element of a list begins for all of them in one decision; who needs it is given their
  results in the order of the list.
- What is undone is exactly what was done or may have been, each once, in reverse.
- Nothing is undone while a delivery of the plan may start or run.
- It succeeds only whole, is compensated only undone, and is stuck only if something failed and
  nothing moves; it is never left with nothing moving.
- Attempts follow the policy; an operator's retry adds one.
- However it stands, it ends when workers do their work and operators retry what failed.

Mutations of the deciders that were tried, and caught, are listed at the end.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec.structs import replace
from tests.samples import JOURNAL, REPORT

from symphainy_processors.fold.evolve import evolve_execution
from symphainy_processors.fold.plans import find_step, input_of
from symphainy_processors.moment import Moment
from symphainy_processors.saga import cancelling, pausing, retrying
from symphainy_processors.saga import decide as saga
from symphainy_schemas import events as e
from symphainy_schemas.ids import compensation_of, element_of, undone_by, whole_of
from symphainy_schemas.records import (
    REDELIVERED,
    Error,
    PlanStep,
    Policy,
    Recovery,
    ReportKind,
    StepReport,
    Wait,
)
from symphainy_schemas.state import ExecutionState, ExecutionStatus, StepStatus

NAMES = "abcdef"
ELEMENTS = tuple(element_of(name, number) for name in NAMES for number in (0, 1))
LISTS: tuple[Any, ...] = ([], [7], [7, 8], [7, 8, 9], "none")
BEGINS = (e.StepReady, e.StepHeld, e.StepDispatched)
OUTSTANDING = (StepStatus.DISPATCHED, StepStatus.STARTED)
MOVING = (
    *OUTSTANDING,
    StepStatus.READY,
    StepStatus.BACKING_OFF,
    StepStatus.SUSPENDED,
    StepStatus.HELD,
)
KINDS = (
    ReportKind.STARTED,
    *(ReportKind.SUCCEEDED,) * 6,
    ReportKind.FAILED,
    ReportKind.FAILED,
    ReportKind.HANDED_BACK,
    ReportKind.SUSPENDED,
)


@st.composite
def plans(draw: st.DrawFn) -> tuple[PlanStep, ...]:
    """A plan: each step needs some of those before it."""
    found: list[PlanStep] = []
    for name in NAMES[: draw(st.integers(1, 6))]:
        before = [one.step for one in found]
        needs = tuple(draw(st.lists(st.sampled_from(before), unique=True))) if before else ()
        source = draw(st.sampled_from(("payload", *needs)))
        condition = b'{"$from":"%s","at":"/x","in":[%d]}' % (
            source.encode(),
            draw(st.integers(1, 2)),
        )
        attempts = draw(st.integers(1, 2))
        policy = Policy(
            timeout_ms=100,
            heartbeat_ms=0,
            attempts=attempts,
            backoff_ms=10,
            backoff_factor=2.0,
            backoff_max_ms=20,
        )
        listed = [one.step for one in found if one.for_each and one.step in needs]
        each = b'{"$from":"%s","at":"%s"}' % draw(
            st.sampled_from(((b"payload", b"/list"), *((x.encode(), b"") for x in listed)))
        )
        given = {need: {"$from": need, "at": ""} for need in listed}
        found.append(
            PlanStep(
                step=name,
                intent_type="work.act",
                needs=tuple(sorted(needs)),
                input=msgspec.json.encode(given) if given else b"",
                for_each=each if draw(st.integers(0, 2)) == 0 else b"",
                condition=condition if draw(st.integers(0, 3)) == 0 else b"",
                version=1,
                realm="work",
                handler="act",
                policy=policy,
                compensation="undo" if draw(st.integers(0, 3)) else "",
                compensation_policy=replace(policy, attempts=3 - attempts),
            )
        )
    return tuple(found)


class Model:
    """What has to be true of the events so far."""

    def __init__(self, plan: tuple[PlanStep, ...], recovery: Recovery, listed: Any) -> None:
        self.plan = {one.step: one for one in plan}
        self.listed = listed
        self.results: dict[str, Any] = {}
        self.recovery = recovery
        self.open: dict[tuple[str, int], bool] = {}  # deliveries; whether they were started
        self.succeeded: set[str] = set()
        self.skipped: set[str] = set()
        self.failed: set[str] = set()
        self.unknown: set[str] = set()
        self.runs: set[str] = set()
        self.begun: set[str] = set()
        self.attempts: dict[str, int] = {}
        self.asked: dict[str, int] = {}
        self.stopping = self.undoing = self.stuck = False
        self.end: e.Event | None = None

    def covered(self) -> set[str]:
        """What is to be undone."""
        done = self.succeeded | self.unknown | self.runs
        forward = {name for name in done if not undone_by(name) and not self.is_whole(name)}
        return {name for name in forward if self.plan[whole_of(name)].compensation}

    def needing(self, step: str) -> set[str]:
        """What needs a step of the plan, directly or not."""
        direct = {one.step for one in self.plan.values() if step in one.needs}
        return direct.union(*(self.needing(one) for one in direct))

    def is_whole(self, step: str) -> bool:
        """Whether it stands for all elements."""
        return step in self.plan and bool(self.plan[step].for_each)

    def elements(self, step: str) -> list[str] | None:
        """The steps that a step of the plan is run as; None where it has no list."""
        each = self.plan[step].for_each
        if not each:
            return [step]
        source = msgspec.json.decode(each)["$from"]
        if source == "payload":
            several = None if isinstance(self.listed, str) else self.listed
        else:
            several = None if source in self.skipped else self.elements(source)
        return None if several is None else [element_of(step, n) for n in range(len(several))]

    def over(self, step: str) -> bool:
        """Whether a step of the plan has ended, with all its elements."""
        if step in self.succeeded | self.skipped:
            return True
        names = self.elements(step)
        return bool(names) and set(names or ()) <= self.succeeded

    def gets(self, step: str) -> Any:
        """What a step is given of those that are run for each element of a list."""
        given = msgspec.json.decode(self.plan[whole_of(step)].input)
        return {
            need: None
            if need in self.skipped
            else [self.results[name] for name in self.elements(need) or ()]
            for need in given
        }

    def take(self, events: tuple[e.Event, ...], ran: bool) -> None:
        """Follow one decision. `ran`: the report told of one that began, and not that it failed."""
        assert self.end is None or not events, f"{events} after the end"
        stops = self.stopping
        retried = {x.step for x in events if isinstance(x, e.StepRetryScheduled)}
        begins = {x.step for x in events if isinstance(x, BEGINS) and not undone_by(x.step)}
        for name in begins - self.begun:
            assert begins.issuperset(self.elements(whole_of(name)) or ()), f"{name} alone"
        for event in events:
            self._take(event, stops, retried, ran)

    def _take(self, event: Any, stops: bool, retried: set[str], ran: bool) -> None:
        match event:
            case e.StepReady() | e.StepHeld() | e.StepDispatched():
                self._begins(event.step, event.attempt, stops)
                if isinstance(event, e.StepDispatched):
                    assert (event.step, event.delivery) not in self.open
                    self.open[event.step, event.delivery] = False
            case e.StepSkipped():
                assert all(map(self.over, self.plan[event.step].needs))
                assert event.step not in self.begun
                self.skipped.add(event.step)
            case e.StepStarted():
                self.runs.add(event.step)
            case e.StepSucceeded():
                assert not (self.undoing and not undone_by(event.step))
                assert event.step not in self.succeeded
                assert not self.is_whole(event.step) or self.elements(event.step) == []
                self.results[event.step] = msgspec.json.decode(event.result)
                self._closes(event.step, event.delivery)
                if undone_by(event.step):
                    self.open = {k: v for k, v in self.open.items() if k[0] != event.step}
                self.succeeded.add(event.step)
            case e.StepFailed():
                assert not self.is_whole(event.step) or self.elements(event.step) is None
                self._closes(event.step, event.delivery)
                self.runs.discard(event.step)
                if not event.worker:
                    self.unknown.add(event.step)
                if event.step not in retried:
                    self.failed.add(event.step)
                    assert not event.error.retryable or self._is_used_up(event)
                    forward = not undone_by(event.step)
                    self.stopping |= forward and self.recovery is Recovery.COMPENSATE
            case e.StepRetryRequested():
                assert event.step in self.failed
                self.failed.discard(event.step)
                self.asked[event.step] = self.asked.get(event.step, 0) + 1
                self.stuck = False
            case e.CancelRequested() | e.DeadlinePassed() | e.CompensationRequested():
                self.stopping = True
            case _:
                self._closed(event, ran)
                self._ends(event)

    def _closed(self, event: Any, ran: bool) -> None:
        match event:
            case e.StepHandedBack() if event.reason != REDELIVERED:
                self._closes(event.step, event.delivery)
            case e.StepSuspended():
                self._closes(event.step, event.delivery)
            case e.DeliveryClosed():
                self._closes(event.step, event.delivery)
                assert event.begun is ran
                if ran:
                    self.unknown.add(event.step)
            case e.StepClosed():
                for key in [key for key in self.open if key[0] == event.step]:
                    del self.open[key]
                    self.unknown.add(event.step)
            case _:
                pass

    def _is_used_up(self, event: e.StepFailed) -> bool:
        """Whether no attempt is left, or none is wanted."""
        undone = undone_by(event.step)
        one = self.plan[whole_of(undone or event.step)]
        policy = one.compensation_policy if undone else one.policy
        assert policy is not None
        return event.attempt >= policy.attempts or (self.stopping and not undone)

    def _begins(self, step: str, attempt: int, stops: bool) -> None:
        self.stuck = False
        undone = undone_by(step)
        one = self.plan[whole_of(undone or step)]
        policy = one.compensation_policy if undone else one.policy
        assert policy is not None
        forever = self.recovery is Recovery.RETRY_FORWARD and not undone
        limit = policy.attempts + self.asked.get(step, 0)
        assert forever or attempt <= limit, f"attempt {attempt} of {step}"
        assert attempt >= self.attempts.get(step, 1)
        self.attempts[step] = attempt
        if undone:
            assert self.undoing
            assert undone in self.covered()
            needing = self.needing(one.step)
            left = {x for x in self.covered() if whole_of(x) in needing}
            assert {compensation_of(x) for x in left} <= self.succeeded, f"{step} too early"
        else:
            assert not self.undoing
            assert not stops, f"{step} although it is stopping"
            assert not self.stopping, f"{step} although it is stopping"
            assert step in (self.elements(one.step) or ())
            assert all(map(self.over, one.needs))
            assert not one.needs or not set(one.needs) <= self.skipped
        self.begun.add(step)

    def _closes(self, step: str, delivery: int) -> None:
        self.open.pop((step, delivery), None)

    def _ends(self, event: e.Event) -> None:
        undone = {compensation_of(x) for x in self.covered()} <= self.succeeded
        match event:
            case e.CompensationStarted():
                assert not self.open, f"undone while {self.open} may run"
                assert not self.undoing
                self.undoing = self.stopping = True
                self.stuck = False
            case e.ExecutionSucceeded():
                assert all(map(self.over, self.plan))
                self.end = event
            case e.ExecutionCompensated() | e.ExecutionCancelled():
                assert undone
                assert not self.open
                self.end = event
            case e.ExecutionFailed():
                assert not self.open
                assert undone or any(undone_by(step) for step in self.failed)
                self.end = event
            case e.ExecutionStuck():
                assert self.failed
                assert not self.open
                self.stuck = True
            case _:
                pass


class Sagas(RuleBasedStateMachine):
    """One execution."""

    @initialize(
        plan=plans(),
        recovery=st.sampled_from(list(Recovery)[:3]),
        dated=st.booleans(),
        listed=st.sampled_from(LISTS),
    )
    def admitted(
        self, plan: tuple[PlanStep, ...], recovery: Recovery, dated: bool, listed: Any
    ) -> None:
        self.now, self.offset = 1_000, 0
        self.model = Model(plan, recovery, listed)
        self.state: ExecutionState | None = None
        self.sent: list[e.StepDispatched] = []
        received = next(x for x in JOURNAL.events if isinstance(x, e.IntentReceived))
        resolved = e.CapabilityResolved(
            name="work.plan",
            version=1,
            realm="work",
            handler="",
            timeout_ms=0,
            attempts=1,
            backoff_ms=0,
            backoff_factor=1.0,
            backoff_max_ms=0,
            deadline_ms=400 if dated else 0,
            plan=plan,
            recovery=recovery,
        )
        payload = msgspec.json.encode({"x": 1, "list": listed})
        received = replace(received, payload=payload, payload_ref=None)
        admitted = received, resolved, e.ExecutionStarted()
        state: ExecutionState | None = None
        for event in admitted:
            state = evolve_execution(state, replace(JOURNAL, at=self.now), 0, event)
        assert state is not None
        self._record((*admitted, *saga.on_planned(state, self.now)))

    def _record(self, events: tuple[e.Event, ...], ran: bool = False) -> None:
        """Every second thing that is ready goes at once; the others wait for their turn."""
        going: list[e.Event] = []
        for event in events:
            if isinstance(event, e.StepReady) and (self.offset + len(going)) % 2:
                event = self._delivery(event)
            going.append(event)
        self.offset += 1
        record = replace(JOURNAL, at=self.now, events=(), cause=None)
        for event in going:
            self.state = evolve_execution(self.state, record, self.offset, event)
        self.model.take(tuple(going), ran)
        assert self.state is not None
        for event in going:
            if isinstance(event, e.StepDispatched) and not undone_by(event.step):
                given = input_of(self.state, event.step)
                joined = bool(self.model.plan[whole_of(event.step)].input)
                assert not joined or msgspec.json.decode(given) == self.model.gets(event.step)
        if not self.state.status.ended and not self.model.stuck and self.state.plan:
            moves = any(x.status in MOVING or x.open for x in self.state.steps)
            assert moves, f"nothing moves after {going}"

    def _delivery(self, ready: e.StepReady) -> e.StepDispatched:
        known = None if self.state is None else find_step(self.state, ready.step)
        sent = saga.delivery(known, ready, 100, f"token{len(self.sent)}", self.now + 200)
        self.sent.append(sent)
        return sent

    @property
    def alive(self) -> ExecutionState:
        assert self.state is not None
        return self.state

    def _live(self) -> bool:
        return self.state is not None and not self.state.status.ended

    @rule()
    def nothing(self) -> None:
        """What has ended stays so."""
        assert self._live() is (self.model.end is None)

    @precondition(_live)
    @rule()
    def dispatch(self) -> None:
        for step in self.alive.steps:
            if step.status is StepStatus.READY:
                self._record((self._delivery(e.StepReady(step=step.step, attempt=step.attempt)),))
                return

    @precondition(lambda self: self._live() and self.sent)
    @rule(data=st.data(), kind=st.sampled_from(KINDS), retryable=st.booleans())
    def report(self, data: st.DataObject, kind: ReportKind, retryable: bool) -> None:
        out = {step.step: step.delivery for step in self.alive.steps if step.status in OUTSTANDING}
        current = [x for x in self.sent if out.get(x.step) == x.delivery]
        late = not current or data.draw(st.integers(0, 4)) == 0
        sent = data.draw(st.sampled_from(self.sent if late else current))
        self._report(sent, kind, retryable, wrong=data.draw(st.integers(0, 19)) == 0)

    def _report(
        self, sent: e.StepDispatched, kind: ReportKind, retryable: bool, *, wrong: bool = False
    ) -> None:
        found = kind is ReportKind.HANDED_BACK and retryable and sent.delivery > 1
        told: StepReport = replace(
            REPORT,
            kind=kind,
            execution_id=self.alive.execution_id,
            step=sent.step,
            attempt=sent.attempt,
            delivery=sent.delivery,
            token="wrong" if wrong else sent.token,
            worker="w",
            at=self.now,
            started_at=0 if kind is ReportKind.HANDED_BACK else self.now,
            name=REDELIVERED if found else "stopping",
            result=msgspec.json.encode({"x": 1 if retryable else 2, "of": sent.step}),
            waits=(Wait("w", self.now + 50),) if kind is ReportKind.SUSPENDED else (),
            error=Error(code="no", message="no", retryable=retryable),
        )
        events = saga.on_report(self.alive, told, Moment(self.now, 0.5))
        self._record(events, ran=kind in (ReportKind.SUCCEEDED, ReportKind.SUSPENDED))

    @precondition(_live)
    @rule()
    def time_passes(self) -> None:
        due = [step for step in self.alive.steps if step.due_at]
        deadline = self.alive.deadline_at
        dated = deadline and not self.alive.to_end and not self.model.undoing
        if dated and all(deadline <= step.due_at for step in due):
            self.now = max(self.now, deadline)
            self._record(saga.on_deadline(self.alive, self.now))
            return
        if not due:
            return
        step = min(due, key=lambda x: x.due_at)
        self.now = max(self.now, step.due_at)
        if saga.needs_marker(self.alive, step):
            self._record(saga.on_timeout(self.alive, step, Moment(self.now, 0.5)))
        else:
            self._record(saga.on_due(self.alive, step, self.now))

    @precondition(_live)
    @rule()
    def taken_over(self) -> None:
        for name in [x.step for x in self.alive.steps if x.status is StepStatus.DISPATCHED]:
            step = find_step(self.alive, name)
            if step is None or step.status is not StepStatus.DISPATCHED:
                continue
            ready = e.StepReady(step=name, attempt=step.attempt)
            events = saga.instead(self.alive, step, (ready,), self.now)
            self._record((self._delivery(ready),) if events == (ready,) else events)

    @precondition(_live)
    @rule(what=st.sampled_from(("cancel", "pause", "resume", "resume", "undo", "undo")))
    def asked(self, what: str) -> None:
        state = self.alive
        if what == "pause" and not state.paused:
            self._record(pausing.paused(state, e.ExecutionPaused(reason="")))
        elif what == "resume" and state.paused:
            self._record(pausing.resumed(state, e.ExecutionResumed(reason="")))
        elif what == "undo" and not state.undo and retrying.undo_problem(state) is None:
            undo = (e.CompensationRequested(reason=""),)
            self._record(saga.onwards(state, undo, self.now))
        elif what == "cancel":
            stuck = state.status is ExecutionStatus.STUCK
            if state.cancel_reason is None or stuck:
                ends = cancelling.requested(state, e.CancelRequested(reason=""))
                self._record(saga.onwards(state, ends, self.now))

    @precondition(_live)
    @rule(step=st.sampled_from((*NAMES, *ELEMENTS, *map(compensation_of, (*NAMES, *ELEMENTS)))))
    def retried(self, step: str) -> None:
        self._retry(step)

    def _retry(self, step: str) -> None:
        retry = e.StepRetryRequested(step=step, reason="")
        if retrying.problem(self.alive, retry) is None:
            events = retrying.requested(self.alive, retry)
            self._record(saga.onwards(self.alive, events, self.now))

    def teardown(self) -> None:
        """Everybody does their work; operators retry, and then give up."""
        for _ in range(200):
            if not self._live():
                return
            if self.alive.paused:
                self.asked("resume")
            elif any(x.status is StepStatus.READY for x in self.alive.steps):
                self.dispatch()
            elif out := [x for x in self.alive.steps if x.status in OUTSTANDING]:
                current = (s for s in self.sent if s.step == out[0].step)
                self._report(list(current)[-1], ReportKind.SUCCEEDED, retryable=True)
            elif self.alive.status is ExecutionStatus.STUCK:
                for name in [x.step for x in self.alive.steps if x.status is StepStatus.FAILED]:
                    self._retry(name)
                if self._live() and self.alive.status is ExecutionStatus.STUCK:
                    self.asked("cancel")
            else:
                self.time_passes()
        assert not self._live(), f"still {self.alive.status}"


Sagas.TestCase.settings = settings(
    max_examples=300,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
test_plans_keep_their_invariants = Sagas.TestCase

# Caught, each by itself (they are planted in symphainy_simulation.plants.sagas): undoing while a
# branch may run, undoing forwards, undoing only what is certain, forgetting what was given up,
# never taking a skipped step for over, going on after a failure that is to be undone, trying a
# compensation by its step's policy, joining results as they come or before all are there, and not
# undoing the last of several elements.
