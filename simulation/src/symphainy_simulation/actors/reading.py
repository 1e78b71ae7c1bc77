"""What an owner reads in the simulated world: inputs, the journal, and its membership."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from symphainy_processors.owner.ports import Input, Revoked
from symphainy_schemas.errors import OperatorError, Unavailable
from symphainy_simulation.actors.ports import BATCHES, Host
from symphainy_simulation.world.events import MS, S
from symphainy_simulation.world.group import Change, Seat, Superseded
from symphainy_simulation.world.logs import Log
from symphainy_transport.topics import INTENTS, JOURNAL, STEPS

STALL_US = 800 * MS


class _Lane:
    """One topic's partition, as far as it was read."""

    def __init__(self, log: Log, position: int) -> None:
        self.log = log
        self.position = position
        self.visible = position
        self.held = False


class SimIntake:
    """Implements `ports.Intake`. What is appended shows after a delay of its own."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._universe = host.universe
        process = host.process
        self._chance = host.universe.stream(f"intake/{process.name}/{process.life}")
        self._lanes: dict[tuple[int, str], _Lane] = {}
        self._closed = False

    def first_kept(self, partition: int) -> tuple[int, int]:
        """The first offsets that retention has left."""
        self._host.call()
        _reach(self._host)
        intents, steps = self._logs(partition)
        return intents.start, steps.start

    def start(self, partition: int, intents_next: int, steps_next: int) -> None:
        """Read from these offsets."""
        self._host.call()
        for log, position in zip(self._logs(partition), (intents_next, steps_next), strict=True):
            lane = _Lane(log, position)
            self._lanes[partition, log.topic] = lane
            self._listen(lane)

    def _logs(self, partition: int) -> tuple[Log, Log]:
        return self._universe.log(INTENTS, partition), self._universe.log(STEPS, partition)

    def _listen(self, lane: _Lane) -> None:
        key = (lane.log.partition, lane.log.topic)

        def came() -> None:
            self._fetch(lane)

        def appended() -> None:
            if self._lanes.get(key) is not lane or not self._host.process.alive:
                lane.log.listeners = [one for one in lane.log.listeners if one is not appended]
            else:
                self._universe.events.after(self._delay(), came)

        lane.log.listeners = [*lane.log.listeners, appended]
        self._universe.events.after(self._delay(), came)

    def _delay(self) -> int:
        return self._universe.network.delay(self._host.process)

    def _fetch(self, lane: _Lane) -> None:
        process, network = self._host.process, self._universe.network
        if not network.reaches(process):
            network.once_reached(process, lambda: self._fetch(lane))
            return
        lane.visible = max(lane.visible, lane.log.end)
        self._host.wake()

    def hold(self, partition: int, held: bool) -> None:
        """Pause or resume the partition's intents."""
        self._host.call()
        lane = self._lanes.get((partition, INTENTS))
        if lane is not None:
            lane.held = held
            self._host.wake()

    def stop(self, partitions: Sequence[int]) -> None:
        """Read them no more."""
        self._host.call()
        for partition in partitions:
            for topic in (INTENTS, STEPS):
                self._lanes.pop((partition, topic), None)

    def poll(self, timeout_s: float, most: int) -> Sequence[Input]:
        """What has come, each topic in order, mixed at random."""
        self._host.call()
        ready = [
            lane
            for _, lane in sorted(self._lanes.items())
            if lane.position < lane.visible and not lane.held
        ]
        found: list[Input] = []
        some = min(most, self._chance.choice(BATCHES))
        while ready and len(found) < some:
            lane = self._chance.choice(ready)
            self._take(lane, found, min(most - len(found), self._chance.choice(BATCHES)))
            if lane.position >= lane.visible:
                ready.remove(lane)
        if not found:
            self._host.idle(int(timeout_s * S))
        else:
            self._host.wake()
        return tuple(found)

    def _take(self, lane: _Lane, found: list[Input], most: int) -> None:
        log = lane.log
        if lane.position < log.start:
            raise OperatorError(
                f"{log.topic}/{log.partition} begins at {log.start}; {lane.position} is gone.",
                code="position_out_of_range",
                cure="See docs/operations.md, Expired positions.",
            )
        end = min(lane.visible, lane.position + most)
        for offset, stored in log.read(lane.position, end):
            found.append(Input(log.topic, log.partition, offset, stored.key, stored.value))
        lane.position = end


class SimMembership:
    """Implements `ports.Membership`."""

    def __init__(self, host: Host, seat: Seat, revoked: Revoked) -> None:
        self._host = host
        self._seat = seat
        self._revoked = revoked
        self._letting_go: set[int] = set()

    def poll(self) -> frozenset[int]:
        """What is ours now; runs the callbacks."""
        self._host.call()
        try:
            told = self._seat.poll()
        except Superseded as error:
            raise OperatorError(
                f"Another process joined as {self._host.process.name}.",
                code="owner_fenced",
                cure="Give every owner process a name of its own.",
            ) from error
        for change, partitions in told:
            if change is Change.TAKEN:
                self._letting_go |= partitions
                self._revoked(partitions)
                self._letting_go -= partitions
                self._seat.released(partitions)
        return frozenset(self._seat.partitions - self._letting_go)

    def close(self) -> None:
        """Leave."""
        self._host.call()
        self._seat.leave()


class SimJournal:
    """Implements `ports.Journal`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._universe = host.universe
        process = host.process
        self._chance = host.universe.stream(f"journal/{process.name}/{process.life}")

    def identity(self) -> str:
        """Which log this is."""
        return "simulated/journal"

    def bounds(self, partition: int) -> tuple[int, int]:
        """(first offset kept, offset after the last)."""
        self._host.call()
        _reach(self._host)
        log = self._universe.log(JOURNAL, partition)
        return log.start, log.end

    def read(
        self, partition: int, start: int, end: int
    ) -> Generator[Sequence[tuple[int, bytes]], None, None]:
        """The records in [start, end), in batches; at times an empty one."""
        log, events = self._universe.log(JOURNAL, partition), self._universe.events
        at, moved = start, events.now
        while at < end:
            self._host.call()
            reached = self._universe.network.reaches(self._host.process)
            if not reached or at >= log.end or self._chance.random() < 0.1:
                if events.now - moved > STALL_US:
                    raise Unavailable(f"Reading journal/{partition} stalled at {at}.")
                self._host.idle(5 * MS)
                yield []
                continue
            if at < log.start:
                raise Unavailable(f"journal/{partition} begins at {log.start} now.")
            to, moved = min(end, log.end, at + self._chance.choice(BATCHES)), events.now
            yield [(offset, stored.value or b"") for offset, stored in log.read(at, to)]
            at = to


def _reach(host: Host) -> None:
    """Time out where nobody answers."""
    if not host.universe.network.reaches(host.process):
        raise Unavailable("Kafka did not answer.")
