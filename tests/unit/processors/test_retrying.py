"""What an operator may ask of a step, and what is said where they may not.

- A step that the plan has and that has not begun is known; it has not failed.
- A step that nobody knows is answered with those that there are.
- An execution without a plan is not held: what failed of it ends it, or may still run.
- What a step invoked in vain is stated anew, unless something is recorded of what came after that.
- Nothing is tried again before all that it invoked has ended.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.samples import PLAIN, PLAN

from symphainy_processors.saga import retrying
from symphainy_schemas import events as e
from symphainy_schemas.records import BRANCHED, Checkpoint, Error, Recovery
from symphainy_schemas.state import Child, ExecutionState, Signal, StepStatus

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


def test_nothing_is_tried_again_before_what_it_invoked_has_ended() -> None:
    problem = refused(replace(HELD, children=(Child("exe-0-1", FAILED.step),)), FAILED.step)
    assert problem is not None
    assert problem.code == "step_may_run"
    assert "exe-0-1" in problem.message
    assert refused(replace(HELD, children=(Child("exe-0-1", "ship"),)), FAILED.step) is None


WELL = b'{"status":"succeeded","result":1,"error":null}'
BADLY = b'{"status":"failed","result":null,"error":{"code":"no","message":"No."}}'
LARGE = b'{"status":"succeeded","result":null,"error":{"code":"large","message":"No."}}'
LATE = b""


def forgets(*recorded: str | tuple[str, bytes], **told: bytes) -> set[str]:
    """What is forgotten of a step of which that is recorded, and what of ends that were told later
    and nobody has asked for; `a` is an invocation, `a.end` its end."""

    def named(name: str) -> str:
        return f"invoke:{name.removesuffix('.end')}:0" + (":ended" if name.endswith(".end") else "")

    known = [
        Checkpoint(named(one[0]), one[1])
        if isinstance(one, tuple)
        else Checkpoint(named(one), f'"{one}"'.encode())
        if len(one) == 1
        else Checkpoint(one, b"1")
        for one in recorded
    ]
    step = replace(FAILED, checkpoints=tuple(known))
    signals = tuple(Signal(name, data) for name, data in told.items())
    state = replace(HELD, steps=(step,), signals=signals)
    asked = retrying.requested(state, e.StepRetryRequested(step=step.step, reason=""))[0]
    assert isinstance(asked, e.StepRetryRequested)
    short = {f"invoke:{x}:0": x for x in "ab"} | {f"invoke:{x}:0:ended": f"{x}.end" for x in "ab"}
    return {short.get(name, f"told:{name}") for name in asked.forgets}


@pytest.mark.parametrize(
    ("recorded", "told", "forgotten"),
    [
        ([], {}, set()),
        (["a", ("a.end", WELL)], {}, set()),
        (["a", ("a.end", BADLY)], {}, {"a", "a.end"}),
        (["a", ("a.end", LARGE)], {}, {"a", "a.end"}),
        (["a", ("a.end", BADLY), "noted"], {}, set()),
        (["noted", "a", ("a.end", BADLY)], {}, {"a", "a.end"}),
        (["a", ("a.end", BADLY), "b"], {}, set()),  # b goes its own way, or is another branch's
        (["a", "b", ("a.end", BADLY), ("b.end", WELL)], {}, {"a", "a.end"}),
        (["a", ("a.end", BADLY), "b", ("b.end", BADLY)], {}, {"a", "a.end", "b", "b.end"}),
        (["a", ("a.end", BADLY), "b", ("b.end", WELL)], {}, set()),
        (["a", "b", ("a.end", BADLY)], {"b": WELL}, {"a", "a.end"}),
        (["a", "b", ("a.end", BADLY)], {"b": BADLY}, {"a", "a.end", "b", "told:b"}),
        (["a", "b", "noted"], {"b": BADLY}, {"b", "told:b"}),  # nobody has seen that end
        (["a", ("a.end", LATE)], {"a": WELL}, {"a.end"}),
        (["a", ("a.end", LATE)], {"a": BADLY}, {"a", "a.end", "told:a"}),
        (["a", ("a.end", LATE), "noted"], {"a": BADLY}, set()),
        (["a", ("a.end", BADLY), BRANCHED, "noted"], {}, {"a", "a.end"}),
        (["a", ("a.end", BADLY), "noted", BRANCHED, "b"], {}, set()),
    ],
)
def test_what_was_invoked_in_vain_is_stated_anew(
    recorded: list[str | tuple[str, bytes]], told: dict[str, bytes], forgotten: set[str]
) -> None:
    assert forgets(*recorded, **told) == forgotten
