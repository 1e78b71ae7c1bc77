"""A consumer group with static members and cooperative rebalances, and what its members know of it.

The coordinator's opinion and a member's may differ: who stands still or is cut off is expired and
learns of it only when it next hears; until then two believe that they own. A member that comes back
under its name within its session has its partitions at once.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import NamedTuple

from symphainy_simulation.world.events import MS
from symphainy_simulation.world.process import Process
from symphainy_simulation.world.universe import Universe

HEARTBEAT_MS = 150


class Change(Enum):
    """What a member is told."""

    GIVEN = auto()
    TAKEN = auto()  # to be given up, then released
    LOST = auto()  # another may have them already


class News(NamedTuple):
    """A change, and which partitions."""

    change: Change
    partitions: frozenset[int]


class Seat:
    """A member's end."""

    def __init__(self, group: Group, process: Process) -> None:
        self.process = process
        self.partitions: set[int] = set()
        self.expired = False
        self.learns_at = 0
        self._group = group
        self._inbox: deque[tuple[int, Change, int]] = deque()

    def tell(self, at: int, change: Change, partition: int) -> None:
        """The coordinator's message, which arrives at `at`."""
        self._inbox.append((at, change, partition))

    def poll(self) -> list[News]:
        """What has come. After TAKEN the member lets go, then calls `released`."""
        now = self.process.events.now
        if self.process.cut or not self._group.network.up:
            return []
        if self.expired:
            return self._learn(now)
        told: list[News] = []
        while self._inbox and self._inbox[0][0] <= now:
            _, change, partition = self._inbox.popleft()
            if change is Change.GIVEN and partition not in self.partitions:
                self.partitions.add(partition)
                told.append(News(change, frozenset((partition,))))
            elif change is Change.TAKEN and partition in self.partitions:
                told.append(News(change, frozenset((partition,))))
        return told

    def _learn(self, now: int) -> list[News]:
        """The next heartbeat's answer says that it was expired; then it joins anew."""
        if not self.learns_at:
            self.learns_at = now + self._group.chance.randrange(HEARTBEAT_MS * MS)
        if now < self.learns_at:
            return []
        lost, self.partitions = frozenset(self.partitions), set()
        self._inbox.clear()
        self.expired, self.learns_at = False, 0
        self._group.rejoin(self)
        return [News(Change.LOST, lost)] if lost else []

    def released(self, partitions: frozenset[int]) -> None:
        """They were let go."""
        self.partitions -= partitions
        self._group.release(self, partitions)

    def leave(self) -> None:
        """Close; a static member's partitions may wait for its session's end."""
        self._group.leave(self)


class Group:
    """The coordinator."""

    def __init__(
        self, universe: Universe, name: str, partitions: int, session_ms: int
    ) -> None:
        self.name = name
        self.network = universe.network
        self.chance = universe.stream(f"group/{name}")
        self._universe = universe
        self._events = universe.events
        self._session_us = session_ms * MS
        self._members: dict[str, Seat] = {}
        self._owner: dict[int, str | None] = dict.fromkeys(range(partitions))
        self._target: dict[int, str] = {}
        self._watched: set[str] = set()
        self._rebalancing = False

    def join(self, process: Process) -> Seat:
        """Join under the process's name; a known one gets back what it had."""
        seat = Seat(self, process)
        self._watch(process)
        known = process.name in self._members
        self._members[process.name] = seat
        if known:
            for partition, owner in sorted(self._owner.items()):
                if owner == process.name:
                    seat.tell(self._soon(), Change.GIVEN, partition)
                    self._retake(seat, partition)
        else:
            self._soon_rebalance()
        return seat

    def rejoin(self, seat: Seat) -> None:
        """An expired member joins anew."""
        self._members[seat.process.name] = seat
        self._soon_rebalance()

    def leave(self, seat: Seat) -> None:
        """A clean end."""
        name = seat.process.name
        if self._members.get(name) is seat and self.chance.random() < 0.7:
            self._remove(name)

    def release(self, seat: Seat, partitions: frozenset[int]) -> None:
        """A member has let go of these."""
        if self._members.get(seat.process.name) is not seat:
            return
        for partition in sorted(partitions):
            if self._owner[partition] == seat.process.name:
                self._owner[partition] = None
        self._give()

    # --- faults ---------------------------------------------------------------------------------

    def expire(self, name: str) -> None:
        """The coordinator takes a member for dead."""
        seat = self._members.get(name)
        if seat is not None:
            seat.expired, seat.learns_at = True, 0
            self._universe.tell(f"group {self.name} expires {name}")
            self._remove(name)

    def shuffle(self) -> None:
        """Move partitions about for no reason."""
        names = sorted(self._members)
        if names:
            self._aim({p: self.chance.choice(names) for p in self._owner})

    # --- inside ---------------------------------------------------------------------------------

    def _watch(self, process: Process) -> None:
        if process.name not in self._watched:
            self._watched.add(process.name)
            process.on_silence.append(lambda: self._fell_silent(process))

    def _fell_silent(self, process: Process) -> None:
        since = process.silent_since

        def look() -> None:
            if process.silent_since == since and process.name in self._members:
                self.expire(process.name)

        self._events.after(self._session_us, look)

    def _remove(self, name: str) -> None:
        del self._members[name]
        for partition, owner in self._owner.items():
            if owner == name:
                self._owner[partition] = None
        self._soon_rebalance()

    def _soon(self) -> int:
        return self._events.now + self.chance.randrange(1, 30 * MS)

    def _soon_rebalance(self) -> None:
        if not self._rebalancing:
            self._rebalancing = True
            self._events.at(self._soon(), self._rebalance)

    def _rebalance(self) -> None:
        self._rebalancing = False
        names = sorted(self._members)
        if not names:
            return
        most = -(-len(self._owner) // len(names))
        load = dict.fromkeys(names, 0)
        target: dict[int, str] = {}
        for partition, owner in self._owner.items():
            if owner in load and load[owner] < most:
                target[partition] = owner
                load[owner] += 1
        for partition in self._owner:
            if partition not in target:
                name = min(names, key=lambda name: (load[name], self.chance.random()))
                target[partition] = name
                load[name] += 1
        self._aim(target)

    def _aim(self, target: dict[int, str]) -> None:
        self._target = target
        for partition, owner in self._owner.items():
            if owner is not None and owner != target[partition]:
                learnt = self._soon() + self.chance.randrange(HEARTBEAT_MS * MS)
                self._members[owner].tell(learnt, Change.TAKEN, partition)
        self._give()

    def _retake(self, seat: Seat, partition: int) -> None:
        """What was to move away still is."""
        target = self._target.get(partition)
        if target in self._members and target != seat.process.name:
            learnt = self._soon() + self.chance.randrange(HEARTBEAT_MS * MS)
            seat.tell(learnt, Change.TAKEN, partition)

    def _give(self) -> None:
        for partition, owner in self._owner.items():
            name = self._target.get(partition)
            if owner is None and name in self._members:
                self._owner[partition] = name
                self._members[name].tell(self._soon(), Change.GIVEN, partition)
