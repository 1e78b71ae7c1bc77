"""Would today's handler go on where a recorded execution stands?

The handler is run from its start against what was recorded. Each answer is given when the record
has it next, and only then: so a handler that asks in another order, for something else, or for less
is seen at the first place where it does. Steps do not run; whatever else the handler does, it does.

What stands behind a mark (see `symphainy.replay`) is not compared: it was asked for because a step
had failed, and how is not recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import msgspec

from symphainy.artifacts import Store
from symphainy.context import Context
from symphainy.durations import duration_ms
from symphainy.handlers import Handler
from symphainy.invocation import Failed, Succeeded, invoke
from symphainy.realm import Realm
from symphainy.replay import MARK
from symphainy.steps import Steps
from symphainy.worker.threads import Threads
from symphainy_schemas.records import Call, Error, Wait
from symphainy_testing.recording import Recording
from symphainy_testing.worker import INLINE_LIMIT_BYTES
from symphainy_transport.artifacts import ArtifactStore

T = TypeVar("T")
_STILL_TURNS = 20  # of the loop: what is started side by side is asked for within a few
_THREADS = 16


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it.

    `difference` says where handler and record first part, and is empty if they do not; `asked` are
    the steps and waits that the handler asked for, in its order.
    """

    recording: Recording
    asked: tuple[str, ...]
    difference: str
    answer: Succeeded | Failed | None

    @property
    def result(self) -> Any:
        """What the handler returns today, as JSON values; None if it does not come to an end."""
        answer = self.answer
        return msgspec.json.decode(answer.result) if isinstance(answer, Succeeded) else None

    @property
    def error(self) -> Error | None:
        """Why it fails today, if it does."""
        return self.answer.error if isinstance(self.answer, Failed) else None

    def compatible(self) -> Replay:
        """The handler may take over such executions.

        Raises:
            AssertionError: it may not; the message names the first difference.
        """
        if self.difference:
            recorded = ", ".join(answer.name for answer in self.recording.answers) or "nothing"
            raise AssertionError(
                f"{self.recording.intent_type} has changed under a recorded execution: "
                f"{self.difference}\n  recorded: {recorded}\n"
                f"  asked for: {', '.join(self.asked) or 'nothing'}\n"
                "Executions under way would not go on as they began. Keep the old order, give what "
                "is new a new intent type, or let them end first."
            )
        return self


async def replay(
    realm: Realm,
    recording: Recording,
    *,
    artifacts: Store | None = None,
    patience: timedelta | str = "10s",
) -> Replay:
    """Run today's handler against a recording.

    Args:
        realm: the realm that answers the recording's intent type.
        recording: what was recorded.
        artifacts: where the artifacts lie that the handler reads; none are there by default.
        patience: how long the handler may do nothing, in real time.

    Raises:
        ValueError: the realm does not answer this intent type; `patience` is no duration.
        AssertionError: the handler does nothing for too long.
    """
    handler = next((h for h in realm if h.intent_type == recording.intent_type), None)
    if handler is None:
        raise ValueError(f"Realm {realm.name} does not answer {recording.intent_type}.")
    teller = _Teller(recording, duration_ms(patience) / 1_000)
    try:
        return await teller.tell(handler, artifacts or ArtifactStore("memory:///"))
    finally:
        await teller.close()


class _Teller:
    """Answers one handler from the record, and stands for the worker behind its context."""

    def __init__(self, recording: Recording, patience_s: float) -> None:
        self.loop = asyncio.get_running_loop()
        self.started_at = recording.begun_ms
        self._recording = recording
        self._patience_s = patience_s
        self._steps = Steps(recording.answers, INLINE_LIMIT_BYTES)
        self._threads = Threads("replay-handler", _THREADS)
        self._changed = asyncio.Event()
        self._asked: list[str] = []
        self._marked = False
        self._pending: dict[str, asyncio.Future[None]] = {}
        self._told: set[str] = set()
        self._job: asyncio.Task[Succeeded | Failed] | None = None

    # --- telling ------------------------------------------------------------------------------

    async def tell(self, handler: Handler[Any, Any], store: Store) -> Replay:
        """Run the handler along the whole record."""
        task = self._recording.task
        context = cast(Context, _Replayed(task, task.payload, self, store, self))
        called = invoke(handler, context, self, task.payload, INLINE_LIMIT_BYTES)
        self._job = self.loop.create_task(called)
        self._job.add_done_callback(lambda _: self._changed.set())
        difference = await self._along()
        if not difference and not self._marked:
            difference = self._at_the_end()
        answer = self._job.result() if self._job.done() else None
        return Replay(self._recording, tuple(self._asked), difference, answer)

    async def _along(self) -> str:
        """Give the answers in their order; where the handler does not ask for the next one."""
        for number, answer in enumerate(self._recording.answers, 1):
            if answer.name == MARK:
                self._marked = True
                return ""
            await self._stand_still(answer.name)
            if answer.name not in self._pending:
                return f"{self._here()} where the record has {answer.name} (number {number})."
            self._told.add(answer.name)
            self._pending.pop(answer.name).set_result(None)
        await self._stand_still("")
        return ""

    def _at_the_end(self) -> str:
        """How the handler stands otherwise than the record does, all answers being given."""
        recording, error = self._recording, self._error()
        if recording.end == "succeeded" and (self._pending or error):
            return f"{self._here()} where the record ends with success."
        missing = [name for name in recording.waits if name not in self._pending]
        if missing:
            return f"{self._here()} where the record waits for {missing[0]}."
        return ""

    async def _stand_still(self, wanted: str) -> None:
        """Until the handler asks for what is wanted, asks for other things only, or has ended."""
        assert self._job is not None
        while True:
            self._changed.clear()
            for _ in range(_STILL_TURNS):
                if wanted in self._pending or self._job.done():
                    return
                await asyncio.sleep(0)
            if self._pending:
                return
            if not self._changed.is_set():
                await self._wait_for_news()

    async def _wait_for_news(self) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await self._changed.wait()
        except TimeoutError:
            raise AssertionError(
                f"The handler has asked for nothing for {self._patience_s:g} s."
            ) from None

    def _here(self) -> str:
        error = self._error()
        if error:
            return f"it fails ({error})"
        if self._pending:
            return f"it asks for {', '.join(self._pending)}"
        return "it ends"

    def _error(self) -> str:
        job = self._job
        end = job.result() if job is not None and job.done() else None
        return f"{end.error.code}: {end.error.message}" if isinstance(end, Failed) else ""

    async def close(self) -> None:
        """End the handler, if it has not ended."""
        for pending in self._pending.values():
            pending.cancel()
        if self._job is not None and not self._job.done():
            self._job.cancel()
            await asyncio.wait([self._job], timeout=1.0)
        self._threads.close()

    async def asked(self, name: str) -> None:
        """The handler asks for a step or a wait; returns when the record has its answer."""
        if name in self._told or name in self._pending:
            return  # used twice: the SDK says so
        self._asked.append(name)
        self._pending[name] = self.loop.create_future()
        self._changed.set()
        await self._pending[name]

    # --- as the handler's context sees it (Supervision) ---------------------------------------

    @property
    def cancel_requested(self) -> bool:
        """Nobody wants a replay to end."""
        return False

    def now_ms(self) -> int:
        """When the recorded execution began: nothing that is recorded depends on it."""
        return self._recording.begun_ms

    def steps(self) -> Steps:
        """The steps that were recorded."""
        return self._steps

    def at_work(self) -> AbstractContextManager[None]:
        """No step runs."""
        return nullcontext()

    async def wait_for(self, wait: Wait) -> None:
        """Nothing waits that is not recorded."""
        raise AssertionError(f"{wait.name} is not recorded")

    async def record(self, name: str, result: bytes) -> None:
        """Nothing is recorded that is not yet."""
        raise AssertionError(f"{name} is not recorded")

    async def call(self, name: str, call: Call) -> None:
        """Nothing is invoked that is not yet."""
        raise AssertionError(f"{name} is not recorded")

    async def report_progress(self, message: str) -> None:
        """Nobody watches."""

    async def awaited(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What a sync handler waits for."""
        return await coroutine

    async def in_handler_thread(self, call: Callable[[], T]) -> T:
        """Run a sync handler beside the loop."""
        return await self._threads.run(call)

    async def in_step_thread(self, call: Callable[[], T]) -> T:
        """No step runs."""
        raise AssertionError("no step runs in a replay")


class _Replayed(Context, frozen=True):
    """A context whose steps and waits are answered in the record's order."""

    _teller: _Teller

    async def step(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """What was recorded of the step, once it is its turn."""
        await self._teller.asked(name)
        return await super().step(name, fn, *args, **kwargs)

    async def _stated(self, name: str, call: Call, recorded: bytes | None) -> str:
        """What was recorded of the invocation, once it is its turn."""
        await self._teller.asked(name)
        return await super()._stated(name, call, recorded)

    async def _wait(self, named: Callable[[int], str], until: int, signal: str) -> bytes:
        """What was recorded of the wait, once it is its turn."""
        name, recorded = self._supervision.steps().open_next(named)
        await self._teller.asked(name)
        assert recorded is not None, "only what is recorded is answered"
        return recorded
