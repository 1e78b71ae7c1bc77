"""One execution under test: what is known of it, what may be asked of it, and what must hold."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from symphainy.outcome import Event
from symphainy.reference import Reference
from symphainy_schemas import events as e
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
        self, run: Run, verb: str, payload: Mapping[str, object], key: str, until: Until
    ) -> None:
        """State one of the runtime's own intents about the execution."""
        ...

    async def advance(self, run: Run, until: Until) -> None:
        """Go on."""
        ...

    def content(self, run: Run, reference: Reference) -> Awaitable[bytes]:
        """The content of an artifact."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """One execution. What it tells is as of now, and moves on with the harness."""

    execution_id: str
    intent_type: str
    tenant_id: str
    session_id: str
    _stage: Stage

    def __repr__(self) -> str:
        return f"Run({self.intent_type}, {self.execution_id}, {self.status})"

    # --- what is known ------------------------------------------------------------------------

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
        """`running`, `waiting`, `succeeded`, `failed`, `cancelled` or `rejected`."""
        return str(self._state.status)

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self._state.status.ended

    @property
    def result(self) -> Any:
        """What its handler returned, as JSON values; None if it has not."""
        found = self._events(e.StepSucceeded)
        return _json(found[-1].result) if found else None

    @property
    def error(self) -> Error | None:
        """Why it was rejected or has failed, with `code`, `message`, `field` and `cure`."""
        rejected, failed = self._events(e.IntentRejected), self._events(e.ExecutionFailed)
        return next((x.error for x in rejected), None) or next((x.error for x in failed), None)

    @property
    def attempts(self) -> int:
        """How many attempts were begun; what the retry policy counts."""
        return max((one.attempt for one in self._events(e.StepDispatched)), default=0)

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

    # --- what may be asked of it --------------------------------------------------------------

    async def signal(
        self, name: str, data: object = None, *, signal_id: str = "", until: Until = "waiting"
    ) -> Run:
        """Send it a signal; `data` is JSON or a pydantic model. Goes on as `Harness.submit` does.

        A repeat with the same `signal_id` sends nothing.

        Raises:
            Refused: it has ended, or keeps too many already.
        """
        payload = {"execution_id": self.execution_id, "name": name, "data": data}
        await self._stage.ask(self, "runtime.signal", payload, signal_id, until)
        return self

    async def cancel(self, reason: str = "", *, until: Until = "waiting") -> Run:
        """Ask that it end. Goes on as `Harness.submit` does.

        Raises:
            Refused: it has ended.
        """
        return await self._ask("runtime.cancel", reason, until)

    async def pause(self, reason: str = "", *, until: Until = "waiting") -> Run:
        """Ask that it rest. Goes on as `Harness.submit` does: what runs does not rest.

        Raises:
            Refused: it has ended.
        """
        return await self._ask("runtime.pause", reason, until)

    async def resume(self, reason: str = "", *, until: Until = "waiting") -> Run:
        """Ask that it rest no longer. Goes on as `Harness.submit` does.

        Raises:
            Refused: it has ended.
        """
        return await self._ask("runtime.resume", reason, until)

    async def _ask(self, intent_type: str, reason: str, until: Until) -> Run:
        payload = {"execution_id": self.execution_id, "reason": reason}
        await self._stage.ask(self, intent_type, payload, "", until)
        return self

    async def advance(self, until: Until = "waiting") -> Run:
        """Go on until it waits or ends; with "ended", its waits' times pass too.

        Raises:
            AssertionError: it cannot come there by itself; the message tells its story.
        """
        await self._stage.advance(self, until)
        return self

    # --- what must hold -----------------------------------------------------------------------

    def succeeded(self, result: object = ...) -> Run:
        """It has succeeded, with `result` if one is given.

        Raises:
            AssertionError: it has not; the message tells its story, and its cause is what last left
                the handler, with the place where that was raised.
        """
        self._must("succeeded")
        if result is not ... and self.result != result:
            raise AssertionError(
                f"Expected the result {result!r}, got {self.result!r}.\n{self.story()}"
            )
        return self

    def failed(self, code: str = "") -> Run:
        """It has failed, with an error of `code` if one is given.

        Raises:
            AssertionError: it has not; the message tells its story.
        """
        return self._must("failed", code)

    def rejected(self, code: str = "") -> Run:
        """Admission has rejected it, with an error of `code` if one is given.

        Raises:
            AssertionError: it has not; the message tells its story.
        """
        return self._must("rejected", code)

    def cancelled(self) -> Run:
        """It has ended as cancelled.

        Raises:
            AssertionError: it has not; the message tells its story.
        """
        return self._must("cancelled")

    def waiting(self, name: str = "") -> Run:
        """It waits: for what the journal calls `name`, if that is given.

        Raises:
            AssertionError: it does not; the message tells its story.
        """
        self._must("waiting")
        if name and name not in self.waits_for:
            raise AssertionError(
                f"Expected it to wait for {name}, it waits for {', '.join(self.waits_for)}.\n"
                f"{self.story()}"
            )
        return self

    def _must(self, status: str, code: str = "") -> Run:
        found = self.error.code if self.error is not None else ""
        if self.status != status or (code and code != found):
            wanted = f"{status} with {code}" if code else status
            message = f"Expected {wanted}.\n{self.story()}"
            raise AssertionError(message) from self._stage.cause(self.execution_id)
        return self

    # --- inside -------------------------------------------------------------------------------

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
}


def _json(data: bytes) -> Any:
    return msgspec.json.decode(data) if data else None
