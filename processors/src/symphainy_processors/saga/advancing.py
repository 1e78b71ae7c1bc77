"""Decide how an execution with a plan goes on after a decision about one of its steps. Pure.

Steps begin when what they need has ended, side by side where the plan lets them. When one has
failed for good, its recovery decides: `compensate` lets nothing more begin, waits until nothing of
it can start or run any more (rule 13), and undoes what was done and what may have been (rule 15);
`hold_for_operator` and `retry_forward` go on beside it as far as that goes, and then wait for an
operator. What is to end (cancelled, overdue, compensation asked for) is undone alike.

A step is undone once everything that needed it is: in reverse, and side by side where the plan was.
What is run for each element of a list has ended, or is undone, when all of them have or are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from symphainy_processors.fold import plans
from symphainy_processors.fold.evolve import UNPLACED, ahead
from symphainy_processors.fold.plans import OVER
from symphainy_processors.saga import cancelling, fanning
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.records import Error, Recovery
from symphainy_schemas.state import ExecutionState, ExecutionStatus, StepState, StepStatus

Events = tuple[e.Event, ...]
# Results of a plan are kept for its other steps and its compensations; the state is one record.
RESULTS_BYTES = 393_216
_IN_MOTION = frozenset(
    {
        StepStatus.READY,
        StepStatus.DISPATCHED,
        StepStatus.STARTED,
        StepStatus.BACKING_OFF,
        StepStatus.SUSPENDED,
        StepStatus.HELD,
    }
)


def after(state: ExecutionState, events: Events, now: int) -> Events:
    """A decision about an execution with a plan, and what follows from it."""
    if not state.plan or not events:
        return events
    return (*events, *onwards(folded(state, events, now), now))


def onwards(state: ExecutionState, now: int) -> Events:
    """What an execution with a plan does next, as it stands."""
    if state.status.ended:
        return ()
    if plans.is_undoing(state):
        return _undo(state)
    if plans.is_stopping(state) and (state.undo or not _all_done(state)):
        stopped = cancelling.idle(state)
        left = folded(state, stopped, now)
        return stopped if _moves(left) else (*stopped, *_give_up(left))
    return _forward(state, now)


def finally_failed(state: ExecutionState, step: str, error: Error, attempt: int) -> bool:
    """Whether a step is not tried again by itself after that error of an attempt."""
    if not error.retryable:
        return True
    forward = state.recovery is Recovery.RETRY_FORWARD and not ids.undone_by(step)
    return not forward and attempt >= plans.policy_of(state, step).attempts


def too_large(state: ExecutionState, step: str, result: bytes) -> Error | None:
    """Why a step's result cannot be kept for the others of its plan."""
    taken = plans.results_bytes(state) + len(result)
    if not state.plan or ids.undone_by(step) or taken <= RESULTS_BYTES:
        return None
    return Error(
        code="results_too_large",
        message=f"The results of this plan's steps take {taken} bytes.",
        step=step,
        cure=f"Keep them under {RESULTS_BYTES} bytes: return references to artifacts.",
    )


def folded(state: ExecutionState, events: Events, now: int) -> ExecutionState:
    """The execution after events that are not journaled yet."""
    after = ahead(state, events, replace(UNPLACED, at=now))
    assert after is not None
    return after


def _forward(state: ExecutionState, now: int) -> Events:
    """What may begin; where nothing moves and nothing may, the end, or an operator's turn."""
    before = state
    events: Events = ()
    while fresh := _beginning(state, now):  # what is skipped lets others begin, or be skipped
        events += fresh
        state = folded(state, fresh, now)
    if plans.is_stopping(state) and not plans.is_stopping(before):
        # A step has no list: nothing begins that could have beside it.
        events = tuple(event for event in events if not isinstance(event, e.StepReady))
        return (*events, *onwards(folded(before, events, now), now))
    if any(step.status in _IN_MOTION for step in state.steps):
        return events
    failed = plans.failed_step(state)
    if failed is None:  # a delivery beside the one that succeeded has nothing left to say
        return (*events, e.ExecutionSucceeded(result=plans.output_of(state)))
    if state.status is ExecutionStatus.STUCK or _moves(state):
        return events
    return (*events, e.ExecutionStuck(error=_held(state, failed)))


def _beginning(state: ExecutionState, now: int) -> Events:
    known = plans.by_plan(state)
    events: list[e.Event] = []
    for one in state.plan:
        if one.step in known or not all(_is_over(known, need) for need in one.needs):
            continue
        needed = [step.status for need in one.needs for step in known[need]]
        all_skipped = bool(needed) and all(status is StepStatus.SKIPPED for status in needed)
        if all_skipped or not plans.holds(state, one):
            events.append(e.StepSkipped(step=one.step))
        else:
            events += fanning.begin(state, one, now)
    return tuple(events)


def _is_over(known: Mapping[str, Sequence[StepState]], need: str) -> bool:
    return need in known and all(step.status in OVER for step in known[need])


def _give_up(state: ExecutionState) -> Events:
    """Nothing of it moves: undo what is to be undone; else it ends."""
    failed = plans.failed_step(state)
    error = None if failed is None else plans.error_of(failed)
    if plans.to_undo(state):
        cause = cancelling.deadline_error(state) if state.overdue and error is None else error
        return (e.CompensationStarted(error=cause), *_undo(state))
    if error is not None:
        return (e.ExecutionFailed(error=error),)
    if state.undo and not state.to_end:
        return (e.ExecutionCompensated(),)
    return (cancelling.end(state),)


def _undo(state: ExecutionState) -> Events:
    covered = plans.to_undo(state)
    known = {step.step: step.status for step in state.steps}
    undoing = {name: [ids.compensation_of(x) for x in steps] for name, steps in covered.items()}
    ended = {
        name
        for name, steps in undoing.items()
        if all(known.get(step) is StepStatus.SUCCEEDED for step in steps)
    }
    events: list[e.Event] = []
    for name in reversed(undoing):
        if plans.needing(state, name) & undoing.keys() <= ended:
            left = (step for step in undoing[name] if step not in known)
            events += (e.StepReady(step=step, attempt=1) for step in left)
    if events or _moves(state):
        return tuple(events)
    failed = plans.failed_undo(state)
    if failed is None:
        return (e.ExecutionCompensated(error=state.failure),)
    if state.status is ExecutionStatus.STUCK:
        return ()
    return (e.ExecutionStuck(error=_held(state, failed)),)


def _all_done(state: ExecutionState) -> bool:
    """Whether there is nothing left to stop: what was asked then came too late."""
    known = plans.by_plan(state)
    return all(_is_over(known, one.step) for one in state.plan)


def _moves(state: ExecutionState) -> bool:
    """Whether something of it may still start or run, or goes on by itself."""
    moves = any(step.status in _IN_MOTION or step.open for step in state.steps)
    return moves or bool(state.children)  # of a step that goes on no more they are asked to end


def _held(state: ExecutionState, step: StepState) -> Error:
    """Why it is stuck, and what an operator can do."""
    undo = f"symphainy saga compensate {state.execution_id}"
    what = f"Mend the cause, then: symphainy saga retry {state.execution_id} {step.step}"
    other = "" if ids.undone_by(step.step) else f", or: {undo}"
    one = plans.planned(state, step.step)
    if one is not None and plans.is_whole(one, step.step):  # the list stays as it is
        what, other = f"Have it undone: {undo}", ""
    error = step.error or Error(code="unknown_failure", message="The worker gave no reason.")
    return Error(
        code=error.code,
        message=error.message,
        field=error.field,
        cure=error.cure,
        step=step.step,
        retryable=error.retryable,
        operator_action=f"{what}{other}",
    )
