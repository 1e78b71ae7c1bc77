"""The realm under chaos: quick, slow, failing, stepping and blocking handlers.

Every handler writes down that it was started, and every `ctx.step` body that it runs.
"""

from __future__ import annotations

import asyncio
import time

from pydantic import BaseModel
from tests.chaos.starts import Noted

from symphainy import (
    Context,
    Outcome,
    Plan,
    PlanInput,
    Realm,
    Retry,
    RetryableError,
    StateChange,
    Step,
    TerminalError,
)

realm = Realm("chaos")
PASSING = Retry(attempts=4, initial="50ms", maximum="400ms")


# What undoes something is tried for longer than anything stays broken.
PATIENT = Retry(attempts=50, initial="50ms", maximum="400ms")


class Work(BaseModel):
    """What a load generator asks for."""

    number: int
    succeed_at: int = 1
    work_ms: int = 0


@realm.intent("chaos.add")
async def add(ctx: Context, payload: Work) -> Outcome:
    """Quick."""
    Noted(ctx)
    return Outcome(
        result={"number": payload.number}, state_changes=[StateChange("number", payload.number)]
    )


@realm.intent("chaos.stepped", timeout="20s", retry=PASSING)
async def stepped(ctx: Context, payload: Work) -> dict[str, int]:
    """Three recorded steps, with a failure between them before the right attempt."""
    noted = Noted(ctx)
    total = 0
    for name in ("extract", "transform", "load"):

        async def body(name: str = name) -> int:
            noted.ran(name)
            await asyncio.sleep(payload.work_ms / 1_000)
            return payload.number

        total += await ctx.step(name, body)
        if name == "transform" and ctx.attempt < payload.succeed_at:
            raise RuntimeError("not yet")
    return {"total": total}


@realm.intent("chaos.blocking", timeout="20s", retry=PASSING)
def blocking(ctx: Context, payload: Work) -> dict[str, int]:
    """The same in a thread."""
    noted = Noted(ctx)

    def body() -> int:
        noted.ran("compute")
        time.sleep(payload.work_ms / 1_000)
        return payload.number

    return {"number": ctx.wait(ctx.step("compute", body))}


@realm.intent("chaos.flaky", timeout="20s", retry=PASSING)
async def flaky(ctx: Context, payload: Work) -> dict[str, int]:
    """Succeeds at a certain attempt, or never."""
    Noted(ctx)
    if ctx.attempt < payload.succeed_at:
        raise RuntimeError("not yet")
    return {"attempt": ctx.attempt}


@realm.intent("chaos.later", timeout="20s", retry=PASSING)
async def later(ctx: Context, payload: Work) -> dict[str, int]:
    """Asks for a certain delay before the next attempt."""
    Noted(ctx)
    if ctx.attempt < payload.succeed_at:
        raise RetryableError("in a while", after="300ms")
    return {"attempt": ctx.attempt}


@realm.intent("chaos.refuse", timeout="20s", retry=PASSING)
async def refuse(ctx: Context, payload: Work) -> None:
    """Never succeeds."""
    Noted(ctx)
    await asyncio.sleep(payload.work_ms / 1_000)
    raise TerminalError("No such account.", code="no_account")


@realm.intent("chaos.slow", timeout="500ms", retry=Retry(attempts=2, initial="50ms"))
async def slow(ctx: Context, payload: Work) -> dict[str, int]:
    """Outlives its limit until the right attempt."""
    Noted(ctx)
    if ctx.attempt < payload.succeed_at:
        await asyncio.sleep(3_600)
    return {"attempt": ctx.attempt}


@realm.intent("chaos.family", timeout="20s", retry=PASSING)
async def family(ctx: Context, payload: Work) -> dict[str, int]:
    """Has others do it, side by side; one of them may fail, and one goes its own way."""
    Noted(ctx)
    await ctx.invoke(add, payload, wait=False)
    parts = await asyncio.gather(
        ctx.invoke(stepped, payload), ctx.invoke(blocking, payload), ctx.invoke(flaky, payload)
    )
    if ctx.attempt < payload.succeed_at:
        raise RuntimeError("not yet")
    return {"parts": len(parts)}


class Trip(BaseModel):
    """At which attempt each step of a plan succeeds; beyond the last, never."""

    number: int
    car: int
    hotel: int
    flight: int
    pay: int
    work_ms: int


@realm.intent("chaos.reserve", timeout="20s", retry=PASSING)
async def reserve(ctx: Context, payload: Work) -> dict[str, int]:
    """A step that may have to be undone."""
    noted = Noted(ctx)

    async def body() -> int:
        noted.ran("reserve")
        await asyncio.sleep(payload.work_ms / 1_000)
        return payload.number

    await ctx.step("reserve", body)
    if ctx.attempt < payload.succeed_at:
        raise RuntimeError("not yet")
    return {"number": payload.number}


@reserve.compensate(timeout="20s", retry=PATIENT)
async def give_back(ctx: Context, done: dict[str, int] | None) -> None:
    """Undoes it, at the second attempt where that is known to have happened."""
    Noted(ctx)
    if done is not None and ctx.attempt == 1:
        raise RuntimeError("not yet")


@realm.plan("chaos.trip")
def trip(trip: PlanInput[Trip]) -> Plan:
    """A diamond, undone where one of its steps never succeeds."""

    def step(name: str, *needs: str) -> Step[dict[str, int]]:
        given = {"number": trip["number"], "succeed_at": trip[name], "work_ms": trip["work_ms"]}
        return Step(name, reserve, given, needs=needs)

    ways = step("hotel", "car"), step("flight", "car")
    return Plan([step("car"), *ways, step("pay", "hotel", "flight")])
