"""A realm whose handler waits for days: docs/testing.md shows how it is tested in milliseconds."""

from pydantic import BaseModel

from symphainy import Context, Realm, Retry, SignalTimeout

orders = Realm("orders")


class Order(BaseModel):
    id: str


class Grant(BaseModel):
    by: str


async def fetch_quote(order_id: str) -> int:
    return 100 + len(order_id)


@orders.intent("orders.approve", timeout="2m", heartbeat="30s", retry=Retry(attempts=3))
async def approve(ctx: Context, order: Order) -> dict[str, str | int | None]:
    quote = await ctx.step("quote", fetch_quote, order.id)
    await ctx.sleep("24h")
    try:
        grant = await ctx.signal("granted", Grant, timeout="3d")
    except SignalTimeout:
        return {"by": None, "quote": quote}
    return {"by": grant.by, "quote": quote}
