"""Decide how an execution ends that somebody wants to end. Pure.

To cancel is a request. What has not begun does not begin any more: no dispatch, no further attempt,
no wait. What may be running ends as it ends: a success stands, since its work is done, and so does
a failure that would not have been tried again. Anything else ends the execution as cancelled, once
nothing of it can start or run any more (rule 13).
"""

from __future__ import annotations

from symphainy_schemas import events as e
from symphainy_schemas.records import REDELIVERED
from symphainy_schemas.state import ExecutionState, StepState, StepStatus

Events = tuple[e.Event, ...]
_IDLE = frozenset({StepStatus.READY, StepStatus.BACKING_OFF, StepStatus.SUSPENDED})


def requested(state: ExecutionState, event: e.CancelRequested) -> Events:
    """Somebody wants it to end."""
    stopped = [step for step in state.steps if step.status in _IDLE]
    left = any(step not in stopped or step.open for step in state.steps)
    ended = () if left else (e.ExecutionCancelled(reason=event.reason),)
    return (event, *(e.StepCancelled(step=step.step) for step in stopped), *ended)


def instead(state: ExecutionState, step: StepState, events: Events) -> Events:
    """What takes the place of a decision about a step, if its execution is to end."""
    if state.cancel_reason is None or not events:
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
    """How an execution ends when the last delivery of a step that goes on no more has ended."""
    cancelled = e.ExecutionCancelled(reason=state.cancel_reason or "")
    if step.status is StepStatus.CANCELLED:
        return cancelled
    if step.status is not StepStatus.FAILED or step.error is None:
        return None
    again = step.error.retryable and step.attempt < state.attempts  # but for the request
    return cancelled if again else e.ExecutionFailed(error=step.error)


def _ended(state: ExecutionState, step: StepState, events: Events) -> Events:
    if set(step.open) - _over(events):
        return ()
    return (e.ExecutionCancelled(reason=state.cancel_reason or ""),)


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
