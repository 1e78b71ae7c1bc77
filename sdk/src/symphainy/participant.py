"""The class form of a handler: one object that answers several intent types."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, RootModel, TypeAdapter, ValidationError

from symphainy.context import Context
from symphainy.errors import ContractViolation
from symphainy.outcome import Event, Outcome, StateChange
from symphainy.reference import Reference
from symphainy.stated import Intent


class RuntimeParticipant(ABC):
    """A service that takes part in execution under the runtime's supervision.

    It acts only through its context, returns artifacts and events instead of side effects, and
    neither retries nor orchestrates: the runtime does.
    """

    @abstractmethod
    async def handle_intent(self, intent: Intent, context: Context) -> Mapping[str, Any] | Outcome:
        """Execute one intent.

        Returns an `Outcome`, or a dict with any of `artifacts` ({name: reference}), `events`
        ([{"type", "data"}]), `state_changes` ([{"key", "value"}]) and `result`.
        """

    @abstractmethod
    def get_supported_intents(self) -> list[str]:
        """The intent types that `handle_intent` answers, all of one realm."""


class AnyPayload(RootModel[dict[str, Any]]):
    """Any JSON object: what a participant takes, which reads `intent.payload` itself."""


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True)
    type: str
    data: Any = None


class _StateChange(BaseModel):
    model_config = ConfigDict(extra="forbid", from_attributes=True)
    key: str
    value: Any


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    artifacts: Mapping[str, Reference] = {}
    events: Sequence[_Event] = ()
    state_changes: Sequence[_StateChange] = ()
    result: Any = None


_READ = TypeAdapter(_Answer).validate_python


def as_function(
    participant: RuntimeParticipant,
) -> Callable[[Context, AnyPayload], Coroutine[Any, Any, Outcome]]:
    """The participant as a handler's function."""

    async def handle_intent(ctx: Context, payload: AnyPayload) -> Outcome:
        return outcome_of(await participant.handle_intent(ctx.intent, ctx))

    handle_intent.__doc__ = type(participant).__doc__
    return handle_intent


def outcome_of(answer: Mapping[str, Any] | Outcome) -> Outcome:
    """A participant's answer as an outcome.

    Raises:
        ContractViolation: `wrong_return_type`.
    """
    if isinstance(answer, Outcome):
        return answer
    try:
        read = _READ(answer)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]
        place = "/".join(str(part) for part in fault["loc"]) or "the answer"
        raise ContractViolation(
            f"handle_intent returned what is no outcome: {place}: {fault['msg']}",
            code="wrong_return_type",
            cure='Return {"artifacts": {name: reference}, "events": [{"type", "data"}], '
            '"state_changes": [{"key", "value"}], "result": …} or an Outcome.',
        ) from error
    return Outcome(
        artifacts=read.artifacts,
        events=[Event(event.type, event.data) for event in read.events],
        state_changes=[StateChange(change.key, change.value) for change in read.state_changes],
        result=read.result,
    )
