"""Invariants of executions that rest.

- What could be dispatched is held, and goes on in the same attempt when it is resumed.
- What runs goes on; what it leaves to be begun is held.
- What is to end does not rest.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.processors.test_cancelling import (
    ASKED,
    NOW,
    STEP,
    STOPPED,
    after,
    execution,
    report,
)

from symphainy_processors.saga import cancelling, pausing, waiting
from symphainy_processors.saga import decide as saga
from symphainy_schemas import events as e
from symphainy_schemas.records import Error, ReportKind, Wait
from symphainy_schemas.state import ExecutionState, StepState, StepStatus

PAUSE = e.ExecutionPaused(reason="closed", principal="ann")
RESUME = e.ExecutionResumed(reason="open", principal="ann")
HELD = e.StepHeld(step="main", attempt=2)
READY = e.StepReady(step="main", attempt=2)


def resting(step: StepState = STEP) -> ExecutionState:
    """An execution with that step, which rests."""
    state = execution(step)
    return after(state, *pausing.paused(state, PAUSE))


def test_what_waits_for_its_turn_is_held_and_goes_on() -> None:
    state = execution(replace(STEP, status=StepStatus.READY, ready_at=40, open=()))
    assert pausing.paused(state, PAUSE) == (PAUSE, HELD)
    state = after(state, PAUSE, HELD)
    assert (state.paused, state.steps[0].status) == (True, StepStatus.HELD)
    assert state.steps[0].ready_at == -1
    assert pausing.resumed(state, RESUME) == (RESUME, READY)
    state = after(state, RESUME, READY)
    assert (state.paused, state.steps[0].status) == (False, StepStatus.READY)


@pytest.mark.parametrize("status", [StepStatus.STARTED, StepStatus.SUSPENDED])
def test_what_is_not_ready_is_left_as_it_is(status: StepStatus) -> None:
    state = execution(replace(STEP, status=status))
    assert pausing.paused(state, PAUSE) == (PAUSE,)
    assert pausing.resumed(after(state, PAUSE), RESUME) == (RESUME,)


def test_what_runs_may_succeed() -> None:
    events = saga.on_report(resting(), report(ReportKind.SUCCEEDED), NOW)
    assert isinstance(events[-1], e.ExecutionSucceeded)


def test_a_retry_is_held_when_its_time_has_come() -> None:
    error = Error(code="x", message="x", retryable=True)
    state = resting()
    failed, retry = saga.on_report(state, replace(report(ReportKind.FAILED), error=error), NOW)
    assert isinstance(retry, e.StepRetryScheduled)
    state = after(state, failed, retry)
    fired, held = saga.on_due(state, state.steps[0], retry.due_at)
    assert isinstance(fired, e.TimerFired)
    assert held == e.StepHeld(step="main", attempt=3)


def test_what_is_handed_back_is_held() -> None:
    events = saga.on_report(resting(), report(ReportKind.HANDED_BACK, name="draining"), NOW)
    assert events[-1] == HELD


def test_what_a_handler_waited_for_comes_and_it_is_held() -> None:
    state = resting()
    waits = (Wait("sleep:1", 12_000), Wait("signal:go:1", 0, "go"))
    state = after(state, *saga.on_report(state, report(ReportKind.SUSPENDED, waits=waits), NOW))
    *_, resumed, held = saga.on_due(state, state.steps[0], 12_000)
    assert (type(resumed), held) == (e.StepResumed, HELD)
    signal = e.SignalReceived("go", b"1", "ann")
    *_, resumed, held = pausing.instead(state, waiting.signalled(state, signal, NOW.now))
    assert (type(resumed), held) == (e.StepResumed, HELD)


def test_who_had_it_may_still_run_it() -> None:
    """As where it waits for its turn: a sign of life takes it out of the hold."""
    state = after(resting(), HELD)
    (started,) = saga.on_report(state, report(ReportKind.STARTED), NOW)
    assert isinstance(started, e.StepStarted)
    assert after(state, started).steps[0].status is StepStatus.STARTED


def test_what_is_held_can_be_cancelled_and_then_rests_no_more() -> None:
    state = resting(replace(STEP, status=StepStatus.READY, open=()))
    _, stopped, ended = cancelling.requested(state, ASKED)
    assert (stopped, type(ended)) == (STOPPED, e.ExecutionCancelled)
    state = after(resting(), *cancelling.requested(resting(), ASKED))
    back = report(ReportKind.HANDED_BACK, name="draining")
    assert isinstance(saga.on_report(state, back, NOW)[-1], e.ExecutionCancelled)
