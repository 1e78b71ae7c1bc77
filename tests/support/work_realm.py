"""The realm that system tests run: handlers that succeed, fail, and fail only at first."""

from __future__ import annotations

from pydantic import BaseModel

from symphainy import Context, Event, Outcome, Realm, Retry, StateChange, TerminalError

realm = Realm("work")


class Numbers(BaseModel):
    """What to add."""

    numbers: list[int]


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
