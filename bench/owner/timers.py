"""Durable timers that fire while intents flow: how late, and what it costs to wait for them.

Planted executions sleep until times that are known to the millisecond. Late is the journaled time
of the firing (`TimerFired` in a record's `at`) after the due time, Kafka's append time of that
record after it, and a worker's start of the handler after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import uvloop
from confluent_kafka import TopicPartition

from bench.load import percentile
from bench.owner.feeding import STALL_S, Feeder, Progress, Stalled, ends
from bench.owner.figures import Figure, Report
from bench.owner.flow import Flow
from bench.owner.options import Options
from bench.owner.planting import Planter
from bench.owner.realms import naps
from bench.owner.scene import Scene
from symphainy_cli.keys import create_key
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_schemas.events import (
    ExecutionSucceeded,
    IntentReceived,
    JournalRecord,
    StepDispatched,
    StepStarted,
    StepSucceeded,
    TimerFired,
)
from symphainy_transport.clients import consumer
from symphainy_transport.topics import JOURNAL, Topics

TENANT = "sleepy"
AWAKE = "awake"  # whose intents flow beside: a tenant has its share, whatever another's timers do
NAP = {"until": 0}
WAITING_S = 15.0  # all sleep: what that costs is measured for so long
_ROLES = ("owner", "kafka", "worker")


class _Sleepers:
    """Plants sleepers, waits with an intent flow beside, reads what fired."""

    def __init__(self, scene: Scene, options: Options) -> None:
        self._scene = scene
        self._options = options
        create_key(scene.settings, TENANT, "bench")
        self._feeder = Feeder(scene.settings, AWAKE)
        capability = scene.know(naps)["naps.until"]
        self._planter = Planter(scene.settings, TENANT, capability)

    def measure(self, count: int, over_s: float) -> dict[str, Any]:
        """So many due within `over_s` from a moment on, evenly; 0 for all at once."""
        scene = self._scene
        lead_ms = int((count / self._options.planted_a_s + WAITING_S + 20.0) * 1e3)
        due_from = scene.clock.now_ms() + lead_ms
        first = self._planter.planted
        starts = ends(scene.settings, JOURNAL)
        self._planter.plant(count, _spread(due_from, first, count, over_s))
        scene.own()
        if not self._feeder.sessions:
            scene.work_for("naps")
            self._feeder.open_sessions(4)
        progress = Progress(scene.settings)
        self._feeder.state_on_each("naps.until", NAP)
        progress.decided()
        found = uvloop.run(self._wait_and_fire(due_from, over_s))
        progress.decided()
        progress.close()
        late = _Lateness(count)
        self._read(starts, late)
        scene.stop("owner")
        return {**found, **late.figures()}

    async def _wait_and_fire(self, due_from: int, over_s: float) -> dict[str, Any]:
        scene, rate = self._scene, self._options.flow_rate
        left_s = (due_from - scene.clock.now_ms()) / 1e3 - WAITING_S
        if left_s < 0:
            raise Stalled("the timers are due before all of them sleep; lower --planted-a-s")
        await asyncio.sleep(left_s)
        found: dict[str, Any] = {}
        async with Flow(scene.settings, AWAKE, self._feeder.sessions, "naps.until") as flow:
            before = scene.cpu(*_ROLES)
            await asyncio.sleep(WAITING_S / 3)
            after = scene.cpu(*_ROLES)
            found["waiting_cores"] = {r: (after[r] - before[r]) / (WAITING_S / 3) for r in _ROLES}
            quiet = await flow.steady(NAP, rate, WAITING_S / 3)
            await asyncio.sleep(max(0.0, (due_from - scene.clock.now_ms()) / 1e3 - 1.0))
            before, began = scene.cpu(*_ROLES), scene.clock.monotonic()
            loud = await flow.steady(NAP, rate, max(over_s, 4.0) + 2.0)
            after, took_s = scene.cpu(*_ROLES), scene.clock.monotonic() - began
            found["firing_cores"] = {r: (after[r] - before[r]) / took_s for r in _ROLES}
        for name, took in (("flow_before", quiet), ("flow_beside", loud)):
            found[name] = {"p50_ms": percentile(took, 0.5), "p99_ms": percentile(took, 0.99)}
        return found

    def _read(self, starts: dict[int, int], late: _Lateness) -> None:
        """Read the valid records from there on, until every execution has ended.

        Raises:
            Stalled: they do not end.
        """
        settings = self._scene.settings
        reading = consumer(settings, "bench-timers")
        topic = Topics(settings.topic_prefix).name(JOURNAL)
        standing = {p: Validity() for p in starts}
        try:
            reading.assign([TopicPartition(topic, p, start) for p, start in starts.items()])
            while not late.complete:
                message = reading.poll(STALL_S)
                if message is None:
                    raise Stalled(f"{late.fired} timers fired, {late.ended} executions ended")
                p, value, offset = message.partition(), message.value(), message.offset()
                if message.error() is not None or None in (p, value, offset):
                    continue
                assert p is not None
                assert value is not None
                assert offset is not None
                stored = judge(value, offset, standing[p])
                standing[p] = stored.standing
                if stored.valid and stored.record is not None:
                    late.take(message.timestamp()[1], stored.record)
        finally:
            reading.close()


def _spread(due_from: int, first: int, count: int, over_s: float) -> Callable[[int], int]:
    return lambda n: due_from + int((n - first) / count * over_s * 1e3)


class _Lateness:
    """Lateness in ms of each timer, and whether everything has ended."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._due: dict[str, int] = {}
        self._late: dict[str, list[float]] = {"decided": [], "appended": [], "started": []}
        self.ended = 0
        self._legs = _Legs()

    @property
    def fired(self) -> int:
        """How many have."""
        return len(self._due)

    @property
    def complete(self) -> bool:
        """Whether each has fired and led to an end."""
        return self.fired == self.ended == self._count

    def take(self, appended_at: int, record: JournalRecord) -> None:
        """The next record of a partition, and when Kafka had it."""
        if record.tenant_id == AWAKE:
            self._legs.take(record)
            return
        for event in record.events:
            due_at = self._due.get(record.execution_id)
            if isinstance(event, TimerFired) and due_at is None:
                self._due[record.execution_id] = event.due_at
                self._late["decided"].append((record.at - event.due_at) / 1e3)
                self._late["appended"].append((appended_at - event.due_at) / 1e3)
            elif due_at is not None:
                if isinstance(event, StepStarted):
                    self._late["started"].append((event.started_at - due_at) / 1e3)
                self.ended += isinstance(event, ExecutionSucceeded)

    def figures(self) -> dict[str, Any]:
        """Each kind's percentiles."""
        points = {"p50_ms": 0.5, "p99_ms": 0.99, "max_ms": 1.0}
        late = {
            f"late_{kind}": {name: percentile(values, q) for name, q in points.items()}
            for kind, values in self._late.items()
        }
        return {**late, "beside_legs_p50_ms": self._legs.medians()}


class _Legs:
    """Where the intents beside spend their time, by the clocks of whoever told."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}
        self._took: dict[str, list[float]] = {}

    def take(self, record: JournalRecord) -> None:
        """The next record of theirs."""
        execution = record.execution_id
        for event in record.events:
            match event:
                case IntentReceived():
                    self._last[execution] = event.created_at
                    self._leg(execution, "stated to decided", record.at)
                case StepDispatched():
                    self._leg(execution, "decided to dispatched", record.at)
                case StepSucceeded():
                    self._leg(execution, "dispatched to started", event.started_at)
                    self._leg(execution, "started to ended", event.ended_at)
                    self._leg(execution, "ended to decided", record.at)

    def medians(self) -> dict[str, float]:
        """Of each leg, ms."""
        return {leg: percentile(took, 0.5) for leg, took in self._took.items()}

    def _leg(self, execution: str, name: str, at: float) -> None:
        if execution in self._last:
            self._took.setdefault(name, []).append((at - self._last[execution]) / 1e3)
            self._last[execution] = at


def run(options: Options) -> Report:
    """Spread over a minute, then as fast as clients submit them, then all in one millisecond."""
    with Scene() as scene:
        sleepers = _Sleepers(scene, options)
        spread = sleepers.measure(options.timers, options.timers_over_s)
        burst = sleepers.measure(options.timers_at_once, options.timers_burst_s)
        at_once = sleepers.measure(options.timers_at_once, 0.0)
    report = Report(details={"spread": spread, "burst": burst, "at once": at_once})
    over = f"{options.timers:,} timers in {options.timers_over_s:g} s"
    some = f"{options.timers_at_once:,} timers in {options.timers_burst_s:g} s"
    once = f"{options.timers_at_once:,} timers at once"
    for name, found, most in ((over, spread, 250.0), (some, burst, 100.0), (once, at_once, 100.0)):
        for kind in ("decided", "appended", "started"):
            late = found[f"late_{kind}"]
            what = f"{name}: late p99, {kind}"
            target = None if kind == "started" else most
            report.figures.append(
                Figure(what, late["p99_ms"], "ms", target, None, late["p50_ms"], "p50")
            )
        before, beside = found["flow_before"], found["flow_beside"]
        for q in ("p50_ms", "p99_ms"):
            what = f"{name}: intents beside, {q.split('_')[0]}"
            report.figures.append(Figure(what, beside[q], "ms", None, None, before[q], "before"))
        cores = found["waiting_cores"]["owner"]
        what = f"{name}: owner's cores while they wait"
        firing = round(found["firing_cores"]["owner"], 3)
        report.figures.append(
            Figure(what, round(cores, 3), "", None, None, firing, "while they fire")
        )
    return report
