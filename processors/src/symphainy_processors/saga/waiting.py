"""Decide what comes of handlers that wait: for a time, a signal, or what comes first. Pure.

A handler that waits is no delivery any more: it holds no worker and no slot, and nothing times it
out but the time that it gave itself. What it waited for is recorded under the wait's name, like a
checkpoint; then the step is ready again, in the same attempt. A signal that comes before anybody
waits for it is kept for whoever does; each is used up once, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterable

from symphainy_schemas import events as e
from symphainy_schemas.records import Error, StepReport, Wait
from symphainy_schemas.state import ExecutionState, Signal, StepState, StepStatus

Events = tuple[e.Event, ...]
# What a handler may wait for at once, and how many signals are kept for it.
MOST_WAITS = 100
MOST_SIGNALS = 100
# All of a step's checkpoints travel in one task of at most 1 MB, beside an inline payload of at
# most 256 KiB; a signal becomes one, so those that are kept count too.
CHECKPOINTS_BYTES = 524_288


def suspended(state: ExecutionState, step: StepState, report: StepReport, now: int) -> Events:
    """The handler waits; at once no more, if something of it is here already."""
    # A wait keeps the time that it was first given, however often its handler comes back to it.
    known = {wait.name: wait for wait in step.waits}
    waits = tuple(known.get(wait.name, wait) for wait in report.waits)
    event = e.StepSuspended(
        step=step.step,
        attempt=report.attempt,
        delivery=report.delivery,
        worker=report.worker,
        waits=waits,
    )
    return (event, *_come(step, waits, state.signals, now))


def due(step: StepState, now: int) -> Events:
    """The time of a wait has come."""
    return _come(step, step.waits, (), now)


def signalled(state: ExecutionState, event: e.SignalReceived, now: int) -> Events:
    """A signal has come; the first step that waits for it goes on."""
    return (event, *_arrived(state, Signal(event.name, event.data), now))


def child_ended(state: ExecutionState, event: e.ChildEnded, now: int) -> Events:
    """What was invoked has ended; the step that waits for that goes on."""
    return (event, *_arrived(state, Signal(event.child, event.outcome), now))


def _arrived(state: ExecutionState, signal: Signal, now: int) -> Events:
    """What the first step that waits for it does; whose time alone has come is not asked here."""
    for step in state.steps:
        waits = any(wait.signal == signal.name for wait in step.waits)
        if step.status is StepStatus.SUSPENDED and waits:
            return _come(step, step.waits, (signal,), now)
    return ()


def has_room(state: ExecutionState, event: e.SignalReceived) -> bool:
    """Whether one more signal can be kept."""
    recorded = max((checkpoints_bytes(state, step) for step in state.steps), default=0)
    within = recorded + len(event.data) <= CHECKPOINTS_BYTES
    return len(state.signals) < MOST_SIGNALS and within


def checkpoints_bytes(state: ExecutionState, step: StepState) -> int:
    """What a step's checkpoints take, and the signals that may become some."""
    recorded = sum(len(known.result) for known in step.checkpoints)
    return recorded + sum(len(signal.data) for signal in state.signals)


def checkpoints_too_large(step: StepState, taken: int) -> Error:
    """That a step's checkpoints take more than one task can carry."""
    return Error(
        code="checkpoints_too_large",
        message=f"The results of this step's ctx.step calls, and its signals, take {taken} bytes.",
        step=step.step,
        cure=f"Keep them under {CHECKPOINTS_BYTES} bytes: return references to artifacts.",
    )


def _come(step: StepState, waits: Iterable[Wait], signals: tuple[Signal, ...], now: int) -> Events:
    """What of the waits has come: all of it at once, so that a handler comes back once."""
    left = list(signals)
    events: list[e.Event] = []
    for wait in waits:
        found = next((signal for signal in left if signal.name == wait.signal), None)
        if found is not None:
            left.remove(found)
            events.append(
                e.StepResumed(step=step.step, name=wait.name, result=found.data, signal=found.name)
            )
        elif 0 < wait.until <= now:
            events.append(e.TimerFired(timer=f"wait:{step.step}:{wait.name}", due_at=wait.until))
            events.append(e.StepResumed(step=step.step, name=wait.name, result=b""))
    if events:
        events.append(e.StepReady(step=step.step, attempt=step.attempt))
    return tuple(events)
