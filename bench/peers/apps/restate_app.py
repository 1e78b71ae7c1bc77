"""The flows as Restate handlers."""

# mypy: disable-error-code="import-not-found,untyped-decorator,no-any-return"
# Restate's SDK is in the peers' own environment, which the project's type check does not see.

from datetime import timedelta

import restate
from restate import Context, Service, TerminalError

from bench.peers.steps import TIMER_SLEEP_S, Json, effect, result, slow_step

bench = Service("Bench")


async def step(body: Json, n: int) -> Json:
    """A step that does nothing."""
    return result(n)


async def failing(body: Json, n: int) -> Json:
    """A step that fails for good."""
    raise TerminalError("step refused")


@bench.handler()
async def one(ctx: Context, body: Json) -> Json:
    """One step."""
    return await ctx.run_typed("step1", step, body=body, n=1)


@bench.handler()
async def saga(ctx: Context, body: Json) -> Json:
    """Three steps."""
    await ctx.run_typed("step1", step, body=body, n=1)
    await ctx.run_typed("step2", step, body=body, n=2)
    return await ctx.run_typed("step3", step, body=body, n=3)


@bench.handler()
async def comp(ctx: Context, body: Json) -> Json:
    """Three steps, the last fails, the others are undone in reverse order."""
    undo = []
    try:
        await ctx.run_typed("step1", step, body=body, n=1)
        undo.append(1)
        await ctx.run_typed("step2", step, body=body, n=2)
        undo.append(2)
        return await ctx.run_typed("step3", failing, body=body, n=3)
    except TerminalError:
        for n in reversed(undo):
            await ctx.run_typed(f"undo{n}", step, body=body, n=-n)
        return {"ok": False, "compensated": len(undo)}


@bench.handler()
async def slow(ctx: Context, body: Json) -> Json:
    """Three steps with side effects."""
    run_id = body["run_id"]
    for n in (1, 2, 3):
        await ctx.run_typed(f"step{n}", slow_step, run_id=run_id, n=n)
    effect(run_id, "done")
    return result(3)


@bench.handler()
async def timer(ctx: Context, body: Json) -> Json:
    """A durable sleep."""
    effect(body["run_id"], "start")
    await ctx.sleep(timedelta(seconds=TIMER_SLEEP_S))
    effect(body["run_id"], "wake")
    return result(1)


app = restate.app(services=[bench])
