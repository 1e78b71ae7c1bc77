"""Redis and every local disk gone: one command makes them anew from Kafka.

- What stands in Redis and in the owners' stores afterwards is what stood there before: documents,
  events, indexes, sessions, positions, counts of versions, spent budgets, stored bytes.
- To run it again changes nothing; what was interrupted goes on.
- The system goes on with it: what waited is answered, what is new runs.
- While the owner of that name runs, its store is left alone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from tests.support.cli import run
from tests.support.read_models import Rows, held
from tests.support.system import TENANT, System, eventually

from symphainy_processors.fold import layout
from symphainy_processors.owner.recovering import recovery
from symphainy_processors.projection.rebuild import Rebuild
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.state.rocks import RocksStores

OWNER = "owner-1"
WAITS = {"nap_ms": 10, "patience_ms": 600_000}
LARGE = {"numbers": list(range(20_000))}  # over the inline limit
Disk = dict[int, dict[bytes, Any]]


@pytest.fixture
def redis(system: System) -> Iterator[Any]:
    client = Redis.from_url(system.settings.require_redis())
    yield client
    client.close()


def submit(system: System, session: str, intent_type: str, payload: Any, wait: str = "30s") -> Any:
    body = {"intent_type": intent_type, "session_id": session, "payload": payload}
    answer = system.http.post(f"/v1/intents?wait={wait}", json=body)
    assert answer.status_code in (200, 202), answer.text
    return answer.json()


def work(system: System) -> str:
    """Some of everything; the id of an execution that waits for a signal."""
    for _ in range(4):
        session = system.open_session()
        assert submit(system, session, "work.add", {"numbers": [1, 2]})["success"]
        assert submit(system, session, "work.refuse", {"numbers": [1]})["status"] == "failed"
        assert submit(system, session, "work.flaky", {"succeed_at": 2})["success"]
    assert submit(system, session, "work.add", LARGE)["success"]
    waiting: str = submit(system, session, "work.approve", WAITS, "0s")["execution_id"]

    def waits() -> bool:
        answer = system.http.get(f"/v1/executions/{waiting}/status")
        return answer.status_code == 200 and answer.json()["status"] == "waiting"

    eventually(waits, "one waits for its signal")
    return waiting


def on_disk(settings: RuntimeSettings, folder: Path) -> Disk:
    """What the owner's stores hold, folded to the journal's end; by a process of its own, so that
    nothing of it stays open here."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_on_disk, (settings, folder))


def _on_disk(settings: RuntimeSettings, folder: Path) -> Disk:
    stores = RocksStores(folder)
    with recovery(settings, stores) as job:
        found = list(job.run(lambda done, total: None))
    assert len(found) == settings.partitions
    rows: Disk = {}
    for p in range(settings.partitions):
        store = stores.open(p)
        found_here = store.scan(b"", b"\xff" * 8, 1_000_000)
        rows[p] = {key: read(key, value) for key, value in found_here}
        store.close()
    return rows


def read(key: bytes, value: bytes) -> Any:
    """As the owner reads it: which defaults are left out of the bytes means nothing."""
    return layout.unpack(value) if value and key != layout.CHECKPOINT else value


def in_redis(redis: Any, settings: RuntimeSettings) -> Rows:
    """Everything but what goes by itself within seconds: tokens of rates, times of quotas."""
    rows = held(redis, settings.redis_prefix, "*")
    return {name: told(name, *value) for name, value in rows.items()}


def told(name: str, value: Any, expiry: int) -> tuple[Any, int]:
    if not name.startswith("quota:"):
        return value, expiry
    if isinstance(value, dict):
        return {field: value[field] for field in (b"month", b"month_at")}, 0
    return value, 0


def lose_everything(system: System, redis: Any) -> None:
    system.supervisor.stop_all()
    redis.delete(*redis.scan_iter(match=f"{system.settings.redis_prefix}*"))
    shutil.rmtree(system.settings.data_dir / "state")
    assert in_redis(redis, system.settings) == {}


@pytest.mark.timeout(540)  # eight processes and six commands start one after the other
def test_everything_is_made_anew_and_the_system_goes_on(system: System, redis: Any) -> None:
    limits = ("--budget", "month=1000", "--storage-bytes", "100000000")
    run(system, ["symphainy", "tenant", "limits", TENANT, *limits])
    system.start("tests.support.work_realm:realm")
    waiting = work(system)
    settings = system.settings
    assert "store_broken" in refused(system), "its owner runs"
    system.supervisor.stop_all()
    Rebuild(settings).run(lambda done: None)  # up to what the owner wrote last
    run(system, ["symphainy", "tenant", "recount", TENANT])  # artifacts pass the gateways by
    before = in_redis(redis, settings)
    kept = settings.data_dir.parent / "kept"
    shutil.copytree(settings.data_dir / "state" / OWNER, kept)
    disk = on_disk(settings, kept)
    assert any(name.startswith("quota:") and b"month" in row for name, (row, _) in before.items())
    lose_everything(system, redis)

    first = recovered(system)
    assert [one["part"] for one in first] == ["owner-state", "read-model", "quotas"]
    assert all(one["records"] for one in first)
    assert in_redis(redis, settings) == before
    for p, rows in on_disk(settings, settings.data_dir / "state" / OWNER).items():
        assert rows.keys() == disk[p].keys()
        assert [(was, rows[key]) for key, was in disk[p].items() if rows[key] != was] == []

    again = recovered(system)
    assert again[1]["records"] == 0, "it stood already"
    assert in_redis(redis, settings) == before

    for role in ("owner", "projector", "gateway"):
        system.again(role)
    system.again("worker")
    answer = system.http.post(
        f"/v1/executions/{waiting}/signals/approved", json={"data": {"by": "ann"}}
    )
    assert answer.status_code == 202, answer.text
    eventually(lambda: status(system, waiting) == "succeeded", "what waited has ended")
    session = system.open_session()
    assert submit(system, session, "work.add", {"numbers": [4]})["result"] == {"total": 4}


def status(system: System, execution: str) -> str:
    found: str = system.http.get(f"/v1/executions/{execution}/status").json()["status"]
    return found


def recovered(system: System) -> list[Any]:
    document = json.loads(run(system, ["symphainy", "recover", "--owner", OWNER, "--json"]))
    lacking = {one["what"]: one["state"] for one in document["not_in_kafka"]}
    assert lacking["payloads over the inline limit, artifacts"] == "there"
    assert lacking["evidence of the auditor"].startswith("NOT THERE")
    rebuilt: list[Any] = document["recovered"]
    return rebuilt


def refused(system: System) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "symphainy_cli", "recover", "--owner", OWNER],
        env=system.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    return done.stderr
