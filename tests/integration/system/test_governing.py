"""Governing on real parts: policies, suspension and revocation, in force by place in the log.

- A set of policies is checked before it is written: what is wrong is told, and nothing changes.
- From the activation on, every intent of every partition is decided under it, on record.
- Who is refused learns that, and not why; the record names the policies.
- Control intents pass policy too.
- A suspended tenant states nothing and nothing of it begins; resumed, all goes on.
- Policies that `config` lacks are not put in force; written back as the version that is missing,
  they can be.
- What is in force survives the owner, and the loss of its disk.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from tests.support.cli import run
from tests.support.system import TENANT, System, eventually, isolated

from symphainy_cli.keys import create_key
from symphainy_runtime.governing import Order, govern
from symphainy_runtime.local import Endpoints
from symphainy_runtime.policy.actions import ACTIVATE_POLICY, SUSPEND_TENANT
from symphainy_runtime.policy.writing import policy_set
from symphainy_schemas import ids
from symphainy_schemas.records import Stage

SMALL = """\
@id("everything") permit(principal, action, resource);
@id("small") @reason("More than three numbers are for the night shift.")
forbid(principal, action == Action::"work.add", resource)
when { context has payload && context.payload has numbers }
unless { context.payload.numbers.contains(1) };
@id("no_signals") forbid(principal, action == Action::"runtime.signal", resource);
"""


@pytest.fixture(scope="module")
def governed(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Everything up, for a tenant whose policies these tests change."""
    folder = tmp_path_factory.mktemp("governed")
    settings = isolated(running, folder).model_copy(update={"intent_secret": SecretStr("s" * 32)})
    one = System(settings, extra={"SYMPHAINY_INTENT_SECRET": "s" * 32})
    one.start("tests.support.work_realm:realm")
    yield one
    one.stop()


def policies(folder: Path, guard: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "security_guard.cedar").write_text(guard)
    return str(folder)


def submit(system: System, session: str, numbers: Sequence[int]) -> dict[str, Any]:
    body = {"intent_type": "work.add", "session_id": session, "payload": {"numbers": numbers}}
    answer: dict[str, Any] = system.http.post("/v1/intents?wait=30s", json=body).json()
    return answer


def decision(
    system: System, answer: dict[str, Any], headers: dict[str, str] | None = None
) -> dict[str, Any]:
    url = f"/v1/executions/{answer['execution_id']}"
    found: dict[str, Any] = system.http.get(url, headers=headers).json()
    decided: dict[str, Any] = found["decision"]
    return decided


def as_role(system: System, role: str) -> dict[str, str]:
    key = create_key(system.settings, TENANT, "olga", roles=(role,))
    headers = {"Authorization": f"Bearer {key}"}
    eventually(
        lambda: system.http.get("/v1/capabilities", headers=headers).status_code == 200,
        "the key is known",
    )
    return headers


def test_what_is_wrong_with_policies_is_told_and_changes_nothing(
    governed: System, tmp_path: Path
) -> None:
    wrong = 'permit(principal, action == Action::"work.sing", resource);\n'
    wrong += "permit(principal, action, resource) when { principal.shoe == 43 };\n"
    wrong += '@id("never") permit(principal, action, resource) when { 1 == 2 };\n'
    command = ["symphainy", "policy", "apply", policies(tmp_path / "w", wrong), "--tenant", TENANT]
    found = json.loads(run(governed, [*command, "--json"], 1))["findings"]
    told = " ".join(one["message"] for one in found)
    assert "work.sing" in told
    assert "shoe" in told
    assert [one["rule"] for one in found if "never" in one["message"]] == [
        f"{TENANT}/security_guard/never"
    ]
    assert json.loads(run(governed, ["symphainy", "policy", "list", "--json"])) == []


def test_every_intent_behind_the_activation_is_decided_under_it(
    governed: System, tmp_path: Path
) -> None:
    sessions = [governed.open_session() for _ in range(6)]
    before = submit(governed, sessions[0], [2, 3])
    assert before["status"] == "succeeded"
    assert decision(governed, before)["tenant_version"] == 0
    folder = policies(tmp_path / "p", SMALL)
    command = ["symphainy", "policy", "apply", folder, "--tenant", TENANT, "--json"]
    told = json.loads(run(governed, command))
    assert [one["error"] for one in told["partitions"]] == [None] * 4
    auditor = as_role(governed, "auditor")
    for session in sessions:
        refused = submit(governed, session, [2, 3])
        assert refused["code"] == "policy_denied"
        assert "night" not in json.dumps(refused)
        assert decision(governed, refused)["stages"][0]["policies"] == []
        decided = decision(governed, refused, auditor)
        assert (decided["allowed"], decided["tenant_version"]) == (False, told["version"])
        [stage] = decided["stages"]
        assert stage["policies"] == [f"{TENANT}/security_guard/small"]
        passed = submit(governed, session, [1, 2])
        assert passed["status"] == "succeeded"
    again = json.loads(run(governed, command))
    assert again["version"] == told["version"]
    [listed] = json.loads(run(governed, ["symphainy", "policy", "list", "--json"]))
    assert listed["in force on"] == "4 of 4"


def test_a_tenants_administrator_governs_it_over_http_and_nobody_else(governed: System) -> None:
    texts = {"security_guard": SMALL + "// as an administrator wrote it", "note": "over HTTP"}
    refused = governed.http.put("/v1/policies", json=texts)
    assert (refused.status_code, refused.json()["code"]) == (403, "out_of_scope")
    headers = as_role(governed, "tenant_admin")
    put = governed.http.put("/v1/policies", json=texts, headers=headers)
    assert put.status_code == 200, put.text
    assert [one["status"] for one in put.json()["partitions"]] == ["succeeded"] * 4
    items = governed.http.get("/v1/policies", headers=headers).json()["items"]
    assert [one["version"] for one in items] == [2, 1]
    decided = decision(governed, submit(governed, governed.open_session(), [1]))
    assert decided["tenant_version"] == 2


def test_who_writes_to_the_log_unproven_claims_nothing(governed: System) -> None:
    order = Order(
        intent_type=SUSPEND_TENANT, scope=TENANT, payload={"reason": "mine"}, principal="mallory"
    )
    unsealed = governed.settings.model_copy(update={"intent_secret": SecretStr("")})
    verdicts = govern(unsealed, order)
    assert [one.error and one.error.code for one in verdicts] == ["signature_required"] * 4
    forged = governed.settings.model_copy(update={"intent_secret": SecretStr("x" * 32)})
    other = Order(
        intent_type=SUSPEND_TENANT, scope=TENANT, payload={"reason": "mine"}, principal="mallory"
    )
    verdicts = govern(forged, other)
    assert [one.error and one.error.code for one in verdicts] == ["signature_required"] * 4
    assert submit(governed, governed.open_session(), [1])["status"] == "succeeded"


def test_control_intents_pass_policy_too(governed: System) -> None:
    session = governed.open_session()
    trip = {"nap_ms": 0, "patience_ms": 20_000}
    body = {"intent_type": "work.approve", "session_id": session, "payload": trip}
    made = governed.http.post("/v1/intents", json=body).json()
    url = f"/v1/executions/{made['execution_id']}"
    signalled = governed.http.post(f"{url}/signals/approved", json={"data": {"by": "ann"}})
    assert signalled.json()["code"] == "policy_denied", signalled.text
    cancelled = governed.http.post(f"{url}/cancel", json={})
    assert cancelled.status_code in (200, 202), cancelled.text
    eventually(
        lambda: governed.http.get(f"{url}/status").json()["status"] == "cancelled", "it ends"
    )


def test_an_intent_is_explained_before_it_is_stated(governed: System, tmp_path: Path) -> None:
    command = ["symphainy", "policy", "check", "work.add", "--tenant", TENANT, "--json"]
    told = json.loads(run(governed, [*command, "--payload", '{"numbers":[5]}'], 1))
    assert told["stages"][0]["reasons"] == ["More than three numbers are for the night shift."]
    assert json.loads(run(governed, [*command, "--payload", '{"numbers":[1]}']))["allowed"]
    free = policies(tmp_path / "f", "permit(principal, action, resource);")
    tried = [*command, "--payload", '{"numbers":[5]}', "--candidate", free]
    assert json.loads(run(governed, tried))["allowed"]


def order(system: System, verb: str) -> None:
    command = ["symphainy", "tenant", verb, TENANT, "--reason", "unpaid", "--json"]
    told = json.loads(run(system, command))
    assert [one["error"] for one in told["partitions"]] == [None] * 4


def test_a_suspended_tenant_states_nothing_and_nothing_of_it_begins(governed: System) -> None:
    session = governed.open_session()
    nap = {"nap_ms": 3_000, "patience_ms": 100}
    body = {"intent_type": "work.approve", "session_id": session, "payload": nap}
    made = governed.http.post("/v1/intents", json=body).json()
    url = f"/v1/executions/{made['execution_id']}"

    def types() -> list[str]:
        return [one["type"] for one in governed.http.get(f"{url}/events").json()["events"]]

    eventually(lambda: "step_suspended" in types(), "it naps")
    order(governed, "suspend")
    order(governed, "suspend")
    assert submit(governed, session, [1])["code"] == "tenant_suspended"
    eventually(lambda: "step_resumed" in types(), "it wakes")
    assert types()[-1] == "step_ready"
    order(governed, "resume")
    assert submit(governed, session, [1])["status"] == "succeeded"
    eventually(lambda: types()[-1] == "execution_succeeded", "it goes on")


def test_what_is_in_force_survives_the_owner_and_its_disk(governed: System) -> None:
    session = governed.open_session()
    governed.supervisor.stop("owner")
    shutil.rmtree(governed.settings.data_dir / "state")
    governed.again("owner")
    assert submit(governed, session, [2, 3])["code"] == "policy_denied"
    assert submit(governed, session, [1])["status"] == "succeeded"


def test_policies_that_config_lacks_are_not_put_in_force_before_they_are_back(
    governed: System, tmp_path: Path
) -> None:
    folder = policies(tmp_path / "back", SMALL)
    texts = policy_set(TENANT, {Stage.SECURITY_GUARD: SMALL})
    version = 7
    lost = Order(
        intent_type=ACTIVATE_POLICY,
        scope=TENANT,
        payload={"version": version, "sha256": texts.sha256.hex()},
        principal="ops",
    )
    refused = govern(governed.settings, lost)
    assert [one.error and one.error.code for one in refused] == ["policy_not_found"] * 4
    command = ["symphainy", "policy", "apply", folder, "--tenant", TENANT]
    run(governed, [*command, "--restore", str(version)])
    run(governed, [*command, "--restore", str(version)], 1)
    found = msgspec.structs.replace(lost, intent_id=ids.new_intent_id())
    assert [one.error for one in govern(governed.settings, found)] == [None] * 4
