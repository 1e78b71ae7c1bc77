"""What is known of the handlers that run, and the faults that strike them.

A handler under test gets a context of its own kind, which asks before each step whether a fault is
planned for it. All else is the SDK's.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn, cast

from symphainy.called import Called
from symphainy.context import Context
from symphainy.handlers import Handler
from symphainy_schemas.ids import compensation_of
from symphainy_testing.faults import Fault, Faults, Kind, Moment

Died = Callable[[], None]
Function = Callable[[Context, Any], Any]


@dataclass(slots=True)
class Running:
    """A handler that runs; `hung`: a fault keeps it from going on."""

    execution_id: str
    job: asyncio.Task[Any] | None
    hung: bool = False


@dataclass
class Watch:
    """Watches the handlers of one worker, from its start to its death."""

    faults: Faults
    loop: asyncio.AbstractEventLoop
    died: Died
    """The worker dies; called on the loop."""
    changed: Callable[[], None]
    """Something has changed that the loop does not tell of; called on the loop."""
    raised: dict[str, Exception]
    """What last left a handler, by execution: for whoever wants to see where that was."""
    running: dict[tuple[str, str, int], Running] = field(default_factory=dict)
    _closed: threading.Event = field(default_factory=threading.Event)

    def handler(self, handler: Handler[Any, Any]) -> Handler[Any, Any]:
        """The same handler, watched, and what undoes it."""
        return replace(
            handler,
            function=self._watched(handler, handler.intent_type),
            compensations=[
                replace(one, function=self._watched(one, compensation_of(one.intent_type)))
                for one in handler.compensations
            ],
        )

    def _watched(self, called: Called, name: str) -> Callable[[Context, Any], Any]:
        """What calls a function, which faults know by `name`."""
        return partial(self._awaited if called.is_async else self._in_thread, called.function, name)

    def end(self) -> None:
        """End all handlers that can be ended, without a word to anybody."""
        self._closed.set()
        for running in self.running.values():
            if running.job is not None:
                running.job.cancel()

    async def _awaited(self, function: Function, name: str, ctx: Context, given: Any) -> Any:
        with self._runs(ctx, asyncio.current_task()):
            fault = self.faults.striking(name)
            if fault is not None:
                await self.befall(ctx, fault)
            done = await function(_watched(ctx, self, name), given)
            fault = self.faults.striking(name, ran=True)
            if fault is not None:
                await self.befall(ctx, fault)
            return done

    def _in_thread(self, function: Function, name: str, ctx: Context, given: Any) -> Any:
        with self._runs(ctx, None):
            fault = self.faults.striking(name)
            if fault is not None:
                self._befall_thread(ctx, fault)
            done = function(_watched(ctx, self, name), given)
            fault = self.faults.striking(name, ran=True)
            if fault is not None:
                self._befall_thread(ctx, fault)
            return done

    def _befall_thread(self, ctx: Context, fault: Fault) -> NoReturn:
        if fault.kind is Kind.HANG:
            self._hang(ctx)
            self._closed.wait()
            raise asyncio.CancelledError
        ctx.wait(self.befall(ctx, fault))
        raise AssertionError("a fault lets nothing go on")

    @contextmanager
    def _runs(self, ctx: Context, job: asyncio.Task[Any] | None) -> Iterator[None]:
        key = _key(ctx)
        self.running[key] = Running(ctx.execution_id, job)
        try:
            yield
        except Exception as error:
            self.raised[ctx.execution_id] = error
            raise
        finally:
            del self.running[key]
            self._tell()

    def _tell(self) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.changed)

    def _hang(self, ctx: Context) -> None:
        running = self.running.get(_key(ctx))
        if running is not None:
            running.hung = True
        self._tell()

    async def befall(self, ctx: Context, fault: Fault) -> NoReturn:
        """What the fault does to whoever calls."""
        if fault.kind is Kind.HANG:
            self._hang(ctx)
            await self.loop.create_future()
        if fault.kind is Kind.CRASH:
            self.died()
            raise asyncio.CancelledError
        assert fault.error is not None
        raise fault.error


class WatchedContext(Context, frozen=True):
    """A context whose steps may be struck."""

    _watch: Watch
    _name: str

    async def step(self, name: str, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """As `Context.step`, with what is planned for this call."""
        recorded = any(known.name == name for known in self._task.checkpoints)
        fault = None if recorded else self._watch.faults.striking(self._name, name)
        if fault is None:
            return await super().step(name, fn, *args, **kwargs)
        if fault.kind is Kind.CRASH and fault.moment is Moment.RECORDED:
            await super().step(name, fn, *args, **kwargs)
            await self._watch.befall(self, fault)

        async def struck() -> None:
            if fault.moment is Moment.RAN:
                await self._run(partial(fn, *args, **kwargs), fn)
            await self._watch.befall(self, fault)

        return await super().step(name, struck)


def _watched(ctx: Context, watch: Watch, name: str) -> Context:
    return cast(
        Context, WatchedContext(ctx._task, ctx._payload, ctx._supervision, ctx._store, watch, name)
    )


def _key(ctx: Context) -> tuple[str, str, int]:
    """Steps of a plan run side by side. Not `ctx.delivery`: a handler that has read that may leave
    out what is recorded, and this one has not."""
    return ctx.execution_id, ctx.step_name, ctx._task.delivery
