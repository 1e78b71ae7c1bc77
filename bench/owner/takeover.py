"""`kill -9` of an owner with live executions, and how soon another one decides on its partitions.

The successor has the dead one's name, so that the group gives it the partitions at once (static
membership) and no session timeout is in the figures. The clock starts with the successor's process
and stops at the broker's append time of the first new intent's decision on the last partition;
intents flow throughout. Python's start, imports and joining the group are in it, and told apart: a
successor that runs already has no such cost.
"""

from __future__ import annotations

import re
import shutil
import statistics
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import TopicPartition

from bench.owner.feeding import STALL_S, Feeder, Flood, Progress, Stalled, await_state, ends
from bench.owner.figures import Figure, Report
from bench.owner.options import Options
from bench.owner.planting import Planter, waiting
from bench.owner.realms import parked
from bench.owner.scene import OWNER, Scene
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.journal.validity import Validity, judge, takes_ownership
from symphainy_transport.clients import admin, consumer
from symphainy_transport.topics import INTENTS, JOURNAL, STATE, Topics

TRICKLE = 20.0  # intents a second on every partition
_OWNING = re.compile(
    r"(?m)^(.{19}),(\d{3}) .*owning \d+: term \d+, (\d+) live executions, taken in ([\d.]+) s$"
)


class Takeovers:
    """One owner, killed again and again."""

    def __init__(self, scene: Scene, feeder: Feeder) -> None:
        self._scene = scene
        self._feeder = feeder
        self._settings = scene.settings

    def measure(self, between: Callable[[], None]) -> dict[str, Any]:
        """Kill, do `between`, start again; seconds from there, by partition."""
        rate = TRICKLE * self._settings.partitions
        flood = Flood(self._feeder, rate, "parked.wait", {"number": 0, "note": ""})
        flood.start()
        try:
            self._scene.kill_owner()
            between()
            starts = ends(self._settings, JOURNAL)
            began = self._scene.clock.now_ms()
            self._scene.role("owner", "", "up", "owner", "--name", OWNER)
            taken, decided = self._first_decisions(starts)
            cpu_s = self._scene.cpu("owner")["owner"]
        finally:
            flood.end()
        told = _OWNING.findall(self._scene.log("owner").read_text())
        return {
            "decided_s": [round((at - began) / 1e3, 3) for _, at in sorted(decided.items())],
            "term_s": [round((at - began) / 1e3, 3) for _, at in sorted(taken.items())],
            "taken_in_s": [float(seconds) for *_, seconds in told],
            "started_s": round((_begun_ms(told[0]) - began) / 1e3, 3),
            "owner_cpu_s": round(cpu_s, 2),  # until the last one's first decision
            "live": sum(int(live) for _, _, live, _ in told),
        }

    def _first_decisions(self, starts: dict[int, int]) -> tuple[dict[int, int], dict[int, int]]:
        """Append times of the new terms, and of the first decision on a new intent in each."""
        reading = consumer(self._settings, "bench-takeover", fetch_wait_max_ms=5)
        topic = Topics(self._settings.topic_prefix).name(JOURNAL)
        reading.assign([TopicPartition(topic, p, at) for p, at in starts.items()])
        taken: dict[int, int] = {}
        decided: dict[int, int] = {}
        standings: dict[int, Validity] = {}
        try:
            while len(decided) < len(starts):
                message = reading.poll(STALL_S)
                if message is None:
                    raise Stalled(f"decided on {sorted(decided)} of {len(starts)} partitions")
                value, p, offset = message.value(), message.partition(), message.offset()
                if value is None or p is None or offset is None or p in decided:
                    continue
                stored = judge(value, offset, standings.get(p, Validity()))
                standings[p] = stored.standing
                if stored.record is None or not stored.valid:
                    continue
                if takes_ownership(stored.record):
                    taken[p] = message.timestamp()[1]
                elif stored.record.cause is not None and stored.record.cause.topic == INTENTS:
                    decided[p] = message.timestamp()[1]
        finally:
            reading.close()
        return taken, decided

    def forget_disk(self) -> None:
        """The local checkpoint is gone."""
        shutil.rmtree(self._scene.state_folder)

    def forget_all(self) -> None:
        """So is `state`: the topic is made anew, empty."""
        self.forget_disk()
        client = admin(self._settings)
        name = Topics(self._settings.topic_prefix).name(STATE)
        client.delete_topics([name])[name].result()
        while name in client.list_topics(timeout=STALL_S).topics:
            time.sleep(0.05)
        Cluster(self._settings).create()


def _begun_ms(told: tuple[str, str, str, str]) -> float:
    """When the owner began to take the partition, ms since the epoch, from its log line."""
    at, ms, _, took_s = told
    return time.mktime(time.strptime(at, "%Y-%m-%d %H:%M:%S")) * 1e3 + int(ms) - float(took_s) * 1e3


def run(options: Options) -> Report:
    """With nothing live, then with many: local checkpoint, `state`, journal alone."""
    report = Report()
    with Scene() as scene:
        capability = scene.know(parked)["parked.wait"]
        scene.own()
        feeder = Feeder(scene.settings, "idle")
        feeder.open_sessions(1)
        progress = Progress(scene.settings)
        takeovers = Takeovers(scene, feeder)

        def repeated(times: int, between: Callable[[], None]) -> list[dict[str, Any]]:
            found = []
            for _ in range(times):
                progress.decided()
                await_state(scene.settings, progress.decisions)
                found.append(takeovers.measure(between))
            return found

        report.details["nothing live"] = repeated(options.repeat, lambda: None)
        progress.decided()
        scene.stop("owner")
        due = waiting(options.asleep_every, scene.settings.partitions, scene.clock.now_ms())
        Planter(scene.settings, "idle", capability).plant(options.live, due)
        scene.own()
        report.details["local"] = repeated(options.repeat, lambda: None)
        report.details["state"] = repeated(options.repeat, takeovers.forget_disk)
        report.details["journal"] = repeated(1, takeovers.forget_all)
        progress.close()
    _figures(report, options.live)
    return report


def _figures(report: Report, live: int) -> None:
    def median(kind: str, since: str = "") -> float:
        rows = report.details[kind]
        times: list[float] = [max(one["decided_s"]) - one.get(since, 0.0) for one in rows]
        return round(statistics.median(times), 2)

    kinds = (("local", "local checkpoint", 2.0), ("state", "from `state`", 10.0))
    for kind, name, most in (*kinds, ("journal", "from the journal alone", None)):
        for since, of_it in (("", "from the process's start"), ("started_s", "from joining on")):
            few = median("nothing live", since)
            what = f"{live:,} live, {name}, {of_it}"
            value = median(kind, since)
            report.figures.append(Figure(what, value, "s", most, None, few, "nothing live"))
