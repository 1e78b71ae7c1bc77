"""Poison: a decider that raised, or a decision too large, becomes a small outcome (rule 7)."""

from __future__ import annotations

from symphainy_schemas import events as e
from symphainy_schemas.errors import CallerError, SymphainyError
from symphainy_schemas.records import Error, Intent, StepReport
from symphainy_schemas.state import ExecutionState

_CUT = 200


def intent(poisoned: Intent, error: Exception) -> tuple[e.Event, ...]:
    """The intent is rejected; its payload stays in the write-ahead log."""
    received = e.IntentReceived(
        intent_id=poisoned.intent_id[:_CUT],
        intent_type=poisoned.intent_type[:_CUT],
        realm=poisoned.realm[:_CUT],
        principal=poisoned.principal[:_CUT],
        causation_id=poisoned.causation_id[:_CUT],
        payload=b"",
        payload_sha256=b"",
        metadata=b"{}",
        solution_context=b"",
        created_at=poisoned.created_at,
    )
    return received, e.IntentRejected(error=_error(error))


def report(state: ExecutionState, poisoned: StepReport, error: Exception) -> tuple[e.Event, ...]:
    """The step and its execution fail, or are held for an operator if there is a plan; the report
    stays in `steps`."""
    told = _error(error)
    failed = e.StepFailed(
        step=poisoned.step,
        attempt=poisoned.attempt,
        delivery=poisoned.delivery,
        # Of a plan's step nobody knows then what it has done: as if nobody had told.
        worker="" if state.plan else poisoned.worker[:_CUT],
        error=told,
    )
    return failed, e.ExecutionStuck(error=told) if state.plan else e.ExecutionFailed(error=told)


def following(state: ExecutionState, error: Exception) -> tuple[e.Event, ...]:
    """What follows from another execution's decision cannot be decided: it fails, or is held for an
    operator if there is a plan."""
    told = _error(error)
    return (e.ExecutionStuck(error=told) if state.plan else e.ExecutionFailed(error=told),)


def _error(error: Exception) -> Error:
    if isinstance(error, CallerError):
        return Error(code=error.code, message=error.message, field=error.field, cure=error.cure)
    detail = error.message if isinstance(error, SymphainyError) else f"{type(error).__name__}"
    return Error(
        code="undecidable",
        message=f"The runtime could not decide this input: {detail}"[:500],
        operator_action="Report it with the record's position; the owner's log has the trace.",
    )
