"""Fold one event into an execution or a session. Pure and total.

`evolve` of a released event version never changes (rule 5); EVOLVE_VERSION counts what does.
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from symphainy_schemas import events as e
from symphainy_schemas.records import REDELIVERED, Checkpoint
from symphainy_schemas.state import (
    ExecutionState,
    ExecutionStatus,
    SessionState,
    StepState,
    StepStatus,
)

EVOLVE_VERSION = 1


def evolve_execution(
    state: ExecutionState | None, record: e.JournalRecord, offset: int, event: e.Event
) -> ExecutionState | None:
    """The execution after `event` of the journal record at `offset`."""
    if isinstance(event, e.IntentReceived):
        return _received(record, event)
    if state is None:
        return None
    match event:
        case e.IntentRejected():
            return _ended(state, ExecutionStatus.REJECTED, record.at)
        case e.CapabilityResolved():
            return _resolved(state, event)
        case e.ExecutionStarted():
            return replace(state, status=ExecutionStatus.RUNNING)
        case e.ExecutionSucceeded():
            return _ended(state, ExecutionStatus.SUCCEEDED, record.at)
        case e.ExecutionFailed():
            return _ended(state, ExecutionStatus.FAILED, record.at)
        case e.ExecutionCancelled():
            return _ended(state, ExecutionStatus.CANCELLED, record.at)
        case e.StateChanged():
            return _changed(state, event)
        case (
            e.StepReady()
            | e.StepDispatched()
            | e.StepStarted()
            | e.StepCheckpointed()
            | e.StepSucceeded()
            | e.StepFailed()
            | e.StepRetryScheduled()
            | e.StepHandedBack()
            | e.DeliveryClosed()
        ):
            step = evolve_step(
                find_step(state, event.step), state.timeout_ms, record, offset, event
            )
            return _with_step(state, step)
        case _:
            return state


StepEvent = (
    e.StepReady
    | e.StepDispatched
    | e.StepStarted
    | e.StepCheckpointed
    | e.StepSucceeded
    | e.StepFailed
    | e.StepRetryScheduled
    | e.StepHandedBack
    | e.DeliveryClosed
)


def evolve_step(
    step: StepState | None,
    timeout_ms: int,
    record: e.JournalRecord,
    offset: int,
    event: StepEvent,
) -> StepState:
    """The step after `event`; `timeout_ms` is the start-to-finish limit, 0 for none."""
    if step is None:
        step = _new_step(event.step)
    match event:
        case e.StepReady():
            return replace(
                step, status=StepStatus.READY, attempt=event.attempt, ready_at=offset, due_at=0
            )
        case e.StepDispatched():
            return replace(
                step,
                status=StepStatus.DISPATCHED,
                attempt=event.attempt,
                delivery=event.delivery,
                token=event.token,
                start_by=event.start_by,
                due_at=event.start_by,
                dispatched_at=offset,
                ready_at=-1,
                open=(*step.open, event.delivery),
            )
        case e.StepStarted():
            due_at = record.at + timeout_ms if timeout_ms else 0
            return replace(step, status=StepStatus.STARTED, due_at=due_at)
        case e.StepCheckpointed():
            return replace(
                step,
                checkpoints=(*step.checkpoints, Checkpoint(event.name, event.result)),
            )
        case e.StepSucceeded():
            return replace(step, status=StepStatus.SUCCEEDED, due_at=0, open=())
        case e.StepFailed():
            still_open = _without(step.open, event.delivery)
            # Rule 13: the other deliveries may start until start_by, and run for timeout_ms.
            due_at = step.start_by + timeout_ms if still_open else 0
            return replace(
                step, status=StepStatus.FAILED, due_at=due_at, error=event.error, open=still_open
            )
        case e.StepRetryScheduled():
            return replace(
                step,
                status=StepStatus.BACKING_OFF,
                attempt=event.attempt,
                due_at=event.due_at,
                token=step.token if event.attempt == step.attempt else "",
            )
        case e.StepHandedBack():
            return _handed_back(step, event)
        case e.DeliveryClosed():
            return replace(step, open=_without(step.open, event.delivery))
        case _:
            assert_never(event)


def _handed_back(step: StepState, event: e.StepHandedBack) -> StepState:
    still_open = step.open
    if event.reason != REDELIVERED:  # else whoever had it first may still run it
        still_open = _without(step.open, event.delivery)
    if event.delivery != step.delivery:
        return replace(step, open=still_open)
    return replace(step, status=StepStatus.READY, due_at=0, open=still_open)


def _without(numbers: tuple[int, ...], gone: int) -> tuple[int, ...]:
    return tuple(number for number in numbers if number != gone)


def evolve_session(
    session: SessionState | None, record: e.JournalRecord, event: e.Event
) -> SessionState | None:
    """The session after `event`."""
    match event:
        case e.SessionOpened():
            return SessionState(
                session_id=record.session_id,
                tenant_id=record.tenant_id,
                principal=event.principal,
                attributes=event.attributes,
                opened_at=record.at,
            )
        case e.SessionClosed() if session is not None:
            return replace(session, closed_at=record.at)
        case e.ExecutionStarted() if session is not None:
            return replace(session, active=session.active + 1)
        case _:
            return session


def find_step(state: ExecutionState, name: str) -> StepState | None:
    """The step of that name, if it was dispatched."""
    return next((step for step in state.steps if step.step == name), None)


def _received(record: e.JournalRecord, event: e.IntentReceived) -> ExecutionState:
    return ExecutionState(
        execution_id=record.execution_id,
        session_id=record.session_id,
        tenant_id=record.tenant_id,
        correlation_id=record.correlation_id,
        intent_id=event.intent_id,
        intent_type=event.intent_type,
        realm=event.realm,
        principal=event.principal,
        payload=event.payload,
        payload_ref=event.payload_ref,
        payload_sha256=event.payload_sha256,
        metadata=event.metadata,
        solution_context=event.solution_context,
        created_at=event.created_at,
        traceparent=event.traceparent,
        priority=event.priority,
        status=ExecutionStatus.ACCEPTED,
        started_at=record.at,
    )


def _resolved(state: ExecutionState, event: e.CapabilityResolved) -> ExecutionState:
    return replace(
        state,
        realm=event.realm,
        capability_version=event.version,
        handler=event.handler,
        timeout_ms=event.timeout_ms,
        attempts=event.attempts,
        backoff_ms=event.backoff_ms,
        backoff_factor=event.backoff_factor,
        backoff_max_ms=event.backoff_max_ms,
        concurrency_key=event.concurrency_key,
        key_concurrency=event.key_concurrency,
    )


def _ended(state: ExecutionState, status: ExecutionStatus, at: int) -> ExecutionState:
    """What the dedupe window needs stays; the rest is in the journal."""
    return replace(
        state,
        status=status,
        ended_at=at,
        payload=b"",
        payload_ref=None,
        metadata=b"",
        solution_context=b"",
        steps=(),
        state={},
    )


def _changed(state: ExecutionState, event: e.StateChanged) -> ExecutionState:
    surface = dict(state.state)
    if event.value == b"null":
        surface.pop(event.key, None)
    else:
        surface[event.key] = event.value
    return replace(state, state=surface)


def _with_step(state: ExecutionState, changed: StepState) -> ExecutionState:
    for index, step in enumerate(state.steps):
        if step.step == changed.step:
            steps = (*state.steps[:index], changed, *state.steps[index + 1 :])
            return replace(state, steps=steps)
    return replace(state, steps=(*state.steps, changed))


def _new_step(name: str) -> StepState:
    return StepState(
        step=name,
        status=StepStatus.READY,
        attempt=1,
        delivery=0,
        token="",
        start_by=0,
        due_at=0,
        dispatched_at=-1,
    )
