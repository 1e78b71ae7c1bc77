"""The auditor beside a system that works.

- What executions leave in the journal is covered by checkpoints within the interval.
- One that was killed goes on from its last checkpoint, over an owner's takeover; nothing is left
  out, nothing twice.
- Two of them make one line of checkpoints.
- An execution's records are proven offline, with the verifier key alone; another's are not.
- A journal that was deleted and made anew is not taken for the one that was audited.
- Without checkpoints nothing is verified, and that is said.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.histories import history
from tests.support.system import TENANT, System, eventually
from typer.testing import CliRunner

from symphainy_cli.main import app
from symphainy_cli.roles.auditor import auditor_of
from symphainy_runtime.cluster import Cluster
from symphainy_schemas import ids
from symphainy_transport.clients import admin, producer
from symphainy_transport.topics import JOURNAL, Topics

Audit = Callable[..., tuple[int, dict[str, Any]]]


def add(system: System, session: str) -> str:
    """An execution that has succeeded."""
    body = {"intent_type": "work.add", "session_id": session, "payload": {"numbers": [2]}}
    answer = system.http.post("/v1/intents?wait=20s", json=body)
    assert answer.json()["status"] == "succeeded", answer.text
    execution: str = answer.json()["execution_id"]
    return execution


def covered(audit: Audit, partition: int) -> dict[str, Any] | None:
    """What verifying says of the partition, once checkpoints cover all of it."""
    code, report = audit("verify", "--partition", str(partition))
    assert code == 0, report
    (found,) = report["partitions"]
    return None if found["unanchored"] else found


def figures_of(system: System) -> dict[str, float]:
    """The auditor's own figures."""
    port = system.environment["SYMPHAINY_AUDIT_METRICS_PORT"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    values = (line.rsplit(" ", 1) for line in lines if line.startswith("symphainy_auditor"))
    return {name: float(value) for name, value in values}


def until_covered(audit: Audit, partition: int) -> dict[str, Any]:
    """Wait for it."""
    found: list[dict[str, Any]] = []

    def asked() -> bool:
        told = covered(audit, partition)
        found.extend([] if told is None else [told])
        return told is not None

    eventually(asked, "checkpoints cover the partition")
    return found[-1]


def test_a_working_system_is_audited_and_its_executions_are_proven(
    system: System, audit: Audit, tmp_path: Path
) -> None:
    _, key = audit("key")
    for role in ("owner", "projector", "gateway", "auditor"):
        system.up(role)
    system.worker("tests.support.work_realm:realm")
    session = system.open_session()
    partition = ids.partition_of(session)
    first = add(system, session)
    before = until_covered(audit, partition)
    system.supervisor.kill("auditor")
    system.supervisor.kill("owner")
    system.again("owner")
    add(system, session)
    assert covered(audit, partition) is None
    system.again("auditor")
    after = until_covered(audit, partition)
    assert after["checkpoints"] > before["checkpoints"]
    figures = figures_of(system)
    assert figures["symphainy_auditor_checkpoints_total"] >= 1
    for p in range(system.settings.partitions):
        assert figures[f'symphainy_auditor_halted{{partition="{p}"}}'] == 0
        assert figures[f'symphainy_auditor_pending_records{{partition="{p}"}}'] >= 0
    assert after["records"] == after["anchored"] > before["records"]

    proof = tmp_path / "proof.json"
    code, report = audit("verify", "--execution", first, "--write-proof", str(proof))
    assert code == 0
    assert report["found"]["proven"] == len(report["proof"]["records"]) >= 2
    verify = ["audit", "verify", "--verifier-key", key["verifier_key"], "--proof"]
    done = CliRunner().invoke(app, [*verify, str(proof)])
    assert done.exit_code == 0
    assert done.stdout.count("proven: ") == report["found"]["proven"]
    told = json.loads(proof.read_text())
    told["records"][0]["offset"] += 1
    proof.write_text(json.dumps(told))
    refused = CliRunner().invoke(app, [*verify, str(proof)])
    assert "does not lead to the checkpoint's root" in str(refused.exception)

    code, report = audit("verify", "--tenant", TENANT)
    assert code == 0
    assert report["found"]["proven"] >= 4


def write(system: System, values: list[bytes]) -> None:
    """Into the journal's partition 0, as its owner would."""
    out = producer(system.settings, "writer")
    for value in values:
        out.produce(Topics(system.settings.topic_prefix).name(JOURNAL), value, partition=0)
    assert out.flush(30) == 0


def test_two_auditors_make_one_line(system: System, audit: Audit) -> None:
    audit("key")
    one, other = auditor_of(system.settings, "one"), auditor_of(system.settings, "other")
    values = history([1, 2, 3, 0, 4, 5, 6])
    one.start()
    other.start()
    write(system, values[:4])
    one.catch_up()
    other.catch_up()
    write(system, values[4:])
    other.catch_up()
    one.catch_up()
    assert (one.made, other.made, one.halted, other.halted) == (1, 1, {}, {})
    one.close()
    other.close()
    code, report = audit("verify", "--partition", "0")
    assert code == 0
    assert report["partitions"][0]["checkpoints"] == 2
    assert report["partitions"][0]["anchored"] == len(values)


def test_a_journal_made_anew_is_not_the_one_that_was_audited(system: System, audit: Audit) -> None:
    audit("key")
    write(system, history([1, 2, 3]))
    assert audit("checkpoint") == (0, {"checkpoints": 1, "halted": {}})
    client, topic = admin(system.settings), Topics(system.settings.topic_prefix).name(JOURNAL)
    client.delete_topics([topic])[topic].result(timeout=30)
    eventually(lambda: topic not in client.list_topics(timeout=10).topics, "the topic is gone")
    Cluster(system.settings).create()
    write(system, history([1, 2, 3]))
    code, report = audit("verify")
    assert code == 1
    (fault,) = report["replaced"]
    assert fault["kind"] == "replaced"


def test_a_broken_chain_is_not_signed(system: System, audit: Audit) -> None:
    audit("key")
    values = history([1, 2, 3, 4])
    write(system, [*values[:3], values[3].replace(b"x" * 40, b"y" * 40), values[4]])
    code, made = audit("checkpoint")
    assert code == 1
    assert "does not follow the record at 3" in made["halted"]["0"]
    code, report = audit("verify", "--chain-only", "--partition", "0")
    assert code == 1
    (fault,) = report["partitions"][0]["faults"]
    assert (fault["kind"], fault["first"]) == ("chain", 4)


def test_without_checkpoints_nothing_is_verified(system: System, audit: Audit) -> None:
    audit("key")
    write(system, history([1, 2, 3]))
    with pytest.raises(AssertionError, match="No checkpoint of"):
        audit("verify")
