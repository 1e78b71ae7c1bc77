"""The chaos monkey: faults at random, from one printed seed, until it is told to stop.

The order in which it chooses follows from the seed; what meets what does not, as in life.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.chaos.cluster import ChaosCluster

# Longer than the sessions of owners (6 s) and workers (10 s), and not: zombies and mere hiccups.
PAUSE_S = (3.0, 14.0)
# Longer than every limit that a delivery has: its session, its timeout, its `start_by` of 60 s.
LONG_PAUSE_S = (65.0, 75.0)
AWAY_S = (0.0, 3.0)
BROKER_AWAY_S = (0.2, 4.0)


Strike = Callable[[str, random.Random], bool]


@dataclass(frozen=True)
class Fault:
    """A kind of fault, how often it is chosen beside the others, and what it does."""

    name: str
    weight: int
    targets: list[str]
    strike: Strike
    """Break and mend one target; False if there was nothing to break."""


@dataclass(frozen=True)
class Harm:
    """Which faults, all by default, and how long a hand rests between two, s."""

    faults: tuple[str, ...] = ()
    pause_s: tuple[float, float] = (0.5, 4.0)


class Monkey:
    """Two hands, each breaking and mending one thing at a time."""

    def __init__(
        self,
        cluster: ChaosCluster,
        seed: int,
        say: Callable[[str], None],
        harm: Harm,
    ) -> None:
        self._cluster = cluster
        self._seed = seed
        self._say = say
        self._pause_s = harm.pause_s
        self._round = 0
        self._resting = threading.Event()
        self._hands: list[threading.Thread] = []
        self.counts: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self._faults = _chosen(_faults(cluster), harm.faults)

    def begin(self, hands: int = 2) -> None:
        """Start breaking."""
        self._round += 1
        self._resting.clear()
        self._hands = [
            threading.Thread(target=self._play, args=(number,), name=f"monkey-{number}")
            for number in range(hands)
        ]
        for hand in self._hands:
            hand.start()

    def rest(self) -> None:
        """Stop breaking; all that was broken is mended when this returns."""
        self._resting.set()
        for hand in self._hands:
            hand.join()
        self._hands = []

    def _play(self, number: int) -> None:
        chance = random.Random(f"{self._seed}/{self._round}/{number}")
        try:
            while not self._resting.wait(chance.uniform(*self._pause_s)):
                fault = chance.choices(self._faults, [f.weight for f in self._faults])[0]
                self._strike(fault, chance)
        except BaseException as error:
            self.failure = error
            self._say(f"  the monkey could not mend what it broke: {error}")

    def _strike(self, fault: Fault, chance: random.Random) -> None:
        target = chance.choice(fault.targets)
        if not self._cluster.claim(target):
            return
        try:
            if fault.strike(target, chance):
                self.counts[fault.name] += 1
        finally:
            self._cluster.release(target)


def _chosen(faults: list[Fault], names: tuple[str, ...]) -> list[Fault]:
    unknown = set(names) - {fault.name for fault in faults}
    if unknown:
        known = ", ".join(fault.name for fault in faults)
        raise ValueError(f"no such fault: {', '.join(sorted(unknown))}; there are: {known}")
    return [replace(f, weight=f.weight or 1) for f in faults if f.name in names] or faults


def _faults(cluster: ChaosCluster) -> list[Fault]:
    owners, workers = cluster.owners, cluster.workers
    hurt = _Hurting(cluster)
    return [
        Fault("owner killed", 5, owners, hurt.kill),
        Fault("owner paused", 4, owners, hurt.pause),
        Fault("owner's disk lost", 2, owners, hurt.lose_disk),
        Fault("owner's disk kept", 2, owners, hurt.keep_disk),
        Fault("owner's disk rolled back", 2, owners, hurt.roll_disk_back),
        Fault("worker killed", 5, workers, hurt.kill),
        Fault("worker paused", 3, workers, hurt.pause),
        Fault("worker paused for long", 0, workers, hurt.pause_for_long),
        Fault("projector killed", 2, ["projector"], hurt.kill),
        Fault("gateway killed", 2, ["gateway"], hurt.kill),
        Fault("restarted cleanly", 3, cluster.roles, hurt.renew),
        Fault("broker killed", 2, ["kafka"], hurt.crash_kafka),
        Fault("valkey killed", 1, ["valkey"], hurt.crash_valkey),
    ]


class _Hurting:
    """What is done to one target, up to its mending."""

    def __init__(self, cluster: ChaosCluster) -> None:
        self._cluster = cluster

    def kill(self, name: str, chance: random.Random) -> bool:
        return self._down(name, chance, lambda: True)

    def lose_disk(self, name: str, chance: random.Random) -> bool:
        return self._down(name, chance, lambda: self._cluster.forget_disk(name))

    def keep_disk(self, name: str, chance: random.Random) -> bool:
        return self._down(name, chance, lambda: self._cluster.keep_disk(name))

    def roll_disk_back(self, name: str, chance: random.Random) -> bool:
        return self._down(name, chance, lambda: self._cluster.roll_disk_back(name))

    def _down(self, name: str, chance: random.Random, meanwhile: Callable[[], bool]) -> bool:
        self._cluster.kill(name)
        done = meanwhile()
        self._cluster.wait(chance.uniform(*AWAY_S))
        self._cluster.revive(name)
        return done

    def pause(self, name: str, chance: random.Random) -> bool:
        return self._still(name, chance.uniform(*PAUSE_S))

    def pause_for_long(self, name: str, chance: random.Random) -> bool:
        return self._still(name, chance.uniform(*LONG_PAUSE_S))

    def _still(self, name: str, seconds: float) -> bool:
        if not self._cluster.pause(name):
            return False
        self._cluster.wait(seconds)
        self._cluster.resume(name)
        return True

    def renew(self, name: str, chance: random.Random) -> bool:
        self._cluster.renew(name)
        return True

    def crash_kafka(self, _: str, chance: random.Random) -> bool:
        self._cluster.crash_kafka(chance.uniform(*BROKER_AWAY_S))
        return True

    def crash_valkey(self, _: str, chance: random.Random) -> bool:
        self._cluster.crash_valkey(chance.uniform(*AWAY_S))
        return True
