"""Realm workers under the rules of the real ones (rules 12 to 15): what they hold, run and report.

A task that may have been delivered before is handed back; nothing is started past its `start_by`;
an offset is committed once the final report is acknowledged; a `started` report comes late, so that
short handlers need one report; a checkpoint is acknowledged before the handler goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from symphainy.worker.admission import ANNOUNCE_MS, CANCELLED, PAST_START_BY, STOPPING
from symphainy.worker.ledger import Lease, begin
from symphainy.worker.notices import Noticed
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.records import REDELIVERED, CancelNotice, ReportKind, StepReport, Task
from symphainy_simulation.actors.doubt import Doubt
from symphainy_simulation.actors.job import Job, Start, told
from symphainy_simulation.world.events import MS
from symphainy_simulation.world.group import Change, Group, News, Seat
from symphainy_simulation.world.logs import Log
from symphainy_simulation.world.process import Process
from symphainy_simulation.world.producing import Ordained, Producer
from symphainy_simulation.world.universe import Universe
from symphainy_transport.topics import CANCELS, STEPS

PUMP_US = 80 * MS
COMMIT_US = 60 * MS
MESSAGE_TIMEOUT_MS = 700
NOTICE_US = (200, 30 * MS)  # from the broker to here
DRAIN_US = 120 * MS
GRACE_US = 120 * MS  # that what runs has to end in when its partition goes


@dataclass
class Realm:
    """What the workers of one realm share."""

    universe: Universe
    name: str
    group: Group
    starts: list[Start]
    committed: dict[int, int] = field(default_factory=dict)
    """Of the group, by partition of the task topic."""

    def log(self, partition: int) -> Log:
        """A partition of the realm's task topic."""
        return self.universe.log(f"tasks.{self.name}", partition)


class WorkerProcess:
    """One worker process of one realm."""

    def __init__(self, name: str, realm: Realm, concurrency: int) -> None:
        self.process = Process(name, realm.universe.events)
        self.realm = realm
        self.ordained: list[Ordained] = []
        self._events = realm.universe.events
        self._universe = realm.universe
        self._chance = realm.universe.stream(f"worker/{name}")
        self._notice_chance = realm.universe.stream(f"notices/{name}")
        self._concurrency = concurrency
        self._seat: Seat | None = None
        self._producer: Producer | None = None
        self._leases: dict[int, Lease] = {}
        self._positions: dict[int, int] = {}
        self._running: dict[tuple[int, int], Job] = {}
        self._noticed = Noticed(self.process.clock.monotonic)
        self._doubt = self._new_doubt()
        self._stopping = self._again = False
        self._committed_at = 0
        self._pumping = False

    @property
    def busy(self) -> bool:
        """Whether a task or a report is under way."""
        under_way = self._producer is not None and self._producer.under_way > 0
        held = any(lease.ledger.open for lease in self._leases.values())
        return under_way or held or bool(self._running)

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a new life, unless it lives; after its end, if it is stopping."""
        if self.process.alive:
            self._again = self._stopping
            return
        self.process.begin()
        process = self.process
        self._universe.tell(f"worker {process.name} starts")
        chance = self._universe.stream(f"reports/{process.name}/{process.life}")
        self._producer = Producer(
            process, self._universe.network, chance, MESSAGE_TIMEOUT_MS, lambda done: done()
        )
        self._producer.ordained = self.ordained
        self._producer.landed = self._universe.landed(process.name)
        self._leases, self._positions, self._running = {}, {}, {}
        self._noticed = Noticed(process.clock.monotonic)
        self._doubt = self._new_doubt()
        self._stopping = self._pumping = self._again = False
        self._hear_notices()
        self._seat = self.realm.group.join(process)
        process.later(0, self._tick)

    def kill(self, late_us: int) -> None:
        """kill -9."""
        if self.process.alive:
            self._universe.tell(f"worker {self.process.name} is killed")
            self._gone(late_us)

    def _gone(self, late_us: int) -> None:
        self.process.die()
        if self._producer is not None:
            self._producer.die(late_us)
        self._leases, self._running = {}, {}

    def stop(self) -> None:
        """SIGTERM: start nothing more, hand back what does not end in time, leave."""
        if self.process.alive and not self._stopping:
            self._universe.tell(f"worker {self.process.name} stops")
            self._stopping = True
            self.process.later(DRAIN_US, self._drain)

    def _drain(self) -> None:
        for job in list(self._running.values()):
            job.hand_back(STOPPING)
        self.process.later(DRAIN_US, self._leave)

    def _leave(self) -> None:
        self._commit()
        assert self._seat is not None
        self._seat.leave()
        self._gone(MS)
        if self._again:
            self.start()

    # --- reading --------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._pump()
        self.process.later(PUMP_US, self._tick)

    def wake(self) -> None:
        """Something came, or a place is free."""
        if not self._pumping:
            self._pumping = True
            self.process.later(self._universe.network.delay(self.process), self._woken)

    def _woken(self) -> None:
        self._pumping = False
        self._pump()

    def _pump(self) -> None:
        assert self._seat is not None
        if not self._doubt.resolved(self._leases) or not self._universe.network.reaches(
            self.process
        ):
            return
        for news in self._seat.poll():
            self._hear(news)
        for partition, lease in sorted(self._leases.items()):
            self._read(partition, lease)
        if self._events.now - self._committed_at >= COMMIT_US:
            self._commit()

    def _new_doubt(self) -> Doubt:
        network = self._universe.network
        return Doubt(self.process, network, self._known, self._others_have_it, self._pump)

    def _known(self) -> bool:
        """As the coordinator answers a commit."""
        return self._seat is not None and self._seat.known

    def _others_have_it(self) -> None:
        for lease in self._leases.values():
            lease.active = False
        self._leases = {}

    def _read(self, partition: int, lease: Lease) -> None:
        room = self._concurrency - len(self._running)
        log = self.realm.log(partition)
        for offset, stored in log.read(self._positions[partition], log.end):
            if room <= 0 or not lease.active:
                return
            room -= 1
            self._positions[partition] = offset + 1
            self._take(decode(stored.value, Task), lease, offset)

    def _take(self, task: Task, lease: Lease, offset: int) -> None:
        lease.ledger.take(offset)
        if offset < lease.suspect_below:
            self._take_suspect(task, lease, offset)
            return
        reason = STOPPING if self._stopping else self._refusal(task)
        if reason:
            self._hand_back(task, lease, offset, reason)
        else:
            Job(self, task, lease, offset).begin()

    def _refusal(self, task: Task) -> str:
        if task in self._noticed:
            return CANCELLED
        late = task.start_by and self.process.clock.now_ms() + ANNOUNCE_MS > task.start_by
        return PAST_START_BY if late else ""

    def _take_suspect(self, task: Task, lease: Lease, offset: int) -> None:
        ours = self._running.get((lease.partition, offset))
        if ours is None:
            self._hand_back(task, lease, offset, REDELIVERED)
        else:
            ours.adopt(lease)

    def _hand_back(self, task: Task, lease: Lease, offset: int, reason: str) -> None:
        report = told(task, ReportKind.HANDED_BACK, self, name=reason)
        self.send(report, task, lambda: lease.done(offset))

    # --- what is to end -------------------------------------------------------------------------

    def _hear_notices(self) -> None:
        """From here on, and what was told lately: some of it late, what comes in a cut, never."""
        life, log = self.process.life, self._universe.log(CANCELS, 0)

        def later(value: bytes | None) -> None:
            us = self._notice_chance.randrange(*NOTICE_US)
            self.process.later(us, lambda: self._take_notice(decode(value, CancelNotice)))

        def appended() -> None:
            if life != self.process.life:
                log.listeners = [one for one in log.listeners if one is not appended]
                return
            stored = log.records[-1]
            if stored is not None and self._universe.network.reaches(self.process):
                later(stored.value)

        log.listeners = [*log.listeners, appended]
        for _, stored in log.read(log.start, log.end):
            later(stored.value)

    def _take_notice(self, notice: CancelNotice) -> None:
        self._noticed.add(notice)
        for job in list(self._running.values()):
            if job.task.execution_id == notice.execution_id and job.task in self._noticed:
                job.cancel(self._notice_chance)

    # --- the group ------------------------------------------------------------------------------

    def _hear(self, news: News) -> None:
        for partition in sorted(news.partitions):
            if news.change is Change.GIVEN:
                self._assigned(partition)
                continue
            lease = self._leases.pop(partition, None)
            if lease is not None:
                lease.active = False
            if news.change is Change.TAKEN:
                self._let_go(partition, lease)

    def _let_go(self, partition: int, lease: Lease | None) -> None:
        """What runs may end within the grace; then the partition goes."""
        seat = self._seat

        def gone() -> None:
            assert seat is not None
            if lease is not None:
                self._commit_lease(lease)
            seat.released(frozenset((partition,)))

        idle = lease is None or not lease.ledger.open
        self.process.later(0 if idle else self._chance.randrange(GRACE_US), gone)

    def _assigned(self, partition: int) -> None:
        log = self.realm.log(partition)
        start = begin(self.realm.committed.get(partition, -1), log.start, log.end)
        if start.fresh:
            self.realm.committed[partition] = start.offset
        self._leases[partition] = Lease(partition, start)
        self._positions[partition] = start.offset
        self._listen(log)

    def _listen(self, log: Log) -> None:
        life = self.process.life

        def appended() -> None:
            held = log.partition in self._leases
            if life != self.process.life or not held:
                log.listeners = [one for one in log.listeners if one is not appended]
            else:
                self.wake()

        log.listeners = [*log.listeners, appended]
        self.wake()

    def _commit(self) -> None:
        self._committed_at = self._events.now
        for lease in self._leases.values():
            self._commit_lease(lease)

    def _commit_lease(self, lease: Lease) -> None:
        position = lease.ledger.position
        if position != lease.committed and self._universe.network.reaches(self.process):
            lease.committed = position
            self.realm.committed[lease.partition] = position

    # --- as a job sees it -----------------------------------------------------------------------

    def send(self, report: StepReport, task: Task, acknowledged: Callable[[], None]) -> None:
        """Send a report until it is acknowledged."""
        producer = self._producer
        assert producer is not None
        log, value = self._universe.log(STEPS, task.partition), encode(report)
        key = task.execution_id.encode()

        def done(offset: int | None, at_ms: int) -> None:
            if offset is None:
                producer.produce(log, key, value, done)
            else:
                acknowledged()

        producer.produce(log, key, value, done)

    def entered(self, job: Job) -> Start:
        """A handler is called."""
        self._running[job.lease.partition, job.offset] = job
        start = Start(job.task, self._events.now_ms)
        self.realm.starts.append(start)
        return start

    def left(self, job: Job) -> None:
        """It ended, and its final report is acknowledged."""
        self._running.pop((job.lease.partition, job.offset), None)
        self.wake()
