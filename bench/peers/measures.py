"""How workloads are measured. Each takes a started peer and yields one row per measurement."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable

from bench.peers.clock import wall_clock
from bench.peers.effects import Effects
from bench.peers.load import (
    answered,
    checked,
    closed_loop,
    sequential,
    settle,
    submit_all,
    submit_into,
)
from bench.peers.meter import Meter, percentiles_ms
from bench.peers.peer import Peer
from bench.peers.steps import FLOWS, TIMER_SLEEP_S, Json
from bench.peers.workload import NOTHING, Options, Workload

_FINISH_S = 240.0  # how long a run of w4 or w5 may take before it counts as not finished
_IDLE_S = 30.0
_WARM_CONCURRENCY = 16


async def latency_and_throughput(
    peer: Peer, workload: Workload, options: Options, part: str
) -> AsyncIterator[Json]:
    """One run after another, then closed loops."""
    flow = workload.flow
    await checked(peer, flow)
    # The same for every peer: those that compile as they run are measured as they run for long.
    await closed_loop(peer, flow, _WARM_CONCURRENCY, options.warm)
    for _ in range(options.repeat):
        yield await sequential(peer, flow, options.sequential or workload.sequential, 50)
    for concurrency in options.concurrency or workload.concurrency:
        for _ in range(options.repeat):
            yield await closed_loop(peer, flow, concurrency, options.seconds)


async def killed(
    peer: Peer, workload: Workload, options: Options, part: str
) -> AsyncIterator[Json]:
    """Slow runs; half way through their steps, one part is killed and started again.

    All times count from the kill (without one, from the first submission): until any step's
    effect, until a run that was submitted after the kill is answered, until every run's last
    effect, and until the engine gives every run's result.
    """
    flow, n = workload.flow, options.runs
    await checked(peer, flow)
    effects = Effects(peer.effects)
    acknowledged: dict[str, float] = {}
    meter = Meter(peer)
    began = time.monotonic()
    submitting = asyncio.create_task(submit_into(acknowledged, peer, flow, n))
    row: Json = {"what": f"kill -9 {part}", "n": n}
    watching: asyncio.Task[Json] | None = None
    try:
        if part != NOTHING:
            row |= await _half_done(effects, flow, n)
            row |= {"at_s": round(time.monotonic() - began, 2), "killed": peer.parts[part]}
            row["submitted_at_kill"] = len(acknowledged)
            began = time.monotonic()
            await peer.restart(peer.parts[part])
            watching = asyncio.create_task(_first_after(peer, effects, flow, began))
        finished = await effects.wait(lambda: effects.runs[FLOWS[flow].last] >= n, _FINISH_S)
        row |= {"effects_s": round(time.monotonic() - began, 2), "finished": finished}
        if finished:
            await submitting
        lost = await settle(peer, flow, acknowledged, _FINISH_S)
        row |= {"settled_s": round(time.monotonic() - began, 2), "lost": len(lost)}
        row |= await watching if watching else {}
    finally:
        submitting.cancel()
        if watching:
            watching.cancel()
    account = meter.read(n)
    yield {**row, "acked": len(acknowledged), **_counted(effects, flow), **account}


async def _half_done(effects: Effects, flow: str, n: int) -> Json:
    """What has been done when half of the steps have had their effect."""
    steps, last = FLOWS[flow].steps, FLOWS[flow].last
    half = n * len(steps) // 2
    if not await effects.wait(lambda: effects.distinct(*steps) >= half, _FINISH_S):
        raise TimeoutError(f"half of the steps were not done within {_FINISH_S:g} s")
    return {"done_at_kill": effects.runs[last], "steps_at_kill": effects.distinct(*steps)}


def _counted(effects: Effects, flow: str) -> Json:
    """What was done, and how much of it more than once."""
    steps, last = FLOWS[flow].steps, FLOWS[flow].last
    effects.read()
    return {
        "done": effects.runs[last],
        "steps": effects.distinct(*steps),
        "steps_repeated": effects.repeated(*steps),
        "tails_repeated": effects.repeated(last),
    }


async def _first_after(peer: Peer, effects: Effects, flow: str, killed_at: float) -> Json:
    """When the next step, and the next whole run, came after the kill."""
    steps = FLOWS[flow].steps
    effects.read()
    before = effects.distinct(*steps)

    async def seconds(waiting: Awaitable[bool]) -> float | None:
        return round(time.monotonic() - killed_at, 2) if await waiting else None

    step, run = await asyncio.gather(
        seconds(effects.wait(lambda: effects.distinct(*steps) > before, _FINISH_S)),
        seconds(answered(peer, _FINISH_S)),
    )
    return {"first_step_after_s": step, "first_run_after_s": run}


async def timers(
    peer: Peer, workload: Workload, options: Options, part: str
) -> AsyncIterator[Json]:
    """Durable sleeps: how late, from the submission's answer and from the handler's start."""
    flow, n = workload.flow, options.timers
    await checked(peer, flow)
    effects = Effects(peer.effects)
    meter = Meter(peer)
    acknowledged = await submit_all(peer, flow, n)
    row: Json = {"what": f"{n} timers", "submit_s": round(meter.elapsed_s(), 2)}
    quiet_s = min(acknowledged.values()) + TIMER_SLEEP_S - wall_clock() - 1.0
    if quiet_s > 1.0:  # all sleep: what does that cost?
        await asyncio.sleep(1.0)
        waiting = Meter(peer)
        await asyncio.sleep(quiet_s - 1.0)
        row["waiting_cores"] = waiting.read(n)["stack_cores"]
    row["finished"] = await effects.wait(lambda: effects.runs[FLOWS[flow].last] >= n, _FINISH_S)
    woke, began = effects.first(FLOWS[flow].last), effects.first("start")
    after_submit = [woke[r] - acknowledged[r] - TIMER_SLEEP_S for r in woke]
    after_start = [woke[r] - began[r] - TIMER_SLEEP_S for r in woke]
    yield {
        **row,
        **percentiles_ms(after_submit, 0.5, 0.99, 1, prefix="late_submit_"),
        **percentiles_ms(after_start, 0.5, 0.99, 1, prefix="late_start_"),
        "repeated": effects.repeated(FLOWS[flow].last),
        **meter.read(n),
    }


async def idle(peer: Peer, workload: Workload, options: Options, part: str) -> AsyncIterator[Json]:
    """What it costs to do nothing. (The caller, who started the stack, timed the start.)"""
    await asyncio.sleep(5)
    before = peer.processes.pss_mib()
    meter = Meter(peer)
    await asyncio.sleep(_IDLE_S)
    account = meter.read(0)
    after = peer.processes.pss_mib()
    yield {
        "what": f"idle {_IDLE_S:g} s",
        "pss_mib": after,
        "pss_total_mib": round(sum(after.values()), 1),
        "pss_before": before,
        "cpu_percent": round(account["stack_cpu_s"] / account["wall_s"] * 100, 2),
        **account,
    }
