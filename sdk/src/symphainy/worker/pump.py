"""The one thread that owns a realm's Kafka consumer: it reads, hands over, commits, rebalances.

Nothing else may touch the consumer. What it reads goes to the event loop in batches; how much,
`Flow` says. What is done, the leases' ledgers say, which the loop fills.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from symphainy.worker.faults import check, is_fence, translated
from symphainy.worker.flow import Flow
from symphainy.worker.group import Group
from symphainy.worker.ledger import Lease, begin
from symphainy.worker.standing import Standing
from symphainy_transport import clients
from symphainy_transport.clock import Clock
from symphainy_transport.settings import TransportSettings

T = TypeVar("T")
_NO_MEMBER = frozenset(
    {
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.FENCED_INSTANCE_ID,
    }
)
_log = logging.getLogger("symphainy.worker")

# Idle, the pump wakes so often to commit and to see whether it must stop.
_POLL_S = 0.1
_COMMIT_EVERY_S = 0.25
# A commit that was lost on the way is repaired by the next; when nothing moves, by this one.
_COMMIT_AGAIN_S = 5.0
# Without room the pump looks again so often: low enough that a freed place is filled at once.
_ROOM_S = 0.02
# And after so long it pauses the partitions and polls, so that rebalances are served. Not sooner:
# pausing throws away what librdkafka has fetched ahead.
_PAUSE_AFTER_S = 0.25
# Records taken at once: with records of at most 1 MiB, what a batch may exceed the byte bound by.
_BATCH = 64
# One budget for all that a revoke waits for: short handlers end within it, so that a planned
# rebalance hands none of them back. Higher, the group and our other partitions wait longer.
_REVOKE_S = 1.0
_ASSIGN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PumpOptions:
    """Which topic is read for whom, and where it goes."""

    topic: str
    group_id: str
    client_id: str
    name: str
    """Of the process in the group, which it keeps when it comes again; empty: none."""
    settings: TransportSettings
    clock: Clock
    standing: Standing
    take: Callable[[Sequence[tuple[Lease, Message]]], None]
    """Called on the loop with each batch."""
    joined: Callable[[str], None]
    """Called on the loop with the topic after each assignment, also an empty one."""
    lost: Callable[[str], None]
    """Called on the loop with the topic when the group has let this member go."""
    broken: Callable[[BaseException], None]
    """Called on the loop when the pump cannot go on."""


class Pump:
    """Reads a task topic into the event loop. Make it on the loop; its thread does the rest."""

    def __init__(self, options: PumpOptions, flow: Flow) -> None:
        self._options = options
        self._flow = flow
        self._loop = asyncio.get_running_loop()
        self._group = Group(
            options.settings, options.topic, options.group_id, options.client_id, options.name
        )
        self._consumer = self._group.consumer
        self._leases: dict[int, Lease] = {}
        self._finishing = threading.Event()
        self.ended = threading.Event()
        """Set while the thread does not run."""
        self.ended.set()
        self._committed_at = self._recommitted_at = options.clock.monotonic()
        self._full_since = -1.0
        self._paused = False
        self._thread = threading.Thread(target=self._run, name=options.group_id, daemon=True)

    def start(self) -> None:
        """Join the group and read."""
        self.ended.clear()
        self._thread.start()

    def finish(self) -> None:
        """Commit what is done and leave the group; `ended` is set when that is through."""
        self._finishing.set()

    def _run(self) -> None:
        try:
            self._work()
            self._leave()
        except KafkaException as error:
            _log.warning("%s: leaving the group failed: %s", self._options.topic, error)
        finally:
            self.ended.set()

    def _work(self) -> None:
        """Read until `finish`; also after a fault, so that what runs can end and report first."""
        try:
            self._group.join(self._on_assign, self._on_revoke, self._on_lost)
            while not self._finishing.is_set():
                try:
                    self._turn()
                except KafkaException as error:
                    if not is_fence(error):
                        raise
                    self._join_again(error)
        except Exception as error:
            self._tell(self._options.broken, translated(error))
            self._finishing.wait()

    def _join_again(self, fence: KafkaException) -> None:
        """Another has our partitions, what was not started here is its own; or a broker that
        crashed has forgotten who of us came last."""
        topic = self._options.topic
        _log.warning("%s: the group refused us under our name; who has it?", topic)
        self._end_leases(list(self._leases))
        self._tell(self._options.lost, topic)
        if not self._group.again(self._finishing):
            raise fence
        self._consumer = self._group.consumer
        self._paused, self._full_since = False, -1.0
        _log.warning("%s: joined the group again: nobody else has our name", topic)

    # -- reading -----------------------------------------------------------------------------

    def _turn(self) -> None:
        self._make_sure()
        self._group.look()
        room = self._flow.room()
        if room > 0:
            self._full_since = -1.0
            if self._paused:
                self._paused = False
                self._consumer.resume(self._consumer.assignment())
            self._read(min(room, _BATCH), _POLL_S)
        else:
            self._hold()
        self._commit()

    def _make_sure(self) -> None:
        """After a turn that came late, nothing is started before the group knows us still.

        A commit asks for that: it is refused to who is a member no more. While the broker does not
        say, the next turn asks again.
        """
        standing = self._options.standing
        asked = standing.asked()
        if standing.sure or not self._leases:
            standing.confirm(asked)
            return
        places = [
            TopicPartition(self._options.topic, lease.partition, lease.ledger.position)
            for lease in self._leases.values()
        ]
        try:
            answers = self._consumer.commit(offsets=places, asynchronous=False)
            errors = [answer.error for answer in answers if answer.error is not None]
        except KafkaException as error:
            errors = [error.args[0]]
        if any(error.code() in _NO_MEMBER for error in errors):
            _log.warning("%s: stopped for too long; others have it", self._options.topic)
            self._end_leases(list(self._leases))
        if not errors or not self._leases:
            standing.confirm(asked)

    def _hold(self) -> None:
        """There is no room: wait for some; if that takes long, keep serving the group."""
        now = self._now()
        if self._full_since < 0:
            self._full_since = now
        if now - self._full_since >= _PAUSE_AFTER_S:
            if not self._paused:
                self._paused = True
                self._consumer.pause(self._consumer.assignment())
            self._read(1, 0.0)
        self._flow.wait(_ROOM_S)

    def _read(self, most: int, timeout_s: float) -> None:
        first = self._consumer.poll(timeout_s)
        if first is None:
            return
        messages = [first]
        if most > 1:  # consume(n, t) waits until it has n, so it must not wait
            messages += self._consumer.consume(most - 1, 0)
        batch, size = [], 0
        for message in messages:
            error = message.error()
            lease = self._leases.get(message.partition() or 0)
            if error is not None:
                check(error)
            elif lease is not None:
                batch.append((lease, message))
                size += len(message)
        if batch:
            self._flow.hand(len(batch), size)
            self._tell(self._options.take, batch)

    # -- committing --------------------------------------------------------------------------

    def _commit(self) -> None:
        """Commit what moved since the last time, without waiting for the answer."""
        now = self._now()
        if now - self._committed_at < _COMMIT_EVERY_S:
            return
        self._committed_at = now
        everything = now - self._recommitted_at >= _COMMIT_AGAIN_S
        if everything:
            self._recommitted_at = now
        self._commit_positions(self._leases.values(), everything=everything)

    def _commit_positions(
        self, leases: Iterable[Lease], *, everything: bool = False, wait: bool = False
    ) -> None:
        offsets = []
        for lease in leases:
            position = lease.ledger.position
            if everything or position != lease.committed:
                lease.committed = position
                offsets.append(TopicPartition(self._options.topic, lease.partition, position))
        try:
            if offsets and wait:
                self._consumer.commit(offsets=offsets, asynchronous=False)
            elif offsets:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:  # at worst the next worker hands back what we did
            _log.warning("%s: commit failed: %s", self._options.topic, error.args[0].name())

    def _commit_start(self, starts: list[TopicPartition]) -> None:
        """Mark partitions where nobody ever committed; without the mark nothing may run there."""
        if not starts:
            return
        for place in self._consumer.commit(offsets=starts, asynchronous=False):
            if place.error is not None:
                raise KafkaException(place.error)

    # -- the group ---------------------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin each partition where the group stopped; remember where it ended just now."""
        fresh, starts = [], []
        for place in consumer.committed(partitions, timeout=_ASSIGN_S) if partitions else ():
            if place.error is not None:
                raise KafkaException(place.error)
            low, high = clients.bounds(consumer, place, _ASSIGN_S)
            start = begin(place.offset, low, high)
            self._leases[place.partition] = Lease(place.partition, start)
            starts.append(TopicPartition(place.topic, place.partition, start.offset))
            if start.fresh:
                fresh.append(starts[-1])
        # Before anything runs: who comes after us must see that somebody was here.
        self._commit_start(fresh)
        consumer.incremental_assign(starts)
        self._paused = False  # the new ones are not
        _log.info("%s: took partitions %s", self._options.topic, _numbers(partitions))
        self._tell(self._options.joined, self._options.topic)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Start nothing more there, let what runs end within the budget, commit, let go."""
        deadline = self._now() + _REVOKE_S
        leases = self._end_leases(_numbers(partitions))
        for lease in leases:
            if lease.ledger.open and lease.emptied is not None:
                lease.emptied.wait(max(0.0, deadline - self._now()))
        # Not waited for: the coordinator reads it before our next request to rejoin.
        self._commit_positions(leases)
        consumer.incremental_unassign(partitions)
        _log.info("%s: gave up partitions %s", self._options.topic, _numbers(partitions))

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """They may be another's already: commit nothing; what runs still reports."""
        self._end_leases(_numbers(partitions))
        consumer.incremental_unassign(partitions)
        self._tell(self._options.lost, self._options.topic)
        _log.warning("%s: lost partitions %s", self._options.topic, _numbers(partitions))

    def _end_leases(self, partitions: list[int]) -> list[Lease]:
        ended = [self._leases.pop(number) for number in partitions if number in self._leases]
        for lease in ended:
            lease.emptied = threading.Event()
            lease.active = False
        return ended

    def _leave(self) -> None:
        self._commit_positions(self._leases.values(), wait=True)
        self._leases.clear()
        self._group.close()
        _log.info("%s: left %s", self._options.topic, self._options.group_id)

    # -- inside ------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._options.clock.monotonic()

    def _tell(self, function: Callable[[T], None], what: T) -> None:
        try:
            self._loop.call_soon_threadsafe(function, what)
        except RuntimeError:  # the loop has ended; there is nobody left to tell
            _log.debug("%s: the event loop has ended", self._options.topic)


def _numbers(partitions: list[TopicPartition]) -> list[int]:
    return sorted(partition.partition for partition in partitions)
