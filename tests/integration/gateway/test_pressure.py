"""Back-pressure over real parts: the log, the journal and its projection, a broker that stops.

- A partition whose owner stands still refuses with 429 and Retry-After; when it goes on, the
  partition takes intents again. What was refused was not appended, and is there once when repeated.
- A projector that stands still makes nobody wait, as long as the owner goes on.
- A Kafka that stands still is answered with 503 and Retry-After at once, and only so much is held;
  when it goes on, that is taken, and the rest when it is repeated, each once.
- A client that leaves while it waits gives its place back.

The owner is a stand-in that decides when the test says so; it writes a real journal.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from tests.support.system import PATIENCE_S, TENANT, System, eventually, isolated
from tests.unit.gateway.fakes import capability

from symphainy import Client
from symphainy_runtime.configuration import write_config
from symphainy_runtime.journal.validity import Validity, record_hash
from symphainy_runtime.journal.writer import Heading, JournalWriter, Positions, ownership_taken
from symphainy_runtime.local import Endpoints, LocalServices
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.codec import decode
from symphainy_schemas.events import Event, ExecutionSucceeded, SessionOpened
from symphainy_schemas.records import Intent
from symphainy_transport.clients import consumer, producer
from symphainy_transport.topics import INTENTS, JOURNAL, Topics

LIMIT = 20
Systems = Callable[..., System]


class Owner:
    """Owns one partition, with one open session, and decides nothing more until told to."""

    def __init__(self, settings: RuntimeSettings, partition: int) -> None:
        self.partition = partition
        self.session_id = f"ses-{partition}-{'a' * 32}"
        self._producer: Producer = producer(settings, "test-owner")
        self._topic = Topics(settings.topic_prefix).name(JOURNAL)
        taken = ownership_taken("test", _now(), Validity(), Positions(), -1)
        term = self._append(taken)
        standing = Validity(term, 0, term, record_hash(taken))
        self._writer = JournalWriter(standing, Validity())
        heading = Heading(
            tenant_id=TENANT,
            session_id=self.session_id,
            execution_id=ids.execution_id(TENANT, self.session_id, "open", partition),
        )
        opened = SessionOpened(principal="ann", attributes=b"{}")
        self._decide(heading, (opened, ExecutionSucceeded()), 0)

    def decided(self, intents_next: int, records: int = 1) -> None:
        """Journal that the intents below were decided, in so many records."""
        for _ in range(records):
            self._decide(Heading(), (), intents_next)

    def _decide(self, heading: Heading, events: tuple[Event, ...], intents_next: int) -> None:
        _, value = self._writer.write(_now(), heading, events, Positions(intents_next, 0), -1)
        self._append(value)

    def _append(self, value: bytes) -> int:
        placed: list[Message] = []

        def delivered(error: object, message: Message) -> None:
            assert error is None
            placed.append(message)

        self._producer.produce(self._topic, value, b"k", self.partition, delivered)
        assert self._producer.flush(PATIENCE_S) == 0
        offset = placed[0].offset()
        assert offset is not None
        return offset


def _now() -> int:
    return time.time_ns() // 1_000_000


def _logged(settings: RuntimeSettings, partition: int) -> list[str]:
    """The ids of the intents on a partition of the log, in order."""
    reader: Consumer = consumer(settings, "test", auto_offset_reset="earliest")
    here = TopicPartition(Topics(settings.topic_prefix).name(INTENTS), partition, 0)
    reader.assign([here])
    _, end = reader.get_watermark_offsets(here, timeout=PATIENCE_S)
    found: list[str] = []
    while len(found) < end:
        for message in reader.consume(end - len(found), PATIENCE_S):
            value = message.value()
            assert value is not None
            found.append(decode(value, Intent).intent_id)
    reader.close()
    return found


def _intent(owner: Owner, intent_id: str) -> dict[str, Any]:
    return {
        "intent_id": intent_id,
        "intent_type": "work.add",
        "session_id": owner.session_id,
        "payload": {},
    }


def _gauge(system: System, name: str) -> float:
    text = system.http.get("/metrics").text
    found = re.search(rf"^symphainy_gateway_{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else -1.0


def _backlog(system: System, owner: Owner) -> float:
    return _gauge(system, f'backlog{{partition="{owner.partition}"}}')


def _refusals(system: System) -> float:
    return _gauge(system, 'refusals_total{code="backlogged"}')


def _require_come_back(answer: httpx.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert 1 <= int(answer.headers["retry-after"]) <= 60


def _up(system: System) -> None:
    """Gateway and projector run; the capability is registered."""
    write_config(system.settings, capability("work.add", contract=True))
    for role in ("projector", "gateway"):
        system.up(role)


def _own(system: System, partition: int) -> Owner:
    """An owner of the partition, of which the gateway knows that it takes intents."""
    owner = Owner(system.settings, partition)
    eventually(
        lambda: system.http.get(f"/v1/sessions/{owner.session_id}").status_code == 200,
        "the session is projected",
    )
    eventually(lambda: _backlog(system, owner) == 0, "the gateway has looked at the partition")
    return owner


def _fill(system: System, owner: Owner) -> list[str]:
    """Submit until the partition refuses; what it took."""
    taken: list[str] = []
    while True:
        answer = system.http.post("/v1/intents", json=_intent(owner, f"fill-{len(taken)}"))
        if answer.status_code != 202:
            _require_come_back(answer, 429, "backlogged")
            return taken
        taken.append(f"fill-{len(taken)}")
        assert len(taken) <= 2 * LIMIT


@pytest.fixture(scope="module")
def narrow(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with a low limit; each test has a partition of it to itself."""
    settings = isolated(running, tmp_path_factory.mktemp("narrow"))
    system = System(settings.model_copy(update={"max_backlog": LIMIT}))
    _up(system)
    yield system
    system.stop()


def test_a_partition_refuses_while_its_owner_stands_still(narrow: System) -> None:
    owner = _own(narrow, 0)
    taken = _fill(narrow, owner)
    assert len(taken) == LIMIT + 1
    late = _intent(owner, "late")
    refused = narrow.http.post("/v1/intents", json=late)
    _require_come_back(refused, 429, "backlogged")
    assert refused.json()["intent_id"] == "late"
    assert refused.json()["retry_after_s"] == int(refused.headers["retry-after"])
    assert _backlog(narrow, owner) == LIMIT + 1
    owner.decided(3)
    eventually(lambda: _backlog(narrow, owner) == LIMIT - 2, "the gateway sees what was decided")
    # A little is not enough: it would refuse again at once.
    _require_come_back(narrow.http.post("/v1/intents", json=late), 429, "backlogged")
    owner.decided(len(taken))
    eventually(
        lambda: narrow.http.post("/v1/intents", json=late).status_code == 202,
        "the partition takes intents again",
    )
    assert _logged(narrow.settings, owner.partition) == [*taken, "late"]


async def test_the_client_comes_back_by_itself(narrow: System) -> None:
    owner = _own(narrow, 1)
    taken = _fill(narrow, owner)
    before = _refusals(narrow)
    async with Client(narrow.url, narrow.key, retry_for="60s") as client:
        submitting = asyncio.create_task(
            client.submit(
                "work.add", {}, session_id=owner.session_id, intent_id="patient", wait="0s"
            )
        )
        await asyncio.to_thread(eventually, lambda: _refusals(narrow) > before, "it was refused")
        owner.decided(len(taken))
        result = await submitting
    assert result.status == "accepted"
    assert _logged(narrow.settings, owner.partition) == [*taken, "patient"]


def test_a_projector_that_stands_still_makes_nobody_wait(narrow: System) -> None:
    owner = _own(narrow, 2)
    narrow.supervisor.stop("projector")
    try:
        for chunk in range(4):
            for number in range(LIMIT):
                intent = _intent(owner, f"{chunk}-{number}")
                answer = narrow.http.post("/v1/intents", json=intent)
                assert answer.status_code == 202, answer.text
            owner.decided((chunk + 1) * LIMIT, records=LIMIT)
            eventually(lambda: _backlog(narrow, owner) == 0, "the gateway sees the journal grow")
        assert len(_fill(narrow, owner)) == LIMIT + 1
    finally:
        narrow.again("projector")


async def test_a_client_that_leaves_gives_its_place_back(narrow: System) -> None:
    owner = _own(narrow, 3)
    async with httpx.AsyncClient(base_url=narrow.url, headers=narrow.http.headers) as client:
        path = "/v1/intents?wait=5m"
        waiting = asyncio.create_task(
            client.post(path, json=_intent(owner, "left"), timeout=PATIENCE_S)
        )
        await asyncio.to_thread(
            eventually, lambda: _gauge(narrow, "waits_open") == 1, "the client waits"
        )
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await asyncio.to_thread(
        eventually, lambda: _gauge(narrow, "waits_open") == 0, "its place is free"
    )


@contextmanager
def _stopped(services: LocalServices) -> Iterator[None]:
    """The broker is there, and does nothing."""
    assert services.kafka is not None
    pid = services.kafka.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_a_kafka_that_stands_still_is_felt_at_once(
    services: LocalServices, systems: Systems
) -> None:
    held = 4
    system = systems(services.start(), max_unacknowledged=2 * held)
    _up(system)
    owner = _own(system, 1)
    names = [f"i-{number}" for number in range(20)]
    async with httpx.AsyncClient(
        base_url=system.url, headers=system.http.headers, timeout=PATIENCE_S
    ) as client:
        with _stopped(services):
            submitting = [
                asyncio.create_task(client.post("/v1/intents", json=_intent(owner, name)))
                for name in names
            ]
            # All but those that are held are answered while the broker stands still.
            for answer in await _first(submitting, len(names) - held):
                _require_come_back(answer, 503, "kafka_busy")
            assert _gauge(system, "unacknowledged") == _gauge(system, "requests_held") == held
        first = dict(zip(names, await asyncio.gather(*submitting), strict=True))
        refused = [name for name in names if first[name].status_code != 202]
        assert len(refused) == len(names) - held
        for name in refused:
            again = await client.post("/v1/intents", json=_intent(owner, name))
            assert again.status_code == 202, again.text
    assert sorted(_logged(system.settings, owner.partition)) == sorted(names)
    assert _gauge(system, "unacknowledged") == _gauge(system, "unacknowledged_bytes") == 0


async def _first(tasks: list[asyncio.Task[httpx.Response]], count: int) -> list[httpx.Response]:
    """The answers of the first `count` that are answered."""
    waiting = set(tasks)
    answered: list[httpx.Response] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(answered) < count:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            answered += [task.result() for task in done]
    return answered
