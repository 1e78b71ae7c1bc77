"""An idempotent producer, as librdkafka is one: pipelined, in order, until something times out.

What times out is in doubt: it stands already, or lands later, or never. What was sent behind it
waits for that and may land all the same, which leaves a gap; a retry under a new producer epoch may
stand there twice. Reports of one partition come in the order in which its records were produced.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from symphainy_simulation.world.events import MS, Event
from symphainy_simulation.world.logs import Log
from symphainy_simulation.world.process import Network, Process

SENT_US = 200  # from the client's queue to the socket
Done = Callable[[int | None, int], None]
"""The offset and the broker's time of append, or (None, 0) in doubt."""


class Fate(StrEnum):
    """What becomes of a record on its way."""

    LANDS = "lands"
    LOST = "is lost"
    LATE = "lands only after its producer gave it up"
    UNACKED = "lands, but its acknowledgement is lost"
    TWICE = "is sent again under a new producer epoch and lands twice"
    SLOW = "is slow"


@dataclass(slots=True)
class Ordained:
    """A fate for one of the next records of a topic."""

    topic: str
    behind: int
    """How many of them go before it."""
    fate: Fate
    us: int
    """By how much it is late or slow."""
    only: Callable[[bytes], bool] | None = None
    """Which of them it may strike."""
    then: Event | None = None
    """What befalls their producer with it."""


@dataclass(slots=True)
class _Flight:
    key: bytes | None
    value: bytes | None
    done: Done
    doubt_at: int
    fate: Fate
    us: int
    armed: bool = False
    known: tuple[int | None, int] | None = None


class _Lane:
    """What is under way to one partition."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.waiting: deque[_Flight] = deque()
        self.unreported: deque[_Flight] = deque()
        self.last_arrival = 0
        self.blocked_to = 0
        self.shaken = 0
        """Whatever was produced before then may fail with what failed."""


class Producer:
    """One process's producer. It dies with the process."""

    def __init__(
        self,
        process: Process,
        network: Network,
        chance: Random,
        timeout_ms: int,
        report: Callable[[Event], None],
    ) -> None:
        """`report` is handed each completion to run, at once or when the process comes to it."""
        self.events = process.events
        self.ordained: list[Ordained] = []
        self.landed: Callable[[Fate, Log, int], None] = lambda fate, log, offset: None
        """Told of each record whose fate was not the common one."""
        self._process = process
        self._life = process.life
        self._network = network
        self._chance = chance
        self._timeout_us = timeout_ms * MS
        self._report = report
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self.under_way = 0

    def produce(self, log: Log, key: bytes | None, value: bytes | None, done: Done) -> None:
        """Send a record; `done` is handed over once its place or a doubt is known."""
        lane = self._lanes.get((log.topic, log.partition))
        if lane is None:
            lane = self._lanes[log.topic, log.partition] = _Lane(log)
        now = self.events.now
        fate, us = self._fate(log.topic, value or b"")
        flight = _Flight(key, value, done, now + self._timeout_us, fate, us)
        self.under_way += 1
        lane.waiting.append(flight)
        lane.unreported.append(flight)
        arrival = max(lane.last_arrival, now + self._network.delay(self._process))
        if fate is Fate.SLOW:
            arrival += us
        lane.last_arrival = arrival
        self.events.at(arrival, lambda: self._arrive(lane))

    def _fate(self, topic: str, value: bytes) -> tuple[Fate, int]:
        for ordained in self.ordained:
            if ordained.topic == topic and (ordained.only is None or ordained.only(value)):
                if ordained.behind:
                    ordained.behind -= 1
                    continue
                self.ordained.remove(ordained)
                if ordained.then is not None:
                    ordained.then()
                return ordained.fate, ordained.us
        return Fate.LANDS, 0

    # --- on the way -----------------------------------------------------------------------------

    def _arrive(self, lane: _Lane) -> None:
        """The next of the lane is at the broker, if anything lets it."""
        if not lane.waiting or self._life != self._process.life:
            return
        if self._process.frozen and not self._is_on_the_wire(lane.waiting[0]):
            self._arm(lane)
            self._process.later(0, lambda: self._arrive(lane))
            return
        if not self._network.reaches(self._process):
            self._arm(lane)
            self._network.once_reached(self._process, lambda: self._arrive(lane))
            return
        if self.events.now < lane.blocked_to:
            self._arm(lane)
            self.events.at(lane.blocked_to + 1, lambda: self._arrive(lane))
            return
        self._land(lane, lane.waiting.popleft())

    def _is_on_the_wire(self, flight: _Flight) -> bool:
        """Whether it had left a process that stands still."""
        silent = self._process.silent_since
        return silent is not None and flight.doubt_at - self._timeout_us + SENT_US <= silent

    def _arm(self, lane: _Lane) -> None:
        """What has to wait may time out."""
        for flight in lane.waiting:
            if not flight.armed:
                flight.armed = True
                wait = max(0, flight.doubt_at - self.events.now)
                self._process.later(wait, lambda flight=flight: self._time_out(lane, flight))  # type: ignore[misc]

    def _time_out(self, lane: _Lane, flight: _Flight) -> None:
        """The client gives it up while it waits; perhaps the broker has it in hand all the same."""
        if flight in lane.waiting:
            lane.waiting.remove(flight)
            if self._chance.random() < 0.3:
                self._lands_later(lane, flight, self._chance.randrange(1, 800 * MS))
            self._know(lane, flight, None, 0)

    def _land(self, lane: _Lane, flight: _Flight) -> None:
        fate = flight.fate
        if fate is Fate.LANDS and flight.doubt_at - self._timeout_us < lane.shaken:
            lost = self._chance.random() < 0.4
            fate = Fate.LOST if lost else Fate.LANDS
        if fate in (Fate.LOST, Fate.LATE):
            self.landed(fate, lane.log, -1)
            lane.blocked_to = max(self.events.now, flight.doubt_at)
            if fate is flight.fate:  # what is lost with it shakes nothing more
                lane.shaken = lane.blocked_to
            self._doubt(lane, flight)
            if fate is Fate.LATE:
                late = lane.blocked_to - self.events.now + flight.us
                self._lands_later(lane, flight, late)
            return
        offset = lane.log.append(flight.key, flight.value)
        if fate is not Fate.LANDS:
            self.landed(fate, lane.log, offset)
        if fate is Fate.UNACKED:
            self._doubt(lane, flight)
        elif fate is Fate.TWICE:
            self.events.after(max(1, flight.us), lambda: self._land_again(lane, flight))
        else:
            self._acknowledge(lane, flight, offset)

    def _land_again(self, lane: _Lane, flight: _Flight) -> None:
        self._acknowledge(lane, flight, lane.log.append(flight.key, flight.value))

    def _lands_later(self, lane: _Lane, flight: _Flight, us: int) -> None:
        """On its way whatever becomes of its producer."""
        self._network.stray += 1

        def land() -> None:
            self._network.stray -= 1
            self.landed(Fate.LATE, lane.log, lane.log.append(flight.key, flight.value))

        self.events.after(us, land)

    # --- on the way back ------------------------------------------------------------------------

    def _acknowledge(self, lane: _Lane, flight: _Flight, offset: int) -> None:
        at_ms = self.events.now_ms
        self.events.after(
            self._network.delay(self._process), lambda: self._hear(lane, flight, offset, at_ms)
        )

    def _hear(self, lane: _Lane, flight: _Flight, offset: int, at_ms: int) -> None:
        if self._network.reaches(self._process):
            self._process.later(0, lambda: self._know(lane, flight, offset, at_ms))
            return
        self._doubt(lane, flight)
        self._network.once_reached(self._process, lambda: self._hear(lane, flight, offset, at_ms))

    def _doubt(self, lane: _Lane, flight: _Flight) -> None:
        wait = max(0, flight.doubt_at - self.events.now)
        self._process.later(wait, lambda: self._know(lane, flight, None, 0))

    def _know(self, lane: _Lane, flight: _Flight, offset: int | None, at_ms: int) -> None:
        """Report what is known, in the order in which the records were produced."""
        if flight.known is not None or self._life != self._process.life:
            return
        flight.known = (offset, at_ms)
        while lane.unreported and (known := lane.unreported[0].known) is not None:
            told = lane.unreported.popleft()
            self._report(lambda told=told, known=known: self._tell(told, *known))  # type: ignore[misc]

    def _tell(self, flight: _Flight, offset: int | None, at_ms: int) -> None:
        self.under_way -= 1
        flight.done(offset, at_ms)

    # --- the end --------------------------------------------------------------------------------

    def die(self, longest_us: int) -> None:
        """The process was killed: of what is under way the first records of each partition may
        still land, within `longest_us`."""
        for lane in self._lanes.values():
            count = self._chance.randint(0, len(lane.waiting))
            us = 0
            for flight in list(lane.waiting)[:count]:
                us += self._chance.randrange(1, max(2, longest_us // max(1, count)))
                self._lands_later(lane, flight, us)
            lane.waiting.clear()
            lane.unreported.clear()
