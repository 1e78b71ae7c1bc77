"""The workloads. Each takes a started peer and yields one result row per measurement."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from bench.peers.clock import wall_clock
from bench.peers.effects import STEPS, Effects
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
from bench.peers.steps import TIMER_SLEEP_S, Json

_FINISH_S = 240.0  # how long a run of w4 or w5 may take before it counts as not finished
_IDLE_S = 30.0


WARM_CONCURRENCY = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much of each workload is run."""

    repeat: int = 2
    seconds: float = 15.0
    sequential: int = 500
    concurrency: tuple[int, ...] = (16, 64, 256)
    runs: int = 2000
    timers: int = 5000
    warm: float = 10.0


async def one_step(peer: Peer, options: Options, role: str) -> AsyncIterator[Json]:
    """W1."""
    async for row in _latency_and_throughput(peer, "one", options):
        yield row


async def three_steps(peer: Peer, options: Options, role: str) -> AsyncIterator[Json]:
    """W2."""
    async for row in _latency_and_throughput(peer, "saga", options):
        yield row


async def _latency_and_throughput(peer: Peer, flow: str, options: Options) -> AsyncIterator[Json]:
    await checked(peer, flow)
    # The same for every peer: those that compile as they run are measured as they run for long.
    await closed_loop(peer, flow, WARM_CONCURRENCY, options.warm)
    for _ in range(options.repeat):
        yield await sequential(peer, flow, options.sequential, 50)
    for concurrency in options.concurrency:
        for _ in range(options.repeat):
            yield await closed_loop(peer, flow, concurrency, options.seconds)


async def compensated(peer: Peer, options: Options, role: str) -> AsyncIterator[Json]:
    """W3."""
    await checked(peer, "comp")
    for _ in range(options.repeat):
        yield await sequential(peer, "comp", min(200, options.sequential), 20)


async def killed(peer: Peer, options: Options, role: str) -> AsyncIterator[Json]:
    """W4. Slow runs; half way through their steps, one role is killed and started again.

    All times count from the kill (without one, from the first submission): until any step's
    effect, until a run that was submitted after the kill is answered, until every run's last
    effect, and until the engine gives every run's result.
    """
    n = options.runs
    await checked(peer, "slow")
    effects = Effects(peer.effects)
    acknowledged: dict[str, float] = {}
    meter = Meter(peer)
    began = time.monotonic()
    submitting = asyncio.create_task(submit_into(acknowledged, peer, "slow", n))
    row: Json = {"what": f"kill -9 {role or 'nothing'}", "n": n}
    watching: asyncio.Task[Json] | None = None
    try:
        if role:
            await effects.wait(lambda: effects.distinct_steps() >= n * len(STEPS) // 2, _FINISH_S)
            row |= {
                "at_s": round(time.monotonic() - began, 2),
                "submitted_at_kill": len(acknowledged),
                "done_at_kill": effects.runs["done"],
                "steps_at_kill": effects.distinct_steps(),
            }
            began = time.monotonic()
            await peer.restart(role)
            watching = asyncio.create_task(_first_after(peer, effects, began))
        finished = await effects.wait(lambda: effects.runs["done"] >= n, _FINISH_S)
        row |= {"effects_s": round(time.monotonic() - began, 2), "finished": finished}
        if finished:
            await submitting
        lost = await settle(peer, "slow", acknowledged, _FINISH_S)
        row |= {"settled_s": round(time.monotonic() - began, 2), "lost": len(lost)}
        row |= await watching if watching else {}
    finally:
        submitting.cancel()
        if watching:
            watching.cancel()
    account = meter.read(n)
    effects.read()
    yield {
        **row,
        "done": effects.runs["done"],
        "acked": len(acknowledged),
        "steps_repeated": effects.repeated(*STEPS),
        "tails_repeated": effects.repeated("done"),
        **account,
    }


async def _first_after(peer: Peer, effects: Effects, killed_at: float) -> Json:
    """When the next step, and the next whole run, came after the kill."""
    effects.read()
    steps = effects.distinct_steps()

    async def seconds(waiting: Awaitable[bool]) -> float | None:
        return round(time.monotonic() - killed_at, 2) if await waiting else None

    step, run = await asyncio.gather(
        seconds(effects.wait(lambda: effects.distinct_steps() > steps, _FINISH_S)),
        seconds(answered(peer, _FINISH_S)),
    )
    return {"first_step_after_s": step, "first_run_after_s": run}


async def timers(peer: Peer, options: Options, role: str) -> AsyncIterator[Json]:
    """W5. Durable sleeps: how late, from the submission's answer and from the handler's start."""
    n = options.timers
    await checked(peer, "timer")
    effects = Effects(peer.effects)
    meter = Meter(peer)
    acknowledged = await submit_all(peer, "timer", n)
    row: Json = {"what": f"{n} timers", "submit_s": round(meter.elapsed_s(), 2)}
    quiet_s = min(acknowledged.values()) + TIMER_SLEEP_S - wall_clock() - 1.0
    if quiet_s > 1.0:  # all sleep: what does that cost?
        await asyncio.sleep(1.0)
        waiting = Meter(peer)
        await asyncio.sleep(quiet_s - 1.0)
        row["waiting_cores"] = waiting.read(n)["stack_cores"]
    row["finished"] = await effects.wait(lambda: effects.runs["wake"] >= n, _FINISH_S)
    woke, began = effects.first("wake"), effects.first("start")
    after_submit = [woke[r] - acknowledged[r] - TIMER_SLEEP_S for r in woke]
    after_start = [woke[r] - began[r] - TIMER_SLEEP_S for r in woke]
    yield {
        **row,
        **percentiles_ms(after_submit, 0.5, 0.99, 1, prefix="late_submit_"),
        **percentiles_ms(after_start, 0.5, 0.99, 1, prefix="late_start_"),
        "repeated": effects.repeated("wake"),
        **meter.read(n),
    }


async def idle(peer: Peer, options: Options, role: str) -> AsyncIterator[Json]:
    """W6. What it costs to do nothing. (The caller, who started the stack, timed the start.)"""
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


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload: its title, the flow that a peer must be able to run, and how it is measured."""

    title: str
    flow: str
    measure: Callable[[Peer, Options, str], AsyncIterator[Json]]
    #: Measured once with a fresh stack for each role, which is killed, and once left alone.
    kills: bool = False


WORKLOADS = {
    "w1": Workload("one step", "one", one_step),
    "w2": Workload("three steps", "saga", three_steps),
    "w3": Workload("three steps, the third fails, two compensations", "comp", compensated),
    "w4": Workload("kill -9 in the middle of three-step runs", "slow", killed, kills=True),
    "w5": Workload(f"durable sleeps of {TIMER_SLEEP_S:g} s", "timer", timers),
    "w6": Workload("cold start, and idle", "one", idle),
}
