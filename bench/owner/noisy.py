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

CONCURRENCY = 4  # handlers at once, of the realm's one worker
WORKS_MS = (50, 200)
SHARE = 0.2  # of the realm's capacity is what the quiet tenant asks for; half would be its fair one
SAMPLES = 400  # so that the p99 rests on four


def run(options: Options) -> Report:
    """With short and with longer work."""
    report = Report()
    for work_ms in WORKS_MS:
        found = _beside_a_flood(work_ms, options.flood_factor)
        report.details[f"{work_ms} ms"] = found
        for q in ("p50_ms", "p99_ms"):
            before, beside = found["quiet"][q], found["beside the flood"][q]
            most = before * 2 if q == "p99_ms" else None
            what = f"work of {work_ms} ms: {q.split('_')[0]} beside the flood"
            report.figures.append(Figure(what, beside, "ms", most, None, before, "quiet"))
    return report


def _beside_a_flood(work_ms: int, factor: float) -> dict[str, Any]:
    """On a stack of its own: what a flood leaves behind would not be quiet."""
    with Scene() as scene:
        scene.own()
        scene.work_for("crowd", CONCURRENCY)
        noisy, quiet = Feeder(scene.settings, "noisy"), Feeder(scene.settings, "quiet")
        for feeder in (noisy, quiet):
            feeder.open_sessions(4)
        return uvloop.run(_measure(scene, noisy, quiet, work_ms, factor))


async def _measure(
    scene: Scene, noisy: Feeder, quiet: Feeder, work_ms: int, factor: float
) -> dict[str, Any]:
    capacity = CONCURRENCY / (work_ms / 1_000)
    rate = capacity * SHARE
    seconds = SAMPLES / rate
    work = {"work_ms": work_ms}
    found: dict[str, Any] = {"capacity_per_s": capacity, "rate": rate}
    async with Flow(scene.settings, quiet.tenant, quiet.sessions, "crowd.work") as flow:
        await flow.steady(work, rate, 2.0)  # warm
        alone = await flow.steady(work, rate, seconds)
        flood = Flood(noisy, capacity * factor, "crowd.work", work)
        flood.start()
        try:
            await flow.steady(work, rate, seconds / 4)  # until the backlog is there
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
    for name, took in (("quiet", alone), ("beside the flood", beside)):
        found[name] = {"p50_ms": percentile(took, 0.5), "p99_ms": percentile(took, 0.99)}
    return found
