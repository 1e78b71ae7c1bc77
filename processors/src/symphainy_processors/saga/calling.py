"""Decide that a handler states an intent: it is recorded once, under a name, like a checkpoint.
Pure.

Other than a checkpoint it counts from any delivery of the attempt, as a success does: a handler
that has returned must not have stated what nobody knows of. The intent's id follows from the
attempt's token, so all deliveries of an attempt state the same one.
"""

from __future__ import annotations

from symphainy_processors.saga import waiting
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.records import Error, StepReport
from symphainy_schemas.state import ExecutionState, StepState

MOST_CHILDREN = waiting.MOST_WAITS


def invoked(
    state: ExecutionState, step: StepState, report: StepReport
) -> tuple[e.ChildInvoked, ...] | Error:
    """What is recorded of it; nothing, if it was before. An error ends the attempt."""
    call = report.call
    if call is None or any(known.name == report.name for known in step.checkpoints):
        return ()
    if call.awaited and len(state.children) >= MOST_CHILDREN:
        return Error(
            code="too_many_children",
            message=f"The execution waits for {len(state.children)} others already.",
            step=step.step,
            cure=f"Wait for at most {MOST_CHILDREN} at once.",
        )
    intent_id = ids.child_intent_id(step.token, report.name)
    partition = ids.partition_of(state.execution_id)
    child = ids.execution_id(state.tenant_id, state.session_id, intent_id, partition)
    taken = waiting.checkpoints_bytes(state, step) + len(child)
    if taken > waiting.CHECKPOINTS_BYTES:
        return waiting.checkpoints_too_large(step, taken)
    return (
        e.ChildInvoked(
            step=step.step,
            attempt=report.attempt,
            delivery=report.delivery,
            name=report.name,
            child=child,
            intent_id=intent_id,
            intent_type=call.intent_type,
            realm=call.realm,
            payload=call.payload,
            awaited=call.awaited,
        ),
    )
