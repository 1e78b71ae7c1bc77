"""A realm's worker under test: the SDK's own engine, fed from a list instead of Kafka.

When it dies, its handlers end without a word, and the next one finds what it had taken: as after a
real death, it hands that back, since the dead one may have run it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from confluent_kafka import Message

from symphainy.artifacts import Store
from symphainy.realm import Realm
from symphainy.worker.admission import Entry
from symphainy.worker.engine import Engine, EngineOptions
from symphainy.worker.flow import Flow
from symphainy.worker.ledger import Lease, Start
from symphainy.worker.standing import Standing
from symphainy_schemas.records import CancelNotice
from symphainy_testing.faults import Faults
from symphainy_testing.time import Alarm, VirtualTime
from symphainy_testing.watching import Running, Watch

INLINE_LIMIT_BYTES = 65_536  # what TransportSettings has where nobody sets it
CAPABILITY_VERSION = 1
# Of one worker at once: more than a test can want, so that no task waits for a slot.
_CONCURRENCY = 1_000
_HELD_BYTES = 1 << 40
_ENDING_S = 1.0  # for handlers that were told to end


@dataclass(frozen=True)
class Stage:
    """What the workers of one test share."""

    time: VirtualTime
    store: Store
    faults: Faults
    steps: list[bytes]
    changed: Callable[[], None]
    broken: Callable[[BaseException], None]
    raised: dict[str, Exception]


class _Outlet:
    """Reports of one worker; after its death none arrives, and none is acknowledged."""

    partitions = 1

    def __init__(self, stage: Stage) -> None:
        self.alive = True
        self._stage = stage
        self._loop = asyncio.get_running_loop()

    def report(
        self, partition: int, key: str, value: bytes, acknowledged: Callable[[], None]
    ) -> None:
        """Append a report to the steps; it is acknowledged in the loop's next turn."""
        if self.alive:
            self._stage.steps.append(value)
            self._loop.call_soon(self._acknowledge, acknowledged)
            self._stage.changed()

    def _acknowledge(self, acknowledged: Callable[[], None]) -> None:
        if self.alive:
            acknowledged()

    def bury(self, key: str, value: bytes, acknowledged: Callable[[], None]) -> None:
        """Every task of a test can be read."""
        raise AssertionError(f"the task at {key} cannot be read")


class _Flow(Flow):
    """What a worker holds; it tells when it has let something go."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__(_CONCURRENCY, _HELD_BYTES)
        self._changed = changed

    def release(self, size: int) -> None:
        """One task is through."""
        super().release(size)
        self._changed()


class _Timers:
    """Who keeps the time of one worker's handlers; with it they end."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self._set: list[Alarm] = []
        self.time = time.time

    def call_at(self, when: float, callback: Callable[[], None], /) -> Alarm:
        """Call it at that moment."""
        return self._keep(self._time.call_at(when, callback))

    def call_later(self, delay: float, callback: Callable[[], None], /) -> Alarm:
        """Call it when all handlers stand still."""
        return self._keep(self._time.call_later(delay, callback))

    def _keep(self, alarm: Alarm) -> Alarm:
        self._set.append(alarm)
        return alarm

    def end(self) -> None:
        """None of them comes any more."""
        for alarm in self._set:
            alarm.cancel()


class _Life:
    """A worker from its start to its death."""

    def __init__(
        self, realm: Realm, number: int, start: Start, stage: Stage, died: Callable[[], None]
    ) -> None:
        self.lease = Lease(0, start)
        self.next = start.offset
        self.noticed = 0  # a new worker reads again what was told of late
        self.flow = _Flow(stage.changed)
        self.standing = Standing(stage.time.monotonic)
        self.outlet = _Outlet(stage)
        self.timers = _Timers(stage.time)
        loop = asyncio.get_running_loop()
        self.watch = Watch(stage.faults, loop, died, stage.changed, stage.raised)
        entries = {h.intent_type: Entry(self.watch.handler(h), CAPABILITY_VERSION) for h in realm}
        self.engine = Engine(
            EngineOptions(
                topic=f"tasks.{realm.name}",
                entries=entries,
                worker_id=f"{realm.name}-{number}",
                inline_limit_bytes=INLINE_LIMIT_BYTES,
                concurrency=_CONCURRENCY,
                store=stage.store,
                clock=stage.time,
                standing=self.standing,
                timers=self.timers,
            ),
            self.flow,
            self.outlet,
            stage.broken,
        )

    def end(self) -> None:
        """It dies."""
        self.outlet.alive = False
        self.timers.end()
        self.watch.end()


class Worker:
    """Works for one realm, however often it dies."""

    def __init__(
        self, realm: Realm, tasks: list[bytes], notices: list[CancelNotice], stage: Stage
    ) -> None:
        """`tasks` is the realm's task topic; `notices` are of what is to end of them."""
        self._realm = realm
        self._tasks, self._notices = tasks, notices
        self._stage = stage
        self._lives: list[_Life] = []
        self._begin(Start(0, 0, fresh=False))

    def _begin(self, start: Start) -> None:
        number = len(self._lives) + 1
        died = partial(self._die, number)
        self._lives.append(_Life(self._realm, number, start, self._stage, died))

    @property
    def _life(self) -> _Life:
        return self._lives[-1]

    def take(self) -> bool:
        """Take the tasks that have come; whether there were any."""
        life = self._life
        life.standing.confirm(life.standing.asked())
        new = [self._message(n) for n in range(life.next, len(self._tasks))]
        life.next = len(self._tasks)
        if new:
            life.flow.hand(len(new), sum(len(message) for message in new))
            life.engine.take([(life.lease, message) for message in new])
        told = self._notices[life.noticed :]
        life.noticed += len(told)
        for notice in told:
            life.engine.cancel(notice)
        return bool(new or told)

    def _message(self, offset: int) -> Message:
        return Message(
            topic=f"tasks.{self._realm.name}",
            partition=0,
            offset=offset,
            key=b"",
            value=self._tasks[offset],
            timestamp=(1, self._stage.time.now),
            latency=0.0,
            leader_epoch=0,
        )

    def busy(self, left: Sequence[str]) -> int:
        """How many tasks it holds whose end must be awaited: not the hung, nor those of the
        executions in `left`."""
        running = self._running()
        return self._life.flow.held - sum(r.hung or r.execution_id in left for r in running)

    def _running(self) -> list[Running]:
        """As they are now: handlers in threads come and go meanwhile."""
        return list(self._life.watch.running.values())

    @property
    def hangs(self) -> bool:
        """Whether a handler hangs, as planned."""
        return any(running.hung for running in self._running())

    def runs(self, execution_id: str) -> bool:
        """Whether a handler of the execution runs now."""
        return any(r.execution_id == execution_id for r in self._running())

    def _die(self, number: int) -> None:
        """The worker of that number dies; the next one takes its place."""
        life = self._life
        if number != len(self._lives):
            return
        self._begin(Start(life.lease.ledger.position, len(self._tasks), fresh=False))
        life.end()
        self._stage.changed()

    async def close(self) -> None:
        """End whatever still runs."""
        for life in self._lives:
            life.end()
        await asyncio.sleep(0)
        for life in self._lives:
            await life.engine.drain(_ENDING_S)
