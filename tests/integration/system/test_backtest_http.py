"""Backtests over HTTP, on real parts: the gateway's route over what an owner recorded in Kafka.

- It finds what the command line finds of the same range, and writes nothing.
- A tenant's author sees the tenant's intents; a platform operator, for the platform, all.
- A stream tells how far it is, then what was found.
- One runs at a time; it ends with its client, and with the gateway, and leaves no process.
- What cannot be read names its field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from confluent_kafka import TopicPartition
from tests.support.cli import run
from tests.support.system import TENANT, System, eventually, isolated

from symphainy_cli.keys import create_key
from symphainy_runtime.local import Endpoints
from symphainy_transport.clients import admin, bounds, consumer

PATH = "/v1/policies/backtest"
LINES = {"accept": "application/x-ndjson"}
NO_FIVES = (
    "permit(principal, action, resource);\n"
    '@id("no_fives") forbid(principal, action == Action::"work.add", resource)'
    " when { context has payload && context.payload has numbers &&"
    " context.payload.numbers.contains(5) };"
)
NUMBERS = (1, 5, 3, 5)
RIVAL = "rival"
STEWARD = "/candidate/data_steward"


class Tried:
    """A system with two tenants' intents, and who may try policies on them."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.author = self.who(TENANT, "tenant_admin")
        self.operator = self.who(TENANT, "platform_operator")
        self.rival = self.who(RIVAL, "tenant_admin")
        self.sessions = {one: self._work(one) for one in (self.author, self.rival)}

    def who(self, tenant: str, role: str) -> httpx.Client:
        key = create_key(self.system.settings, tenant, f"{tenant}-{role}", roles=(role,))
        headers = {"Authorization": f"Bearer {key}"}
        one = httpx.Client(base_url=self.system.url, headers=headers, timeout=120)
        eventually(lambda: one.get("/v1/capabilities").status_code == 200, "the key is known")
        return one

    def _work(self, who: httpx.Client) -> str:
        session: str = who.post("/v1/sessions", json={}).json()["session_id"]
        for number in NUMBERS:
            body = {
                "intent_type": "work.add",
                "session_id": session,
                "payload": {"numbers": [number]},
            }
            done = who.post("/v1/intents?wait=60s", json=body).json()
            assert done["status"] == "succeeded", done
        return session

    def ends(self) -> dict[tuple[str, int], int]:
        """The end of every partition of every topic of this system that grows by what happens."""
        prefix = self.system.settings.topic_prefix
        topics = admin(self.system.settings, "test-ends").list_topics(timeout=10).topics
        reading = consumer(self.system.settings, "test-ends")
        try:
            return {
                (name, p): bounds(reading, TopicPartition(name, p))[1]
                for name, topic in topics.items()
                if name.startswith(prefix) and not name.endswith("state")
                for p in topic.partitions
            }
        finally:
            reading.close()

    def children(self) -> list[psutil.Process]:
        """The processes in which the gateway decides."""
        gateway = psutil.Process(self.system.supervisor.pids["gateway"])
        return [one for one in gateway.children(recursive=True) if _decides(one)]

    @contextmanager
    def held(self) -> Iterator[httpx.Response]:
        """A backtest of the author's that goes on for as long as somebody wants it: what decides
        is stopped as soon as it is there."""
        with ThreadPoolExecutor(1) as beside:
            holding = beside.submit(self.hold)
            with self.author.stream("POST", PATH, json=candidate(), headers=LINES) as answer:
                assert answer.status_code == 200, answer.read()
                holding.result()
                yield answer

    def hold(self) -> None:
        """Stop what decides as soon as it is there."""
        eventually(lambda: self.children() != [], "it decides in a process of its own")
        for one in self.children():
            one.suspend()


def _decides(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def tried(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    system = System(isolated(running, tmp_path_factory.mktemp("tried")))
    system.start("tests.support.work_realm:realm")
    one = Tried(system)
    yield one
    for client in (one.author, one.operator, one.rival):
        client.close()
    system.stop()


def candidate(**more: Any) -> dict[str, Any]:
    return {"candidate": {"security_guard": NO_FIVES}, "examples": 50, **more}


def counts(report: dict[str, Any]) -> dict[tuple[str, str, str], int]:
    """How many changes, by tenant, type and transition."""
    return {
        (one["tenant_id"], one["intent_type"], one["transition"]): one["count"]
        for one in report["groups"]
    }


def test_it_finds_what_the_command_line_finds_and_writes_nothing(
    tried: Tried, tmp_path: Path
) -> None:
    before = tried.ends()
    answer = tried.author.post(PATH, json=candidate())
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert counts(report) == {(TENANT, "work.add", "allow→deny"): 2}
    assert report["groups"][0]["candidate"] == [f"{TENANT}/security_guard/no_fives"]
    assert report["looked_at"] == 1 + len(NUMBERS)
    assert RIVAL not in answer.text
    assert tried.ends() == before
    (tmp_path / "security_guard.cedar").write_text(NO_FIVES)
    command = ["symphainy", "policy", "backtest", str(tmp_path), "--tenant", TENANT, "--json"]
    told = json.loads(run(tried.system, [*command, "--limit", "50"]))
    for one in told["groups"]:
        for example in one["examples"]:
            example.pop("url")  # a command knows the gateway's address
    apart = ("seconds", "intents_per_second")
    assert {k: v for k, v in told.items() if k not in apart} == {
        k: v for k, v in report.items() if k not in apart
    }


def test_the_platforms_candidate_is_tried_on_all_by_a_platform_operator(tried: Tried) -> None:
    body = candidate(platform=True)
    body["candidate"]["city_manager"] = "permit(principal, action, resource);"
    body["candidate"]["data_steward"] = "permit(principal, action, resource);"
    found = counts(tried.operator.post(PATH, json=body).json())
    assert found[TENANT, "work.add", "allow→deny"] == 2
    assert found[RIVAL, "work.add", "allow→deny"] == 2
    refused = tried.author.post(PATH, json=body)
    assert (refused.status_code, refused.json()["code"]) == (403, "out_of_scope")


def test_a_range_of_offsets_is_looked_at_and_no_more(tried: Tried) -> None:
    session = tried.sessions[tried.author]
    params: dict[str, str | int] = {"session": session, "event": "intent_received", "limit": 200}
    rows = tried.author.get("/v1/wal", params=params).json()["items"]
    causes = sorted(
        row["cause"]["offset"] for row in rows if row["data"]["intent_type"] == "work.add"
    )
    partition = rows[0]["partition"]
    asked = {"partition": partition, "from_offset": causes[1], "to_offset": causes[1] + 1}
    report = tried.author.post(PATH, json=candidate(**asked)).json()
    assert (report["looked_at"], report["changed"]) == (1, 1)
    [example] = report["groups"][0]["examples"]
    assert example["intents_offset"] == causes[1]


def test_a_stream_tells_how_far_it_is_and_then_what_was_found(tried: Tried) -> None:
    with tried.author.stream("POST", PATH, json=candidate(), headers=LINES) as answer:
        assert answer.headers["content-type"] == "application/x-ndjson"
        first, *rest = [json.loads(line) for line in answer.iter_lines()]
    assert first["progress"]["records"] == 0
    assert first["progress"]["of"] > len(NUMBERS)
    assert counts(rest[-1]["report"]) == {(TENANT, "work.add", "allow→deny"): 2}
    assert all(set(line) == {"progress"} for line in rest[:-1])
    assert tried.children() == []


def test_one_runs_at_a_time_and_ends_with_its_client(tried: Tried) -> None:
    with tried.held() as answer:
        told = answer.iter_lines()
        assert [list(json.loads(next(told))) for _ in range(2)] == [["progress"]] * 2
        for headers in ({}, LINES):
            refused = tried.rival.post(PATH, json=candidate(), headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (429, "too_many_backtests")
            assert int(refused.headers["retry-after"]) > 0
        # and others are answered meanwhile
        assert tried.rival.get("/v1/capabilities").status_code == 200
    eventually(lambda: tried.children() == [], "nobody decides what nobody wants to know")
    eventually(lambda: tried.rival.post(PATH, json=candidate()).status_code == 200, "the next may")


def test_who_waits_for_the_whole_and_leaves_ends_it(tried: Tried) -> None:
    with ThreadPoolExecutor(1) as beside:
        holding = beside.submit(tried.hold)
        with pytest.raises(httpx.ReadTimeout):
            tried.author.post(PATH, json=candidate(), timeout=4)
        holding.result()
    eventually(lambda: tried.children() == [], "nobody decides what nobody wants to know")


@pytest.mark.parametrize(
    ("asked", "status", "code", "field"),
    [
        ({"since": "2999-01-01T00:00:00Z"}, 422, "empty_range", "/since"),
        ({"partition": 0, "from_offset": 10**9}, 422, "range_not_kept", "/from_offset"),
        ({"candidate": {"data_steward": "permit("}}, 422, "policy_malformed", STEWARD),
        ({"partition": 99}, 422, "invalid_request", "/partition"),
        ({"candidate": None, "version": 77}, 404, "policy_not_found", "/version"),
    ],
)
def test_what_cannot_be_read_names_its_field(
    tried: Tried, asked: dict[str, Any], status: int, code: str, field: str
) -> None:
    answer = tried.author.post(PATH, json=candidate(**asked))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (status, code, field)
    assert problem.get("cure") or code == "invalid_request"


def test_it_ends_with_the_gateway(tried: Tried) -> None:
    with tried.held() as answer:
        deciding = tried.children()
        tried.system.supervisor.stop("gateway")
        assert all("report" not in line for line in answer.iter_lines())
    eventually(lambda: not any(one.is_running() for one in deciding), "nobody is left")
    tried.system.again("gateway")
    assert tried.author.post(PATH, json=candidate()).status_code == 200
