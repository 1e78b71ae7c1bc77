"""Who takes part in every round of a soak: load, vandal, monkey, follower and judge."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
from tests.chaos.cluster import ChaosCluster, Size
from tests.chaos.follower import Follower
from tests.chaos.load import ANSWER_S, Load
from tests.chaos.monkey import Harm, Monkey
from tests.chaos.starts import StartsFile
from tests.chaos.vandal import Vandal
from tests.chaos.verdict import Judge
from tests.support.system import eventually

from symphainy_processors.owner.options import OwnerOptions
from symphainy_schemas.errors import Unavailable
from symphainy_simulation.checking import Acknowledged
from symphainy_simulation.checking.reading import ClusterReader


@dataclass(frozen=True)
class Options:
    """What a soak does."""

    minutes: float = 30.0
    round_s: float = 180.0
    rate: float = 150.0
    seed: int = 0
    size: Size = field(default_factory=Size)
    harm: Harm = field(default_factory=Harm)
    kinds: tuple[str, ...] = ()
    """Of intents; all by default."""
    least_faults: int = 0
    """A round goes on until so many things were broken, for at most four times its length."""
    # A failure waits until no delivery can start any more, 85 s; who had invoked it as long again.
    quiet_within_s: float = 300.0
    """How long after healing everything may take to end."""


class Crew:
    """Who takes part in every round."""

    def __init__(
        self,
        cluster: ChaosCluster,
        options: Options,
        reading: ClusterReader,
        following: ClusterReader,
        say: Callable[[str], None],
    ) -> None:
        system, settings, seed = cluster.system, cluster.outsider, options.seed
        self._cluster = cluster
        self.load = Load(settings, system.url, system.key, options.rate, seed, options.kinds)
        self.vandal = Vandal(settings, seed, self.load.recent)
        self.monkey = Monkey(cluster, seed, say, options.harm)
        self.follower = Follower(following)
        self.starts = StartsFile(cluster.starts)
        self.pause = threading.Event()
        window_ms = int(options.size.dedupe_window_s * 1_000)
        self.gateways = {
            tenant: httpx.Client(
                base_url=system.url, headers={"Authorization": f"Bearer {key}"}, timeout=ANSWER_S
            )
            for tenant, key in self.load.keys.items()
        }
        self.judge = Judge(reading, window_ms, OwnerOptions().skew_ms)

    def begin(self) -> None:
        """Load and chaos."""
        self.load.begin()
        self.vandal.begin()
        self.monkey.begin()

    def heal(self) -> list[Acknowledged]:
        """No more chaos, then no more load; what was acknowledged in the round."""
        self.monkey.rest()
        eventually(self._cluster.whole, "every role runs again", 120.0)
        acknowledged = self.load.rest()
        self.vandal.rest()
        return acknowledged

    def dismiss(self) -> None:
        """Everybody stops."""
        self.monkey.rest()
        self.vandal.rest()
        self.load.end()
        for gateway in self.gateways.values():
            gateway.close()

    def progress(self) -> str:
        """How far all is."""
        try:
            self.follower.follow()
        except Unavailable:
            return "Kafka is away"
        f, faults = self.follower, sum(self.monkey.counts.values())
        return (
            f"{self.load.counts['acknowledged']} acknowledged, {f.decisions} decisions, "
            f"{f.received} executions, {len(f.open)} open, {f.terms} terms, {faults} faults"
        )
