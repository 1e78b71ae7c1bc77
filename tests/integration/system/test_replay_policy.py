"""Who replays over HTTP, on real parts: what policy says of it, and what stands in the log of it.

- It is decided by the owner under the policies in force, on record, before anything is read.
- What is replayed has the same events and the same state before and after.
- A tenant's policies forbid modes; who is refused sees nothing, and the record names the policy.
- Policies say beforehand what they would do, and a backtest what they would have done.
- What governed a tenant can be looked at, too, and so can who has looked.
- Without its owner nothing is replayed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.cli import run
from tests.support.system import TENANT, System, eventually, isolated

from symphainy_cli.keys import create_key
from symphainy_runtime.local import Endpoints

NO_FULL = """\
@id("everything") permit(principal, action, resource);
@id("no_full") @reason("What handlers did is not done again.")
forbid(principal, action == Action::"runtime.replay", resource) when { context.mode == "full" };
@id("not_by_bob")
forbid(principal, action == Action::"runtime.replay", resource)
when { principal.name == "bob" && context has target && context.target.principal == "ann" };
"""
COUNTED = "work.add"


class Watched:
    """A system with an execution, and those who look at it."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.session = system.open_session()
        body = {"intent_type": COUNTED, "session_id": self.session, "payload": {"numbers": [1, 2]}}
        answer = system.http.post("/v1/intents?wait=60s", json=body).json()
        assert answer["status"] == "succeeded"
        self.name: str = answer["execution_id"]
        self.ida, self.bob = (self.as_auditor(name) for name in ("ida", "bob"))

    def as_auditor(self, principal: str, role: str = "auditor") -> httpx.Client:
        key = create_key(self.system.settings, TENANT, principal, roles=(role,))
        headers = {"Authorization": f"Bearer {key}"}
        eventually(
            lambda: self.system.http.get("/v1/capabilities", headers=headers).status_code == 200,
            "the key is known",
        )
        return httpx.Client(base_url=self.system.url, headers=headers, timeout=60)

    def replay(self, who: httpx.Client, mode: str, name: str = "") -> httpx.Response:
        path = f"/v1/executions/{name or self.name}"
        if mode == "validate":
            return who.post(f"{path}/validate")
        return who.post(f"{path}/replay", json={"mode": mode})

    def record(self, of: str) -> Any:
        """The execution in which it stands who asked."""
        return self.ida.get(f"/v1/executions/{of}").json()

    def looked(self) -> list[str]:
        """The executions of all replays, the newest first."""
        told = self.ida.get("/v1/executions", params={"type": "runtime.replay", "limit": 200})
        return [one["execution_id"] for one in told.json()["items"]]


@pytest.fixture(scope="module")
def watched(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    system = System(isolated(running, tmp_path_factory.mktemp("watched")))
    system.start("tests.support.work_realm:realm")
    one = Watched(system)
    yield one
    one.ida.close()
    one.bob.close()
    system.stop()


def linked(answer: httpx.Response) -> str:
    """The execution that an answer names as its record."""
    path: str = answer.links["describedby"]["url"]
    return path.rpartition("/")[2]


def folder(path: Path, guard: str) -> str:
    path.mkdir()
    (path / "security_guard.cedar").write_text(guard)
    return str(path)


@pytest.mark.parametrize("mode", ["events_only", "state_only", "validate"])
def test_who_looks_stands_in_the_log_and_what_is_looked_at_stays(
    watched: Watched, mode: str
) -> None:
    def state() -> Any:
        told = watched.replay(watched.ida, "state_only").json()
        return told["state_sha256"], told["as_of"], told["newest"], told["state"]

    events = watched.ida.get(f"/v1/executions/{watched.name}/events").json()
    before = state()
    told = watched.replay(watched.ida, mode)
    assert told.status_code == 200, told.text
    record = watched.record(linked(told))
    assert (record["intent_type"], record["status"]) == ("runtime.replay", "succeeded")
    assert (record["user_id"], record["roles"]) == ("ida", ["auditor"])
    assert record["result"] == {"execution_id": watched.name, "mode": mode}
    assert record["decision"]["allowed"]
    guard = record["decision"]["stages"][0]
    assert guard["policies"] == ["platform/security_guard/own_tenant"]
    assert state() == before
    assert watched.ida.get(f"/v1/executions/{watched.name}/events").json() == events


def test_a_saga_is_replayed_as_the_execution_that_it_is(watched: Watched) -> None:
    body = {"mode": "state_only"}
    told = watched.ida.post(f"/v1/sagas/{watched.name}/replay", json=body)
    assert told.json() == watched.replay(watched.ida, "state_only").json()
    assert watched.record(linked(told))["result"] == {"execution_id": watched.name, **body}


def test_an_executions_correlation_finds_who_has_looked_at_it(watched: Watched) -> None:
    looked = linked(watched.replay(watched.ida, "events_only"))
    correlation = watched.record(watched.name)["correlation_id"]

    def found() -> set[str]:
        rows = watched.ida.get("/v1/wal", params={"correlation": correlation, "limit": 200})
        return {one["execution_id"] for one in rows.json()["items"]}

    eventually(lambda: {watched.name, looked} <= found(), "the log tells both")


def test_a_replay_can_be_replayed_and_validated(watched: Watched) -> None:
    looked = linked(watched.replay(watched.ida, "state_only"))
    trail = watched.replay(watched.ida, "events_only", looked).json()
    assert [one["type"] for one in trail["events"]] == [
        "intent_received",
        "policy_validated",
        "execution_succeeded",
    ]

    def complete() -> bool:
        report = watched.replay(watched.ida, "validate", looked).json()
        faults = [(one["name"], one["faults"]) for one in report["checks"] if one["faults"]]
        assert report["valid"], faults
        return bool(report["complete"])

    eventually(complete, "`state` has it, too")


def test_what_governed_the_tenant_is_looked_at_like_anything_else(
    watched: Watched, tmp_path: Path
) -> None:
    texts = {"security_guard": NO_FULL, "note": "no full replays"}
    admin = watched.as_auditor("olga", "tenant_admin")
    put = admin.put("/v1/policies", json=texts)
    assert [one["status"] for one in put.json()["partitions"]] == ["succeeded"] * 4, put.text
    listed = admin.get("/v1/executions", params={"type": "runtime.activate_policy"}).json()
    assert len(listed["items"]) == 4
    told = watched.replay(admin, "events_only", listed["items"][0]["execution_id"])
    assert told.status_code == 200, told.text
    assert "policy_activated" in [one["type"] for one in told.json()["events"]]
    admin.close()


def test_a_mode_that_the_tenants_policies_forbid_is_refused_on_record(watched: Watched) -> None:
    before = len(watched.looked())
    refused = watched.replay(watched.ida, "full")
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (403, "policy_denied")
    assert "handlers" not in refused.text
    record = watched.record(problem["execution_id"])
    assert (record["intent_type"], record["status"]) == ("runtime.replay", "rejected")
    assert record["user_id"] == "ida"
    [stage] = record["decision"]["stages"]
    assert stage["policies"] == [f"{TENANT}/security_guard/no_full"]
    assert stage["reasons"] == ["What handlers did is not done again."]
    assert watched.replay(watched.ida, "events_only").status_code == 200
    assert len(watched.looked()) == before + 2


@pytest.mark.parametrize("mode", ["events_only", "state_only", "validate"])
def test_policy_sees_whose_execution_it_is(watched: Watched, mode: str) -> None:
    refused = watched.replay(watched.bob, mode)
    assert (refused.status_code, refused.json()["code"]) == (403, "policy_denied")
    stage = watched.record(refused.json()["execution_id"])["decision"]["stages"][-1]
    assert stage["policies"] == [f"{TENANT}/security_guard/not_by_bob"]
    own = watched.looked()[0]  # a refused one, which bob stated himself
    assert watched.replay(watched.bob, mode, own).status_code == 200


def test_a_full_replay_that_is_allowed_is_run_where_the_code_is(
    watched: Watched, tmp_path: Path
) -> None:
    free = folder(tmp_path / "free", "permit(principal, action, resource);")
    run(watched.system, ["symphainy", "policy", "apply", free, "--tenant", TENANT])
    told = watched.replay(watched.ida, "full")
    assert (told.status_code, told.json()["code"]) == (422, "replay_needs_code")
    record = watched.record(told.json()["execution_id"])
    assert record["result"] == {"execution_id": watched.name, "mode": "full"}
    again = folder(tmp_path / "again", NO_FULL)
    run(watched.system, ["symphainy", "policy", "apply", again, "--tenant", TENANT])


def test_a_replay_is_explained_beforehand(watched: Watched, tmp_path: Path) -> None:
    command = ["symphainy", "policy", "check", "runtime.replay", "--tenant", TENANT, "--json"]
    told = json.loads(run(watched.system, [*command, "--payload", '{"mode":"full"}'], 1))
    assert told["stages"][0]["policies"] == [f"{TENANT}/security_guard/no_full"]
    assert json.loads(run(watched.system, [*command, "--payload", '{"mode":"validate"}']))[
        "allowed"
    ]
    for mode in ("full", "state_only"):
        asked = {"intent_type": "runtime.replay", "payload": {"mode": mode}}
        answer = watched.ida.post("/v1/policies/check", json=asked).json()
        assert answer["allowed"] == (mode != "full"), answer
    wrong = 'permit(principal, action == Action::"runtime.cancel", resource)'
    wrong += ' when { context.mode == "full" };'
    command = ["symphainy", "policy", "apply", folder(tmp_path / "w", wrong), "--dry-run"]
    found = json.loads(run(watched.system, [*command, "--tenant", TENANT, "--json"], 1))
    assert any("mode" in one["message"] for one in found["findings"])


def test_a_backtest_says_which_replays_would_have_been_refused(
    watched: Watched, tmp_path: Path
) -> None:
    guard = "permit(principal, action, resource);"
    guard += 'forbid(principal, action == Action::"runtime.replay", resource) '
    guard += 'when { context.mode == "state_only" && principal.name == "ida" };'
    looked = [watched.record(name) for name in watched.looked()]
    expected = sum(
        one["status"] == "succeeded"
        and one["user_id"] == "ida"
        and one["result"]["mode"] == "state_only"
        for one in looked
    )
    assert expected
    command = ["symphainy", "policy", "backtest", folder(tmp_path / "c", guard), "--json"]
    told = json.loads(run(watched.system, [*command, "--tenant", TENANT]))
    counts = {
        one["transition"]: one["count"]
        for one in told["groups"]
        if one["intent_type"] == "runtime.replay"
    }
    assert counts["allow→deny"] == expected
    assert told["undetermined"] == 0


def test_without_an_owner_nothing_is_replayed(watched: Watched) -> None:
    watched.system.supervisor.stop("owner")
    try:
        told = watched.replay(watched.ida, "events_only")
        assert (told.status_code, told.json()["code"]) == (503, "undecided"), told.text
        assert told.headers["retry-after"]
    finally:
        watched.system.again("owner")
    left = told.json()["execution_id"]  # is decided all the same, and nobody uses it

    def status() -> Any:
        return watched.ida.get(f"/v1/executions/{left}/status").json().get("status")

    eventually(lambda: status() == "succeeded", "it is decided")
    assert watched.replay(watched.ida, "events_only").status_code == 200
