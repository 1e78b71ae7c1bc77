"""Decide how an execution rests, and goes on. Pure.

To pause is a request, as to cancel is: what runs goes on, times that were set pass, signals come;
but what could be dispatched is held until somebody resumes the execution, and then goes on where it
stands. An execution that is to end does so, paused or not.
"""

from __future__ import annotations

from symphainy_schemas import events as e
from symphainy_schemas.state import ExecutionState, StepStatus

Events = tuple[e.Event, ...]


def paused(state: ExecutionState, event: e.ExecutionPaused) -> Events:
    """Somebody wants it to rest: what waits for its turn is held."""
    ready = (step for step in state.steps if step.status is StepStatus.READY)
    return (event, *(e.StepHeld(step=step.step, attempt=step.attempt) for step in ready))


def resumed(state: ExecutionState, event: e.ExecutionResumed) -> Events:
    """Somebody wants it to go on: what was held is ready."""
    held = (step for step in state.steps if step.status is StepStatus.HELD)
    return (event, *(e.StepReady(step=step.step, attempt=step.attempt) for step in held))


def instead(state: ExecutionState, events: Events) -> Events:
    """What takes the place of a decision, if its execution rests."""
    if not state.paused:
        return events
    return tuple(
        e.StepHeld(step=event.step, attempt=event.attempt)
        if isinstance(event, e.StepReady)
        else event
        for event in events
    )
