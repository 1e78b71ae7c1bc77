"""What an execution's plan says of its steps. Pure.

An execution without a plan has one step, and its own fields say how that is tried. The compensation
of a step is a step too: it is called `compensate:` and the name of what it undoes. A step of a plan
that is run for each element of a list is there as one for each: `charge[0]`, `charge[1]`, …; one of
its own name stands for all of them where there are none.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from symphainy_processors.fold.content import contents, read
from symphainy_processors.fold.sources import Sources
from symphainy_schemas import templates
from symphainy_schemas.ids import is_compensation, undone_by, whole_of
from symphainy_schemas.records import Error, PlanStep, Recovery
from symphainy_schemas.state import ExecutionState, StepState, StepStatus

MAIN_STEP = "main"
"""The one step of an execution that a handler answers."""
OVER = frozenset({StepStatus.SUCCEEDED, StepStatus.SKIPPED})
"""A step has ended so that others may begin."""


class Policy(Protocol):
    """How often and for how long a step is tried; ms."""

    @property
    def timeout_ms(self) -> int:
        """Limit of one attempt; 0 for none."""
        ...

    @property
    def heartbeat_ms(self) -> int:
        """Longest silence of one attempt; 0: no such limit."""
        ...

    @property
    def attempts(self) -> int:
        """In all."""
        ...

    @property
    def backoff_ms(self) -> int:
        """First delay."""
        ...

    @property
    def backoff_factor(self) -> float:
        """Growth."""
        ...

    @property
    def backoff_max_ms(self) -> int:
        """Largest delay."""
        ...


class Entry(Struct, frozen=True, gc=False):
    """The authorised entry point of a step. `compensates`: the step that it undoes, or empty."""

    realm: str
    intent_type: str
    version: int
    handler: str
    compensates: str = ""


def find_step(state: ExecutionState, name: str) -> StepState | None:
    """The step of that name, if it was ready once."""
    for step in state.steps:
        if step.step == name:
            return step
    return None


def planned(state: ExecutionState, step: str) -> PlanStep | None:
    """What the plan says of a step, or of the one that it undoes."""
    name = undone_by(step) or step
    whole = whole_of(name)
    for one in state.plan:
        if one.step == name or (one.step == whole and one.for_each):
            return one
    return None


def is_whole(one: PlanStep, step: str) -> bool:
    """Whether a step stands for all of the elements that there should be."""
    return bool(one.for_each) and one.step == step


def by_plan(state: ExecutionState) -> dict[str, list[StepState]]:
    """The steps that were ready once, under the names that the plan has for them; elements in the
    order of their list."""
    found: dict[str, list[StepState]] = {}
    many = {one.step for one in state.plan if one.for_each}
    for step in state.steps:  # a thousand of them, in every decision
        whole = step.step.partition("[")[0]
        found.setdefault(whole if whole in many else step.step, []).append(step)
    return found


def policy_of(state: ExecutionState, step: str) -> Policy:
    """How often and for how long a step is tried."""
    one = planned(state, step)
    if one is None:
        return state
    return (undone_by(step) and one.compensation_policy) or one.policy


def entry_of(state: ExecutionState, step: str) -> Entry:
    """Who runs a step."""
    one = planned(state, step)
    if one is None:
        return Entry(state.realm, state.intent_type, state.capability_version, state.handler)
    undone = undone_by(step)
    handler = one.compensation if undone else one.handler
    return Entry(one.realm, one.intent_type, one.version, handler, undone)


def realm_of(state: ExecutionState, step: str) -> str:
    """The realm that runs a step."""
    one = planned(state, step)
    return state.realm if one is None else one.realm


def concurrency_of(state: ExecutionState, step: str) -> tuple[str, int]:
    """A step's concurrency key, empty for none, and how many of that may be outstanding."""
    one = planned(state, step)
    if one is None:
        return state.concurrency_key, state.key_concurrency
    if undone_by(step):
        return "", 0
    if not one.concurrency_key:
        return (f"{state.execution_id}:{one.step}", one.at_most) if one.at_most else ("", 0)
    value = templates.find(read(state.tenant_id, input_of(state, step)), one.concurrency_key)
    index = contents(state.tenant_id).index
    return concurrency_key(one.intent_type, value, index), one.key_concurrency


def concurrency_key(capability: str, value: Any, index: bytes = b"") -> str:
    """The key of what was found at a capability's pointer, null for nothing. `index` keys the hash
    where what was found is sealed: else it could be guessed."""
    told = msgspec.json.encode(value, order="sorted")
    digest = hmac.digest(index, told, "sha256") if index else sha256(told).digest()
    return f"{capability}:{digest.hex()[:32]}"


def input_of(state: ExecutionState, step: str) -> bytes:
    """What a step gets: JSON; empty for the whole payload where that was claim-checked."""
    one = planned(state, step)
    if one is None:
        return state.payload
    forward = undone_by(step) or step
    for name in (step, forward):  # what undoes a step gets what that got
        known = find_step(state, name)
        if known is not None and known.input:
            return known.input
    if not one.input:
        return state.payload
    resolved = templates.resolve(one.input, Sources(state, one, forward))
    return contents(state.tenant_id).seal(f"{state.execution_id}/{forward}/input", resolved)


def output_of(state: ExecutionState) -> bytes:
    """A plan's result; empty where that is its only step's, and nobody is told of it."""
    plain = not state.output and not state.awaited_by
    if len(state.plan) == 1 and plain and not state.plan[0].for_each:
        return b""
    output = _output_of(state, Sources(state))
    return contents(state.tenant_id).seal(f"{state.execution_id}/output", output)


def _output_of(state: ExecutionState, look_up: Sources) -> bytes:
    if state.output:
        return templates.resolve(state.output, look_up)
    needed = {need for one in state.plan for need in one.needs}
    last = [one.step for one in state.plan if one.step not in needed]
    if len(last) == 1:
        return msgspec.json.encode(look_up(last[0]))
    return msgspec.json.encode({step: look_up(step) for step in last})


def holds(state: ExecutionState, one: PlanStep) -> bool:
    """Whether a step's condition does."""
    return templates.holds(one.condition, Sources(state))


def results_bytes(state: ExecutionState) -> int:
    """What the results that are kept take."""
    return sum(len(step.result) for step in state.steps if step.result is not None)


def is_undoing(state: ExecutionState) -> bool:
    """Whether its compensation has begun."""
    # Steps stand in the order in which they first were ready, and from then on no other is.
    return bool(state.steps) and is_compensation(state.steps[-1].step)


def is_stopping(state: ExecutionState) -> bool:
    """Whether nothing more of it begins but what undoes it."""
    failed = state.recovery is Recovery.COMPENSATE and failed_step(state) is not None
    return state.to_end or state.undo or (bool(state.plan) and failed)


def failed_step(state: ExecutionState) -> StepState | None:
    """The first step of a plan that has failed for good."""
    for step in state.steps:
        if step.status is StepStatus.FAILED and not undone_by(step.step):
            return step
    return None


def failed_undo(state: ExecutionState) -> StepState | None:
    """The first compensation that has failed for good."""
    for step in state.steps:
        if step.status is StepStatus.FAILED and undone_by(step.step):
            return step
    return None


def error_of(step: StepState) -> Error | None:
    """Why a step of a plan failed, with its name: of an execution with several, that is half of
    what one wants to know. An error that names a place of its own keeps it."""
    error = step.error
    return error if error is None or error.step else replace(error, step=step.step)


def to_undo(state: ExecutionState) -> dict[str, list[str]]:
    """What compensation covers: what was done, and what may have been (rule 15); by the names that
    the plan has for it, in that order."""
    known = by_plan(state)
    covered = {
        one.step: [
            step.step
            for step in known.get(one.step, ())
            if not is_whole(one, step.step) and _may_be_done(step)
        ]
        for one in state.plan
        if one.compensation
    }
    return {name: steps for name, steps in covered.items() if steps}


def needing(state: ExecutionState, step: str) -> frozenset[str]:
    """The steps that need `step`, directly or not."""
    found: set[str] = set()
    for one in state.plan:  # needs come first in a plan
        if step in one.needs or not found.isdisjoint(one.needs):
            found.add(one.step)
    return frozenset(found)


def _may_be_done(step: StepState) -> bool:
    done = step.status is StepStatus.SUCCEEDED
    return done or step.begun or step.given_up or bool(step.open)
