"""The realms that are measured: one that nobody works for, one that sleeps, one that works."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pydantic import BaseModel

from symphainy import Context, Realm, Retry, RetryableError
from symphainy_transport.clock import SystemClock

parked = Realm("parked")
naps = Realm("naps")
crowd = Realm("crowd")
_clock = SystemClock()


class Wait(BaseModel):
    """What waits; `note` gives it the size of a small order."""

    number: int
    note: str


class Nap(BaseModel):
    """Until when to sleep, ms since the epoch; 0 for not at all."""

    until: int


class Work(BaseModel):
    """How long to work."""

    work_ms: int


@parked.intent("parked.wait")
async def wait(ctx: Context, payload: Wait) -> None:
    """No worker ever runs it."""
    raise AssertionError("nobody works for this realm")


@naps.intent("naps.until", retry=Retry(attempts=3))
async def until(ctx: Context, payload: Nap) -> dict[str, int]:
    """Fails once, to be tried again at a time: the runtime's durable timer."""
    if ctx.attempt == 1 and payload.until:
        left = payload.until - _clock.now_ms()
        raise RetryableError("not yet", after=timedelta(milliseconds=max(0, left)))
    return {"attempt": ctx.attempt}


@crowd.intent("crowd.work")
async def work(ctx: Context, payload: Work) -> dict[str, int]:
    """Keeps one of the worker's slots busy, and no CPU."""
    await asyncio.sleep(payload.work_ms / 1_000)
    return {"attempt": ctx.attempt}
