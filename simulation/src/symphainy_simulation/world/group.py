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


class Superseded(Exception):
    """Another process joined under this name."""


class Seat:
    """A member's end."""

    def __init__(self, group: Group, process: Process) -> None:
        self.process = process
        self.partitions: set[int] = set()
        self.expired = False
        self._learns_at = 0
        self._group = group
        self._inbox: deque[tuple[int, Change, int]] = deque()
        self._silent_from: int | None = None

    def tell(self, at: int, change: Change, partition: int) -> None:
        """The coordinator's message, which arrives at `at`."""
        self._inbox.append((at, change, partition))

    def poll(self) -> list[News]:
        """What has come. After TAKEN the member lets go, then calls `released`.

        Raises:
            Superseded: the name is another's now.
        """
        now = self.process.events.now
        if not self._group.network.reaches(self.process):
            return self._hear_nothing(now)
        self._silent_from = None
        if self.expired:
            return self._learn(now)
        if not self._group.seats(self):
            raise Superseded
        given: set[int] = set()
        taken: set[int] = set()
        while self._inbox and self._inbox[0][0] <= now:
            _, change, partition = self._inbox[0]
            if partition in given:
                break  # given and taken again: one poll tells one of them
            self._inbox.popleft()
            if change is Change.GIVEN and partition not in self.partitions:
                self.partitions.add(partition)
                given.add(partition)
            elif change is Change.TAKEN and partition in self.partitions:
                taken.add(partition)
        told = [News(Change.GIVEN, frozenset(given)), News(Change.TAKEN, frozenset(taken))]
        return [news for news in told if news.partitions]

    def _hear_nothing(self, now: int) -> list[News]:
        """A client whose heartbeats are not answered for a session takes itself for lost."""
        if self._silent_from is None:
            self._silent_from = now
        if now - self._silent_from < self._group.session_us or not self.partitions:
            return []
        return self._lose()

    def _lose(self) -> list[News]:
        lost, self.partitions = frozenset(self.partitions), set()
        self._inbox.clear()
        self._group.rejoin(self)
        return [News(Change.LOST, lost)] if lost else []

    def _learn(self, now: int) -> list[News]:
        """The next heartbeat's answer says that it was expired; then it joins anew."""
        if not self._learns_at:
            self._learns_at = now + self._group.chance.randrange(HEARTBEAT_MS * MS)
        if now < self._learns_at:
            return []
        self.expired, self._learns_at = False, 0
        return self._lose()

    @property
    def known(self) -> bool:
        """Whether the coordinator knows it as a member, as it answers a commit."""
        return not self.expired and self._group.seats(self)

    def expire(self) -> None:
        """The coordinator has taken it for dead; it has not heard of that."""
        self.expired, self._learns_at = True, 0

    def released(self, partitions: frozenset[int]) -> None:
        """They were let go."""
        self.partitions -= partitions
        self._group.release(self, partitions)

    def leave(self) -> None:
        """Close; a static member's partitions may wait for its session's end."""
        self._group.leave(self)


class Group:
    """The coordinator."""

    def __init__(self, universe: Universe, name: str, partitions: int, session_ms: int) -> None:
        self.name = name
        self.network = universe.network
        self.chance = universe.stream(f"group/{name}")
        self._universe = universe
        self._events = universe.events
        self.session_us = session_ms * MS
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

    def seats(self, seat: Seat) -> bool:
        """Whether this is the member that has its name."""
        return self._members.get(seat.process.name) is seat

    def rejoin(self, seat: Seat) -> None:
        """Who was expired, or takes itself for expired, joins anew."""
        name = seat.process.name
        if name in self._members:
            self._remove(name)
        self._members[name] = seat
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
            seat.expire()
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

        self._events.after(self.session_us, look)

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
        learnt = self._soon() + self.chance.randrange(HEARTBEAT_MS * MS)
        for partition, owner in self._owner.items():
            if owner is not None and owner != target[partition]:
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
