"""The realm that system tests run: handlers that succeed, fail, and fail only at first."""

from __future__ import annotations

import asyncio
import os

from pydantic import BaseModel

from symphainy import (
    Cancelled,
    Context,
    Event,
    Outcome,
    Realm,
    Retry,
    RetryableError,
    SignalTimeout,
    StateChange,
    TerminalError,
)

realm = Realm("work")


class Numbers(BaseModel):
    """What to add."""

    numbers: list[int]


class Trip(BaseModel):
    """How long to wait."""

    nap_ms: int
    patience_ms: int


class Flaky(BaseModel):
    """At which attempt to succeed."""

    succeed_at: int


@realm.intent("work.add")
async def add(ctx: Context, payload: Numbers) -> Outcome:
    """The sum, with everything that an outcome can hold."""
    total = sum(payload.numbers)
    text = await ctx.artifacts.put("text", str(total), media_type="text/plain")
    return Outcome(
        result={"total": total},
        artifacts={"text": text},
        events=[Event("numbers.added", {"total": total})],
        state_changes=[StateChange("total", total)],
    )


@realm.intent("work.family", timeout="20s")
async def family(ctx: Context, payload: Numbers) -> dict[str, int]:
    """Has each number added up by an execution of its own."""
    found = await asyncio.gather(
        *(ctx.invoke(add, Numbers(numbers=[number, 1])) for number in payload.numbers)
    )
    return {"total": sum(one["total"] for one in found)}


@realm.intent("work.delegate")
async def delegate(ctx: Context, payload: Trip) -> dict[str, object]:
    """Has somebody else ask for the approval."""
    return {"told": await ctx.invoke(approve, payload)}


@realm.intent("work.session")
async def session(ctx: Context, payload: Numbers) -> dict[str, object]:
    """What its session is told to be."""
    return dict(ctx.session)


@realm.intent("work.refuse")
async def refuse(ctx: Context, payload: Numbers) -> None:
    """Never succeeds."""
    raise TerminalError("No such account.", code="no_account")


@realm.intent("work.flaky", retry=Retry(attempts=3, initial="50ms", maximum="100ms"))
async def flaky(ctx: Context, payload: Flaky) -> dict[str, int]:
    """Succeeds at a certain attempt."""
    if ctx.attempt < payload.succeed_at:
        raise RuntimeError("not yet")
    return {"attempt": ctx.attempt}


@realm.intent("work.slow", timeout="300ms", retry=Retry(attempts=2, initial="10ms"))
async def slow(ctx: Context, payload: Numbers) -> None:
    """Outlives its limit."""
    import asyncio

    await asyncio.sleep(60)


class Later(BaseModel):
    """When to try again."""

    after: str


@realm.intent("work.later")
async def later(ctx: Context, payload: Later) -> None:
    """Fails, and says when to try again."""
    raise RetryableError("not yet", after=payload.after)


class Nap(BaseModel):
    """How long to run."""

    ms: int


@realm.intent("work.nap")
async def nap(ctx: Context, payload: Nap) -> None:
    """Runs for so long."""
    import asyncio

    await asyncio.sleep(payload.ms / 1_000)


@realm.intent("work.stubborn")
async def stubborn(ctx: Context, payload: Nap) -> None:
    """Runs for so long, whoever wants it to end."""
    import asyncio

    running = asyncio.ensure_future(asyncio.sleep(payload.ms / 1_000))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await running


class Marks(BaseModel):
    """Where to leave files for the test to find."""

    folder: str


@realm.intent("work.forever", timeout=None, retry=Retry(attempts=1))
async def forever(ctx: Context, payload: Marks) -> None:
    """Runs for minutes, and cleans up."""
    import asyncio
    from pathlib import Path

    folder = Path(payload.folder)
    (folder / "begun").touch()
    try:
        await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0.05)
        (folder / f"cleaned up: {ctx.cancel_requested}").touch()


@realm.intent("work.grind", timeout=None, retry=Retry(attempts=1))
def grind(ctx: Context, payload: Marks) -> None:
    """Computes in a thread for minutes, and looks up now and then."""
    import time
    from pathlib import Path

    folder = Path(payload.folder)
    (folder / "begun").touch()
    for _ in range(12_000):
        time.sleep(0.05)
        if ctx.cancel_requested:
            (folder / "cleaned up: True").touch()
            raise Cancelled


class Beat(BaseModel):
    """At which attempt to show signs of life."""

    lively_at: int


@realm.intent("work.beat", timeout=None, heartbeat="400ms", retry=Retry(initial="10ms"))
async def beat(ctx: Context, payload: Beat) -> dict[str, int]:
    """Runs for longer than its heartbeat, and says so, or is silent for good."""
    import asyncio

    if ctx.attempt < payload.lively_at:
        await asyncio.sleep(600)
    for _ in range(10):
        await asyncio.sleep(0.08)
        await ctx.progress("going on")
    return {"attempt": ctx.attempt}


@realm.intent("work.dated", deadline="1500ms")
async def dated(ctx: Context, payload: Nap) -> None:
    """Waits for so long, but not past its deadline."""
    await ctx.sleep(f"{payload.ms}ms")


class Approval(BaseModel):
    """Who approved."""

    by: str


_ran: dict[str, int] = {}


def _counted(execution_id: str) -> int:
    """How often this process ran the step of that execution."""
    _ran[execution_id] = _ran.get(execution_id, 0) + 1
    return _ran[execution_id]


@realm.intent("work.approve", timeout="2s")
async def approve(ctx: Context, payload: Trip) -> dict[str, object]:
    """A step, a sleep, and then an approval or none; it may wait for longer than its timeout."""
    ran = await ctx.step("count", _counted, ctx.execution_id)
    await ctx.sleep(f"{payload.nap_ms}ms")
    try:
        approval = await ctx.signal("approved", Approval, timeout=f"{payload.patience_ms}ms")
    except SignalTimeout:
        return {"ran": ran, "by": None, "delivery": ctx.delivery}
    return {"ran": ran, "by": approval.by, "delivery": ctx.delivery}


@realm.intent("work.side_by_side")
async def side_by_side(ctx: Context, payload: Trip) -> dict[str, object]:
    """A step and two waits at once."""
    import asyncio

    ran, _, told = await asyncio.gather(
        ctx.step("count", _counted, ctx.execution_id),
        ctx.sleep(f"{payload.nap_ms}ms"),
        ctx.signal("told", timeout=f"{payload.patience_ms}ms"),
    )
    return {"ran": ran, "told": told}


@realm.intent("work.sync_approve")
def sync_approve(ctx: Context, payload: Trip) -> dict[str, object]:
    """The same in a thread."""
    ctx.wait(ctx.sleep(f"{payload.nap_ms}ms"))
    told = ctx.wait(ctx.signal("told", timeout=f"{payload.patience_ms}ms"))
    return {"told": told, "delivery": ctx.delivery}


@realm.intent("work.poison")
async def poison(ctx: Context, payload: Flaky) -> None:
    """Ends its process, as a fault in native code does."""
    os._exit(3)
