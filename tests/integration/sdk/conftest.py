"""Kafka as a worker meets it: tasks in, reports out, positions, processes to kill."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from symphainy import Realm
from symphainy.worker import Worker
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import Endpoints
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.records import Capability, DeadLetter, Intent, Serving, StepReport, Task
from symphainy_transport import clients
from symphainy_transport.clock import SystemClock
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import CONFIG, DEAD_LETTERS, INTENTS, STEPS, Topics

PARTITIONS = 4
# Above a consumer group's session timeout (10 s), which a killed worker's partitions wait.
PATIENCE_S = 40.0
REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, slots=True)
class Placed:
    """A report, and where it stands in `steps`."""

    partition: int
    offset: int
    key: bytes | None
    report: StepReport


@dataclass
class Site:
    """One prefix of topics on the running broker, and what a test does with it."""

    settings: TransportSettings
    seen: list[Placed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.topics = Topics(self.settings.topic_prefix)
        self._numbers = count(1)
        self._producer = clients.producer(self.settings, "test")
        self._steps = self._reader(STEPS, PARTITIONS)

    def task(self, intent: str, *, partition: int = 1, **changes: Any) -> Task:
        """A fresh task for a handler of the probe realm."""
        number = next(self._numbers)
        found: dict[str, Any] = {
            "execution_id": f"exe-{partition}-{number:032x}",
            "session_id": f"ses-{partition}-{number:032x}",
            "tenant_id": "acme",
            "partition": partition,
            "dispatched_at": number,
            "step": "main",
            "attempt": 1,
            "delivery": 1,
            "token": secrets.token_hex(16),
            "start_by": SystemClock().now_ms() + 600_000,
            "timeout_ms": 60_000,
            "realm": "probe",
            "intent_id": f"i-{number}",
            "intent_type": f"probe.{intent}",
            "capability_version": 1,
            "handler": intent,
            "principal": "ann",
            "correlation_id": f"c-{number}",
            "payload": b"{}",
            "metadata": b"{}",
            "solution_context": b"",
            "created_at": 0,
        }
        return Task(**(found | changes))

    def send(self, *tasks: Task | bytes, partition: int = 0, realm: str = "probe") -> None:
        """Append tasks, or raw bytes, to one partition of a realm's topic."""
        for one in tasks:
            value, key = (one, "raw") if isinstance(one, bytes) else (encode(one), one.execution_id)
            self._producer.produce(self.topics.tasks(realm), value, key, partition)
        assert self._producer.flush(PATIENCE_S) == 0

    async def report(self, matches: Callable[[StepReport], bool], which: str = "") -> Placed:
        """The first report that matches, waited for."""
        found: list[Placed] = []

        def look() -> bool:
            self._read_steps()
            found.extend(one for one in self.seen if matches(one.report))
            return bool(found)

        await until(look, which or "report")
        return found[0]

    async def about(self, task: Task, kind: str) -> Placed:
        """The first report of `kind` about a task."""
        return await self.report(
            lambda r: (r.execution_id, r.kind.value) == (task.execution_id, kind),
            f"{kind} of {task.intent_type}",
        )

    def kinds(self, task: Task) -> list[str]:
        """What was reported about a task, in order."""
        self._read_steps()
        return [
            one.report.kind.value
            for one in self.seen
            if one.report.execution_id == task.execution_id
        ]

    def committed(self, partition: int = 0) -> int:
        """What the realm's group has committed."""
        group = self.topics.name("realm.probe")
        reader = clients.consumer(self.settings, "test", group_id=group)
        try:
            place = TopicPartition(self.topics.tasks("probe"), partition)
            (found,) = reader.committed([place], timeout=PATIENCE_S)
        finally:
            reader.close()
        return int(found.offset)

    async def commits(self, offset: int, partition: int = 0) -> None:
        """Wait until the realm's group has committed exactly `offset`."""
        await until(lambda: self.committed(partition) == offset, f"commit of {offset}")

    def letters(self) -> list[DeadLetter]:
        """All dead letters."""
        return [decode(m.value(), DeadLetter) for m in self._read_all(DEAD_LETTERS, 1)]

    def intents(self) -> list[Intent]:
        """The whole write-ahead log."""
        return [decode(m.value(), Intent) for m in self._read_all(INTENTS, PARTITIONS)]

    def capabilities(self) -> list[Capability]:
        """All versions in `config`."""
        found = [(m.key(), m.value()) for m in self._read_all(CONFIG, 1)]
        return [decode(v, Capability) for key, v in found if key.startswith(b"capability/")]

    def serving(self) -> list[tuple[bytes, Serving | None]]:
        """What workers say that they serve, and their tombstones, in order."""
        found = [(m.key(), m.value()) for m in self._read_all(CONFIG, 1)]
        return [
            (key, decode(v, Serving) if v else None)
            for key, v in found
            if key.startswith(b"worker/")
        ]

    def say(self, key: bytes, said: Serving) -> None:
        """What a worker wrote that is no more."""
        self._producer.produce(self.topics.name(CONFIG), encode(said), key, 0)
        assert self._producer.flush(PATIENCE_S) == 0

    @asynccontextmanager
    async def worker(self, realm: Realm, **options: Any) -> AsyncIterator[Worker]:
        """A worker in this process, from its first assignment to its drain."""
        worker = Worker([realm], self.settings, **options)
        ready = asyncio.Event()
        running = asyncio.create_task(worker.run(ready.set))
        await asyncio.wait(
            [running, asyncio.create_task(ready.wait())],
            return_when=asyncio.FIRST_COMPLETED,
            timeout=PATIENCE_S,
        )
        if running.done():
            running.result()
        assert ready.is_set()
        try:
            yield worker
        finally:
            worker.stop()
            await asyncio.wait_for(running, PATIENCE_S)

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a worker process at this site."""
        return {
            **os.environ,
            "SYMPHAINY_KAFKA_BOOTSTRAP_SERVERS": self.settings.kafka_bootstrap_servers,
            "SYMPHAINY_TOPIC_PREFIX": self.settings.topic_prefix,
            "SYMPHAINY_PARTITIONS": str(PARTITIONS),
            "SYMPHAINY_DATA_DIR": str(self.settings.data_dir),
            **more,
        }

    def _reader(self, short: str, partitions: int) -> Any:
        reader = clients.consumer(self.settings, "test")
        name = self.topics.name(short)
        for p in range(partitions):
            clients.bounds(reader, TopicPartition(name, p), PATIENCE_S)
        reader.assign([TopicPartition(name, p, 0) for p in range(partitions)])
        return reader

    def _read_steps(self) -> None:
        for message in self._steps.consume(1_000, 0.05):
            assert message.error() is None
            report = decode(message.value(), StepReport)
            self.seen.append(Placed(message.partition(), message.offset(), message.key(), report))

    def _read_all(self, short: str, partitions: int) -> list[Any]:
        reader = self._reader(short, partitions)
        name = self.topics.name(short)
        places = [TopicPartition(name, p) for p in range(partitions)]
        left = sum(high - low for low, high in (clients.bounds(reader, p) for p in places))
        try:
            messages = reader.consume(left, PATIENCE_S) if left else []
        finally:
            reader.close()
        assert len(messages) == left
        return list(messages)


class Process:
    """A worker process; ended with the test."""

    def __init__(
        self, site: Site, target: str, log: Path, name: str = "", **environment: str
    ) -> None:
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "symphainy.worker", target, "--name", name],
                cwd=REPOSITORY,
                env=site.environment(**environment),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        await until(lambda: self._process.poll() is not None, "end of the process")
        return self._process.wait()

    def close(self) -> None:
        """Kill it if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


async def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for an observable condition, at most `PATIENCE_S`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_S
    while not await asyncio.to_thread(condition):
        assert loop.time() < deadline, f"waited {PATIENCE_S} s for {what}"
        await asyncio.sleep(0.01)


@pytest.fixture
def site(running: Endpoints, tmp_path: Path) -> Site:
    """Topics of its own for one test."""
    settings = TransportSettings(
        kafka_bootstrap_servers=running.bootstrap_servers,
        topic_prefix=f"t{secrets.token_hex(4)}.",
        partitions=PARTITIONS,
        data_dir=tmp_path / "data",
    )
    cluster = Cluster(settings)
    topics = Topics(settings.topic_prefix)
    cluster.create([*cluster.specs(), topics.realm_spec("probe", PARTITIONS)])
    return Site(settings)


@pytest.fixture
def start(site: Site, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts worker processes."""
    started: list[Process] = []

    def begin(target: str, name: str = "", **environment: str) -> Process:
        log = tmp_path / f"worker-{len(started)}.log"
        process = Process(site, target, log, name, **environment)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.close()
