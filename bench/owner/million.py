"""A million waiting executions on one owner: its memory, and what they cost the next intent.

The same owner process type holds a few, then the million; new intents of another realm run through
it with a worker, one at a time and sixteen at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import uvloop

from bench.load import percentile
from bench.owner.feeding import Feeder, Progress, await_state
from bench.owner.figures import Figure, Report
from bench.owner.flow import Flow
from bench.owner.options import Options
from bench.owner.planting import Planter, waiting
from bench.owner.realms import parked
from bench.owner.scene import Scene

IN_FLIGHT = (1, 16)
NAP = {"until": 0}


class _Holding:
    """An owner that holds more and more."""

    def __init__(self, scene: Scene, options: Options) -> None:
        self._scene = scene
        self._options = options
        self._feeder = Feeder(scene.settings, "busy")
        capability = scene.know(parked)["parked.wait"]
        self._planter = Planter(scene.settings, "busy", capability)

    def hold(self, more: int) -> dict[str, Any]:
        """Plant `more`, start the owner, and measure new intents when nothing is left to do."""
        every, partitions = self._options.asleep_every, self._scene.settings.partitions
        self._planter.plant(more, waiting(every, partitions, self._scene.clock.now_ms()))
        began = self._scene.clock.monotonic()
        self._scene.own()
        owned_s = self._scene.clock.monotonic() - began
        if not self._feeder.sessions:
            self._scene.work_for("naps")
            self._feeder.open_sessions(4)
        progress = Progress(self._scene.settings)
        self._feeder.state_on_each("naps.until", NAP)
        progress.decided()
        await_state(self._scene.settings, progress.decisions)
        progress.close()
        found: dict[str, Any] = {"owned_after_s": round(owned_s, 2)}
        found["idle"] = self._scene.owner_memory()
        found |= uvloop.run(self._measure())
        found["loaded"] = self._scene.owner_memory()
        return found

    async def _measure(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        sessions: Sequence[str] = self._feeder.sessions
        async with Flow(self._scene.settings, "busy", sessions, "naps.until") as flow:
            await flow.closed(NAP, 16, self._options.seconds / 4)  # warm
            for in_flight in IN_FLIGHT:
                before = self._scene.cpu("owner")["owner"]
                took = await flow.closed(NAP, in_flight, self._options.seconds)
                cpu_s = self._scene.cpu("owner")["owner"] - before
                found[str(in_flight)] = {
                    "intents": len(took),
                    "p50_ms": percentile(took, 0.5),
                    "p99_ms": percentile(took, 0.99),
                    "owner_cpu_ms": round(cpu_s / len(took) * 1e3, 3),
                }
        return found


def run(options: Options) -> Report:
    """A few, then the million."""
    with Scene() as scene:
        holding = _Holding(scene, options)
        few = holding.hold(options.waiting_few)
        scene.stop("owner")
        many = holding.hold(options.waiting - options.waiting_few)
    report = Report(details={f"{options.waiting_few}": few, f"{options.waiting}": many})
    beside = f"with {options.waiting_few:,}"
    name = f"{options.waiting:,} waiting"
    for when in ("idle", "loaded"):
        value, other = many[when]["rss_mib"], few[when]["rss_mib"]
        what = f"{name}: owner's memory, {when}"
        report.figures.append(Figure(what, value, "MiB", 2_048, None, other, beside))
    value, other = many["loaded"]["peak_mib"], few["loaded"]["peak_mib"]
    report.figures.append(
        Figure(f"{name}: most memory ever", value, "MiB", 2_048, None, other, beside)
    )
    for in_flight in IN_FLIGHT:
        for q in ("p50_ms", "p99_ms"):
            value, other = many[str(in_flight)][q], few[str(in_flight)][q]
            what = f"{name}: new intents, {in_flight} in flight, {q.split('_')[0]}"
            most = round(other * 1.3, 2)
            report.figures.append(Figure(what, value, "ms", most, None, other, beside))
    return report
