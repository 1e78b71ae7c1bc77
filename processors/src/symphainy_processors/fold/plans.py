"""What an execution's plan says of its steps. Pure.

An execution without a plan has one step, and its own fields say how that is tried. The compensation
of a step is a step too: it is called `compensate:` and the name of what it undoes.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from symphainy_schemas import templates
from symphainy_schemas.ids import undone_by
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
    for one in state.plan:
        if one.step == name:
            return one
    return None


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
    if not one.concurrency_key or undone_by(step):
        return "", 0
    value = templates.find(_json(input_of(state, step)), one.concurrency_key)
    return concurrency_key(one.intent_type, value), one.key_concurrency


def concurrency_key(capability: str, value: Any) -> str:
    """The key of what was found at a capability's pointer, null for nothing."""
    digest = sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:32]
    return f"{capability}:{digest}"


def input_of(state: ExecutionState, step: str) -> bytes:
    """What a step gets: JSON; empty for the whole payload where that was claim-checked."""
    one = planned(state, step)
    if one is None:
        return state.payload
    for name in (step, one.step):  # what undoes a step gets what that got
        known = find_step(state, name)
        if known is not None and known.input:
            return known.input
    return templates.resolve(one.input, _Sources(state)) if one.input else state.payload


def output_of(state: ExecutionState) -> bytes:
    """A plan's result; empty where that is its only step's, and nobody is told of it."""
    if len(state.plan) == 1 and not state.output and not state.awaited_by:
        return b""
    if state.output:
        return templates.resolve(state.output, _Sources(state))
    needed = {need for one in state.plan for need in one.needs}
    look_up = _Sources(state)
    last = [one.step for one in state.plan if one.step not in needed]
    if len(last) == 1:
        return msgspec.json.encode(look_up(last[0]))
    return msgspec.json.encode({step: look_up(step) for step in last})


def holds(state: ExecutionState, one: PlanStep) -> bool:
    """Whether a step's condition does."""
    return templates.holds(one.condition, _Sources(state))


def results_bytes(state: ExecutionState) -> int:
    """What the results that are kept take."""
    return sum(len(step.result) for step in state.steps if step.result is not None)


def is_undoing(state: ExecutionState) -> bool:
    """Whether its compensation has begun."""
    return any(undone_by(step.step) for step in state.steps)


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


def to_undo(state: ExecutionState) -> Iterator[PlanStep]:
    """What compensation covers: what was done, and what may have been (rule 15)."""
    for one in state.plan:
        step = find_step(state, one.step)
        if step is not None and one.compensation and _may_be_done(step):
            yield one


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


class _Sources:
    """Looks up the payload and results, each decoded once."""

    def __init__(self, state: ExecutionState) -> None:
        self._state = state
        self._known: dict[str, Any] = {}

    def __call__(self, source: str) -> Any:
        if source not in self._known:
            self._known[source] = _json(self._raw(source))
        return self._known[source]

    def _raw(self, source: str) -> bytes | None:
        if source == templates.PAYLOAD:
            return self._state.payload
        step = find_step(self._state, source)
        return None if step is None else step.result


def _json(raw: bytes | None) -> Any:
    return msgspec.json.decode(raw) if raw else None
