"""Decide what an execution does next. Pure: no clock, no ids, no I/O; time arrives in the input.

Attempts count for the retry policy, deliveries do not; a result counts from any delivery of the
current attempt and the first wins; checkpoints and signs of life count only from the current
delivery (rule 12). What is late or repeated decides nothing.
"""

from __future__ import annotations

from typing import assert_never

from symphainy_processors.fold.evolve import find_step
from symphainy_processors.moment import Moment
from symphainy_schemas import events as e
from symphainy_schemas.records import Error, ReportKind, StepReport
from symphainy_schemas.state import ExecutionState, StepState, StepStatus

MAIN_STEP = "main"
# Longer than any queue in front of a healthy realm, shorter than an operator's patience; a task
# read after it is handed back and delivered anew, so a lower value costs only repeats.
START_BY_MS = 600_000
# A hand-back is answered at once, unless deliveries pile up: then the realm cannot run it now.
PROMPT_REDELIVERIES = 3
REDELIVERY_BACKOFF_MS = 500
REDELIVERY_BACKOFF_MAX_MS = 30_000
_ENDED = frozenset({StepStatus.SUCCEEDED, StepStatus.FAILED})
Events = tuple[e.Event, ...]


def on_admitted(events: Events, moment: Moment) -> Events:
    """What follows admission: the first delivery, if the execution started."""
    if not isinstance(events[-1], e.ExecutionStarted):
        return ()
    resolved = next(one for one in events if isinstance(one, e.CapabilityResolved))
    return (_dispatch(MAIN_STEP, 1, 1, moment.token, resolved.timeout_ms, moment),)


def on_report(state: ExecutionState, report: StepReport, moment: Moment) -> Events:
    """Answer a worker's report."""
    step = find_step(state, report.step)
    if step is None or not _concerns(step, report):
        return ()
    current = report.delivery == step.delivery
    match report.kind:
        case ReportKind.STARTED:
            return _started(step, report) if current else ()
        case ReportKind.CHECKPOINT:
            return _checkpointed(step, report) if current else ()
        case ReportKind.PROGRESS:
            return _progressed(report) if current else ()
        case ReportKind.SUCCEEDED:
            return _succeeded(step, report)
        case ReportKind.FAILED:
            return _failed(state, step, report, moment)
        case ReportKind.HANDED_BACK:
            return _handed_back(state, step, report, moment) if current else ()
        case ReportKind.MARKER | ReportKind.UNKNOWN:
            return ()
        case _:
            assert_never(report.kind)


def on_due(state: ExecutionState, step: StepState, moment: Moment) -> Events:
    """A retry's or redelivery's time has come."""
    if step.status is not StepStatus.BACKING_OFF:
        return ()
    fired = e.TimerFired(timer=f"retry:{step.step}", due_at=step.due_at)
    return (fired, _next_delivery(state, step, moment))


def on_timeout(state: ExecutionState, step: StepState, moment: Moment) -> Events:
    """A started attempt passed its limit; what was reported before has been read (rule 14)."""
    if step.status is not StepStatus.STARTED or step.due_at > moment.now:
        return ()
    error = Error(
        code="timeout",
        message=f"The attempt did not end within {state.timeout_ms} ms of its start.",
        step=step.step,
        retryable=True,
    )
    fired = e.TimerFired(timer=f"timeout:{step.step}", due_at=step.due_at)
    return (fired, *_attempt_failed(state, step, error, moment, worker="", retry_after_ms=-1))


def on_takeover(state: ExecutionState, step: StepState, moment: Moment) -> Events:
    """The task may never have been sent: a new delivery, never the same number twice (rule 12)."""
    return (_next_delivery(state, step, moment),)


def _concerns(step: StepState, report: StepReport) -> bool:
    return (
        step.status not in _ENDED
        and report.attempt == step.attempt
        and report.delivery <= step.delivery
        and report.token == step.token != ""
    )


def _started(step: StepState, report: StepReport) -> Events:
    return (_start_event(report),) if step.status is StepStatus.DISPATCHED else ()


def _start_event(report: StepReport) -> e.StepStarted:
    return e.StepStarted(
        step=report.step,
        attempt=report.attempt,
        delivery=report.delivery,
        worker=report.worker,
        started_at=report.started_at or report.at,
    )


def _checkpointed(step: StepState, report: StepReport) -> Events:
    if any(known.name == report.name for known in step.checkpoints):
        return ()
    event = e.StepCheckpointed(
        step=report.step,
        attempt=report.attempt,
        delivery=report.delivery,
        name=report.name,
        result=report.result,
    )
    return (event,) if step.status is StepStatus.STARTED else (_start_event(report), event)


def _progressed(report: StepReport) -> Events:
    return (
        e.StepProgressed(
            step=report.step,
            attempt=report.attempt,
            delivery=report.delivery,
            message=report.name,
        ),
    )


def _succeeded(step: StepState, report: StepReport) -> Events:
    start = () if step.status is StepStatus.STARTED else (_start_event(report),)
    return (
        *start,
        e.StepSucceeded(
            step=report.step,
            attempt=report.attempt,
            delivery=report.delivery,
            worker=report.worker,
            started_at=report.started_at,
            ended_at=report.at,
            result=report.result,
        ),
        *(e.ArtifactRecorded(name=a.name, reference=a.reference) for a in report.artifacts),
        *(e.EventEmitted(event_type=d.type, data=d.data) for d in report.events),
        *(e.StateChanged(key=c.key, value=c.value) for c in report.state_changes),
        e.ExecutionSucceeded(),
    )


def _failed(state: ExecutionState, step: StepState, report: StepReport, moment: Moment) -> Events:
    start = () if step.status is StepStatus.STARTED else (_start_event(report),)
    error = report.error or Error(code="unknown_failure", message="The worker gave no reason.")
    failed = _attempt_failed(
        state, step, error, moment, worker=report.worker, retry_after_ms=report.retry_after_ms
    )
    return (*start, *failed)


def _attempt_failed(
    state: ExecutionState,
    step: StepState,
    error: Error,
    moment: Moment,
    *,
    worker: str,
    retry_after_ms: int,
) -> Events:
    failed = e.StepFailed(
        step=step.step, attempt=step.attempt, delivery=step.delivery, worker=worker, error=error
    )
    if not error.retryable or step.attempt >= state.attempts:
        return (failed, e.ExecutionFailed(error=error))
    delay = retry_after_ms if retry_after_ms >= 0 else backoff_ms(state, step.attempt, moment)
    retry = e.StepRetryScheduled(
        step=step.step, attempt=step.attempt + 1, due_at=moment.now + delay
    )
    return (failed, retry)


def backoff_ms(state: ExecutionState, attempt: int, moment: Moment) -> int:
    """The delay after `attempt` failed: exponential, with equal jitter in [1/2, 1].

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog.
    """
    exponent = min(attempt - 1, 64)  # beyond it every policy stands at its largest delay
    full = min(float(state.backoff_max_ms), state.backoff_ms * state.backoff_factor**exponent)
    return int(full * (0.5 + moment.jitter / 2))


def _handed_back(
    state: ExecutionState, step: StepState, report: StepReport, moment: Moment
) -> Events:
    back = e.StepHandedBack(
        step=report.step,
        attempt=report.attempt,
        delivery=report.delivery,
        worker=report.worker,
        reason=report.name,
    )
    extra = step.delivery - step.attempt - PROMPT_REDELIVERIES
    if extra < 0:
        return (back, _next_delivery(state, step, moment))
    delay = min(REDELIVERY_BACKOFF_MAX_MS, REDELIVERY_BACKOFF_MS * 2 ** min(extra, 10))
    again = e.StepRetryScheduled(step=step.step, attempt=step.attempt, due_at=moment.now + delay)
    return (back, again)


def _next_delivery(state: ExecutionState, step: StepState, moment: Moment) -> e.StepDispatched:
    """An attempt keeps its token over its deliveries; a new attempt has none yet."""
    token = step.token or moment.token
    return _dispatch(step.step, step.attempt, step.delivery + 1, token, state.timeout_ms, moment)


def _dispatch(
    step: str, attempt: int, delivery: int, token: str, timeout_ms: int, moment: Moment
) -> e.StepDispatched:
    return e.StepDispatched(
        step=step,
        attempt=attempt,
        delivery=delivery,
        token=token,
        start_by=moment.now + START_BY_MS,
        timeout_ms=timeout_ms,
    )
