"""The owner's loop on Kafka: who owns, what comes in, what is due, what was acknowledged.

One thread drives everything, so a partition is never touched by two. Latency comes from never
waiting on one side while the other has something: with appends in flight the wait is on them.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable

from confluent_kafka import KafkaError, Message, TopicPartition

from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.owner.kafka_port import KafkaPort
from symphainy_processors.owner.membership import Membership
from symphainy_processors.owner.pace import Pace
from symphainy_processors.owner.partition import OwnedPartition
from symphainy_processors.owner.takeover import Takeover
from symphainy_processors.owner.world import RunningWorld
from symphainy_runtime.configuration import ConfigReader
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import OperatorError, Unavailable
from symphainy_transport.clients import consumer
from symphainy_transport.clock import Clock, SystemClock
from symphainy_transport.topics import INTENTS, STEPS, Topics

log = logging.getLogger(__name__)
IDLE_WAIT_S = 0.02  # also the timers' resolution
# An input waits at most this while acknowledgements are awaited. librdkafka counts in whole
# milliseconds: less would be 0, a loop that burns a core while anything is in flight.
IN_FLIGHT_WAIT_S = 0.001
HOUSEKEEPING_S = 0.02  # membership, due times, configuration
BATCH = 500
MAX_IN_FLIGHT = 20_000  # decisions ahead of their acknowledgements; beyond it input waits
RETRY_TAKEOVER_S = (0.2, 1.0)  # random back-off of an overtaken owner (rule 4)
REVOKE_DEADLINE_S = 2.0  # well within a rebalance


class Owner:
    """Owns the partitions that the group gives it."""

    def __init__(self, settings: RuntimeSettings, name: str, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._topics = Topics(settings.topic_prefix)
        self._intents = self._topics.name(INTENTS)
        self._port = KafkaPort(settings, name)
        self._config = ConfigReader(settings, f"{name}-config")
        self._config.catch_up()
        self._world = RunningWorld(self._clock, self._config)
        self._membership = Membership(settings, settings.owner_group, name)
        self._intake = consumer(settings, f"{name}-intake", fetch_wait_max_ms=100)
        self._takeover = Takeover(
            settings, name, self._port, self._world, Contracts(), self._membership
        )
        self._owned: dict[int, OwnedPartition] = {}
        self._not_before: dict[int, float] = {}
        self._housekept = 0.0
        self._pace = Pace()
        self._stopping = False

    @property
    def owned(self) -> frozenset[int]:
        """The partitions under a term of ours."""
        return frozenset(self._owned)

    def stop(self) -> None:
        """End `run` soon; safe from a signal handler."""
        self._stopping = True

    def run(self, on_ready: Callable[[frozenset[int]], None] | None = None) -> None:
        """Own until `stop`.

        Raises:
            OperatorError: only an operator can help; nothing was guessed.
        """
        try:
            while not self._stopping:
                now = self._clock.monotonic()
                if now - self._housekept >= HOUSEKEEPING_S:
                    self._housekept = now
                    if self._housekeep(now) and on_ready is not None:
                        on_ready(self.owned)
                self._take_in()
        finally:
            self._close()

    def _take_in(self) -> None:
        waiting = len(self._port)
        if waiting > MAX_IN_FLIGHT:
            self._port.serve(IDLE_WAIT_S)
            return
        first = self._intake.poll(0.0 if waiting else IDLE_WAIT_S)
        if first is None:
            self._port.serve(IN_FLIGHT_WAIT_S if waiting else 0.0)
            return
        self._port.next_turn()
        messages = [first, *self._intake.consume(BATCH, 0)]
        for message in messages:
            self._decide(message)
        self._pace.turned(waiting + len(messages))
        self._await_more()

    def _await_more(self) -> None:
        """Under load, let inputs gather while acknowledgements are served."""
        until = self._clock.monotonic() + self._pace.pause_s
        self._port.serve(0.0)
        while self._clock.monotonic() < until:
            self._port.serve(IN_FLIGHT_WAIT_S)

    def _decide(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            _check_intake(error)
            return
        place, offset = message.partition(), message.offset()
        assert place is not None
        assert offset is not None
        owned = self._owned.get(place)
        if owned is None:
            return
        if message.topic() == self._intents:
            owned.on_intent(offset, _bytes(message.key()), message.value())
        else:
            owned.on_step(offset, _bytes(message.key()), message.value())

    def _housekeep(self, now: float) -> bool:
        """Whatever is not input; True if partitions were taken."""
        self._world.refresh()
        named = self._membership.poll()
        self._drop(p for p, owned in list(self._owned.items()) if owned.lost)
        self._hand_over(self.owned - named)
        wanted = {p for p in named - self.owned if self._not_before.get(p, 0.0) <= now}
        if wanted:
            self._take(wanted)
        for owned in self._owned.values():
            owned.tick()
        return bool(wanted)

    def _take(self, wanted: set[int]) -> None:
        taken = self._takeover.take(wanted)
        self._owned |= taken
        self._intake.incremental_assign(
            [
                place
                for p, owned in taken.items()
                for place in self._places(
                    p, owned.positions.intents_next, owned.positions.steps_next
                )
            ]
        )
        for owned in taken.values():
            owned.take_over()
        for p in wanted - taken.keys():
            self._retry_later(p)

    def _drop(self, lost: Iterable[int]) -> None:
        """Forget partitions in doubt; if the group still names us, take them anew later."""
        for p in lost:
            log.warning("partition %d: term lost", p)
            del self._owned[p]
            self._intake.incremental_unassign(self._places(p, 0, 0))
            self._retry_later(p)

    def _retry_later(self, p: int) -> None:
        self._not_before[p] = self._clock.monotonic() + random.uniform(*RETRY_TAKEOVER_S)

    def _hand_over(self, revoked: frozenset[int]) -> None:
        """What is acknowledged is acknowledged; nothing new is decided. One shared deadline."""
        if not revoked:
            return
        log.info("handing over partitions %s", sorted(revoked))
        self._intake.incremental_unassign([x for p in revoked for x in self._places(p, 0, 0)])
        self._port.flush(REVOKE_DEADLINE_S / 2)
        for p in revoked:
            self._owned.pop(p).finish()
        self._port.flush(REVOKE_DEADLINE_S / 2)

    def _places(self, p: int, intents_next: int, steps_next: int) -> list[TopicPartition]:
        return [
            TopicPartition(self._intents, p, intents_next),
            TopicPartition(self._topics.name(STEPS), p, steps_next),
        ]

    def _close(self) -> None:
        self._hand_over(self.owned)
        self._membership.close()
        self._intake.close()
        self._takeover.close()
        self._config.close()


def _bytes(key: str | bytes | None) -> bytes | None:
    return key.encode() if isinstance(key, str) else key


def _check_intake(error: KafkaError) -> None:
    if error.code() in (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET):
        raise OperatorError(
            f"The log no longer holds a position that was not decided yet: {error.str()}",
            code="position_out_of_range",
            cure="Retention passed undecided input. See docs/operations.md, Expired positions.",
        )
    if error.fatal():
        raise Unavailable(f"Kafka: {error.str()}")
    log.warning("intake: %s", error.str())
