"""What is known of one execution under test."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from symphainy.outcome import Event
from symphainy.reference import Reference
from symphainy_schemas import events as e
from symphainy_schemas.ids import is_compensation, undone_by
from symphainy_schemas.records import Error
from symphainy_schemas.state import ExecutionState, ExecutionStatus
from symphainy_testing.journal import Happened, check_type, story

Until = Literal["accepted", "started", "waiting", "ended"]
_E = TypeVar("_E")


class Stage(Protocol):
    """Where an execution runs: the harness."""

    def events(self, execution_id: str) -> tuple[Happened, ...]:
        """The execution's events."""
        ...

    def execution(self, execution_id: str) -> ExecutionState | None:
        """The execution as the journal has it."""
        ...

    def cause(self, execution_id: str) -> Exception | None:
        """What last left the execution's handler, if anything did."""
        ...

    async def ask(
        self, run: Told, verb: str, payload: Mapping[str, object], key: str, until: Until
    ) -> None:
        """State one of the runtime's own intents about the execution."""
        ...

    async def advance(self, run: Told, until: Until) -> None:
        """Go on."""
        ...

    def content(self, run: Told, reference: Reference) -> Awaitable[bytes]:
        """The content of an artifact."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of an execution, as of now; it moves on with the harness."""

    execution_id: str
    intent_type: str
    tenant_id: str
    session_id: str
    _stage: Stage

    @property
    def journal(self) -> tuple[Happened, ...]:
        """Its events, in order."""
        return self._stage.events(self.execution_id)

    def events_of(self, event_type: str) -> tuple[Happened, ...]:
        """Its events of one type, such as "step_checkpointed".

        Raises:
            ValueError: there is no such type.
        """
        wanted = check_type(event_type)
        return tuple(one for one in self.journal if one.type == wanted)

    @property
    def status(self) -> str:
        """`running`, `waiting`, `succeeded`, `failed`, `cancelled` or `rejected`; of a plan, or of
        a handler with a compensation, also `compensating`, `compensated` and `stuck`."""
        return str(self._state.status)

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self._state.status.ended

    @property
    def result(self) -> Any:
        """What its handler returned, or its plan's result, as JSON values; None before that."""
        resolved, ended = self._events(e.CapabilityResolved), self._events(e.ExecutionSucceeded)
        if ended and ended[-1].result:
            return _json(ended[-1].result)
        plan = resolved[0].plan if resolved else ()
        if resolved and (resolved[0].output or len(plan) > 1 or any(x.for_each for x in plan)):
            return None
        return next(reversed(self.results.values()), None)

    @property
    def results(self) -> dict[str, Any]:
        """What its steps returned, by their names, in the order in which they ended; of a step
        that is run for each element of a list, each of these under a name like `charge[0]`."""
        done = (x for x in self._events(e.StepSucceeded) if not is_compensation(x.step))
        return {x.step: _json(x.result) for x in done}

    @property
    def skipped(self) -> tuple[str, ...]:
        """The steps of its plan that were skipped, in order."""
        return tuple(x.step for x in self._events(e.StepSkipped))

    @property
    def undone(self) -> tuple[str, ...]:
        """The steps that were undone, in the order in which their compensations ended."""
        done = (x for x in self._events(e.StepSucceeded) if is_compensation(x.step))
        return tuple(undone_by(x.step) for x in done)

    @property
    def error(self) -> Error | None:
        """Why it was rejected, has failed, was undone or is stuck, with `code`, `message`, `field`,
        `cure`, `step` and `operator_action`."""
        if self.status == ExecutionStatus.STUCK:
            return self._events(e.ExecutionStuck)[-1].error
        ends: tuple[e.IntentRejected | e.ExecutionFailed | e.ExecutionCompensated, ...]
        ends = (
            *self._events(e.IntentRejected),
            *self._events(e.ExecutionFailed),
            *self._events(e.ExecutionCompensated),
        )
        return next((x.error for x in ends), None)

    @property
    def attempts(self) -> int:
        """How many attempts were begun; what the retry policy counts. Of a plan, those of the step
        that took most."""
        return max((one.attempt for one in self._events(e.StepDispatched)), default=0)

    def attempts_of(self, step: str) -> int:
        """How many attempts of one step were begun; `compensate:car` is what undoes `car`."""
        mine = (one.attempt for one in self._events(e.StepDispatched) if one.step == step)
        return max(mine, default=0)

    @property
    def deliveries(self) -> int:
        """How often its handler was called for: by attempts, after waits, after a worker's
        death."""
        return len(self._events(e.StepDispatched))

    @property
    def emitted(self) -> tuple[Event, ...]:
        """The domain events that its handler returned; `data` as JSON values."""
        return tuple(Event(x.event_type, _json(x.data)) for x in self._events(e.EventEmitted))

    @property
    def state(self) -> dict[str, Any]:
        """Its state surface: what the returned state changes have left, as JSON values."""
        left = {x.key: _json(x.value) for x in self._events(e.StateChanged)}
        return {key: value for key, value in left.items() if value is not None}

    @property
    def artifacts(self) -> dict[str, Reference]:
        """The artifacts that its handler returned, by name."""
        return {x.name: Reference.of(x.reference) for x in self._events(e.ArtifactRecorded)}

    async def artifact(self, name: str) -> bytes:
        """The content of a returned artifact.

        Raises:
            KeyError: there is none of that name.
        """
        return await self._stage.content(self, self.artifacts[name])

    @property
    def progress(self) -> tuple[str, ...]:
        """What its handler told with `ctx.progress`."""
        return tuple(x.message for x in self._events(e.StepProgressed))

    @property
    def waits_for(self) -> tuple[str, ...]:
        """What its handler waits for, by the names that the journal has: `sleep:1`,
        `signal:granted:1`."""
        return tuple(wait.name for step in self._state.steps for wait in step.waits)

    def story(self) -> str:
        """All of it for people: what a failed assertion prints."""
        head = f"{self.intent_type} ({self.execution_id}) {_PLAIN.get(self.status, self.status)}"
        return f"{head}, attempt {self.attempts}, delivery {self.deliveries}:\n" + story(
            self.journal
        )

    @property
    def _state(self) -> ExecutionState:
        state = self._stage.execution(self.execution_id)
        assert state is not None, "an execution is submitted before it is looked at"
        return state

    def _events(self, kind: type[_E]) -> tuple[_E, ...]:
        return tuple(one.event for one in self.journal if isinstance(one.event, kind))


_PLAIN = {
    str(ExecutionStatus.ACCEPTED): "is accepted",
    str(ExecutionStatus.RUNNING): "is running",
    str(ExecutionStatus.WAITING): "is waiting",
    str(ExecutionStatus.SUCCEEDED): "has succeeded",
    str(ExecutionStatus.FAILED): "has failed",
    str(ExecutionStatus.REJECTED): "was rejected",
    str(ExecutionStatus.CANCELLED): "was cancelled",
    str(ExecutionStatus.COMPENSATING): "is being undone",
    str(ExecutionStatus.COMPENSATED): "was undone",
    str(ExecutionStatus.STUCK): "is stuck",
}


def _json(data: bytes) -> Any:
    return msgspec.json.decode(data) if data else None
