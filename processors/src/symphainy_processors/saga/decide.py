"""Decide what an execution does next. Pure: no clock, no ids, no I/O; time arrives in the input.

Attempts count for the retry policy, deliveries do not; a result counts from any delivery of the
current attempt and the first wins (only a success, while the current one waits); checkpoints and
signs of life count only from the current delivery (rule 12). What is late or repeated decides
nothing, but closes its delivery. Where a step may go on, `StepReady` says so; when it is
dispatched is the dispatcher's business.
"""

from __future__ import annotations

from typing import assert_never

from symphainy_processors.fold.family import STOPPED
from symphainy_processors.fold.plans import MAIN_STEP, find_step, is_undoing, policy_of
from symphainy_processors.moment import Moment
from symphainy_processors.saga import advancing, attempts, calling, cancelling, pausing, waiting
from symphainy_schemas import events as e
from symphainy_schemas.ids import undone_by
from symphainy_schemas.records import REDELIVERED, Error, ReportKind, StepReport
from symphainy_schemas.state import ExecutionState, StepState, StepStatus

_ENDED = frozenset({StepStatus.SUCCEEDED, StepStatus.FAILED})
# No delivery of it is awaited; one that was given up may live.
WAITING = frozenset({StepStatus.BACKING_OFF, StepStatus.READY, StepStatus.HELD})
_CLOSING = frozenset(
    {ReportKind.SUCCEEDED, ReportKind.FAILED, ReportKind.HANDED_BACK, ReportKind.SUSPENDED}
)
Events = tuple[e.Event, ...]


def on_admitted(events: Events) -> tuple[e.StepReady, ...]:
    """What follows admission: the first step is ready, if the execution started."""
    if not isinstance(events[-1], e.ExecutionStarted):
        return ()
    return (e.StepReady(step=MAIN_STEP, attempt=1),)


def on_planned(state: ExecutionState, now: int) -> Events:
    """What follows the admission of an execution with a plan, in place of that."""
    return advancing.onwards(state, now)


def on_report(state: ExecutionState, report: StepReport, moment: Moment) -> Events:
    """Answer a worker's report."""
    step = find_step(state, report.step)
    if step is None:
        return ()
    return instead(state, step, _on_report(state, step, report, moment), moment.now)


def _on_report(
    state: ExecutionState, step: StepState, report: StepReport, moment: Moment
) -> Events:
    if not _concerns(step, report) or (is_undoing(state) and not undone_by(step.step)):
        return _closed(state, step, report)
    current = report.delivery == step.delivery
    if not current and report.kind in (ReportKind.HANDED_BACK, ReportKind.SUSPENDED):
        return _closed(state, step, report)
    if step.status is StepStatus.SUSPENDED and report.kind is ReportKind.FAILED:
        return _closed(state, step, report)  # the attempt goes on when what it waits for has come
    match report.kind:
        case ReportKind.STARTED | ReportKind.CHECKPOINT | ReportKind.PROGRESS:
            return _lives(state, step, report, moment) if current else ()
        case ReportKind.INVOKED:
            return _invoked(state, step, report, moment)
        case ReportKind.SUCCEEDED:
            return _succeeded(state, step, report, moment)
        case ReportKind.FAILED:
            return _failed(state, step, report, moment)
        case ReportKind.HANDED_BACK:
            return attempts.handed_back(state, step, report, moment)
        case ReportKind.SUSPENDED:
            return _suspended(state, step, report, moment)
        case ReportKind.MARKER | ReportKind.UNKNOWN:
            return ()
        case _:
            assert_never(report.kind)


def instead(state: ExecutionState, step: StepState, events: Events, now: int) -> Events:
    """What takes the place of a decision about a step, if its execution is to end, or rests; and
    what follows from it by the execution's plan."""
    return onwards(state, cancelling.instead(state, step, events), now)


def onwards(state: ExecutionState, events: Events, now: int) -> Events:
    """A decision, and what follows from it by the execution's plan; held, if it rests."""
    return pausing.instead(state, advancing.after(state, events, now))


def on_deadline(state: ExecutionState, now: int) -> Events:
    """An execution's deadline has passed."""
    return onwards(state, cancelling.overdue(state, now), now)


def needs_marker(state: ExecutionState, step: StepState) -> bool:
    """Whether what is due gives up a delivery that somebody may be running: what was reported
    before must be read first (rule 14)."""
    if step.status is StepStatus.BACKING_OFF:
        return step.delivery in step.open
    if step.status in STOPPED:
        return bool(state.plan)  # whose compensations are told what it returned
    return step.status in (StepStatus.STARTED, StepStatus.DISPATCHED)


def on_due(state: ExecutionState, step: StepState, now: int) -> Events:
    """A retry's, a redelivery's or a wait's time has come, or nobody may start any more a step
    that goes on no more."""
    return instead(state, step, _on_due(state, step, now), now)


def _on_due(state: ExecutionState, step: StepState, now: int) -> Events:
    if step.status is StepStatus.SUSPENDED:
        return waiting.due(step, now)
    if step.status is StepStatus.BACKING_OFF:
        fired = e.TimerFired(timer=f"retry:{step.step}", due_at=step.due_at)
        if step.lost >= attempts.MOST_LOST:
            return (fired, *attempts.poisoned(state, step))
        return (fired, e.StepReady(step=step.step, attempt=step.attempt))
    if state.plan:
        ended: e.Event | None = e.StepClosed(step=step.step)
    else:
        ended = cancelling.closed(state, step)
    fired = e.TimerFired(timer=f"closing:{step.step}", due_at=step.due_at)
    return () if ended is None else (fired, ended)


def on_timeout(state: ExecutionState, step: StepState, moment: Moment) -> Events:
    """An attempt passed its limit, or a delivery its `start_by`, or it may be delivered anew; what
    was reported before has been read (rule 14)."""
    return instead(state, step, _on_timeout(state, step, moment), moment.now)


def _on_timeout(state: ExecutionState, step: StepState, moment: Moment) -> Events:
    if not 0 < step.due_at <= moment.now:
        return ()
    if step.status is StepStatus.BACKING_OFF or step.status in STOPPED:
        return _on_due(state, step, moment.now)
    if step.status is StepStatus.DISPATCHED:
        # It stays open: a worker may have started it in time and have had no time to say so.
        fired = e.TimerFired(timer=f"start_by:{step.step}", due_at=step.due_at)
        return (fired, e.StepReady(step=step.step, attempt=step.attempt))
    if step.status is not StepStatus.STARTED:
        return ()
    policy = policy_of(state, step.step)
    if 0 < step.ends_at <= step.due_at or not policy.heartbeat_ms:
        kind, message = "timeout", f"did not end within {policy.timeout_ms} ms of its start."
    else:
        kind, message = "heartbeat", f"showed no sign of life for {policy.heartbeat_ms} ms."
    error = Error(
        code="timeout" if kind == "timeout" else "heartbeat_timeout",
        message=f"The attempt {message}",
        step=step.step,
        retryable=True,
    )
    fired = e.TimerFired(timer=f"{kind}:{step.step}", due_at=step.due_at)
    return (fired, *attempts.failed(state, step, step.delivery, error, moment))


def delivery(
    step: StepState | None, ready: e.StepReady, timeout_ms: int, fresh_token: str, start_by: int
) -> e.StepDispatched:
    """The next numbered delivery of what is ready; never the same number twice (rule 12).

    An attempt keeps its token over its deliveries; a new attempt gets `fresh_token`.
    """
    kept = step.token if step is not None and step.attempt == ready.attempt else ""
    return e.StepDispatched(
        step=ready.step,
        attempt=ready.attempt,
        delivery=1 if step is None else step.delivery + 1,
        token=kept or fresh_token,
        start_by=start_by,
        timeout_ms=timeout_ms,
    )


def _concerns(step: StepState, report: StepReport) -> bool:
    return (
        step.status not in _ENDED
        and report.attempt == step.attempt
        and report.delivery <= step.delivery
        and report.token == step.token != ""
    )


def _closed(state: ExecutionState, step: StepState, report: StepReport) -> Events:
    """The report decides nothing, but its delivery has ended (rule 13)."""
    stale = report.attempt < step.attempt or report.token == step.token
    if report.kind not in _CLOSING or report.delivery not in step.open or not stale:
        return ()
    if report.kind is ReportKind.HANDED_BACK and report.name == REDELIVERED:
        return ()  # whoever had it first may still run it
    if report.delivery == step.delivery and step.status not in _ENDED:
        return ()  # names another attempt than the one that it was: not from whom it was sent to
    # What failed has said so; of anything else that began, something may have to be undone.
    began = bool(state.plan and report.started_at) and report.kind is not ReportKind.FAILED
    closed = e.DeliveryClosed(step=step.step, delivery=report.delivery, begun=began)
    ended = cancelling.closed(state, step) if step.open == (report.delivery,) else None
    return (closed,) if ended is None else (closed, ended)


def _lives(state: ExecutionState, step: StepState, report: StepReport, moment: Moment) -> Events:
    if report.kind is ReportKind.STARTED:
        return _started(state, step, report)
    if report.kind is ReportKind.PROGRESS:
        return _progressed(report)
    return _checkpointed(state, step, report, moment)


def _started(state: ExecutionState, step: StepState, report: StepReport) -> Events:
    lives = step.status is StepStatus.DISPATCHED or report.delivery in step.open
    return (attempts.started(report),) if lives and _may_start(state, step) else ()


def _may_start(state: ExecutionState, step: StepState) -> bool:
    """Whether a sign of life starts the step.

    Of a delivery that was given up, which it would keep from the next one, only where a limit ends
    it: that its worker is gone was said before, and is not said again.
    """
    if step.status is StepStatus.DISPATCHED:
        return True
    policy = policy_of(state, step.step)
    return step.status in WAITING and (policy.timeout_ms > 0 or policy.heartbeat_ms > 0)


def _checkpointed(
    state: ExecutionState, step: StepState, report: StepReport, moment: Moment
) -> Events:
    if any(known.name == report.name for known in step.checkpoints):
        return ()
    start = (attempts.started(report),) if _may_start(state, step) else ()
    taken = waiting.checkpoints_bytes(state, step) + len(report.result)
    if taken > waiting.CHECKPOINTS_BYTES:
        error = waiting.checkpoints_too_large(step, taken)
        failed = attempts.failed(state, step, report.delivery, error, moment)
        return (*start, *failed)
    event = e.StepCheckpointed(
        step=report.step,
        attempt=report.attempt,
        delivery=report.delivery,
        name=report.name,
        result=report.result,
    )
    return (*start, event)


def _invoked(state: ExecutionState, step: StepState, report: StepReport, moment: Moment) -> Events:
    starts = report.delivery == step.delivery and _may_start(state, step)
    start = (attempts.started(report),) if starts else ()
    said = calling.invoked(state, step, report)
    if isinstance(said, Error):
        return (*start, *attempts.failed(state, step, report.delivery, said, moment))
    return (*start, *said) if said else ()


def _progressed(report: StepReport) -> Events:
    return (
        e.StepProgressed(
            step=report.step,
            attempt=report.attempt,
            delivery=report.delivery,
            message=report.name,
        ),
    )


def _succeeded(
    state: ExecutionState, step: StepState, report: StepReport, moment: Moment
) -> Events:
    start = () if step.status is StepStatus.STARTED else (attempts.started(report),)
    error = advancing.too_large(state, step.step, report.result)
    if error is not None:
        return (*start, *attempts.failed(state, step, report.delivery, error, moment))
    undone = undone_by(step.step)
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
        *((e.CompensationSucceeded(step=undone),) if undone else ()),
        *(() if state.plan else (e.ExecutionSucceeded(),)),
    )


def _failed(state: ExecutionState, step: StepState, report: StepReport, moment: Moment) -> Events:
    start = () if step.status is StepStatus.STARTED else (attempts.started(report),)
    error = report.error or Error(code="unknown_failure", message="The worker gave no reason.")
    failed = attempts.failed(
        state,
        step,
        report.delivery,
        error,
        moment,
        worker=report.worker,
        retry_after_ms=report.retry_after_ms,
    )
    return (*start, *failed)


def _suspended(
    state: ExecutionState, step: StepState, report: StepReport, moment: Moment
) -> Events:
    if report.delivery not in step.open:
        return ()  # said before
    start = () if step.status is StepStatus.STARTED else (attempts.started(report),)
    names = {wait.name for wait in report.waits}
    if 0 < len(names) == len(report.waits) <= waiting.MOST_WAITS:
        return (*start, *waiting.suspended(state, step, report, moment.now))
    error = Error(
        code="waits_malformed",
        message=f"The handler waits for {len(report.waits)} things under {len(names)} names.",
        step=step.step,
        cure=f"Wait for 1 to {waiting.MOST_WAITS} things at once, each under its own name.",
    )
    return (*start, *attempts.failed(state, step, report.delivery, error, moment))
