"""One execution under test: what may be asked of it, and what must hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from symphainy_schemas import events as e
from symphainy_testing.telling import Told, Until


@dataclass(frozen=True, slots=True)
class Run(Told):
    """One execution. What it tells is as of now, and moves on with the harness."""

    def __repr__(self) -> str:
        return f"Run({self.intent_type}, {self.execution_id}, {self.status})"

    @property
    def children(self) -> tuple[Run, ...]:
        """What its handlers have invoked, in order, awaited or not; each once it is decided."""
        stage, invoked = self._stage, self._events(e.ChildInvoked)
        known = (one for one in invoked if stage.execution(one.child) is not None)
        return tuple(
            Run(one.child, one.intent_type, self.tenant_id, self.session_id, stage) for one in known
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

    async def retry(
        self,
        step: str,
        *,
        input: Mapping[str, Any] | None = None,
        reason: str = "",
        until: Until = "waiting",
    ) -> Run:
        """Ask that a step that has failed for good be tried once more, with another `input` if one
        is given; `compensate:car` is what undoes `car`. Goes on as `Harness.submit` does.

        Raises:
            Refused: there is no such step, or it has not failed; or the execution has ended.
        """
        payload = {"execution_id": self.execution_id, "step": step, "reason": reason}
        changed = {} if input is None else {"input": dict(input)}
        await self._stage.ask(self, "runtime.retry_step", {**payload, **changed}, "", until)
        return self

    async def compensate(self, reason: str = "", *, until: Until = "waiting") -> Run:
        """Ask that what was done be undone. Goes on as `Harness.submit` does.

        Raises:
            Refused: it has ended, is being undone, or declares no compensation.
        """
        return await self._ask("runtime.compensate", reason, until)

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

    def compensated(self, *steps: str) -> Run:
        """It has been undone: just these steps, in this order, if any are given.

        Raises:
            AssertionError: it has not; the message tells its story.
        """
        self._must("compensated")
        if steps and steps != self.undone:
            raise AssertionError(
                f"Expected that {', '.join(steps)} were undone, in this order; it was "
                f"{', '.join(self.undone) or 'nothing'}.\n{self.story()}"
            )
        return self

    def stuck(self, code: str = "", *, step: str = "") -> Run:
        """It waits for an operator, with an error of `code`, at `step`, if they are given.

        Raises:
            AssertionError: it does not; the message tells its story.
        """
        self._must("stuck", code)
        if step and (self.error is None or self.error.step != step):
            raise AssertionError(f"Expected it to be stuck at {step}.\n{self.story()}")
        return self

    def waiting(self, name: str = "") -> Run:
        """It waits: for what the journal calls `name`, if that is given.

        Raises:
            AssertionError: it does not; the message tells its story.
        """
        if not (self._state.plan and self.waits_for):
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
