"""Invariants of heartbeats.

- A started attempt is due at its end or, before that, when its next sign of life is.
- Every sign of life (start, checkpoint, progress) puts that off, and never past the attempt's end.
- What is given up says by which limit it was.
- Without a heartbeat nothing but the end counts.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.samples import JOURNAL, PLAIN, REPORT

from symphainy_processors.fold.evolve import evolve_execution
from symphainy_processors.moment import Moment
from symphainy_processors.saga import decide as saga
from symphainy_schemas import events as e
from symphainy_schemas.records import ReportKind
from symphainy_schemas.state import ExecutionState, StepState, StepStatus

BEGAN = JOURNAL.at
DISPATCHED = StepState(
    step="main",
    status=StepStatus.DISPATCHED,
    attempt=1,
    delivery=1,
    token="tok",
    start_by=BEGAN + 60_000,
    due_at=BEGAN + 60_000,
    dispatched_at=42,
    open=(1,),
)
STARTED = e.StepStarted(step="main", attempt=1, delivery=1, worker="w1", started_at=BEGAN)
PROGRESS = e.StepProgressed(step="main", attempt=1, delivery=1, message="half")
CHECKPOINT = e.StepCheckpointed(step="main", attempt=1, delivery=1, name="new", result=b"1")


def execution(timeout_ms: int, heartbeat_ms: int) -> ExecutionState:
    """An execution whose step was dispatched."""
    body = replace(
        PLAIN,
        attempts=3,
        steps=(DISPATCHED,),
    )
    return replace(body, timeout_ms=timeout_ms, heartbeat_ms=heartbeat_ms)


def after(state: ExecutionState, event: e.Event, after_ms: int = 0) -> ExecutionState:
    """The execution after it, so long after the beginning."""
    changed = evolve_execution(state, replace(JOURNAL, at=BEGAN + after_ms), 50, event)
    assert changed is not None
    return changed


@pytest.mark.parametrize(
    ("timeout_ms", "heartbeat_ms", "due"),
    [(0, 0, -BEGAN), (900, 0, 900), (0, 100, 100), (900, 100, 100)],
)
def test_a_start_is_the_first_sign(timeout_ms: int, heartbeat_ms: int, due: int) -> None:
    (step,) = after(execution(timeout_ms, heartbeat_ms), STARTED).steps
    assert step.due_at == BEGAN + due


@pytest.mark.parametrize("sign", [PROGRESS, CHECKPOINT])
def test_every_sign_puts_it_off_but_never_past_the_end(sign: e.Event) -> None:
    state = after(after(execution(900, 100), STARTED), sign, 80)
    assert state.steps[0].due_at == BEGAN + 180
    state = after(state, sign, 850)
    assert state.steps[0].due_at == BEGAN + 900


@pytest.mark.parametrize("sign", [PROGRESS, CHECKPOINT])
def test_without_a_heartbeat_only_the_end_counts(sign: e.Event) -> None:
    state = after(after(execution(900, 0), STARTED), sign, 80)
    assert state.steps[0].due_at == BEGAN + 900


def test_a_sign_of_what_was_given_up_puts_nothing_off() -> None:
    state = execution(900, 100)
    waits = replace(DISPATCHED, status=StepStatus.BACKING_OFF, due_at=BEGAN + 50)
    state = after(replace(state, steps=(waits,)), PROGRESS, 20)
    assert state.steps[0].due_at == BEGAN + 50


@pytest.mark.parametrize(
    ("sign_ms", "now_ms", "code", "timer"),
    [(0, 100, "heartbeat_timeout", "heartbeat:main"), (850, 900, "timeout", "timeout:main")],
)
def test_it_says_by_which_limit_it_was_given_up(
    sign_ms: int, now_ms: int, code: str, timer: str
) -> None:
    state = after(after(execution(900, 100), STARTED), PROGRESS, sign_ms)
    moment = Moment(BEGAN + now_ms, 0.5)
    fired, failed, retry = saga.on_timeout(state, state.steps[0], moment)
    assert isinstance(fired, e.TimerFired)
    assert isinstance(failed, e.StepFailed)
    assert isinstance(retry, e.StepRetryScheduled)
    assert (fired.timer, failed.error.code, failed.error.retryable) == (timer, code, True)


def test_it_is_not_given_up_before() -> None:
    state = after(after(execution(0, 100), STARTED), PROGRESS, 50)
    assert saga.on_timeout(state, state.steps[0], Moment(BEGAN + 149, 0.5)) == ()


def test_progress_is_reported_as_a_sign() -> None:
    state = after(execution(0, 100), STARTED)
    report = replace(REPORT, kind=ReportKind.PROGRESS, attempt=1, delivery=1, name="half")
    (event,) = saga.on_report(state, report, Moment(BEGAN + 10, 0.5))
    assert event == PROGRESS
