"""What an execution is to those that it invoked, and to the one that invoked it. Pure."""

from __future__ import annotations

from symphainy_processors.fold.plans import OVER, find_step, is_stopping
from symphainy_schemas.ids import undone_by
from symphainy_schemas.records import Error
from symphainy_schemas.state import Child, ExecutionState, StepStatus

STOPPED = OVER | {StepStatus.FAILED, StepStatus.CANCELLED}
"""Where a step goes on no more; deliveries of it may."""


def child_of(state: ExecutionState, execution_id: str) -> Child | None:
    """The execution of that id, if `state` awaits its end."""
    for child in state.children:
        if child.execution_id == execution_id:
            return child
    return None


def is_wanted(state: ExecutionState, child: Child) -> bool:
    """Whether the step that invoked it still has a use for its end. What undoes a step has, also
    where its execution is to end."""
    step = find_step(state, child.step)
    if state.status.ended or step is None or step.status in STOPPED:
        return False
    return bool(undone_by(child.step)) or not is_stopping(state)


def may_owe(state: ExecutionState) -> bool:
    """Whether something may follow from what was just decided about it, for other executions."""
    return bool(state.children) or bool(state.awaited_by and state.status.ended)


def parent_problem(parent: ExecutionState | None, child: Child | None) -> Error | None:
    """Why an awaited execution does not begin."""
    if parent is None or child is None or is_wanted(parent, child):
        return None
    return Error(
        code="parent_ended",
        message=f"{parent.execution_id}, which invoked it and waited for it, waits no more.",
        cure="Submit it by itself, if it is still wanted.",
    )
