"""Decide what an operator asks of a plan: a failed step tried again, or all of it undone. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from symphainy_processors.fold.plans import (
    by_plan,
    failed_undo,
    find_step,
    is_undoing,
    is_whole,
    planned,
)
from symphainy_processors.saga.forgetting import forgotten
from symphainy_schemas import events as e
from symphainy_schemas.ids import undone_by
from symphainy_schemas.records import Error, PlanStep, Recovery
from symphainy_schemas.state import ExecutionState, StepState, StepStatus

Events = tuple[e.Event, ...]
_MOST_NAMED = 100


def requested(state: ExecutionState, event: e.StepRetryRequested) -> Events:
    """The step is ready once more, as one attempt beyond those of its policy."""
    step = find_step(state, event.step)
    assert step is not None
    anew = replace(event, forgets=forgotten(state, step))
    return (anew, e.StepReady(step=event.step, attempt=step.attempt + 1))


def problem(state: ExecutionState, event: e.StepRetryRequested) -> Error | None:
    """Why the step cannot be tried again."""
    step = find_step(state, event.step)
    if step is None:
        return _unknown(state, event.step)
    one = planned(state, event.step)
    if one is not None and is_whole(one, event.step):
        what = f"Step {event.step} is run for each element of a list, which stays as it is."
        return _error("step_not_failed", what)
    if step.status is not StepStatus.FAILED:
        return _error("step_not_failed", f"Step {step.step} is {step.status}, not failed.")
    if not state.plan:  # its end is recorded as soon as nothing of it can run any more
        return _error("step_may_run", f"{step.step} may still run, and then the execution ends.")
    undoing = is_undoing(state)
    if bool(undone_by(step.step)) != undoing:
        return _error("compensation_began", f"What {step.step} belongs to is being undone.")
    if undoing or not (state.to_end or state.undo or state.recovery is Recovery.COMPENSATE):
        return _going_on(state, step)
    return _error("execution_stopping", "The execution ends, and what it did is undone.")


def _going_on(state: ExecutionState, step: StepState) -> Error | None:
    """What of a failed step is not over."""
    if step.open:
        return _error("step_may_run", f"{step.step} may still run.")
    child = next((x.execution_id for x in state.children if x.step == step.step), None)
    if child is None:
        return None
    return _error("step_may_run", f"{child}, which {step.step} invoked, has not ended yet.")


def _unknown(state: ExecutionState, name: str) -> Error:
    """Why a step cannot be tried again that was never ready under that name."""
    elements = by_plan(state).get(undone_by(name) or name)
    if elements:
        several = f"Step {name} is run for each of {len(elements)} elements: name one of them."
        failed = (x.step for x in state.steps if x.status is StepStatus.FAILED)
        return _error("step_not_found", several, ", ".join(list(failed)[:_MOST_NAMED]))
    if planned(state, name) is not None and not undone_by(name):
        return _error("step_not_failed", f"Step {name} has not begun.")
    known = dict.fromkeys((*_names(state.plan), *_names(state.steps)))
    found = f"The execution has no step {name[:80]!r}."
    more = ", …" if len(known) > _MOST_NAMED else ""
    return _error("step_not_found", found, ", ".join(list(known)[:_MOST_NAMED]) + more)


def undo_problem(state: ExecutionState) -> Error | None:
    """Why it cannot be undone."""
    if not state.plan:
        return _error(
            "no_compensation", f"{state.intent_type} declares no compensation.", whole=True
        )
    if is_undoing(state):
        failed = failed_undo(state)
        more = "" if failed is None else f" Retry {failed.step}."
        return _error("compensation_began", f"It is being undone already.{more}", whole=True)
    return None


def _names(steps: Sequence[PlanStep | StepState]) -> Iterator[str]:
    return (one.step for one in steps)


def _error(code: str, message: str, known: str = "", *, whole: bool = False) -> Error:
    field = "/payload/execution_id" if whole else "/payload/step"
    return Error(code=code, message=message, field=field, cure=f"It has: {known}." if known else "")
