"""Planted bugs around plans: what begins, what is undone, in which order, and with what."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from symphainy_processors.fold import plans, sources
from symphainy_processors.owner import ledger, tasks
from symphainy_processors.saga import advancing
from symphainy_schemas.ids import undone_by
from symphainy_schemas.state import StepStatus
from symphainy_simulation.plants.plant import Patch, Plant


def _does_not_wait(original: Any) -> Any:
    def moves(state: Any) -> bool:
        early = plans.is_stopping(state) and not plans.is_undoing(state)
        return not early and original(state)

    return moves


def _goes_forward(original: Any) -> Any:
    def needing(state: Any, step: str) -> Any:
        return frozenset(x.step for x in state.plan if step in original(state, x.step))

    return needing


def _only_what_is_certain(original: Any) -> Any:
    return lambda step: step.status is StepStatus.SUCCEEDED


def _forgets_what_was_given_up(original: Any) -> Any:
    return lambda step: original(replace(step, given_up=False))


def _succeeded_alone(original: Any) -> Any:
    return frozenset({StepStatus.SUCCEEDED})


def _goes_on(original: Any) -> Any:
    return lambda state: state.to_end or state.undo


def _drops_results_later(original: Any) -> Any:
    def task_for(state: Any, event: Any, *rest: Any) -> Any:
        task = original(state, event, *rest)
        return replace(task, result=None) if event.delivery > 1 else task

    return task_for


def _as_its_step(original: Any) -> Any:
    return lambda state, step: original(state, undone_by(step) or step)


def _drops_corrections(original: Any) -> Any:
    def input_of(state: Any, step: str) -> Any:
        return original(
            replace(state, steps=tuple(replace(x, input=b"") for x in state.steps)), step
        )

    return input_of


def _in_order_of_dispatch(original: Any) -> Any:
    def raw(state: Any, source: str) -> Any:
        return original(
            replace(state, steps=tuple(sorted(state.steps, key=lambda x: x.dispatched_at))), source
        )

    return raw


def _all_but_the_last(original: Any) -> Any:
    def to_undo(state: Any) -> Any:
        found = original(state)
        return {name: steps[:-1] if len(steps) > 1 else steps for name, steps in found.items()}

    return to_undo


def _the_first(original: Any) -> Any:
    return lambda step: 0


def _some_are_enough(original: Any) -> Any:
    def is_over(known: Any, need: str) -> bool:
        return any(step.status in plans.OVER for step in known.get(need, ()))

    return is_over


PLANTS = (
    Plant(
        "joined-as-they-come",
        "15",
        "Who needs a step that is run for each element gets the results in the order of dispatch.",
        (Patch(sources, "_raw", _in_order_of_dispatch),),
    ),
    Plant(
        "element-not-undone",
        "15",
        "Of several elements that were done, the last is not undone.",
        (Patch(plans, "to_undo", _all_but_the_last),),
    ),
    Plant(
        "each-gets-the-first",
        "15",
        "A step that is run for each element of a list is given the first one every time.",
        (Patch(sources, "number_of", _the_first),),
    ),
    Plant(
        "joined-too-early",
        "15",
        "Who needs a step that is run for each element begins when one of them has ended.",
        (Patch(advancing, "_is_over", _some_are_enough),),
    ),
    Plant(
        "undone-while-it-runs",
        "13",
        "What was done is undone while a branch beside it may still start or run.",
        (Patch(advancing, "_moves", _does_not_wait),),
    ),
    Plant(
        "undone-forwards",
        "15",
        "A step is undone once what it needed is, not what needed it.",
        (Patch(plans, "needing", _goes_forward),),
    ),
    Plant(
        "unknown-not-undone",
        "15",
        "A step of unknown outcome is not undone.",
        (Patch(plans, "_may_be_done", _only_what_is_certain),),
    ),
    Plant(
        "given-up-is-forgotten",
        "15",
        "An attempt that a limit gave up is forgotten when a later one fails.",
        (Patch(plans, "_may_be_done", _forgets_what_was_given_up),),
    ),
    Plant(
        "skipped-never-over",
        "15",
        "A step that was skipped is taken for one that has not ended.",
        (Patch(advancing, "OVER", _succeeded_alone),),
    ),
    Plant(
        "failed-goes-on",
        "15",
        "After a failure that is to be undone, other branches go on.",
        (Patch(plans, "is_stopping", _goes_on),),
    ),
    Plant(
        "result-left-behind",
        "15",
        "A compensation that is delivered anew is not told what its step had returned.",
        (Patch(ledger, "task_for", _drops_results_later),),
    ),
    Plant(
        "undone-as-its-step",
        "15",
        "A compensation is tried as often as its step, whatever its own policy says.",
        (Patch(plans, "policy_of", _as_its_step),),
    ),
    Plant(
        "correction-left-behind",
        "15",
        "A step that is retried gets its old input, whatever the operator gave.",
        (Patch(tasks, "input_of", _drops_corrections),),
    ),
)
