"""Decide how an attempt ends that has not succeeded: retried, given up, or handed back. Pure."""

from __future__ import annotations

from symphainy_processors.fold.plans import Policy, policy_of
from symphainy_processors.fold.steps import LOST_IN_COMPANY
from symphainy_processors.moment import Moment
from symphainy_processors.saga import advancing
from symphainy_schemas import events as e
from symphainy_schemas.ids import undone_by
from symphainy_schemas.records import REDELIVERED, Error, StepReport
from symphainy_schemas.state import ExecutionState, StepState, StepStatus

Events = tuple[e.Event, ...]
# A hand-back is answered at once, unless deliveries pile up: then the realm cannot run it now.
PROMPT_REDELIVERIES = 3
REDELIVERY_BACKOFF_MS = 500
REDELIVERY_BACKOFF_MAX_MS = 30_000
# Where workers are lost with a step again and again, it runs alone, so that it is known which of a
# dead worker's tasks it died of; when that has ended three more, the step is given up.
MOST_LOST = LOST_IN_COMPANY + 3


def started(report: StepReport) -> e.StepStarted:
    """That a worker has started the handler, as it reports."""
    return e.StepStarted(
        step=report.step,
        attempt=report.attempt,
        delivery=report.delivery,
        worker=report.worker,
        started_at=report.started_at or report.at,
    )


def failed(
    state: ExecutionState,
    step: StepState,
    delivered: int,
    error: Error,
    moment: Moment,
    *,
    worker: str = "",
    retry_after_ms: int = -1,
) -> Events:
    """Retry, or fail: at once if no other delivery can start any more, else when none can."""
    told = e.StepFailed(
        step=step.step, attempt=step.attempt, delivery=delivered, worker=worker, error=error
    )
    if advancing.finally_failed(state, step.step, error, step.attempt):
        if undone := undone_by(step.step):
            return (told, e.CompensationFailed(step=undone, error=error))
        others = any(number != delivered for number in step.open)
        return (told,) if others or state.plan else (told, e.ExecutionFailed(error=error))
    policy = policy_of(state, step.step)
    delay = retry_after_ms if retry_after_ms >= 0 else backoff_ms(policy, step.attempt, moment)
    retry = e.StepRetryScheduled(
        step=step.step, attempt=step.attempt + 1, due_at=moment.now + delay
    )
    return (told, retry)


def poisoned(state: ExecutionState, step: StepState) -> Events:
    """It fails for good. Of no delivery in particular: whoever had one may run it still."""
    error = Error(
        code="poison_task",
        message=f"{step.lost} workers in a row were gone while they had it, the last "
        f"{MOST_LOST - LOST_IN_COMPANY} with nothing beside it; its newest delivery was "
        f"{step.delivery}.",
        step=step.step,
        cure="Look into the logs of the workers that started it (symphainy executions show) for "
        "what ended them: memory, a crash in native code, a call that ends the process.",
    )
    told = e.StepFailed(step=step.step, attempt=step.attempt, delivery=0, worker="", error=error)
    if undone := undone_by(step.step):
        return (told, e.CompensationFailed(step=undone, error=error))
    return (told,) if step.open or state.plan else (told, e.ExecutionFailed(error=error))


def backoff_ms(policy: Policy, attempt: int, moment: Moment) -> int:
    """The delay after `attempt` failed: exponential, with equal jitter in [1/2, 1].

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog.
    """
    exponent = min(attempt - 1, 64)  # beyond it every policy stands at its largest delay
    full = min(float(policy.backoff_max_ms), policy.backoff_ms * policy.backoff_factor**exponent)
    return int(full * (0.5 + moment.jitter / 2))


def handed_back(
    state: ExecutionState, step: StepState, report: StepReport, moment: Moment
) -> Events:
    """A hand-back; of a plan's step it is said if its handler ran, for then it may be undone."""
    events = _handed_back(step, report, moment)
    ran = bool(state.plan and events) and report.started_at > 0
    start = (started(report),) if ran and step.status is not StepStatus.STARTED else ()
    return (*start, *events)


def _handed_back(step: StepState, report: StepReport, moment: Moment) -> Events:
    if step.status is StepStatus.SUSPENDED:
        return ()  # whoever had it first has said that it waits
    back = e.StepHandedBack(
        step=report.step,
        attempt=report.attempt,
        delivery=report.delivery,
        worker=report.worker,
        reason=report.name,
    )
    extra = step.delivery - step.attempt - PROMPT_REDELIVERIES
    delay = 0
    if extra >= 0:
        delay = min(REDELIVERY_BACKOFF_MAX_MS, REDELIVERY_BACKOFF_MS * 2 ** min(extra, 10))
    elif report.name != REDELIVERED:
        return (back, e.StepReady(step=step.step, attempt=step.attempt))
    again = e.StepRetryScheduled(step=step.step, attempt=step.attempt, due_at=moment.now + delay)
    return (back, again)
