"""An owner's ports in the simulated world: `owner/ports.py` kept, on logs that are lists.

Every call is a point where the owner's process may die, stand still, or see the others go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from symphainy_processors.owner.ports import Appended, Sent, SentOnce
from symphainy_schemas.codec import encode
from symphainy_schemas.errors import Unavailable
from symphainy_schemas.records import (
    CancelNotice,
    Capability,
    DeadLetter,
    Intent,
    PolicySet,
    StepReport,
    Task,
    Tenant,
)
from symphainy_simulation.world.events import MS, Event, S
from symphainy_simulation.world.logs import Log
from symphainy_simulation.world.process import Process
from symphainy_simulation.world.producing import Producer
from symphainy_simulation.world.universe import Universe
from symphainy_transport.topics import CANCELS, DEAD_LETTERS, INTENTS, JOURNAL, STEPS

TASK_PARTITIONS = 2
BATCHES = (1, 2, 5, 20, 100)
RETRY_US = 50 * MS
NOTICE_US = (200, 9_000)  # one way: at times behind what was sent later


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
        # Apart from the producer: what it draws stays as it was before there were notices.
        self._notices: Random = host.universe.stream(
            f"notices/{host.process.name}/{host.process.life}"
        )
        self._untold = 0
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

    def send(self, task: Task, sent: SentOnce) -> None:
        """Send a task, once."""
        self._host.call()
        topic = f"tasks.{task.realm}"
        log = self._universe.log(topic, self._turn % TASK_PARTITIONS)
        key = task.execution_id.encode()
        self.producer.produce(log, key, encode(task), lambda offset, _: sent(offset is not None))

    def _send(self, log: Log, key: bytes, value: bytes, sent: Sent) -> None:
        def done(offset: int | None, at_ms: int) -> None:
            if offset is None:
                self._send(log, key, value, sent)
            else:
                sent()

        self.producer.produce(log, key, value, done)

    def submit(self, partition: int, intent: Intent, sent: Sent) -> None:
        """State an intent, retried."""
        self._host.call()
        log = self._universe.log(INTENTS, partition)
        self._send(log, intent.session_id.encode(), encode(intent), sent)

    def notify(self, notice: CancelNotice) -> None:
        """Tell workers what is to end, retried; in some worlds in vain."""
        if not self._universe.notices:
            return
        self._host.call()
        log = self._universe.log(CANCELS, 0)
        process, network = self._host.process, self._universe.network
        self._untold += 1

        def arrive() -> None:
            if not network.reaches(process):
                process.later(RETRY_US, arrive)
                return
            log.append(notice.execution_id.encode(), encode(notice))
            process.later(self._notices.randrange(*NOTICE_US), lambda: self._came(told))

        def told() -> None:
            self._untold -= 1

        process.later(self._notices.randrange(*NOTICE_US), arrive)

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
        return self.producer.under_way + self._untold


@dataclass(slots=True)
class Lateness:
    """Until when an owner does not have the texts of policies, and how that shows."""

    until: int = 0
    lacking: bool = False
    """They seem not to be there; else nobody can tell."""


class SimWorld:
    """Implements `ports.World`: a configuration that never changes, and may be late."""

    def __init__(
        self,
        host: Host,
        capability: Callable[[str], Capability | None],
        tenant: Callable[[str], Tenant | None],
        policies: Callable[[str, int, bytes], PolicySet | None],
        late: Lateness | None = None,
    ) -> None:
        process = host.process
        self._clock = process.clock
        self._host = host
        self._chance: Random = host.universe.stream(f"world/{process.name}/{process.life}")
        self._tokens = 0
        self._prefix = f"{process.name}{process.life}"
        self.capability = capability
        self.tenant = tenant
        self._policies, self._late = policies, late or Lateness()

    def policies(self, scope: str, version: int, sha256: bytes) -> PolicySet | None:
        """That version of a scope's policies."""
        self._host.call()
        if self._host.process.events.now < self._late.until:
            if self._late.lacking:
                return None
            raise Unavailable("`config` does not answer")
        return self._policies(scope, version, sha256)

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
