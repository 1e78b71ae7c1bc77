"""What is to end, as owners tell it: read by every worker for itself, without a group.

A task's partition does not say who runs it by now, so a notice goes to everybody. It is a help and
no promise: one that is lost leaves the handler to end as it ends.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from symphainy.worker.faults import log_error
from symphainy_schemas.codec import decode
from symphainy_schemas.errors import OperatorError, Unavailable, UnreadableRecord
from symphainy_schemas.records import CancelNotice, Task
from symphainy_transport import clients
from symphainy_transport.clock import Clock
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import CANCELS, Topics

_log = logging.getLogger("symphainy.worker")
# A notice comes after its task, which may start until `start_by`: 60 s after its dispatch. So a
# worker that is new reads what was told in twice that time, and each remembers it for longer.
BEGIN_BACK_MS = 120_000
KEPT_S = 300.0
MOST_KEPT = 10_000  # about 3 MB
_NO_TOPIC = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)
# Of a topic just created; the next question waits for that.
_PASSING = (KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION)
_ANSWER_S = 10.0
_POLL_S = 0.5  # a stop waits so long at most; what comes is handed over at once


class Noticed:
    """The deliveries that are to end, of one realm; the oldest are forgotten."""

    __slots__ = ("_now", "_told")

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` tells seconds that never run back."""
        self._now = now
        self._told: dict[tuple[str, str, int], tuple[float, int]] = {}

    def add(self, notice: CancelNotice) -> None:
        """It was told."""
        now = self._now()
        key = (notice.execution_id, notice.step, notice.delivery)
        _, before = self._told.pop(key, (now, notice.before))
        # What is told again is remembered from then on.
        self._told[key] = now, max(before, notice.before)
        while len(self._told) > MOST_KEPT or now - self._oldest() >= KEPT_S:
            del self._told[next(iter(self._told))]

    def __contains__(self, task: Task) -> bool:
        """Whether that delivery is to end."""
        if not self._told:
            return False
        told = self._told.get((task.execution_id, task.step, task.delivery))
        return told is not None and task.dispatched_at < told[1]

    def _oldest(self) -> float:
        return next(iter(self._told.values()))[0]


class NoticeReader:
    """Reads `cancels` into the event loop, in a thread of its own."""

    def __init__(
        self,
        settings: TransportSettings,
        client_id: str,
        clock: Clock,
        take: Callable[[CancelNotice], None],
    ) -> None:
        """Make it on the loop, where `take` is called with each notice."""
        self._topic = Topics(settings.topic_prefix).name(CANCELS)
        self._clock = clock
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._consumer: Consumer = clients.consumer(
            settings,
            f"{client_id}-cancels",
            error_cb=log_error,
            # Whoever stood still for longer than the retention goes on with what is there.
            auto_offset_reset="earliest",
        )
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, name="cancels", daemon=True)

    def start(self) -> None:
        """Find the place, and read from there. Blocks until it is found.

        Before the first task is read: what was told until then must not be missed.

        Raises:
            OperatorError: there is no such topic.
            Unavailable: Kafka did not answer.
        """
        self._consumer.assign([self._place()])
        self._thread.start()

    def close(self) -> None:
        """Read no more; the thread ends soon."""
        self._closing.set()

    def _place(self) -> TopicPartition:
        place = TopicPartition(self._topic, 0, self._clock.now_ms() - BEGIN_BACK_MS)
        try:
            known = self._consumer.list_topics(self._topic, timeout=_ANSWER_S)
            error = known.topics[self._topic].error
            if error is not None and error.code() not in _PASSING:
                raise KafkaException(error)
            _, end = clients.bounds(self._consumer, place, _ANSWER_S)
            (since,) = self._consumer.offsets_for_times([place], timeout=_ANSWER_S)
            if since.error is not None:
                raise KafkaException(since.error)
        except KafkaException as error:
            raise _translated(self._topic, error.args[0]) from error
        # If nothing was told since, the client says "the end", and looks for it later: too late.
        return TopicPartition(self._topic, 0, since.offset if since.offset >= 0 else end)

    def _read(self) -> None:
        try:
            while not self._closing.is_set():
                message = self._consumer.poll(_POLL_S)
                if message is not None:
                    self._hand_over(message)
            self._consumer.close()
        except KafkaException:
            _log.exception("%s is read no more: handlers that are to end are not told", self._topic)

    def _hand_over(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            _log.warning("reading what is to end: %s: %s", error.name(), error.str())
            return
        try:
            notice = decode(message.value(), CancelNotice)
        except UnreadableRecord as unreadable:
            _log.warning("%s at %s: %s", self._topic, message.offset(), unreadable)
            return
        try:
            self._loop.call_soon_threadsafe(self._take, notice)
        except RuntimeError:  # the loop has ended; nothing runs any more
            self._closing.set()


def _translated(topic: str, error: KafkaError) -> OperatorError | Unavailable:
    text = f"The worker cannot read {topic}: {error.name()}: {error.str()}."
    if error.code() in _NO_TOPIC:
        return OperatorError(text, code="topic_missing", cure="Run `symphainy topics create`.")
    if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        cure = f"Allow the worker to read {topic}."
        return OperatorError(text, code="cancels_unreadable", cure=cure)
    return Unavailable(text, cure="Start the worker again when Kafka answers.")
