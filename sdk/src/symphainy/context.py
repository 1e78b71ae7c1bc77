"""What a handler knows about its execution, and all it may ask of the runtime. Immutable.

It knows no Kafka: whoever runs the handler stands behind `Supervision`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine
from concurrent import futures
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast, overload

from msgspec import Struct

from symphainy.artifacts import Artifacts, Store
from symphainy.durations import duration_ms
from symphainy.errors import SignalTimeout
from symphainy.replay import MARK
from symphainy.steps import Steps, read_payload, read_signal, reader
from symphainy.supervision import Supervision
from symphainy_schemas.records import Task, Wait

T = TypeVar("T")
P = ParamSpec("P")


class Intent(Struct, frozen=True):
    """The intent that is being executed. What is JSON is decoded anew at each access."""

    _task: Task
    _payload: bytes

    def __repr__(self) -> str:
        return f"Intent({self.intent_type}, {self.intent_id})"

    @property
    def intent_id(self) -> str:
        """The intent's id, its idempotency key within tenant and session."""
        return self._task.intent_id

    @property
    def intent_type(self) -> str:
        """`{realm}.{action}`."""
        return self._task.intent_type

    @property
    def realm(self) -> str:
        """The realm that executes it."""
        return self._task.realm

    @property
    def session_id(self) -> str:
        """The session in which it was stated."""
        return self._task.session_id

    @property
    def tenant_id(self) -> str:
        """The tenant for whom it was stated."""
        return self._task.tenant_id

    @property
    def payload(self) -> Any:
        """The payload as JSON values, before any contract."""
        return json.loads(self._payload)

    def read(self, model: type[T]) -> T:
        """The payload read as `model`: a pydantic model, or a type such as `dict[str, int]`.

        A handler has it as its argument; this is for its compensation.

        Raises:
            ContractViolation: `payload_unreadable`, it is no `model`.
        """
        return cast(T, read_payload(model, self._payload))

    @property
    def metadata(self) -> dict[str, Any]:
        """Source and whatever the producer added."""
        return _object(self._task.metadata)

    @property
    def solution_context(self) -> dict[str, Any]:
        """Solution-level context, handed through; empty if there is none."""
        return _object(self._task.solution_context)

    @property
    def created_at(self) -> datetime:
        """When the producer stated it, by its clock, in UTC."""
        return _moment(self._task.created_at)


class Context(Struct, frozen=True):
    """One delivery of one step of an execution, as its handler sees it.

    The runtime makes it. A sync handler awaits through `ctx.wait(…)`.
    """

    _task: Task
    _payload: bytes
    _supervision: Supervision
    _store: Store

    def __repr__(self) -> str:
        task = self._task
        return f"Context({task.execution_id}, attempt {task.attempt}, delivery {task.delivery})"

    @property
    def execution_id(self) -> str:
        """The execution's id."""
        return self._task.execution_id

    @property
    def intent(self) -> Intent:
        """The intent that is being executed."""
        return Intent(self._task, self._payload)

    @property
    def session_id(self) -> str:
        """The session of the intent."""
        return self._task.session_id

    @property
    def tenant_id(self) -> str:
        """The tenant of the intent."""
        return self._task.tenant_id

    @property
    def user_id(self) -> str:
        """The principal who stated the intent."""
        return self._task.principal

    @property
    def correlation_id(self) -> str:
        """Groups what belongs together across executions."""
        return self._task.correlation_id

    @property
    def traceparent(self) -> str:
        """W3C trace context to hand on, or empty."""
        return self._task.traceparent

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1; what the retry policy counts.

        A handler may take its branches by it: one that reads it, `delivery` or `deadline` may
        leave out what is recorded, and no `journal_mismatch` is looked for.
        """
        self._supervision.steps().replay.unbind()
        return self._task.attempt

    @property
    def delivery(self) -> int:
        """Which delivery this is, from 1 over all attempts; see `attempt`."""
        self._supervision.steps().replay.unbind()
        return self._task.delivery

    @property
    def step_name(self) -> str:
        """The name of this step in the plan; `main` where one handler answers the intent. That of
        a compensation is `compensate:` and the name of what it undoes."""
        return self._task.step

    @property
    def compensates(self) -> str:
        """In a compensation the name of the step that is undone, else empty."""
        return self._task.compensates

    @property
    def compensated_key(self) -> str:
        """In a compensation the `idempotency_key` of the step that is undone, else empty: what that
        step has done stands under it in outside systems."""
        undone = self._task.compensates
        return f"{self._task.execution_id}:{undone}" if undone else ""

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt and delivery of this step, and of no other; give it to outside
        systems. A compensation has one of its own."""
        return f"{self._task.execution_id}:{self._task.step}"

    @property
    def deadline(self) -> datetime | None:
        """When this attempt times out, by this machine's clock, in UTC; None for never. See
        `attempt`."""
        self._supervision.steps().replay.unbind()
        if not self._task.timeout_ms:
            return None
        return _moment(self._supervision.started_at + self._task.timeout_ms)

    @property
    def cancel_requested(self) -> bool:
        """Whether the execution is to end: somebody cancelled it, or its deadline has passed.

        For sync handlers, which cannot be interrupted: look at it in a long loop, and raise
        `Cancelled`. From then on `step`, `progress`, `sleep` and `signal` raise it too.
        """
        return self._supervision.cancel_requested

    @property
    def artifacts(self) -> Artifacts:
        """The tenant's artifacts."""
        return Artifacts(self._store, self._task.tenant_id)

    async def progress(self, message: str) -> None:
        """Tell whoever watches, and give a sign of life; returns when Kafka has it."""
        await self._supervision.report_progress(message)

    @overload
    async def step(
        self, name: str, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    async def step(
        self, name: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    async def step(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run `fn(*args, **kwargs)` and record its result; once recorded it never runs again.

        Returns when Kafka has acknowledged the checkpoint. A result recorded by an earlier
        delivery is returned without running. Results are JSON values, or what the return
        annotation reads from JSON (a pydantic model, a `Reference`), up to 64 KiB. Blocking
        functions run in a thread.

        Raises:
            ContractViolation: the name is used twice, or the result cannot be recorded.
            JournalMismatch: what is recorded under the name was not recorded by this code.
        """
        steps = self._supervision.steps()
        recorded = steps.open(name)
        if recorded is not None:
            return steps.answer(name, fn, recorded)
        read = reader(name, fn)
        with self._supervision.at_work(), steps.replay.asked(name):
            recorded = steps.result(name, await self._run(partial(fn, *args, **kwargs), fn))
            value = read(recorded)  # before it is recorded: what cannot be read back never is
            await self._mark(steps, name)
            await self._supervision.record(name, recorded)
        return value

    async def _run(self, call: Callable[[], Any], fn: Callable[..., Any]) -> Any:
        if inspect.iscoroutinefunction(fn):
            return await call()
        value = await self._supervision.in_step_thread(call)
        return await value if inspect.isawaitable(value) else value

    async def sleep(self, duration: timedelta | str) -> None:
        """Wait for `duration` ("30s", "2h", "7d") without holding a worker.

        The runtime keeps the time; the handler is ended here, and run again from its start when
        the time has come, past every step that is recorded. Meanwhile worker and owner may be
        restarted. Steps and waits side by side (`asyncio.gather`) are waited for together; what
        else the handler does beside a wait is cut off, and done again.

        Raises:
            ValueError: it is no duration.
        """
        until = self._until(duration)
        await self._wait(lambda n: f"sleep:{n}", until, "")

    @overload
    async def signal(
        self,
        name: str,
        *,
        timeout: timedelta | str | None = None,  # noqa: ASYNC109 (the runtime keeps the time)
    ) -> Any: ...
    @overload
    async def signal(
        self,
        name: str,
        model: type[T],
        *,
        timeout: timedelta | str | None = None,  # noqa: ASYNC109 (the runtime keeps the time)
    ) -> T: ...
    async def signal(
        self,
        name: str,
        model: Any = Any,
        *,
        timeout: timedelta | str | None = None,  # noqa: ASYNC109 (the runtime keeps the time)
    ) -> Any:
        """Wait for a signal that somebody sends this execution, without holding a worker.

        Returns its data, as JSON values or read as `model`. A signal that came before is kept for
        whoever asks for it; each is used up once, the oldest first. See `sleep` for what waiting
        means.

        Raises:
            SignalTimeout: none came within `timeout`.
            ContractViolation: `signal_unreadable`, its data is no `model`.
            ValueError: the timeout is no duration.
        """
        until = 0 if timeout is None else self._until(timeout)
        data = await self._wait(lambda n: f"signal:{name}:{n}", until, name)
        if not data:
            raise SignalTimeout(f"No signal {name!r} came within {timeout}.")
        return read_signal(name, model, data)

    def _until(self, duration: timedelta | str) -> int:
        return self._supervision.now_ms() + duration_ms(duration)

    async def _wait(self, named: Callable[[int], str], until: int, signal: str) -> bytes:
        """What was recorded of the wait; where nothing was, the handler ends here."""
        steps = self._supervision.steps()
        name, recorded = steps.open_next(named)
        if recorded is None:
            with steps.replay.asked(name):
                if steps.replay.missing:
                    with self._supervision.at_work():
                        await asyncio.sleep(0)  # what begins beside it asks first
                await self._mark(steps, name)
                await self._supervision.wait_for(Wait(name, until, signal))
            raise AssertionError("a handler that waits is run again, it does not go on")
        return recorded if signal else steps.slept(name, recorded)

    async def _mark(self, steps: Steps, name: str) -> None:
        """Before something is recorded that another run may not ask for: say so."""
        mark = steps.replay.mark(name)
        if mark is not None:
            await self._supervision.record(MARK, mark)

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """For sync handlers: run `ctx.step(…)`, `ctx.artifacts.put(…)`… and return its value.

        Where the handler is ended, as it is when it waits, `asyncio.CancelledError` goes through
        it: no `except Exception` holds that up.

        Raises:
            Cancelled: the execution is to end, since meanwhile.
            RuntimeError: called where one can await.
        """
        loop = self._supervision.loop
        try:
            inside = asyncio.get_running_loop() is loop
        except RuntimeError:
            inside = False
        if inside:
            coroutine.close()
            raise RuntimeError("ctx.wait(…) is for sync handlers; in an async handler, await.")
        self._supervision.steps().replay.handling(sys.exception())  # this thread's
        awaited = self._supervision.awaited(coroutine)
        try:
            return asyncio.run_coroutine_threadsafe(awaited, loop).result()
        except futures.CancelledError:  # an Exception, other than asyncio's
            raise asyncio.CancelledError from None


def _object(data: bytes) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(data)) if data else {}


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
