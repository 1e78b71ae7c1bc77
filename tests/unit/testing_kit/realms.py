"""Realms as authors write them, to be put under test."""

from __future__ import annotations

import asyncio
import threading

from pydantic import BaseModel

from symphainy import (
    Context,
    Event,
    Outcome,
    Realm,
    Reference,
    Retry,
    SignalTimeout,
    StateChange,
    TerminalError,
)

orders = Realm("orders")
media = Realm("media")
calls: list[str] = []
"""What handlers and steps did, in order; cleared by the tests that look."""


class Order(BaseModel):
    id: str


class Grant(BaseModel):
    by: str


async def fetch_quote(order_id: str) -> int:
    calls.append("fetch_quote")
    return len(order_id)


def charge(order_id: str) -> str:
    calls.append(f"charge in {threading.current_thread() is not threading.main_thread()}")
    return f"paid {order_id}"


@orders.intent("orders.approve", timeout="2m", retry=Retry(attempts=3))
async def approve(ctx: Context, order: Order) -> dict[str, str | None]:
    await ctx.step("quote", fetch_quote, order.id)
    await ctx.sleep("24h")
    try:
        grant = await ctx.signal("granted", Grant, timeout="3d")
    except SignalTimeout:
        return {"by": None}
    return {"by": grant.by}


@orders.intent("orders.pay", timeout="1m", heartbeat="20s", retry=Retry(attempts=3))
async def pay(ctx: Context, order: Order) -> Outcome:
    """Two steps; the second one blocks, so it runs in a thread."""
    calls.append(f"pay {ctx.attempt}/{ctx.delivery}")
    await ctx.step("quote", fetch_quote, order.id)
    await ctx.progress("quoted")
    paid = await ctx.step("charge", charge, order.id)
    return Outcome(result=paid)


@orders.intent("orders.pay_in_thread", timeout="1m", retry=Retry(attempts=2))
def pay_in_thread(ctx: Context, order: Order) -> Outcome:
    """The same as a plain function, with a wait between the steps."""
    calls.append(f"thread {threading.current_thread() is not threading.main_thread()}")
    ctx.wait(ctx.step("quote", fetch_quote, order.id))
    ctx.wait(ctx.sleep("1h"))
    return Outcome(result=ctx.wait(ctx.step("charge", charge, order.id)))


@orders.intent("orders.careful_thread")
def careful_thread(ctx: Context, order: Order) -> None:
    """Catches whatever is an Exception; that it waits is none."""
    try:
        ctx.wait(ctx.sleep("1h"))
    except Exception as error:
        calls.append(f"caught {error!r}")
    calls.append("after the wait")


@orders.intent("orders.refuse")
async def refuse(ctx: Context, order: Order) -> None:
    raise TerminalError("There are no orders today.", code="closed")


@orders.intent("orders.hold", timeout="1m", retry=Retry(attempts=1))
async def hold(ctx: Context, order: Order) -> None:
    """Never ends by itself."""
    try:
        await asyncio.Event().wait()
    finally:
        calls.append("hold ended")


@orders.intent("orders.linger")
async def linger(ctx: Context, order: Order) -> None:
    """Takes some real time."""
    await asyncio.sleep(0.05)


@orders.intent("orders.race")
async def race(ctx: Context, order: Order) -> dict[str, list[int]]:
    """Waits and steps side by side."""
    first, _, second = await asyncio.gather(
        ctx.step("left", fetch_quote, "1"), ctx.sleep("1h"), ctx.step("right", fetch_quote, "22")
    )
    return {"steps": [first, second]}


class File(BaseModel):
    text: str


@media.intent("media.store")
async def store(ctx: Context, file: File) -> Outcome:
    reference = await ctx.artifacts.put("copy.txt", file.text)
    return Outcome(
        result={"by": ctx.user_id, "for": ctx.tenant_id, "meta": ctx.intent.metadata},
        artifacts={"copy": reference},
        events=[Event("file.stored", {"size": len(file.text)})],
        state_changes=[StateChange("stored", True), StateChange("gone", None)],
    )


class Stored(BaseModel):
    file: Reference


@media.intent("media.read")
async def read(ctx: Context, stored: Stored) -> dict[str, str]:
    return {"text": (await ctx.artifacts.get(stored.file)).decode()}
