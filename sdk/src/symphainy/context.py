"""What a handler knows about its execution, and all it may ask of the runtime. Immutable.

It knows no Kafka: whoever runs the handler stands behind `Supervision`.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent import futures
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

import msgspec
from msgspec import Struct
from pydantic import BaseModel

from symphainy.artifacts import Artifacts, Store
from symphainy.durations import duration_ms
from symphainy.errors import ChildTimeout, SignalTimeout
from symphainy.governed import PolicyContext
from symphainy.invoking import call_of, child_of, recorded_child, result_of
from symphainy.stated import Intent, moment
from symphainy.steps import Steps, read_signal, reader
from symphainy.supervision import Supervision
from symphainy_schemas.records import BRANCHED, ENDED, INVOKED, Call, Task, Wait

if TYPE_CHECKING:
    from symphainy.handlers import Handler
    from symphainy.invoking import Target
    from symphainy.outcome import Outcome
    from symphainy.plans.declaring import DeclaredPlan

T = TypeVar("T")
PayloadT = TypeVar("PayloadT", bound=BaseModel)
ResultT = TypeVar("ResultT", bound=BaseModel | Mapping[str, Any] | None)
P = ParamSpec("P")


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
    def session(self) -> Mapping[str, Any]:
        """The attributes of the session, as they were when this was delivered. Read only: what is
        changed here stays here. They may be others at the next delivery; see `attempt`."""
        self._supervision.steps().replay.unbind()
        found: dict[str, Any] = msgspec.json.decode(self._task.session or b"{}")
        return MappingProxyType(found)

    @property
    def tenant_id(self) -> str:
        """The tenant of the intent."""
        return self._task.tenant_id

    @property
    def user_id(self) -> str:
        """The principal who stated the intent."""
        return self._task.principal

    @property
    def policy(self) -> PolicyContext:
        """What policy decided of the intent, and the principal's roles. Read only."""
        return PolicyContext(self._task.roles, self._task.policy)

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
        return moment(self._supervision.started_at + self._task.timeout_ms)

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

    @overload
    async def invoke(
        self,
        target: str | Handler[PayloadT, Any] | DeclaredPlan[PayloadT],
        payload: PayloadT | Mapping[str, Any],
        *,
        wait: Literal[False],
    ) -> str: ...
    @overload
    async def invoke(
        self,
        target: Handler[PayloadT, Awaitable[ResultT]],
        payload: PayloadT | Mapping[str, Any],
        *,
        timeout: timedelta | str | None = None,  # noqa: ASYNC109 (the runtime keeps the time)
    ) -> ResultT: ...
    @overload
    async def invoke(
        self,
        target: Handler[PayloadT, ResultT],
        payload: PayloadT | Mapping[str, Any],
        *,
        timeout: timedelta | str | None = None,  # noqa: ASYNC109 (the runtime keeps the time)
    ) -> ResultT: ...
    @overload
    async def invoke(
        self,
        target: str
        | Handler[PayloadT, Awaitable[Outcome]]
        | Handler[PayloadT, Outcome]
        | DeclaredPlan[PayloadT],
        payload: PayloadT | Mapping[str, Any],
        *,
        timeout: timedelta | str | None = None,  # noqa: ASYNC109 (the runtime keeps the time)
    ) -> Any: ...
    async def invoke(
        self,
        target: Target,
        payload: Any,
        *,
        wait: bool = True,
        timeout: timedelta | str | None = None,  # noqa: ASYNC109 (the runtime keeps the time)
    ) -> Any:
        """State an intent of the same session, and wait for its end without holding a worker.

        `target` is a handler or a plan, where its code is at hand, or an intent type. The intent is
        stated once, however often this handler is run again; it is admitted like any other, in the
        same session, for the same principal, and has an execution of its own. Returns what that has
        returned, read as the handler's model, else as JSON values. Several at once
        (`asyncio.gather`) run side by side, at most 100.

        With `wait=False` it returns that execution's id, and the two go their own ways. Otherwise
        what is invoked does not outlive this: where this handler's step or execution goes on no
        more, it is cancelled.

        Raises:
            ChildFailed: it has not succeeded; the error says how it ended, and why.
            ChildTimeout: it has not ended within `timeout`. It goes on.
            ContractViolation: it is no intent, or the payload is none or too large.
            ValueError: the timeout is no duration.
        """
        until = 0 if timeout is None else self._until(timeout)
        steps = self._supervision.steps()
        call = call_of(target, payload, steps.inline_limit_bytes, awaited=wait)
        name, recorded = steps.open_next(lambda n: f"{INVOKED}{call.intent_type}:{n}")
        child = await self._stated(name, call, recorded)
        if not wait:
            return child
        outcome = await self._wait(lambda _: f"{name}{ENDED}", until, child)
        if not outcome:
            raise ChildTimeout(f"{call.intent_type} ({child}) has not ended within {timeout}.")
        return result_of(target, call.intent_type, child, outcome)

    async def _stated(self, name: str, call: Call, recorded: bytes | None) -> str:
        """The execution of what is invoked under a name; stated, unless that is recorded."""
        if recorded is not None:
            return recorded_child(recorded)
        steps = self._supervision.steps()
        with self._supervision.at_work(), steps.replay.asked(name):
            await self._mark(steps, name)
            await self._supervision.call(name, call)
        return child_of(self._task, name)

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
            await self._supervision.record(BRANCHED, mark)

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
