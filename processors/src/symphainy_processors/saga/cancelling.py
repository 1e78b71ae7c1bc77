"""Decide how an execution ends that is to end: somebody wants it to, or its deadline has passed.
Pure.

Both are requests. What has not begun does not begin any more: no dispatch, no further attempt, no
wait. What may be running ends as it ends: a success stands, since its work is done, and so does a
failure that would not have been tried again. Anything else ends the execution as cancelled, or as
failed if its deadline passed before anybody cancelled it, once nothing of it can start or run any
more (rule 13).
"""

from __future__ import annotations

from msgspec.structs import replace

from symphainy_processors.fold import plans
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.records import REDELIVERED, Error
from symphainy_schemas.state import ExecutionState, ExecutionStatus, StepState, StepStatus

Events = tuple[e.Event, ...]
_IDLE = frozenset({StepStatus.READY, StepStatus.BACKING_OFF, StepStatus.SUSPENDED, StepStatus.HELD})


def requested(state: ExecutionState, event: e.CancelRequested) -> Events:
    """Somebody wants it to end; what is stuck while it is undone then ends as it is."""
    failed = plans.failed_undo(state)
    if state.status is ExecutionStatus.STUCK and failed is not None:
        error = plans.error_of(failed)
        assert error is not None
        return (event, e.ExecutionFailed(error=error))
    return (event, *_stopped(replace(state, cancel_reason=event.reason)))


def overdue(state: ExecutionState, now: int) -> Events:
    """Its deadline has passed."""
    if state.to_end or not 0 < state.deadline_at <= now:
        return ()
    passed = e.DeadlinePassed(due_at=state.deadline_at)
    return (passed, *_stopped(replace(state, overdue=True)))


def instead(state: ExecutionState, step: StepState, events: Events) -> Events:
    """What takes the place of a decision about a step, if its execution is to end."""
    if not events or not plans.is_stopping(state) or ids.undone_by(step.step):
        return events
    match events[-1]:
        case e.StepRetryScheduled() if any(isinstance(x, e.StepFailed) for x in events):
            return (*events[:-1], *_ended(state, step, events))
        case e.StepReady() | e.StepRetryScheduled():
            stopped = e.StepCancelled(step=step.step)
            return (*events[:-1], stopped, *_ended(state, step, events))
        case e.StepSuspended():
            return (*events, e.StepCancelled(step=step.step), *_ended(state, step, events))
        case _:
            return events


def closed(state: ExecutionState, step: StepState) -> e.Event | None:
    """How an execution ends when the last delivery of a step that goes on no more has ended; a plan
    says what follows by itself."""
    if state.plan:
        return None
    if step.status is StepStatus.CANCELLED:
        return end(state)
    if step.status is not StepStatus.FAILED or step.error is None:
        return None
    again = step.error.retryable and step.attempt < state.attempts  # but for the request
    return end(state) if again else e.ExecutionFailed(error=step.error)


def _stopped(state: ExecutionState) -> Events:
    """What is idle goes on no more; if that was all, it ends."""
    if state.plan:
        return ()
    stopped = idle(state)
    left = len(stopped) < len(state.steps) or any(step.open for step in state.steps)
    return stopped if left else (*stopped, end(state))


def idle(state: ExecutionState) -> Events:
    """What has not begun begins no more."""
    return tuple(e.StepCancelled(step=step.step) for step in state.steps if step.status in _IDLE)


def _ended(state: ExecutionState, step: StepState, events: Events) -> Events:
    if state.plan or set(step.open) - _over(events):
        return ()
    return (end(state),)


def end(state: ExecutionState) -> e.Event:
    """How an execution ends that was to end, and of which nothing can run any more."""
    if not state.overdue:
        return e.ExecutionCancelled(reason=state.cancel_reason or "")
    return e.ExecutionFailed(error=deadline_error(state))


def deadline_error(state: ExecutionState) -> Error:
    """That its deadline has passed."""
    seconds = (state.deadline_at - state.started_at) / 1_000
    return Error(
        code="deadline_exceeded",
        message=f"The execution had not ended {seconds:g} s after it was accepted.",
        cure="Submit it again, or raise the deadline that the handler's realm declares.",
    )


def _over(events: Events) -> set[int]:
    """The deliveries that have ended by these events."""
    over = set()
    for event in events:
        match event:
            case e.StepFailed() | e.StepSuspended() | e.DeliveryClosed():
                over.add(event.delivery)
            case e.StepHandedBack() if event.reason != REDELIVERED:
                over.add(event.delivery)
    return over
