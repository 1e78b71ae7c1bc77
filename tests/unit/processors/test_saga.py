"""Invariants of supervision.

- Retries stop at the declared number of attempts and wait as declared, jitter included.
- Hand-backs make deliveries, never attempts, and slow down when they pile up.
- A report of another attempt, token or a later delivery than ever sent decides nothing.
- A delivery that was given up, and shows signs of life, keeps the step from the next one only if a
  time limit ends it: else, should its worker be gone, nothing would ever happen.
- A timeout is decided only for a started attempt whose time has come.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.samples import JOURNAL, PLAIN, REPORT

from symphainy_processors.fold.steps import evolve_step
from symphainy_processors.moment import Moment
from symphainy_processors.saga import attempts, waiting
from symphainy_processors.saga import decide as saga
from symphainy_schemas import events as e
from symphainy_schemas.records import REDELIVERED, Checkpoint, Error, ReportKind, StepReport
from symphainy_schemas.state import ExecutionState, StepState, StepStatus

NOW = Moment(now=10_000, jitter=0.5)
STEP = StepState(
    step="main",
    status=StepStatus.STARTED,
    attempt=2,
    delivery=3,
    token="tok",
    start_by=1,
    due_at=9_000,
    dispatched_at=42,
    open=(3,),
)


def execution(step: StepState = STEP, attempts: int = 3) -> ExecutionState:
    """An execution with one open step."""
    return replace(
        PLAIN,
        steps=(step,),
        attempts=attempts,
        backoff_ms=100,
        backoff_factor=2.0,
        backoff_max_ms=1_000,
        timeout_ms=500,
    )


def report(kind: ReportKind, **changes: object) -> StepReport:
    """A report of the current delivery."""
    return replace(REPORT, kind=kind, **changes)


def failed(retryable: bool, **changes: object) -> StepReport:
    """A failure."""
    error = Error(code="x", message="x", retryable=retryable)
    return report(ReportKind.FAILED, error=error, retry_after_ms=-1, **changes)


def test_a_retryable_failure_is_tried_again_after_the_declared_delay() -> None:
    *_, retry = saga.on_report(execution(), failed(True), NOW)
    assert retry == e.StepRetryScheduled(step="main", attempt=3, due_at=10_000 + 150)


def test_a_handlers_own_delay_wins() -> None:
    told = replace(failed(True), retry_after_ms=7)
    *_, retry = saga.on_report(execution(), told, NOW)
    assert isinstance(retry, e.StepRetryScheduled)
    assert retry.due_at == 10_007


@pytest.mark.parametrize(("retryable", "attempts"), [(False, 9), (True, 2)])
def test_the_last_failure_ends_the_execution(retryable: bool, attempts: int) -> None:
    decided = saga.on_report(execution(attempts=attempts), failed(retryable), NOW)
    assert isinstance(decided[-1], e.ExecutionFailed)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_never_exceeds_its_largest_delay(attempt: int, jitter: float) -> None:
    delay = attempts.backoff_ms(execution(), attempt, Moment(0, jitter))
    assert 50 <= delay <= 1_000


def test_a_hand_back_makes_a_delivery_not_an_attempt() -> None:
    back, again = saga.on_report(execution(), report(ReportKind.HANDED_BACK), NOW)
    assert isinstance(back, e.StepHandedBack)
    assert again == e.StepReady(step="main", attempt=2)
    sent = saga.delivery(STEP, again, 500, "fresh", start_by=77)
    assert (sent.attempt, sent.delivery, sent.token, sent.start_by) == (2, 4, "tok", 77)


def test_what_another_worker_had_first_stays_open_and_is_delivered_after_a_marker() -> None:
    told = report(ReportKind.HANDED_BACK, name=REDELIVERED)
    back, again = saga.on_report(execution(), told, NOW)
    assert isinstance(back, e.StepHandedBack)
    assert again == e.StepRetryScheduled(step="main", attempt=2, due_at=NOW.now)
    step: StepState = STEP
    for event in (back, again):
        step = evolve_step(step, execution(), JOURNAL, 50, event)
    assert (step.status, step.open, step.token) == (StepStatus.BACKING_OFF, (3,), "tok")
    assert saga.needs_marker(PLAIN, step)
    alive = saga.on_report(execution(step), report(ReportKind.STARTED), NOW)
    assert [type(event) for event in alive] == [e.StepStarted]
    fired, ready = saga.on_timeout(execution(step), step, NOW)
    assert isinstance(fired, e.TimerFired)
    assert ready == e.StepReady(step="main", attempt=2)
    last = saga.on_report(execution(replace(step, delivery=4, open=(3, 4))), failed(False), NOW)
    assert not any(isinstance(event, e.ExecutionFailed) for event in last)


def test_hand_backs_that_pile_up_are_slowed_down() -> None:
    many = replace(STEP, delivery=40)
    told = report(ReportKind.HANDED_BACK, delivery=40)
    _, again = saga.on_report(execution(many), told, NOW)
    assert again == e.StepRetryScheduled(step="main", attempt=2, due_at=10_000 + 30_000)


@pytest.mark.parametrize(
    "changes",
    [{"attempt": 1}, {"attempt": 3}, {"delivery": 4}, {"token": "guess"}, {"step": "other"}],
)
@pytest.mark.parametrize("kind", list(ReportKind))
def test_what_is_late_or_wrong_decides_nothing(
    kind: ReportKind, changes: dict[str, object]
) -> None:
    assert saga.on_report(execution(), report(kind, **changes), NOW) == ()


def test_a_result_of_an_earlier_delivery_of_the_attempt_counts() -> None:
    decided = saga.on_report(execution(), report(ReportKind.SUCCEEDED, delivery=1), NOW)
    assert isinstance(decided[-1], e.ExecutionSucceeded)


@pytest.mark.parametrize("kind", [ReportKind.STARTED, ReportKind.CHECKPOINT, ReportKind.PROGRESS])
def test_signs_of_life_of_an_earlier_delivery_do_not_count(kind: ReportKind) -> None:
    assert saga.on_report(execution(), report(kind, delivery=1), NOW) == ()


def test_a_checkpoint_is_recorded_once() -> None:
    told = report(ReportKind.CHECKPOINT, name="extract")
    (recorded,) = saga.on_report(execution(), told, NOW)
    assert isinstance(recorded, e.StepCheckpointed)
    known = replace(STEP, checkpoints=PLAIN.steps[0].checkpoints)
    assert saga.on_report(execution(known), told, NOW) == ()


def test_checkpoints_that_would_not_fit_a_task_fail_the_step_for_good() -> None:
    large = report(ReportKind.CHECKPOINT, name="extract", result=b"x" * waiting.CHECKPOINTS_BYTES)
    (recorded,) = saga.on_report(execution(), large, NOW)
    assert isinstance(recorded, e.StepCheckpointed)
    known = replace(STEP, checkpoints=(Checkpoint("extract", large.result),))
    failed_, ended = saga.on_report(execution(known), replace(large, name="more"), NOW)
    assert isinstance(failed_, e.StepFailed)
    assert failed_.error.code == "checkpoints_too_large"
    assert isinstance(ended, e.ExecutionFailed)


def test_a_due_retry_is_ready_and_goes_under_a_new_token() -> None:
    waiting = replace(STEP, status=StepStatus.BACKING_OFF, token="", attempt=3)
    fired, again = saga.on_due(execution(waiting), waiting, NOW.now)
    assert isinstance(fired, e.TimerFired)
    assert again == e.StepReady(step="main", attempt=3)
    sent = saga.delivery(waiting, again, 500, "fresh", start_by=77)
    assert (sent.attempt, sent.delivery, sent.token) == (3, 4, "fresh")


def test_an_execution_does_not_fail_while_another_delivery_may_still_start() -> None:
    several = replace(STEP, open=(1, 3))
    decided = saga.on_report(execution(several), failed(False), NOW)
    assert isinstance(decided[-1], e.StepFailed)
    closing = replace(
        several, status=StepStatus.FAILED, open=(1,), error=Error(code="x", message="x")
    )
    gone = report(ReportKind.HANDED_BACK, delivery=1)
    assert saga.on_report(execution(closing), gone, NOW) == (
        e.DeliveryClosed(step="main", delivery=1),
        e.ExecutionFailed(error=Error(code="x", message="x")),
    )
    fired, ended = saga.on_due(execution(closing), closing, NOW.now)
    assert isinstance(fired, e.TimerFired)
    assert isinstance(ended, e.ExecutionFailed)


def test_a_delivery_that_nobody_started_in_time_is_delivered_anew() -> None:
    unstarted = replace(STEP, status=StepStatus.DISPATCHED)
    fired, again = saga.on_timeout(execution(unstarted), unstarted, NOW)
    assert isinstance(fired, e.TimerFired)
    assert again == e.StepReady(step="main", attempt=2)


@pytest.mark.parametrize("status", [StepStatus.READY, StepStatus.BACKING_OFF])
@pytest.mark.parametrize("timeout_ms", [0, 500])
def test_a_sign_of_life_of_what_was_given_up_counts_only_under_a_limit(
    status: StepStatus, timeout_ms: int
) -> None:
    given_up = replace(STEP, status=status)
    state = replace(execution(given_up), timeout_ms=timeout_ms)
    started = saga.on_report(state, report(ReportKind.STARTED), NOW)
    checkpoint = saga.on_report(state, report(ReportKind.CHECKPOINT, name="new"), NOW)
    assert [type(event) for event in started] == [e.StepStarted] * (timeout_ms > 0)
    assert any(isinstance(event, e.StepStarted) for event in checkpoint) == (timeout_ms > 0)
    assert isinstance(checkpoint[-1], e.StepCheckpointed)


def test_a_timeout_is_a_retryable_failure_of_a_started_attempt() -> None:
    fired, failed_, retry = saga.on_timeout(execution(), STEP, NOW)
    assert isinstance(fired, e.TimerFired)
    assert isinstance(failed_, e.StepFailed)
    assert failed_.error.code == "timeout"
    assert isinstance(retry, e.StepRetryScheduled)
    early = replace(NOW, now=8_999)
    assert saga.on_timeout(execution(), STEP, early) == ()
    waiting = replace(STEP, status=StepStatus.READY)
    assert saga.on_timeout(execution(waiting), waiting, NOW) == ()
