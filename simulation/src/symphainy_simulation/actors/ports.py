"""An owner's ports in the simulated world: `owner/ports.py` kept, on logs that are lists.

Every call is a point where the owner's process may die, stand still, or see the others go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from random import Random
from typing import Protocol

from symphainy_processors.owner.ports import Appended, Input, Revoked, Sent
from symphainy_schemas.codec import encode
from symphainy_schemas.errors import OperatorError, Unavailable
from symphainy_schemas.records import Capability, DeadLetter, StepReport, Task, Tenant
from symphainy_simulation.world.events import S, Event
from symphainy_simulation.world.group import Change, Seat
from symphainy_simulation.world.logs import Log
from symphainy_simulation.world.process import Process
from symphainy_simulation.world.producing import Producer
from symphainy_simulation.world.universe import Universe
from symphainy_transport.topics import DEAD_LETTERS, INTENTS, JOURNAL, STEPS

TASK_PARTITIONS = 2
BATCHES = (1, 2, 5, 20, 100)


class Host(Protocol):
    """The owner's process, as its adapters see it."""

    process: Process
    universe: Universe

    def call(self) -> None:
        """A call into the world; the process may die here.

        Raises:
            Crash: it did.
        """
        ...

    def wait(self, us: int) -> None:
        """Let the others go on for at most `us`, until it is woken.

        Raises:
            Crash: the process died meanwhile.
        """
        ...

    def idle(self, us: int) -> None:
        """The turn has nothing to do for so long, unless it is woken."""
        ...

    def wake(self) -> None:
        """Something came."""
        ...


class SimPort:
    """Implements `ports.Port`."""

    def __init__(self, host: Host, timeout_ms: int) -> None:
        self._host = host
        self._universe = host.universe
        self._done: deque[Event] = deque()
        self._serving = False
        self._turn = 0
        process = host.process
        self.producer = Producer(
            process,
            host.universe.network,
            host.universe.stream(f"producer/{process.name}/{process.life}"),
            timeout_ms,
            self._came,
        )

    def _came(self, completion: Event) -> None:
        self._done.append(completion)
        self._host.wake()

    def append(self, partition: int, key: bytes, value: bytes, appended: Appended) -> None:
        """Append to the journal."""
        self._host.call()
        log = self._universe.log(JOURNAL, partition)
        self.producer.produce(log, key or None, value, appended)

    def send(self, task: Task, sent: Sent) -> None:
        """Send a task, retried."""
        self._host.call()
        topic = f"tasks.{task.realm}"
        log = self._universe.log(topic, self._turn % TASK_PARTITIONS)
        self._send(log, task.execution_id.encode(), encode(task), sent)

    def _send(self, log: Log, key: bytes, value: bytes, sent: Sent) -> None:
        def done(offset: int | None, at_ms: int) -> None:
            if offset is None:
                self._universe.task_duplicates += log.topic.startswith("tasks.")
                self._send(log, key, value, sent)
            else:
                sent()

        self.producer.produce(log, key, value, done)

    def mark(self, partition: int, marker: StepReport) -> None:
        """Write a marker to the partition's steps."""
        self._host.call()
        log = self._universe.log(STEPS, partition)
        self.producer.produce(log, None, encode(marker), lambda offset, at_ms: None)

    def dead_letter(self, letter: DeadLetter, sent: Sent) -> None:
        """Keep what could not be read, retried."""
        self._host.call()
        self._send(self._universe.log(DEAD_LETTERS, 0), b"", encode(letter), sent)

    def next_turn(self) -> None:
        """Tasks go to another partition from here on."""
        self._turn += 1

    def serve(self, timeout_s: float) -> None:
        """Run what is there; what is not, the next turn will find."""
        self._host.call()
        if not self._done and timeout_s > 0 and len(self):
            self._host.idle(int(timeout_s * S))
        self._complete()

    def _complete(self) -> None:
        assert not self._serving, "completions must not be served inside a completion"
        self._serving = True
        try:
            for _ in range(len(self._done)):
                self._done.popleft()()
                self._host.call()
        finally:
            self._serving = False

    def flush(self, timeout_s: float) -> int:
        """Wait for completions."""
        events = self._host.process.events
        deadline = events.now + int(timeout_s * S)
        self._host.call()
        self._complete()
        while len(self) and events.now < deadline:
            self._host.wait(deadline - events.now)
            self._complete()
        return len(self)

    def gather(self, pause_s: float) -> None:
        """The pause is between two turns anyway."""
        self._host.call()
        self._complete()

    def __len__(self) -> int:
        """How many records await their completion."""
        return self.producer.under_way


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
        for log, position in zip(
            self._logs(partition), (intents_next, steps_next), strict=True
        ):
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

    def poll(self, timeout_s: float) -> Sequence[Input]:
        """What has come, each topic in order, mixed at random."""
        self._host.call()
        ready = [
            lane
            for _, lane in sorted(self._lanes.items())
            if lane.position < lane.visible and not lane.held
        ]
        found: list[Input] = []
        most = self._chance.choice(BATCHES)
        while ready and len(found) < most:
            lane = self._chance.choice(ready)
            self._take(lane, found, self._chance.choice(BATCHES))
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
        for change, partitions in self._seat.poll():
            if change is Change.GIVEN:
                continue
            self._letting_go |= partitions
            self._revoked(partitions)
            self._letting_go -= partitions
            if change is Change.TAKEN:
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
        log = self._universe.log(JOURNAL, partition)
        at = start
        while at < end:
            self._host.call()
            _reach(self._host)
            if self._chance.random() < 0.1:
                yield []
                continue
            if at < log.start:
                raise Unavailable(f"journal/{partition} begins at {log.start} now.")
            to = min(end, at + self._chance.choice(BATCHES))
            yield [(offset, stored.value or b"") for offset, stored in log.read(at, to)]
            at = to


def _reach(host: Host) -> None:
    """Time out where nobody answers."""
    if not host.universe.network.reaches(host.process):
        raise Unavailable("Kafka did not answer.")


class SimWorld:
    """Implements `ports.World`: a configuration that never changes."""

    def __init__(
        self,
        host: Host,
        capability: Callable[[str], Capability | None],
        tenant: Callable[[str], Tenant | None],
    ) -> None:
        process = host.process
        self._clock = process.clock
        self._host = host
        self._chance: Random = host.universe.stream(f"world/{process.name}/{process.life}")
        self._tokens = 0
        self._prefix = f"{process.name}{process.life}"
        self.capability = capability
        self.tenant = tenant

    def now_ms(self) -> int:
        """The process's wall clock."""
        return self._clock.now_ms()

    def token(self) -> str:
        """A fresh text; nobody guesses in here."""
        self._tokens += 1
        return f"{self._prefix}-{self._tokens}-{self._chance.getrandbits(32):08x}"

    def jitter(self) -> float:
        """A random number in [0, 1)."""
        return self._chance.random()

    def refresh(self) -> None:
        """Nothing changes."""
        self._host.call()


