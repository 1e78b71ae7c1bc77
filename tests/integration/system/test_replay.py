"""`symphainy replay` and its route over what real roles recorded, on a real Kafka.

- The audit trail and the state as of any offset are the same over HTTP and on the command line,
  with the read model or without.
- What is not there, is not kept, or had not begun is told in one line, with the cure.
- The command line writes nothing: no topic has grown. Over HTTP who looks leaves one intent, and
  its decision (`test_replay_policy`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import TopicPartition
from redis import Redis
from tests.support.system import TENANT, System, eventually, isolated
from typer.testing import CliRunner

from symphainy_cli.keys import create_key
from symphainy_cli.main import app
from symphainy_runtime.local import Endpoints
from symphainy_runtime.read_model.keys import Keys
from symphainy_schemas import ids
from symphainy_schemas.errors import SymphainyError
from symphainy_transport.clients import admin, bounds, consumer

AUDITOR = ("auditor",)


class Recorded:
    """A system in which something happened: executions by name."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.session = system.open_session()
        self.names: dict[str, str] = {
            "sum": self._run("work.add", {"numbers": [1, 2]}),
            "refused": self._run("work.refuse", {"numbers": [1]}),
            "flaky": self._run("work.flaky", {"succeed_at": 2}),
            "approval": self._run("work.approve", {"nap_ms": 30, "patience_ms": 30}),
            "family": self._run("work.family", {"numbers": [1, 2]}),
        }
        key = create_key(system.settings, TENANT, "ida", roles=AUDITOR)
        self.http = httpx.Client(
            base_url=system.url, headers={"Authorization": f"Bearer {key}"}, timeout=60
        )
        self.known(key)

    def known(self, key: str) -> dict[str, str]:
        """The header of a key, once the gateway knows it."""
        header = {"Authorization": f"Bearer {key}"}

        def answered() -> bool:
            return self.system.http.get("/v1/executions", headers=header).status_code == 200

        eventually(answered, "the gateway knows a key that was just made")
        return header

    def _run(self, intent_type: str, payload: dict[str, Any]) -> str:
        body = {"intent_type": intent_type, "session_id": self.session, "payload": payload}
        answer = self.system.http.post("/v1/intents", params={"wait": "60s"}, json=body)
        document = answer.json()
        name: str = document["execution_id"]
        return name

    def replay(self, name: str, **body: Any) -> httpx.Response:
        return self.http.post(f"/v1/executions/{self.names[name]}/replay", json=body)

    def cli(self, *arguments: str, without_redis: bool = False) -> Any:
        return json.loads(self.told(*arguments, without_redis=without_redis))

    def lines(self, *arguments: str) -> list[Any]:
        return [json.loads(line) for line in self.told(*arguments).splitlines()]

    def validate(self, *arguments: str) -> Any:
        return json.loads(self.told(*arguments, verb=("executions", "validate")))

    def told(
        self, *arguments: str, without_redis: bool = False, verb: tuple[str, ...] = ("replay",)
    ) -> str:
        environment = dict(self.system.environment)
        if without_redis:
            environment["SYMPHAINY_REDIS_URL"] = "redis://127.0.0.1:1/0"
        environment.pop("SYMPHAINY_URL", None)
        result = CliRunner().invoke(app, [*verb, *arguments, "--json"], env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout

    def ends(self) -> dict[tuple[str, int], int]:
        """The end of every partition of every topic of this system."""
        prefix = self.system.settings.topic_prefix
        topics = admin(self.system.settings, "test-ends").list_topics(timeout=10).topics
        reading = consumer(self.system.settings, "test-ends")
        try:
            return {
                (name, p): bounds(reading, TopicPartition(name, p))[1]
                for name, topic in topics.items()
                if name.startswith(prefix)
                for p in topic.partitions
            }
        finally:
            reading.close()


@pytest.fixture(scope="module")
def recorded(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    system = System(isolated(running, tmp_path_factory.mktemp("replay")))
    system.start("tests.support.work_realm:realm")
    one = Recorded(system)
    yield one
    one.http.close()
    system.stop()


def test_the_audit_trail_is_the_same_everywhere(recorded: Recorded) -> None:
    for name, execution in recorded.names.items():
        told = recorded.replay(name, mode="events_only")
        assert told.status_code == 200, told.text
        shown = recorded.system.http.get(f"/v1/executions/{execution}/events").json()["events"]
        places = [(e["offset"], e["index"], e["type"]) for e in told.json()["events"]]
        assert places == [(e["offset"], e["index"], e["type"]) for e in shown]
        assert recorded.cli("execution", execution, "--mode", "events_only") == told.json()
        found = recorded.cli("execution", execution, "--mode", "events_only", without_redis=True)
        assert found == told.json()


def test_the_state_as_of_every_offset_is_the_same_everywhere(recorded: Recorded) -> None:
    execution = recorded.names["approval"]
    trail = recorded.replay("approval", mode="events_only").json()
    statuses = []
    for offset in sorted({event["offset"] for event in trail["events"]}):
        told = recorded.replay("approval", mode="state_only", at_offset=offset).json()
        assert told["as_of"]["offset"] == offset
        assert told["newest"] == (offset == trail["last_offset"])
        by_cli = recorded.cli("execution", execution, "--at-offset", str(offset))
        assert by_cli == told
        at = told["as_of"]["at"]
        assert recorded.replay("approval", mode="state_only", at=at).json()["as_of"]["at"] == at
        statuses.append(told["state"]["status"])
    assert statuses[0] == "running"
    assert "waiting" in statuses
    assert statuses[-1] == "succeeded"


def test_the_last_known_good_stands_before_what_went_wrong(recorded: Recorded) -> None:
    told = recorded.replay("refused", mode="state_only").json()
    assert told["state"]["status"] == "failed"
    good = told["last_known_good"]
    assert good["offset"] < told["as_of"]["offset"]
    assert good["state"]["status"] == "running"
    assert good["state"]["steps"][0]["status"] in ("dispatched", "started")
    well = recorded.replay("sum", mode="state_only").json()
    assert well["last_known_good"]["offset"] == well["as_of"]["offset"]


def test_what_cannot_be_is_refused_by_name(recorded: Recorded) -> None:
    first = recorded.replay("sum", mode="events_only").json()["first_offset"]
    cases: list[tuple[dict[str, Any], int, str, str]] = [
        ({"mode": "full"}, 422, "replay_needs_code", "/mode"),
        ({"mode": "half"}, 422, "invalid_request", "/mode"),
        ({"mode": "state_only", "at_offset": 10**9}, 422, "range_not_kept", "at_offset"),
        ({"mode": "state_only", "at_offset": -1}, 422, "invalid_request", "/at_offset"),
        ({"mode": "state_only", "at": 5}, 422, "before_execution", "at"),
        ({"mode": "state_only", "at": 5, "at_offset": 5}, 422, "invalid_request", "/at"),
        ({"mode": "state_only", "handler_version": 2}, 422, "invalid_request", "/handler_version"),
    ]
    if first:
        cases.append(({"mode": "state_only", "at_offset": 0}, 422, "before_execution", "at_offset"))
    for body, status, code, field in cases:
        told = recorded.replay("sum", **body)
        problem = told.json()
        assert (told.status_code, problem["code"], problem["field"]) == (status, code, field)


def test_only_those_who_answer_for_it_may(recorded: Recorded) -> None:
    path = f"/v1/executions/{recorded.names['sum']}/replay"
    plain = recorded.system.http.post(path, json={"mode": "events_only"})
    assert (plain.status_code, plain.json()["code"]) == (403, "out_of_scope")
    other = create_key(recorded.system.settings, "rival", "eve", roles=AUDITOR)
    foreign = recorded.system.http.post(
        path, json={"mode": "events_only"}, headers=recorded.known(other)
    )
    assert (foreign.status_code, foreign.json()["code"]) == (404, "execution_not_found")


def test_the_command_line_says_what_cannot_be(recorded: Recorded) -> None:
    known = recorded.names["sum"]
    nobody = known[:-4] + ("0000" if known[-4:] != "0000" else "1111")
    far = f"exe-99-{'0' * 32}"
    for arguments, code in (
        (("execution", "sum"), "execution_not_found"),
        (("execution", far), "execution_not_found"),
        (("execution", nobody), "execution_not_found"),
        (("execution", known, "--at-offset", "999999999"), "range_not_kept"),
        (("execution", known, "--at", "yesterday"), "malformed_option"),
        (("execution", known, "--at", "1d", "--at-offset", "1"), "malformed_option"),
        (("execution", known, "--at", "30d"), "before_execution"),
        (("execution", known, "--mode", "half"), "unknown_mode"),
        (("execution", known, "--mode", "full"), "no_handlers"),
        (("execution", known, "--mode", "full", "--handlers", "nowhere:realm"), "no_realm"),
        (("execution", known, "--mode", "full", "--handlers", "json:loads"), "no_realm"),
        (("saga", known), "no_saga"),
        (("session", "ses"), "session_not_found"),
        (("range", "--partition", "99"), "malformed_option"),
        (("range", "--partition", "0", "--from-offset", "99999999"), "range_not_kept"),
    ):
        with pytest.raises(SymphainyError) as refused:
            recorded.cli(*arguments)
        assert refused.value.code == code
        assert refused.value.cure


REALM = "tests.support.work_realm:realm"


def test_a_session_and_a_range_tell_the_same(recorded: Recorded) -> None:
    trail = recorded.cli("session", recorded.session, "--mode", "events_only")
    shown = recorded.system.http.get(f"/v1/sessions/{recorded.session}/events").json()["events"]
    places = [(e["offset"], e["index"]) for e in trail["events"]]
    assert places == [(e["offset"], e["index"]) for e in shown]
    states = recorded.cli("session", recorded.session)
    assert states["state"]["status" if "status" in states["state"] else "opened_at"]
    by_id = {one["execution_id"]: one["state"] for one in states["executions"]}
    partition = str(trail["partition"])
    of_range = recorded.cli("range", "--partition", partition, "--mode", "state_only")
    for one in of_range["executions"]:
        assert by_id[one["state"]["execution_id"]] == one["state"]
    lines = recorded.lines("range", "--partition", partition, "--tenant", TENANT)
    assert [(e["offset"], e["index"]) for e in lines] == places


def test_a_full_replay_returns_what_was_recorded(recorded: Recorded, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    artifacts = Path(recorded.system.settings.data_dir) / "artifacts"
    before, kept = recorded.ends(), sorted(artifacts.rglob("*"))
    for name, execution in recorded.names.items():
        told = recorded.cli(
            "execution", execution, "--mode", "full", "--handlers", REALM, "--scratch", str(scratch)
        )
        (one,) = told["executions"]
        assert (one["execution_id"], one["verdict"]) == (execution, "equal"), (name, one)
    whole = recorded.cli("session", recorded.session, "--mode", "full", "--handlers", REALM)
    assert whole["different"] == whole["failed"] == whole["undetermined"] == 0
    assert whole["equal"] >= len(recorded.names) + 2  # with the family's children
    assert recorded.ends() == before
    assert sorted(artifacts.rglob("*")) == kept
    assert [one for one in scratch.rglob("*") if one.is_file()]


def test_a_handler_sees_its_session_as_it_was(recorded: Recorded) -> None:
    """Also when that was changed since, and when it has left the read model."""
    http = recorded.system.http
    told = http.post("/v1/sessions", json={"attributes": {"stage": "draft"}})
    session = told.json()["session_id"]
    names = []
    for stage in ("draft", "review"):
        body = {"intent_type": "work.session", "session_id": session, "payload": {"numbers": [1]}}
        ran = http.post("/v1/intents", params={"wait": "60s"}, json=body).json()
        assert ran["result"] == {"stage": stage}
        names.append(ran["execution_id"])
        changed = http.patch(f"/v1/sessions/{session}", json={"attributes": {"stage": "review"}})
        assert changed.status_code == 200
    settings = recorded.system.settings
    with Redis.from_url(settings.require_redis()) as redis:
        key = Keys(settings.redis_prefix, ids.partition_of(session)).session(session)
        for _ in ("as it is now", "gone"):
            for name in names:
                told = recorded.cli("execution", name, "--mode", "full", "--handlers", REALM)
                (one,) = told["executions"]
                assert (one["execution_id"], one["verdict"]) == (name, "equal")
            redis.delete(key)


def test_nothing_is_written(recorded: Recorded, tmp_path: Path) -> None:
    before = recorded.ends()
    for name in recorded.names:
        recorded.cli("execution", recorded.names[name], "--mode", "events_only")
        recorded.cli("execution", recorded.names[name], without_redis=True)
    assert recorded.ends() == before
    assert os.listdir(tmp_path) == []
    recorded.replay("sum", mode="events_only")
    grown = {
        name.rpartition(".")[2]: end - before[name, p]
        for (name, p), end in recorded.ends().items()
        if end != before[name, p] and not name.endswith("state")
    }
    assert grown == {"intents": 1, "journal": 1}


def test_what_real_roles_recorded_is_in_order(recorded: Recorded, tmp_path: Path) -> None:
    for name, execution in recorded.names.items():
        told = recorded.http.post(f"/v1/executions/{execution}/validate")
        assert told.status_code == 200, told.text
        report = told.json()
        standings = {check["name"]: check["standing"] for check in report["checks"]}
        assert set(standings) == {"order", "contracts", "policy", "state", "chain"}
        assert set(standings.values()) == {"passed"}, (name, report["checks"])
        assert report["valid"]
        assert report["complete"]
        page = tmp_path / f"{name}.html"
        by_cli = recorded.validate(execution, "--html", str(page))
        assert {**by_cli, "made_at": 0} == {**report, "made_at": 0}
        assert "In order" in page.read_text()
        assert execution in page.read_text()


def test_a_running_execution_is_not_validated_nor_run_again(recorded: Recorded) -> None:
    body = {
        "intent_type": "work.approve",
        "session_id": recorded.session,
        "payload": {"nap_ms": 600_000, "patience_ms": 1},
    }
    name = recorded.system.http.post("/v1/intents", json=body).json()["execution_id"]
    state = recorded.http.post(f"/v1/executions/{name}/replay", json={"mode": "state_only"})
    assert state.status_code == 200
    refused = recorded.http.post(f"/v1/executions/{name}/validate")
    assert (refused.status_code, refused.json()["code"]) == (409, "execution_running")
    with pytest.raises(SymphainyError) as told:
        recorded.cli("execution", name, "--mode", "full", "--handlers", REALM)
    assert told.value.code == "execution_running"
    recorded.system.http.post(f"/v1/executions/{name}/cancel", json={})
