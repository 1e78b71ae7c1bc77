"""One tenant floods a realm; another, on the partitions of the same owner, hardly notices.

The whole of it before workers on a virtual clock: dispatchers of eight partitions, the realm's
topic, first in, first out, and slots that run every task equally long: so ends come in bunches.

- The other's slowest intents take at most twice as long as they take by themselves; in the flood's
  first ten seconds, three times.
- No worker idles meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush

import pytest
from tests.unit.processors.dispatch.backlog import Owner

from symphainy_processors.dispatch.pools import Pools
from symphainy_processors.dispatch.rules import Ready
from symphainy_processors.dispatch.window import Waits

WAY_MS = 5.0  # each way
TICK_MS = 20.0
PARTITIONS = 8
FLOOD = 10  # of the capacity
SHARE = 0.2  # of the capacity is what the quiet tenant asks for
FLOODED_MS = 40_000
ANNOUNCED_MS = 50  # what runs for longer is reported as started


@dataclass(eq=False)
class Neighbours:
    """Partitions of one owner before one realm's workers."""

    slots: int
    run_ms: float
    now: float = 0.0
    took: list[tuple[float, float]] = field(default_factory=list)  # stated at, ms; quiet ones
    busy_ms: float = 0.0

    def __post_init__(self) -> None:
        pools = Pools()
        self.owners = [Owner(pools=pools) for _ in range(PARTITIONS)]
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._queue: deque[tuple[Owner, Ready, float, float]] = deque()
        self._running = 0
        self._stated: dict[tuple[Owner, Ready], float] = {}
        for number, owner in enumerate(self.owners):
            self._tick(owner, number * TICK_MS / PARTITIONS)

    def state(self, tenant: str, rate: float, from_ms: float, to_ms: float) -> None:
        """A tenant states so many intents a second, on every partition in turn."""
        for number in range(int((to_ms - from_ms) * rate / 1_000)):
            # Not in step with anything else.
            jitter = (number * 0.618_034) % 1.0
            at = from_ms + (number + jitter) * 1_000 / rate
            owner = self.owners[number * 5 % PARTITIONS]
            self._at(at, partial(self._ready, owner, tenant))

    def run(self, to_ms: float) -> None:
        """Let time pass."""
        while self._events and self._events[0][0] <= to_ms:
            self.now, _, what = heappop(self._events)
            what()
        self.now = to_ms

    def slowest(self, from_ms: float, to_ms: float) -> float:
        """The p99 of the quiet tenant's intents stated then."""
        took = sorted(ms for at, ms in self.took if from_ms <= at < to_ms)
        return took[int(len(took) * 0.99)]

    def _at(self, when: float, what: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._events, (when, self._count, what))

    def _tick(self, owner: Owner, at: float) -> None:
        def tick() -> None:
            self._dispatch(owner)
            self._tick(owner, self.now + TICK_MS)

        self._at(at, tick)

    def _ready(self, owner: Owner, tenant: str) -> None:
        item = owner.step(tenant)
        if tenant == "quiet":
            self._stated[owner, item] = self.now
        if owner.go(item):
            self._send(owner, item)

    def _dispatch(self, owner: Owner) -> None:
        while (item := owner.take()) is not None:
            self._send(owner, item)

    def _send(self, owner: Owner, item: Ready) -> None:
        self._at(self.now + WAY_MS, partial(self._arrives, owner, item, self.now))

    def _arrives(self, owner: Owner, item: Ready, sent: float) -> None:
        self._queue.append((owner, item, sent, self.now))
        self._start()

    def _start(self) -> None:
        while self._queue and self._running < self.slots:
            owner, item, sent, arrived = self._queue.popleft()
            queued = self.now - arrived
            self._running += 1
            self.busy_ms += self.run_ms
            if self.run_ms > ANNOUNCED_MS:
                told = partial(self._told, owner, item, sent, queued)
                self._at(self.now + ANNOUNCED_MS + WAY_MS, told)
            self._at(self.now + self.run_ms, partial(self._ends, owner, item, sent, queued))

    def _told(self, owner: Owner, item: Ready, sent: float, queued: float) -> None:
        waits = Waits(self.now - sent, queued)
        owner.dispatcher.started(item.execution_id, item.step, waits)
        self._dispatch(owner)

    def _ends(self, owner: Owner, item: Ready, sent: float, queued: float) -> None:
        self._running -= 1
        self._at(self.now + WAY_MS, partial(self._answered, owner, item, sent, queued))
        self._start()

    def _answered(self, owner: Owner, item: Ready, sent: float, queued: float) -> None:
        waits = Waits(self.now - sent - self.run_ms, queued, self.run_ms)
        owner.end(item, waits, int(self.now))
        began = self._stated.pop((owner, item), None)
        if began is not None:
            self.took.append((began, self.now - began))
        self._dispatch(owner)


def beside_a_flood(slots: int, run_ms: float) -> Neighbours:
    """Quiet for ten seconds, then flooded until `FLOODED_MS`."""
    neighbours = Neighbours(slots, run_ms)
    capacity = slots / run_ms * 1_000
    neighbours.state("quiet", capacity * SHARE, 0, FLOODED_MS)
    neighbours.state("noisy", capacity * FLOOD, 10_000, FLOODED_MS)
    neighbours.run(FLOODED_MS)
    return neighbours


@pytest.mark.parametrize(("slots", "run_ms"), [(8, 100), (16, 200), (32, 1_000)])
def test_a_flood_does_not_double_anothers_slowest(slots: int, run_ms: float) -> None:
    neighbours = beside_a_flood(slots, run_ms)
    alone = neighbours.slowest(0, 8_000)
    beginning = neighbours.slowest(11_000, 20_000)
    beside = neighbours.slowest(20_000, FLOODED_MS - 4 * run_ms)
    assert alone == pytest.approx(run_ms + 2 * WAY_MS)
    assert beside < 2 * alone
    assert beginning < 3 * alone


def test_no_worker_idles_meanwhile() -> None:
    neighbours = beside_a_flood(16, 200)
    quiet = 10_000 * 16 * SHARE
    flooded = (FLOODED_MS - 10_000) * 16
    assert neighbours.busy_ms > quiet + 0.97 * flooded
