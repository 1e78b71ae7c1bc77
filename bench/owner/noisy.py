"""A noisy neighbour: one tenant floods a realm at many times its capacity, another states an intent
now and then. The other's latency, quiet and beside the flood, in one run.
"""

from __future__ import annotations

from typing import Any

import uvloop

from bench.load import percentile
from bench.owner.feeding import Feeder, Flood
from bench.owner.figures import Figure, Report
from bench.owner.flow import Flow
from bench.owner.options import Options
from bench.owner.scene import Scene

# How long a handler works, ms, and how many of them the realm's one worker runs at once. The flood
# must leave the machine room: broker, owner, worker and clients share its cores, and ten times the
# capacity of these is 320 to 400 intents a second. What an owner cannot decide in time queues in
# `intents`, and keeping that out is the gateway's part (docs/back-pressure.md).
WORKS = ((200, 8), (500, 16), (1_000, 32))
SHARE = 0.2  # of the realm's capacity is what the quiet tenant asks for; half would be its fair one
BEGINNING_S = 10.0  # in which the windows learn of the flood: told apart
SAMPLES = 400  # so that the p99 rests on four


def run(options: Options) -> Report:
    """With shorter and with longer work."""
    report = Report()
    for work_ms, slots in WORKS:
        found = _beside_a_flood(work_ms, slots, options.flood_factor)
        report.details[f"{work_ms} ms"] = found
        for q in ("p50_ms", "p99_ms"):
            before, beside = found["quiet"][q], found["beside the flood"][q]
            most = before * 2 if q == "p99_ms" else None
            what = f"work of {work_ms} ms: {q.split('_')[0]} beside the flood"
            report.figures.append(Figure(what, beside, "ms", most, None, before, "quiet"))
        beginning = found["as the flood begins"]["p99_ms"]
        what = f"work of {work_ms} ms: p99 in the flood's first {BEGINNING_S:g} s"
        report.figures.append(
            Figure(what, beginning, "ms", None, None, found["quiet"]["p99_ms"], "quiet")
        )
    return report


def _beside_a_flood(work_ms: int, slots: int, factor: float) -> dict[str, Any]:
    """On a stack of its own: what a flood leaves behind would not be quiet."""
    with Scene() as scene:
        scene.own()
        scene.work_for("crowd", slots)
        noisy, quiet = Feeder(scene.settings, "noisy"), Feeder(scene.settings, "quiet")
        for feeder in (noisy, quiet):
            feeder.open_sessions(4)
        capacity = slots / (work_ms / 1_000)
        work = {"work_ms": work_ms}
        flood = Flood(noisy, capacity * factor, "crowd.work", work)
        return uvloop.run(_measure(scene, flood, quiet, work, capacity))


async def _measure(
    scene: Scene, flood: Flood, quiet: Feeder, work: dict[str, int], capacity: float
) -> dict[str, Any]:
    rate = capacity * SHARE
    seconds = SAMPLES / rate
    found: dict[str, Any] = {"capacity_per_s": capacity, "rate": rate}
    async with Flow(scene.settings, quiet.tenant, quiet.sessions, "crowd.work") as flow:
        await flow.steady(work, rate, 2.0)  # warm
        alone = await flow.steady(work, rate, seconds)
        flood.start()
        try:
            beginning = await flow.steady(work, rate, BEGINNING_S)
            before = scene.cpu("owner", "kafka", "worker")
            beside = await flow.steady(work, rate, seconds)
            after = scene.cpu("owner", "kafka", "worker")
        finally:
            flood.end()
    found["flood_stated"] = flood.stated
    found["cores"] = {
        role: round((after[role] - before[role]) / seconds, 2)
        for role in ("owner", "kafka", "worker")
    }
    kinds = {"quiet": alone, "as the flood begins": beginning, "beside the flood": beside}
    for name, took in kinds.items():
        found[name] = {"p50_ms": percentile(took, 0.5), "p99_ms": percentile(took, 0.99)}
    return found
