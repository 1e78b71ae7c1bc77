"""The flows as intents of a Symphainy realm.

A handler is itself a step of its execution: dispatched, retried and recorded by the runtime. So
`one` needs nothing inside it. `one_inside` and the flows of several steps use `ctx.step`.
"""

from pydantic import BaseModel

from bench.peers.steps import Json, effect, result, slow_step
from symphainy import Context, Outcome, Realm

realm = Realm("bench")


class Item(BaseModel):
    """A line of the order."""

    sku: str
    qty: int
    price: int


class Order(BaseModel):
    """The payload of every flow, as `bench.peers.steps.payload` makes it."""

    run_id: str
    tenant: str
    session: str
    intent: str
    items: list[Item]
    note: str


async def step(order: Order, n: int) -> Json:
    """A step that does nothing."""
    return result(n)


@realm.intent("bench.one")
async def one(ctx: Context, order: Order) -> Outcome:
    """One step: the handler."""
    return Outcome(result=await step(order, 1))


@realm.intent("bench.one_inside")
async def one_inside(ctx: Context, order: Order) -> Outcome:
    """One step more inside the handler, recorded by itself."""
    return Outcome(result=await ctx.step("step1", step, order, 1))


@realm.intent("bench.saga")
async def saga(ctx: Context, order: Order) -> Outcome:
    """Three steps."""
    await ctx.step("step1", step, order, 1)
    await ctx.step("step2", step, order, 2)
    return Outcome(result=await ctx.step("step3", step, order, 3))


@realm.intent("bench.slow")
async def slow(ctx: Context, order: Order) -> Outcome:
    """Three steps with side effects."""
    for n in (1, 2, 3):
        await ctx.step(f"step{n}", slow_step, order.run_id, n)
    effect(order.run_id, "done")
    return Outcome(result=result(3))
