"""Full and shadow replays of many executions.

- 1,000 executions of every kind are run again under a tracer of network, disk and processes: no
  effect outside of the scratch folder, and all return what is recorded.
- Of 10,000 past executions through changed handlers exactly the changed ones are reported; it may
  be stopped, and goes on where it stopped; a rate is kept.
- A handler that reaches outside or ends its process is told, and nothing is reached.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from tests.support import shadowed_realm
from tests.support.shadowed_realm import is_different, is_failed
from tests.support.system import eventually
from typer.testing import CliRunner

from symphainy.testing import Harness
from symphainy_cli.main import app
from symphainy_cli.replay_full import NOT_EQUAL
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import Endpoints
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.codec import decode
from symphainy_schemas.errors import SymphainyError
from symphainy_schemas.events import IntentReceived, JournalRecord
from symphainy_transport.clients import bounds, consumer, producer
from symphainy_transport.topics import JOURNAL, Topics

EXECUTIONS = 10_000
PARTITIONS = 20
TRACED = 1_000
AFTER = "tests.support.shadowed_realm:after"
BEFORE = "tests.support.shadowed_realm:before"
WILD = "tests.support.wild_realm:realm"


def kind_of(n: int) -> str:
    """Most are quick; every twentieth is of another kind."""
    return {5: "stepped", 10: "parent", 15: "refused"}.get(n % 20, "quick")


async def record(partition: int) -> list[bytes]:
    """The journal of a partition's share of the executions."""
    share = EXECUTIONS // PARTITIONS
    async with Harness(shadowed_realm.before) as harness:
        for n in range(partition * share, (partition + 1) * share):
            await harness.submit(
                f"shadowed.{kind_of(n)}", {"n": n}, until="ended", tenant_id=f"tenant-{partition}"
            )
        return list(harness.journal)


class Past:
    """A journal on a real Kafka, and which number each of its executions is of."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self.settings = settings
        self.topic = Topics(settings.topic_prefix).name(JOURNAL)
        Cluster(settings).create()
        out = producer(settings, "test-past")
        self.numbers: dict[str, tuple[int, str]] = {}
        for p in range(PARTITIONS):
            values = asyncio.run(record(p))
            for value in values:
                out.produce(self.topic, value, partition=p)
                out.poll(0)
            self._note(values)
        assert out.flush(60) == 0

    def _note(self, values: list[bytes]) -> None:
        for value in values:
            told = decode(value, JournalRecord)
            received = told.events[0] if told.events else None
            if isinstance(received, IntentReceived) and received.realm == "shadowed":
                n: int = json.loads(received.payload)["n"]
                self.numbers[told.execution_id] = n, received.intent_type

    def expected(self) -> dict[str, str]:
        """What the changed code makes of each."""
        return {name: self._verdict(n, kind) for name, (n, kind) in self.numbers.items()}

    def _verdict(self, n: int, kind: str) -> str:
        if kind == "shadowed.refused":
            return "equal"
        if is_failed(n):
            return "failed"
        return "different" if is_different(n) else "equal"

    @property
    def environment(self) -> dict[str, str]:
        told = self.settings.model_dump(mode="json", exclude_defaults=True)
        named = {f"SYMPHAINY_{k.upper()}": str(v) for k, v in told.items()}
        return {**os.environ, **named}

    def run(self, *arguments: str) -> tuple[int, Any]:
        result = CliRunner().invoke(app, ["replay", *arguments, "--json"], env=self.environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, json.loads(result.stdout)

    def ends(self) -> list[int]:
        reading = consumer(self.settings, "test-end")
        try:
            places = (TopicPartition(self.topic, p) for p in range(PARTITIONS))
            return [bounds(reading, place)[1] for place in places]
        finally:
            reading.close()


@pytest.fixture(scope="module")
def past(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Past:
    settings = RuntimeSettings(
        kafka_bootstrap_servers=running.bootstrap_servers,
        topic_prefix="shadow.",
        partitions=PARTITIONS,
        data_dir=tmp_path_factory.mktemp("shadow"),
    )
    return Past(settings)


def lines(path: Path) -> list[dict[str, Any]]:
    """The results of a file, without its head."""
    return [json.loads(line) for line in path.read_text().splitlines()][1:]


def test_nothing_reaches_outside_of_the_scratch_folder(tmp_path: Path) -> None:
    folder = tmp_path / "traced"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.traced", str(TRACED), str(folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=170,
    )
    told = json.loads(done.stdout)
    assert told["executions"] >= TRACED
    assert told["verdicts"] == {"equal": told["executions"]}, told["others"]
    assert told["seen"] == []
    assert told["artifacts"] == TRACED // 4
    assert [one.split()[0] for one in told["control"]] == [
        "open",
        "socket.getaddrinfo",
        "socket.connect",
    ]


@pytest.mark.timeout(580)
def test_exactly_the_changed_ones_are_reported(past: Past, tmp_path: Path) -> None:
    before = past.ends()
    out = tmp_path / "results.jsonl"
    code, told = past.run("shadow", "--handlers", AFTER, "--out", str(out))
    expected = past.expected()
    assert {one["execution_id"]: one["verdict"] for one in lines(out)} == expected
    counted = [list(expected.values()).count(one) for one in ("equal", "different", "failed")]
    assert [told["equal"], told["different"], told["failed"]] == counted
    assert told["undetermined"] == 0
    assert told["executions"] == len(expected) >= EXECUTIONS
    assert counted[1] > EXECUTIONS // 10
    assert counted[2] > EXECUTIONS // 1_000
    assert code == NOT_EQUAL
    for one in lines(out):
        for step in one["steps"]:
            if step["verdict"] == "different" and "asks" not in step["why"]:
                assert step["differences"], one
    assert past.ends() == before


@pytest.mark.timeout(580)
def test_it_stops_and_goes_on(past: Past, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    arguments = ["replay", "shadow", "--handlers", BEFORE, "--out", str(out), "--sample", "0.1"]
    with subprocess.Popen(
        [sys.executable, "-m", "symphainy_cli", *arguments, "--json"],
        env=past.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Who runs this in the background of a shell hands on that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as stopped:
        eventually(
            lambda: out.exists() and len(out.read_bytes().splitlines()) > EXECUTIONS // 200,
            "some are run",
        )
        stopped.send_signal(signal.SIGINT)
        assert stopped.wait(60) == 130
    begun = len(lines(out))
    with out.open("ab") as file:
        file.write(b'{"execution_id": "exe-')  # as a kill leaves it
    code, told = past.run(*arguments[1:])
    found = [one["execution_id"] for one in lines(out)]
    assert begun < len(found) == len(set(found)) == told["executions"]
    assert 0.05 * EXECUTIONS < len(found) < 0.2 * EXECUTIONS
    assert (code, told["equal"]) == (0, len(found))
    again, same = past.run(*arguments[1:])
    assert (again, same) == (code, told)
    with pytest.raises(SymphainyError) as refused:
        past.run("shadow", "--handlers", AFTER, "--out", str(out), "--sample", "0.1")
    assert refused.value.code == "other_results"


def test_a_rate_is_kept(past: Past, tmp_path: Path) -> None:
    out = tmp_path / "results.jsonl"
    began = time.monotonic()
    _, told = past.run(
        "shadow",
        "--handlers",
        BEFORE,
        "--out",
        str(out),
        "--sample",
        str(60 / EXECUTIONS),
        "--rate",
        "20",
    )
    assert told["executions"] > 20
    assert time.monotonic() - began >= (told["executions"] - 21) / 20


@pytest.mark.timeout(580)
def test_what_is_wild_is_told(past: Past, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    os.environ["WILD_FILE"] = str(outside)
    try:
        out = tmp_path / "results.jsonl"
        _, told = past.run(
            "shadow", "--handlers", WILD, "--out", str(out), "--sample", str(20 / EXECUTIONS)
        )
    finally:
        del os.environ["WILD_FILE"]
    assert not outside.exists()
    why: dict[int, set[tuple[str, str]]] = {}
    for one in lines(out):
        n, kind = past.numbers[one["execution_id"]]
        if kind == "shadowed.quick":
            why.setdefault(n % 4, set()).add((one["verdict"], one["steps"][0]["why"][:20]))
    assert why[0] == {("different", "It reaches outside: ")}
    assert why[1] == {("different", "It reaches outside: ")}
    assert why[2] == {("failed", "Lost: the process in")}
    assert why[3] == {("equal", "")}
    assert told["failed"] > 0
