"""The flows as intents of a Symphainy realm.

A handler is itself a step of its execution: dispatched, retried and recorded by the runtime. So
`one` needs nothing inside it. `one_inside` and the flows of several steps use `ctx.step`.

`comp` is a plan, which the runtime undoes: its three steps and two compensations are handlers.
`comp_inside` does the same in one handler, as the other engines' users write it.
"""

from datetime import timedelta

from pydantic import BaseModel

from bench.peers.steps import TIMER_SLEEP_S, Json, effect, result, slow_step
from symphainy import Context, Outcome, Plan, PlanInput, Realm, Step, TerminalError

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


@realm.intent("bench.first")
async def first(ctx: Context, order: Order) -> Json:
    """The first step of the plan."""
    return await step(order, 1)


@first.compensate
async def undo_first(ctx: Context, done: Json | None) -> None:
    """Undo it: nothing was done."""
    await step(Order.model_validate(ctx.intent.payload), -1)


@realm.intent("bench.second")
async def second(ctx: Context, order: Order) -> Json:
    """The second."""
    return await step(order, 2)


@second.compensate
async def undo_second(ctx: Context, done: Json | None) -> None:
    """Undo it: nothing was done."""
    await step(Order.model_validate(ctx.intent.payload), -2)


async def failing(order: Order, n: int) -> Json:
    """A step that fails for good."""
    raise TerminalError("step refused")


@realm.intent("bench.third")
async def third(ctx: Context, order: Order) -> Json:
    """The third, which fails for good."""
    return await failing(order, 3)


@realm.plan("bench.comp")
def comp(order: PlanInput[Order]) -> Plan:
    """Three steps in sequence; the last fails, and the runtime undoes the others in reverse."""
    one = Step("step1", first)
    two = Step("step2", second, needs=[one])
    return Plan([one, two, Step("step3", third, needs=[two])])


@realm.intent("bench.comp_inside")
async def comp_inside(ctx: Context, order: Order) -> Outcome:
    """The same in one handler, which undoes what it did by itself."""
    undo = []
    try:
        await ctx.step("step1", step, order, 1)
        undo.append(1)
        await ctx.step("step2", step, order, 2)
        undo.append(2)
        return Outcome(result=await ctx.step("step3", failing, order, 3))
    except TerminalError:
        for n in reversed(undo):
            await ctx.step(f"undo{n}", step, order, -n)
        return Outcome(result={"ok": False, "compensated": len(undo)})


@realm.intent("bench.slow")
async def slow(ctx: Context, order: Order) -> Outcome:
    """Three steps with side effects."""
    for n in (1, 2, 3):
        await ctx.step(f"step{n}", slow_step, order.run_id, n)
    effect(order.run_id, "done")
    return Outcome(result=result(3))


@realm.intent("bench.timer")
async def timer(ctx: Context, order: Order) -> Outcome:
    """A durable sleep."""
    effect(order.run_id, "start")
    await ctx.sleep(timedelta(seconds=TIMER_SLEEP_S))
    effect(order.run_id, "wake")
    return Outcome(result=result(1))
