"""What an operator may ask of a step, and what is said where they may not.

- A step that the plan has and that has not begun is known; it has not failed.
- A step that nobody knows is answered with those that there are.
- An execution without a plan is not held: what failed of it ends it, or may still run.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.samples import PLAIN, PLAN

from symphainy_processors.saga import retrying
from symphainy_schemas import events as e
from symphainy_schemas.records import Error, Recovery
from symphainy_schemas.state import ExecutionState, StepStatus

[STEP] = PLAIN.steps
FAILED = replace(
    STEP,
    step=PLAN[0].step,
    status=StepStatus.FAILED,
    open=(),
    error=Error(code="declined", message="No."),
)
ONCE = replace(PLAN[0], for_each=b"")
LATER = replace(ONCE, step="ship", needs=(PLAN[0].step,))
HELD = replace(PLAIN, plan=(ONCE, LATER), steps=(FAILED,), recovery=Recovery.HOLD_FOR_OPERATOR)


def refused(state: ExecutionState, step: str) -> Error | None:
    """Why the step is not tried again."""
    return retrying.problem(state, e.StepRetryRequested(step=step, reason=""))


def test_a_step_that_is_held_is_tried_again() -> None:
    assert refused(HELD, FAILED.step) is None


@pytest.mark.parametrize(
    ("step", "code", "told"),
    [
        ("ship", "step_not_failed", "has not begun"),
        ("pay", "step_not_found", "no step 'pay'"),
        ("compensate:ship", "step_not_found", "no step 'compensate:ship'"),
    ],
)
def test_a_step_that_has_not_failed_is_told_from_one_that_is_not_there(
    step: str, code: str, told: str
) -> None:
    problem = refused(HELD, step)
    assert problem is not None
    assert (problem.code, told in problem.message) == (code, True)


def test_the_steps_that_there_are_are_named_once() -> None:
    problem = refused(HELD, "pay")
    assert problem is not None
    assert problem.cure == f"It has: {FAILED.step}, ship."


def test_an_execution_without_a_plan_has_its_step_but_does_not_hold_it() -> None:
    state = replace(PLAIN, steps=(replace(STEP, status=StepStatus.FAILED, open=(1,)),))
    for step, code in ((STEP.step, "step_may_run"), ("pay", "step_not_found")):
        problem = refused(state, step)
        assert problem is not None
        assert problem.code == code
