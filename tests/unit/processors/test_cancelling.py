"""Invariants of executions that are to end: somebody wants it, or their deadline has passed.

- What runs nowhere ends at once; what may run ends as it ends, and a success stands.
- Nothing begins any more: no dispatch, no further attempt, no wait.
- It ends as cancelled only when nothing of it can start or run any more.
- What had failed before is failed.
- A deadline counts from the acceptance, over all attempts and waits, and passes once.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.samples import JOURNAL, PLAIN, REPORT

from symphainy_processors.fold import layout
from symphainy_processors.fold.evolve import evolve_execution
from symphainy_processors.moment import Moment
from symphainy_processors.saga import cancelling
from symphainy_processors.saga import decide as saga
from symphainy_schemas import events as e
from symphainy_schemas.records import REDELIVERED, Error, ReportKind, StepReport, Wait
from symphainy_schemas.state import ExecutionState, ExecutionStatus, StepState, StepStatus

NOW = Moment(now=10_000, jitter=0.5)
ASKED = e.CancelRequested("no longer wanted", "ann")
ENDED = e.ExecutionCancelled(reason="no longer wanted")
STOPPED = e.StepCancelled(step="main")
STEP = StepState(
    step="main",
    status=StepStatus.STARTED,
    attempt=2,
    delivery=3,
    token="tok",
    start_by=8_000,
    due_at=9_000,
    dispatched_at=42,
    open=(3,),
)
LIMIT_MS = 500


def execution(step: StepState = STEP) -> ExecutionState:
    """An execution with one step, of three attempts."""
    return replace(
        PLAIN,
        steps=(step,),
        timeout_ms=LIMIT_MS,
        attempts=3,
        backoff_ms=100,
        backoff_max_ms=1_000,
    )


def after(state: ExecutionState, *events: e.Event) -> ExecutionState:
    """The execution after them."""
    for event in events:
        changed = evolve_execution(state, JOURNAL, 50, event)
        assert changed is not None
        state = changed
    return state


def cancelled(step: StepState = STEP) -> ExecutionState:
    """An execution with that step, which is to end."""
    state = execution(step)
    return after(state, *cancelling.requested(state, ASKED))


def report(kind: ReportKind, **changes: object) -> StepReport:
    """A report of the current delivery."""
    return replace(REPORT, kind=kind, error=None, **changes)


@pytest.mark.parametrize("status", [StepStatus.READY, StepStatus.BACKING_OFF, StepStatus.SUSPENDED])
def test_what_runs_nowhere_ends_at_once(status: StepStatus) -> None:
    state = execution(replace(STEP, status=status, open=()))
    events = cancelling.requested(state, ASKED)
    assert events == (ASKED, STOPPED, ENDED)
    ended = after(state, *events)
    assert (ended.status, ended.cancel_reason) == (ExecutionStatus.CANCELLED, ASKED.reason)


@pytest.mark.parametrize("status", [StepStatus.DISPATCHED, StepStatus.STARTED])
def test_what_may_run_is_left_to_end(status: StepStatus) -> None:
    state = execution(replace(STEP, status=status))
    assert cancelling.requested(state, ASKED) == (ASKED,)


def test_a_success_stands() -> None:
    events = saga.on_report(cancelled(), report(ReportKind.SUCCEEDED), NOW)
    assert isinstance(events[-1], e.ExecutionSucceeded)


def test_a_failure_is_not_tried_again() -> None:
    failure = replace(report(ReportKind.FAILED), error=Error(code="x", message="x", retryable=True))
    failed, ended = saga.on_report(cancelled(), failure, NOW)
    assert isinstance(failed, e.StepFailed)
    assert ended == ENDED


def test_a_failure_that_would_not_be_tried_again_stands() -> None:
    error = Error(code="x", message="x")
    terminal = replace(report(ReportKind.FAILED), error=error)
    assert saga.on_report(cancelled(), terminal, NOW)[-1] == e.ExecutionFailed(error=error)


def test_what_is_handed_back_is_not_delivered_again() -> None:
    back = report(ReportKind.HANDED_BACK, name="draining")
    handed_back, stopped, ended = saga.on_report(cancelled(), back, NOW)
    assert isinstance(handed_back, e.StepHandedBack)
    assert (stopped, ended) == (STOPPED, ENDED)


def test_a_handler_does_not_begin_to_wait() -> None:
    waits = report(ReportKind.SUSPENDED, waits=(Wait("sleep:1", 12_000),))
    suspended, *rest = saga.on_report(cancelled(), waits, NOW)
    assert isinstance(suspended, e.StepSuspended)
    assert rest == [STOPPED, ENDED]


def test_a_timeout_ends_it() -> None:
    state = cancelled()
    fired, failed, ended = saga.on_timeout(state, state.steps[0], NOW)
    assert isinstance(fired, e.TimerFired)
    assert isinstance(failed, e.StepFailed)
    assert ended == ENDED


def test_it_does_not_end_while_a_delivery_may_still_start_or_run() -> None:
    """A worker only found the task: whoever had it first may still run it."""
    found = report(ReportKind.HANDED_BACK, name=REDELIVERED)
    state = cancelled()
    events = saga.on_report(state, found, NOW)
    assert events[-1] == STOPPED
    state = after(state, *events)
    (step,) = state.steps
    assert (step.status, step.due_at) == (StepStatus.CANCELLED, step.start_by + LIMIT_MS)
    assert saga.on_report(state, report(ReportKind.STARTED), NOW) == ()
    done = saga.on_report(state, report(ReportKind.SUCCEEDED), NOW)
    assert isinstance(done[-1], e.ExecutionSucceeded)  # whoever had it first did the work
    fired, ended = saga.on_due(state, step, NOW.now)
    assert isinstance(fired, e.TimerFired)
    assert ended == ENDED


def test_it_ends_when_the_last_open_delivery_does() -> None:
    state = cancelled(replace(STEP, status=StepStatus.BACKING_OFF, token="", open=(1, 2)))
    assert state.status is ExecutionStatus.RUNNING
    for number, last in ((1, ()), (2, (ENDED,))):
        late = report(ReportKind.FAILED, delivery=number, attempt=1)
        closed, *ended = saga.on_report(state, late, NOW)
        assert closed == e.DeliveryClosed(step="main", delivery=number)
        assert tuple(ended) == last
        state = after(state, closed)


def test_a_failure_while_another_delivery_is_open_ends_when_that_does() -> None:
    state = cancelled(replace(STEP, open=(2, 3)))
    error = Error(code="x", message="x", retryable=True)
    events = saga.on_report(state, replace(report(ReportKind.FAILED), error=error), NOW)
    assert isinstance(events[-1], e.StepFailed)
    state = after(state, *events)
    (step,) = state.steps
    assert (step.status, step.open) == (StepStatus.FAILED, (2,))
    assert saga.on_report(state, report(ReportKind.SUCCEEDED, delivery=2), NOW) == (
        e.DeliveryClosed(step="main", delivery=2),
        ENDED,
    )
    assert saga.on_due(state, step, NOW.now)[-1] == ENDED


def test_what_had_failed_before_is_failed() -> None:
    error = Error(code="x", message="x")
    state = cancelled(replace(STEP, status=StepStatus.FAILED, error=error, open=(2,)))
    (step,) = state.steps
    assert step.status is StepStatus.FAILED
    assert saga.on_due(state, step, NOW.now)[-1] == e.ExecutionFailed(error=error)


DUE = 9_500


def dated(step: StepState = STEP) -> ExecutionState:
    """An execution with that step, whose deadline is due by now."""
    return replace(execution(step), deadline_at=DUE)


@pytest.mark.parametrize("status", [StepStatus.READY, StepStatus.BACKING_OFF, StepStatus.SUSPENDED])
def test_what_runs_nowhere_fails_at_its_deadline(status: StepStatus) -> None:
    state = dated(replace(STEP, status=status, open=()))
    assert cancelling.overdue(state, DUE - 1) == ()
    passed, stopped, failed = cancelling.overdue(state, DUE)
    assert (passed, stopped) == (e.DeadlinePassed(due_at=DUE), STOPPED)
    assert isinstance(failed, e.ExecutionFailed)
    assert failed.error.code == "deadline_exceeded"
    assert after(state, passed, stopped, failed).status is ExecutionStatus.FAILED


def test_what_runs_at_its_deadline_may_succeed_but_is_not_tried_again() -> None:
    state = dated()
    events = cancelling.overdue(state, NOW.now)
    assert events == (e.DeadlinePassed(due_at=DUE),)
    state = after(state, *events)
    assert cancelling.overdue(state, NOW.now) == ()
    events = saga.on_report(state, report(ReportKind.SUCCEEDED), NOW)
    assert isinstance(events[-1], e.ExecutionSucceeded)
    failure = replace(report(ReportKind.FAILED), error=Error(code="x", message="x", retryable=True))
    _, failed = saga.on_report(state, failure, NOW)
    assert isinstance(failed, e.ExecutionFailed)
    assert failed.error.code == "deadline_exceeded"


def test_what_was_cancelled_has_no_deadline_any_more() -> None:
    state = after(dated(), ASKED)
    assert cancelling.overdue(state, NOW.now) == ()
    assert (layout.deadline_of(dated()), layout.deadline_of(state)) == (DUE, 0)
    assert len(layout.timer_keys(dated())) == len(layout.timer_keys(state)) + 1


def test_what_is_overdue_may_be_cancelled_and_fails_all_the_same() -> None:
    state = after(dated(), *cancelling.overdue(dated(), NOW.now))
    assert cancelling.requested(state, ASKED) == (ASKED,)
    failure = replace(report(ReportKind.FAILED), error=Error(code="x", message="x", retryable=True))
    _, failed = saga.on_report(after(state, ASKED), failure, NOW)
    assert isinstance(failed, e.ExecutionFailed)


def test_a_deadline_counts_from_the_acceptance() -> None:
    resolved = next(x for x in JOURNAL.events if isinstance(x, e.CapabilityResolved))
    state = after(execution(), resolved)
    assert state.deadline_at == state.started_at + resolved.deadline_ms
    assert after(execution(), replace(resolved, deadline_ms=0)).deadline_at == 0
