"""What is sent of journaled decisions: tasks, notices of what is to end, intents of handlers.

Built from the state as decided, sent after the append.
"""

from __future__ import annotations

from symphainy_processors.fold.plans import (
    entry_of,
    find_step,
    input_of,
    is_stopping,
    policy_of,
    realm_of,
)
from symphainy_processors.fold.steps import LOST_IN_COMPANY
from symphainy_schemas.events import ChildInvoked, StepDispatched
from symphainy_schemas.ids import undone_by
from symphainy_schemas.records import CancelNotice, Intent, Task
from symphainy_schemas.state import ExecutionState

_BY_A_HANDLER = b'{"source":"handler"}'


def task_for(
    state: ExecutionState,
    event: StepDispatched,
    attributes: bytes,
    partition: int,
    offset: int,
    skew_ms: int,
) -> Task:
    """The one effect of a StepDispatched at journal `offset`; `attributes` are its session's.

    Its `start_by` is earlier than the owner's by the skew that a worker's clock may have (rule 13).
    """
    step = next(step for step in state.steps if step.step == event.step)
    entry = entry_of(state, event.step)
    undone = find_step(state, entry.compensates)
    payload = input_of(state, event.step)
    return Task(
        execution_id=state.execution_id,
        session_id=state.session_id,
        tenant_id=state.tenant_id,
        partition=partition,
        dispatched_at=offset,
        step=event.step,
        attempt=event.attempt,
        delivery=event.delivery,
        token=event.token,
        start_by=event.start_by - skew_ms,
        timeout_ms=event.timeout_ms,
        heartbeat_ms=policy_of(state, event.step).heartbeat_ms,
        realm=entry.realm,
        intent_id=state.intent_id,
        intent_type=entry.intent_type,
        capability_version=entry.version,
        handler=entry.handler,
        principal=state.principal,
        correlation_id=state.correlation_id,
        payload=payload,
        payload_ref=None if payload else state.payload_ref,
        metadata=state.metadata,
        solution_context=state.solution_context,
        created_at=state.created_at,
        traceparent=state.traceparent,
        checkpoints=step.checkpoints,
        compensates=entry.compensates,
        result=None if undone is None else undone.result,
        alone=step.lost >= LOST_IN_COMPANY,
        roles=state.roles,
        policy=state.policy,
        session=attributes,
    )


def intent_for(state: ExecutionState, event: ChildInvoked, at: int) -> Intent:
    """The one effect of a ChildInvoked journaled at `at`, ms since the epoch."""
    return Intent(
        intent_id=event.intent_id,
        intent_type=event.intent_type,
        realm=event.realm,
        session_id=state.session_id,
        tenant_id=state.tenant_id,
        principal=state.principal,
        correlation_id=state.correlation_id,
        causation_id=state.execution_id,
        payload=event.payload,
        metadata=_BY_A_HANDLER,
        solution_context=state.solution_context,
        created_at=at,
        traceparent=state.traceparent,
        priority=state.priority,
        roles=state.roles,
        attributes=state.attributes,
        authentication=state.authentication,
        credential=state.credential,
    )


def notices_for(state: ExecutionState, offset: int) -> tuple[CancelNotice, ...]:
    """One for each delivery that may start or run, as of a journal offset; none unless the
    execution is to end, and none for what undoes it."""
    if not is_stopping(state):
        return ()
    return tuple(
        CancelNotice(
            execution_id=state.execution_id,
            realm=realm_of(state, step.step),
            step=step.step,
            delivery=delivery,
            before=offset,
        )
        for step in state.steps
        if not undone_by(step.step)
        for delivery in step.open
    )
