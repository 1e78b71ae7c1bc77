"""How a worker reads what is to end.

- From two minutes ago; from the end as of then, if nothing was told since.
- Each notice is handed to the loop; what cannot be read, and errors that pass, stop nothing.
- Without the topic, or the right to read it, a worker does not start, and says what to do.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition
from msgspec.structs import replace
from tests.unit.sdk.fakes import NOW, TASK, FakeClock, until

from symphainy.worker.notices import BEGIN_BACK_MS, Noticed, NoticeReader
from symphainy_schemas.codec import encode
from symphainy_schemas.errors import OperatorError, Unavailable
from symphainy_schemas.records import CancelNotice
from symphainy_transport import clients
from symphainy_transport.settings import TransportSettings

NOTICE = CancelNotice(
    execution_id=TASK.execution_id,
    realm="content",
    step=TASK.step,
    delivery=TASK.delivery,
    before=TASK.dispatched_at + 1,
)


class Told:
    """A message, or what takes its place."""

    def __init__(self, value: bytes = b"", error: KafkaError | None = None) -> None:
        self._value, self._error = value, error

    def error(self) -> KafkaError | None:
        """What is wrong."""
        return self._error

    def value(self) -> bytes:
        """The record."""
        return self._value

    def offset(self) -> int:
        """Anywhere."""
        return 7


class FakeConsumer:
    """A consumer of a topic that ends at 9."""

    def __init__(self) -> None:
        self.since = -1
        self.refusal: KafkaError | None = None
        self.asked: list[TopicPartition] = []
        self.assigned: list[TopicPartition] = []
        self.messages: list[Told] = []
        self.closed = False

    def list_topics(self, topic: str, *, timeout: float) -> Any:  # the client's
        """Whether it is there."""
        return SimpleNamespace(topics={topic: SimpleNamespace(error=self.refusal)})

    def get_watermark_offsets(self, place: TopicPartition, **_: Any) -> tuple[int, int]:
        """Its bounds."""
        return 2, 9

    def offsets_for_times(self, places: list[TopicPartition], **_: Any) -> list[TopicPartition]:
        """What was told since."""
        self.asked = places
        return [TopicPartition(places[0].topic, 0, self.since)]

    def assign(self, places: list[TopicPartition]) -> None:
        """From there."""
        self.assigned = places

    def poll(self, timeout_s: float) -> Told | None:
        """The next."""
        return self.messages.pop(0) if self.messages else None

    def close(self) -> None:
        """No more."""
        self.closed = True


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch) -> FakeConsumer:
    """What the reader gets."""
    consumer = FakeConsumer()
    monkeypatch.setattr(clients, "consumer", lambda *_, **__: consumer)
    return consumer


def reader(found: list[CancelNotice]) -> NoticeReader:
    """Hands over to `found`."""
    return NoticeReader(TransportSettings(), "w", FakeClock(), found.append)


@pytest.mark.parametrize(("since", "first"), [(4, 4), (-1, 9)])
async def test_it_begins_where_a_notice_may_still_matter(
    consumer: FakeConsumer, since: int, first: int
) -> None:
    consumer.since = since
    one = reader([])
    one.start()
    one.close()
    assert [place.offset for place in consumer.asked] == [NOW - BEGIN_BACK_MS]
    (place,) = consumer.assigned
    assert (place.topic, place.partition, place.offset) == ("symphainy.cancels", 0, first)
    await until(lambda: consumer.closed)


async def test_each_is_handed_over_and_what_is_no_notice_stops_nothing(
    consumer: FakeConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    passing = KafkaError(KafkaError._TRANSPORT)
    consumer.messages = [
        Told(b"garbage"),
        Told(encode(TASK)),
        Told(error=passing),
        Told(encode(NOTICE)),
    ]
    found: list[CancelNotice] = []
    one = reader(found)
    one.start()
    await until(lambda: found == [NOTICE])
    one.close()
    await until(lambda: consumer.closed)
    assert len(caplog.records) == 3


def test_nothing_is_handed_to_a_loop_that_has_ended(consumer: FakeConsumer) -> None:
    async def begin() -> NoticeReader:
        return reader([])

    one = asyncio.run(begin())
    consumer.messages = [Told(encode(NOTICE))]
    one.start()
    one._thread.join(10.0)
    assert consumer.closed


@pytest.mark.parametrize(
    ("code", "error", "cure"),
    [
        (KafkaError.UNKNOWN_TOPIC_OR_PART, OperatorError, "topics create"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, OperatorError, "Allow the worker"),
        (KafkaError._ALL_BROKERS_DOWN, Unavailable, "when Kafka answers"),
    ],
)
async def test_a_worker_that_cannot_read_it_says_what_to_do(
    consumer: FakeConsumer, code: int, error: type[Exception], cure: str
) -> None:
    consumer.refusal = KafkaError(code)
    with pytest.raises(error, match=cure):
        reader([]).start()


def test_a_later_life_of_an_id_is_not_meant() -> None:
    """It counts its deliveries from 1 again, behind the notice."""
    noticed = Noticed(lambda: 0.0)
    noticed.add(NOTICE)
    assert TASK in noticed
    assert replace(TASK, dispatched_at=NOTICE.before) not in noticed
    noticed.add(replace(NOTICE, before=1))  # told again, by an owner that knew less
    assert TASK in noticed
