"""A handler run again along what is recorded of it.

The handler is run from its start. Each answer is given when the record has it next, and only then:
so a handler that asks in another order, for something else, or for less is seen at the first place
where it does. Steps do not run, nothing is waited for, invoked or reported; whatever else the
handler does, it does.

What stands behind a mark (see `symphainy.replay`) was asked for because a step had failed, and how
is not recorded. It is answered in whatever order it is asked for, or not at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from symphainy.artifacts import Artifacts, Store
from symphainy.context import Context
from symphainy.handlers import Handler
from symphainy.invocation import Failed, Succeeded, failed, invoke
from symphainy.steps import Steps
from symphainy.worker.threads import Threads
from symphainy_schemas.recording import Recorded
from symphainy_schemas.records import BRANCHED, Call, Wait

T = TypeVar("T")
INLINE_LIMIT_BYTES = 65_536  # what TransportSettings has where nobody sets it
_STILL_TURNS = 20  # of the loop: what is started side by side is asked for within a few
_THREADS = 16


class Stalled(Exception):
    """The handler has asked for nothing for too long, and has not ended."""


@dataclass(frozen=True, slots=True)
class Retold:
    """What came of it.

    `difference` says where handler and record first part, and is empty if they do not; `asked` are
    the steps and waits that the handler asked for, in its order; `pending` those of them that the
    record does not answer; `marked` says whether the record has a mark. `answer` is None where the
    handler did not come to an end.
    """

    difference: str
    asked: tuple[str, ...]
    pending: tuple[str, ...]
    marked: bool
    answer: Succeeded | Failed | None


async def retell(
    handler: Handler[Any, Any],
    recorded: Recorded,
    store: Store,
    patience_s: float,
    *,
    past_mark: bool = False,
    inline_limit_bytes: int = INLINE_LIMIT_BYTES,
) -> Retold:
    """Run the handler along the whole record, or up to its mark.

    Args:
        handler: what answers the recording's intent type.
        recorded: what was recorded.
        store: where the handler's artifacts are read, and kept.
        patience_s: how long it may do nothing, in real time.
        past_mark: whether what stands behind a mark is answered, too.
        inline_limit_bytes: what a result may have, as the workers' setting of that name.

    Raises:
        Stalled: the handler does nothing for too long.
    """
    one = _Retelling(recorded, patience_s, inline_limit_bytes)
    try:
        return await one.tell(handler, store, past_mark)
    finally:
        await one.close()


class _Retelling:
    """Answers one handler from the record, and stands for the worker behind its context."""

    def __init__(self, recorded: Recorded, patience_s: float, limit: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.started_at = recorded.begun_ms
        self._recorded = recorded
        self._patience_s = patience_s
        self._steps = Steps(recorded.answers, limit)
        self._threads = Threads("replay-handler", _THREADS)
        self._changed = asyncio.Event()
        self._asked: list[str] = []
        self._marked = any(answer.name == BRANCHED for answer in recorded.answers)
        self._pending: dict[str, asyncio.Future[None]] = {}
        self._told: set[str] = set()
        self._job: asyncio.Task[Succeeded | Failed] | None = None

    # --- telling ------------------------------------------------------------------------------

    async def tell(self, handler: Handler[Any, Any], store: Store, past_mark: bool) -> Retold:
        """Run the handler along the record."""
        self._job = self.loop.create_task(self._called(handler, store))
        self._job.add_done_callback(lambda _: self._changed.set())
        difference = await self._along(past_mark)
        if not difference and not self._marked:
            difference = self._at_the_end()
        answer = self._job.result() if self._job.done() else None
        pending = tuple(self._pending)
        return Retold(difference, tuple(self._asked), pending, self._marked, answer)

    async def _called(self, handler: Handler[Any, Any], store: Store) -> Succeeded | Failed:
        task, payload = self._recorded.task, self._recorded.task.payload
        if task.payload_ref is not None:
            try:
                payload = await Artifacts(store, task.tenant_id).get(task.payload_ref)
            except Exception as error:
                return failed(error)
        context = cast(Context, _Replayed(task, payload, self, store, self))
        return await invoke(handler, context, self, payload, self._steps.inline_limit_bytes)

    async def _along(self, past_mark: bool) -> str:
        """Give the answers in their order; where the handler does not ask for the next one."""
        answers = self._recorded.answers
        for number, answer in enumerate(answers, 1):
            if answer.name == BRANCHED:
                if past_mark:
                    await self._behind({one.name for one in answers[number:]})
                return ""
            await self._stand_still({answer.name})
            if answer.name not in self._pending:
                return f"{self._here()} where the record has {answer.name} (number {number})."
            self._tell(answer.name)
        await self._stand_still(set())
        return ""

    async def _behind(self, left: set[str]) -> None:
        """Answer what is asked for, as long as it is recorded."""
        while True:
            await self._stand_still(left)
            known = left & self._pending.keys()
            if not known:
                return
            left -= known
            for name in known:
                self._tell(name)

    def _tell(self, name: str) -> None:
        self._told.add(name)
        self._pending.pop(name).set_result(None)

    def _at_the_end(self) -> str:
        """How the handler stands otherwise than the record does, all answers being given."""
        recorded, error = self._recorded, self._error()
        if recorded.end == "succeeded" and (self._pending or error):
            return f"{self._here()} where the record ends with success."
        missing = [name for name in recorded.waits if name not in self._pending]
        if missing:
            return f"{self._here()} where the record waits for {missing[0]}."
        return ""

    async def _stand_still(self, wanted: set[str]) -> None:
        """Until the handler asks for one that is wanted, for other things only, or has ended."""
        assert self._job is not None
        while True:
            self._changed.clear()
            for _ in range(_STILL_TURNS):
                if not wanted.isdisjoint(self._pending) or self._job.done():
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
            raise Stalled(
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
        return self._recorded.begun_ms

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

    _teller: _Retelling

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
