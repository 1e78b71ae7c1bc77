"""The inputs of the owned partitions: one consumer without a group, assigned by hand.

Positions come from the journal, so Kafka's committed offsets are not used at all.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from confluent_kafka import KafkaError, Message, TopicPartition

from symphainy_processors.owner.kafka.ranges import BOUNDS_TIMEOUT_S
from symphainy_processors.owner.ports import Input
from symphainy_schemas.errors import OperatorError, Unavailable
from symphainy_transport.clients import bounds, consumer
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import INTENTS, STEPS, Topics

log = logging.getLogger(__name__)
FETCH_WAIT_MS = 100  # a partition just started waits for the fetch under way to return
# When its queue is full the client pauses, by default for 1 s, in which a backlog's reader runs
# dry: 45,000 inputs a second instead of 240,000.
FULL_QUEUE_BACKOFF_MS = 1
_GONE = (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)
Place = tuple[str, int]


class KafkaIntake:
    """Implements `ports.Intake`."""

    def __init__(self, settings: TransportSettings, client_id: str) -> None:
        """Connect lazily."""
        topics = Topics(settings.topic_prefix)
        self._names = {short: topics.name(short) for short in (INTENTS, STEPS)}
        self._shorts = {name: short for short, name in self._names.items()}
        self._consumer = consumer(
            settings,
            client_id,
            fetch_wait_max_ms=FETCH_WAIT_MS,
            fetch_queue_backoff_ms=FULL_QUEUE_BACKOFF_MS,
        )
        # On a connection of its own: behind a fetch that waits, each answer takes `FETCH_WAIT_MS`.
        self._asking = consumer(settings, f"{client_id}-asking")
        self._next: dict[Place, int] = {}  # of what is being read

    def first_kept(self, partition: int) -> tuple[int, int]:
        """The first offsets that retention has left in `intents` and `steps`.

        Raises:
            Unavailable: Kafka did not answer, or has no such topic.
        """
        intents, steps = (
            bounds(self._asking, TopicPartition(name, partition), BOUNDS_TIMEOUT_S)[0]
            for name in self._names.values()
        )
        return intents, steps

    def start(self, partition: int, intents_next: int, steps_next: int) -> None:
        """Read from these offsets."""
        self.stop([partition])
        nexts = {(INTENTS, partition): intents_next, (STEPS, partition): steps_next}
        places = [
            TopicPartition(self._names[short], partition, offset)
            for (short, _), offset in nexts.items()
        ]
        self._consumer.incremental_assign(places)
        self._next |= nexts

    def hold(self, partition: int, held: bool) -> None:
        """Pause or resume the partition's intents; what was fetched of them comes again later."""
        if (INTENTS, partition) not in self._next:
            return
        place = [TopicPartition(self._names[INTENTS], partition)]
        if held:
            self._consumer.pause(place)
        else:
            self._consumer.resume(place)

    def stop(self, partitions: Sequence[int]) -> None:
        """Read them no more; whether they were held is forgotten.

        The client drops what it has fetched of them by itself: it numbers every assignment, and
        what an earlier one fetched does not come out of `poll`.
        """
        places = [
            (short, partition)
            for partition in partitions
            for short in self._names
            if (short, partition) in self._next
        ]
        if places:
            self._consumer.incremental_unassign(
                [TopicPartition(self._names[short], partition) for short, partition in places]
            )
        for place in places:
            del self._next[place]

    def poll(self, timeout_s: float, most: int) -> Sequence[Input]:
        """What has come, at most `most` of it; waits at most `timeout_s` for the first.

        Raises:
            OperatorError: the log no longer holds what was not read yet.
            Unavailable: the client is broken for good.
        """
        first = self._consumer.poll(timeout_s)
        if first is None:
            return ()
        # `consume` waits until it has all it is asked for: only what is there.
        messages = (first, *self._consumer.consume(most - 1, 0))
        return [taken for message in messages if (taken := self._take(message)) is not None]

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()
        self._asking.close()

    def _take(self, message: Message) -> Input | None:
        topic, partition = message.topic(), message.partition()
        error = message.error()
        if error is not None:
            self._judge(error, topic, partition)
            return None
        offset = message.offset()
        assert topic is not None
        assert partition is not None
        assert offset is not None
        short = self._shorts[topic]
        expected = self._next.get((short, partition))
        if expected is None or offset < expected:
            return None  # cannot come, see `stop`; decided twice it would be a wrong decision
        self._next[short, partition] = offset + 1
        return Input(short, partition, offset, message.key(), message.value())

    def _judge(self, error: KafkaError, topic: str | None, partition: int | None) -> None:
        if error.code() in _GONE:
            short = self._shorts.get(topic or "", "")
            if (short, partition) in self._next:
                raise OperatorError(
                    f"{short}/{partition} no longer holds a position that was not decided yet: "
                    f"{error.str()}",
                    code="position_out_of_range",
                    cure="See docs/operations.md, Expired positions.",
                )
        elif error.fatal() or error.code() == KafkaError._FATAL:
            raise Unavailable(f"Kafka: {error.str()}")
        else:
            log.warning("intake: %s", error.str())
