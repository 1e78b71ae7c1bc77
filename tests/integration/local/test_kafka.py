"""Invariants of the local broker.

- What was written is there after a clean stop, whatever the ports, and after a kill.
- After a kill it comes back at the same address, and a client goes on.
- A folder that it cannot use it names, and leaves alone.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import symphainy_runtime.local.kafka as kafka_module
from symphainy_runtime.local import (
    ChildFailed,
    DataFolderBusy,
    DataFolderUnusable,
    KafkaOptions,
    KafkaServer,
    Supervisor,
)
from symphainy_runtime.local.kafka_config import jvm_arguments, server_properties
from symphainy_runtime.local.ports import HOST, free_ports

BrokerAt = Callable[[str], Any]
HOLD_LOCK = """
import fcntl, sys
with open(sys.argv[1], "w") as lock:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def test_data_survives_stops_kills_and_new_ports(
    folder: Path,
    supervisor: Supervisor,
    broker_at: BrokerAt,
    taken_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka = KafkaServer(folder, supervisor)
    first = broker_at(kafka.start())
    first.create("kept")
    first.produce("kept", b"before the stop")
    kafka.stop()
    assert kafka.pid is None

    races = iter([(taken_port, *free_ports(1))])
    monkeypatch.setattr(kafka_module, "free_ports", lambda n: next(races, None) or free_ports(n))
    second = broker_at(kafka.start())
    assert second.bootstrap_servers not in (first.bootstrap_servers, f"{HOST}:{taken_port}")
    long_lived = second.producer()
    second.produce("kept", b"before the kill")

    kafka.kill()
    assert kafka.pid is None
    long_lived.produce("kept", b"while it was dead")
    kafka.restart()
    assert kafka.bootstrap_servers == second.bootstrap_servers
    assert long_lived.flush(30) == 0
    assert second.read("kept", 3) == [b"before the stop", b"before the kill", b"while it was dead"]

    kafka.stop()
    (folder / "data" / "__cluster_metadata-0" / "quorum-state").write_text("damaged")
    with pytest.raises(ChildFailed, match=r"Unrecognized token 'damaged'[\s\S]*move .* aside"):
        kafka.start()


def test_what_kafka_says_against_its_settings_is_told(folder: Path, supervisor: Supervisor) -> None:
    options = KafkaOptions(overrides={"log.cleaner.threads": "none"})
    with pytest.raises(ChildFailed, match="Invalid value none"):
        KafkaServer(folder, supervisor, options=options).start()


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        (None, "meta.properties cannot be read"),
        ("\0\1\2", "names no cluster"),
        ("version=1\ncluster.id=abc\nnode.id=7\n", "belongs to node 7"),
    ],
)
def test_a_foreign_folder_is_named_and_left_alone(
    folder: Path, supervisor: Supervisor, meta: str | None, reason: str
) -> None:
    data = folder / "data"
    data.mkdir(parents=True)
    if meta is not None:
        (data / "meta.properties").write_text(meta)
    before = sorted(data.iterdir())
    with pytest.raises(DataFolderUnusable, match=reason):
        KafkaServer(folder, supervisor).start()
    assert sorted(data.iterdir()) == before


def test_a_folder_that_another_broker_holds_is_named(
    folder: Path, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_module, "_OLD_BROKER_S", 0.2)
    lock = folder / "data" / ".lock"
    lock.parent.mkdir(parents=True)
    command = [sys.executable, "-c", HOLD_LOCK, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DataFolderBusy, match="Another Kafka holds"):
            KafkaServer(folder, supervisor).start()
        holder.kill()


def test_overrides_are_stronger_and_any_path_can_be_written() -> None:
    text = server_properties(Path("/tmp/a b/ü😀"), 1, 2, {"min.insync.replicas": "2"})
    assert "log.dirs=/tmp/a b/\\u00fc\\ud83d\\ude00\n" in text
    assert "min.insync.replicas=2\n" in text
    assert "min.insync.replicas=1" not in text


def test_the_full_jit_can_be_chosen() -> None:
    quick = set(jvm_arguments(KafkaOptions(), Path("l")))
    full = set(jvm_arguments(KafkaOptions(heap_mb=1024, full_jit=True), Path("l")))
    assert quick - full == {"-Xmx512m", "-XX:TieredStopAtLevel=1"}
    assert full - quick == {"-Xmx1024m"}
