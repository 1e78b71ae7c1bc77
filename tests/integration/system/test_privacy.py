"""Privacy on real parts: no copy of a tenant's content is in the clear, and none outlives its key.

- Handlers get, and their tenant is answered with, what was stated; nobody else sees it.
- After every way that content takes, no segment of Kafka, no key of Redis, no file of local state,
  no object and no log holds any of it.
- After `tenant shred` nothing opens it: what is shown says so, what waits ends, what is new is
  refused; the audit verifies, and an owner without keys and without its disk folds it all.
- No key, token or secret is in any log, figure, problem or output of a command.
- Of a tenant that requires it, what stands in the log in the clear is refused.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis
from tests.integration.system.test_waiting import begin, in_status, shown, waits_for
from tests.support.cli import run
from tests.support.system import TENANT, System, eventually, isolated

from symphainy import IntentProducer
from symphainy_cli.tenant_privacy import keyring_of
from symphainy_runtime.local import Endpoints
from symphainy_transport.privacy.services import LocalKeys

CANARY = "canary-4f1d9a77"
INTENT_SECRET = "intent-secret-canary-b7e1-0123456789"


@pytest.fixture(scope="module")
def private(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Everything up, for a tenant whose content is sealed."""
    folder = tmp_path_factory.mktemp("private")
    settings = isolated(running, folder).model_copy(
        update={"key_folder": folder / "keys", "key_cache_s": 1.0}
    )
    one = System(settings, extra={"SYMPHAINY_INTENT_SECRET": INTENT_SECRET})
    one.settings = settings.model_copy(update={"intent_secret": SecretStr(INTENT_SECRET)})
    run(one, ["symphainy", "tenant", "encrypt", TENANT, "--required"])
    one.start("tests.support.private_realm:realm")
    one.worker("tests.support.private_realm:plans", "plans")
    yield one
    one.stop()


@pytest.fixture(scope="module")
def secrets(private: System) -> list[bytes]:
    """What nobody may read anywhere: in every form in which it could be written. Taken before
    the keys are destroyed."""
    [file] = (private.settings.data_dir / "keys").glob("*.key")
    raw = [file.read_bytes()]
    found = keyring_of(private.settings).told(TENANT)[0]
    raw += [LocalKeys(file.parent).unwrap(TENANT, one.wrapped) for one in found]
    forms = [form for one in raw for form in (one, one.hex().encode(), b64encode(one)[:-2])]
    forms += [repr(one)[2:-1].encode() for one in raw]
    return [*forms, private.key.encode(), INTENT_SECRET.encode(), CANARY.encode()]


def secret(name: str) -> str:
    return f"{CANARY}-{name}"


def done(system: System, intent_type: str, payload: dict[str, Any], status: str) -> dict[str, Any]:
    return in_status(system, begin(system, intent_type, payload), status)


def test_handlers_and_their_tenant_see_what_was_stated(
    private: System, secrets: list[bytes]
) -> None:
    assert len(secrets) > 5
    kept = done(private, "vault.keep", {"text": secret("keep")}, "succeeded")
    assert kept["result"] == {"text": secret("keep")}
    assert kept["events"] == [{"type": "secret.kept", "data": {"text": secret("keep")}}]
    assert kept["state_changes"] == [{"key": "kept", "value": secret("keep")}]
    assert kept["artifacts"]["text"]["uri"].endswith(".sealed")
    events = private.http.get(f"/v1/executions/{kept['execution_id']}/events").json()["events"]
    told = {one["type"]: one["data"] for one in events}
    assert told["step_checkpointed"]["result"] == secret("keep")
    assert told["step_progressed"]["message"] == f"at {secret('keep')}"


def test_errors_signals_children_and_plans_see_it_too(private: System) -> None:
    refused = done(private, "vault.refuse", {"text": secret("refuse")}, "failed")
    assert refused["error"]["message"] == f"Not with {secret('refuse')}."
    done(private, "vault.crash", {"text": secret("crash")}, "failed")
    called = done(private, "vault.call", {"text": secret("call")}, "succeeded")
    assert called["result"] == {"text": secret("call")}
    waiting = begin(private, "vault.wait", {"text": secret("wait")})
    waits_for(private, waiting, "signal:told:1")
    url = f"/v1/executions/{waiting}/signals/told"
    answer = private.http.post(url, json={"data": {"text": secret("signal")}})
    assert answer.status_code == 202, answer.text
    found = in_status(private, waiting, "succeeded")
    assert found["result"] == {"text": f"{secret('wait')} and {secret('signal')}"}
    texts = [{"text": secret("a")}, {"text": secret("b")}]
    stated = {"texts": texts, "first": secret("first"), "open": True}
    planned = done(private, "solution.keep_all", stated, "succeeded")
    assert planned["result"] == {"each": texts, "first": {"text": secret("first")}}


def test_a_payload_that_breaks_the_contract_is_told_to_its_tenant_alone(private: System) -> None:
    body = {
        "intent_type": "vault.keep",
        "session_id": private.open_session(),
        "payload": {"text": [secret("contract")]},
    }
    answer = private.http.post("/v1/intents?wait=20s", json=body)
    assert answer.status_code == 422, answer.text


def test_a_large_payload_is_sealed_in_the_object_store(private: System) -> None:
    large = secret("large") + "x" * 100_000
    kept = begin(private, "vault.refuse", {"text": large})
    found = in_status(private, kept, "failed")
    assert found["payload_ref"]["uri"].endswith(".sealed")
    assert found["error"]["message"].startswith(f"Not with {secret('large')}")


def test_a_repeat_is_told_from_another_payload_across_generations(private: System) -> None:
    session = private.open_session()
    body = {
        "intent_type": "vault.keep",
        "session_id": session,
        "intent_id": "the-same",
        "payload": {"text": secret("repeat")},
    }
    first = private.http.post("/v1/intents?wait=20s", json=body)
    assert first.status_code == 200, first.text
    run(private, ["symphainy", "tenant", "encrypt", TENANT, "--required"])

    def sealed_anew() -> bool:
        found = done(private, "vault.keep", {"text": secret("anew")}, "succeeded")
        return bool(found["result"] == {"text": secret("anew")})

    assert sealed_anew()
    again = private.http.post("/v1/intents?wait=20s", json=body)
    assert again.status_code == 200, again.text
    assert again.json()["result"] == {"text": secret("repeat")}
    other = private.http.post(
        "/v1/intents?wait=20s", json={**body, "payload": {"text": secret("other")}}
    )
    assert other.json()["code"] == "idempotency_conflict"


def holding(folder: Path, needle: bytes) -> list[Path]:
    """Files below it that hold those bytes."""
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and needle in path.read_bytes():
                found.append(path)
        except FileNotFoundError:  # a store drops files as it goes
            continue
    return found


def redis_bytes(system: System) -> bytes:
    """Every key and value of the system's read model."""
    redis: Any = Redis.from_url(system.settings.redis_url)
    values: list[bytes] = []
    for key in redis.scan_iter(f"{system.settings.redis_prefix}*"):
        kind = redis.type(key)
        values.append(key)
        if kind == b"hash":
            values += [part for pair in redis.hgetall(key).items() for part in pair]
        elif kind == b"list":
            values += redis.lrange(key, 0, -1)
        elif kind == b"zset":
            values += redis.zrange(key, 0, -1)
        elif kind == b"set":
            values += redis.smembers(key)
        elif kind == b"string":
            values.append(redis.get(key) or b"")
    redis.close()
    assert values, "the read model is empty"
    return b"\n".join(values)


def test_no_copy_is_in_the_clear(private: System, running_folder: Path) -> None:
    topics = running_folder / "kafka"
    prefix = private.settings.topic_prefix
    segments = [one for one in topics.rglob("*.log") if one.parent.name.startswith(prefix)]
    assert sum(one.stat().st_size for one in segments) > 10_000, "no segments were found"
    needle = CANARY.encode()
    assert [one for one in segments if needle in one.read_bytes()] == []
    assert any(b"$sealed" in one.read_bytes() for one in segments)
    assert needle not in redis_bytes(private)
    assert holding(private.settings.data_dir, needle) == []
    artifacts = private.settings.data_dir / "artifacts"
    assert any(one.name.endswith(".sealed") for one in artifacts.rglob("*"))


def test_what_is_stated_in_the_clear_is_refused(private: System) -> None:
    """A producer that knows no keys."""
    settings = private.settings.model_copy(update={"key_folder": None})

    async def stated() -> str:
        async with IntentProducer(settings, TENANT, "ann") as producer:
            session = await producer.open_session()
            placed = await producer.submit("vault.keep", {"text": "clear"}, session_id=session)
            return placed.execution_id

    found = in_status_known(private, asyncio.run(stated()), "rejected")
    assert found["error"]["code"] == "encryption_required"


def in_status_known(system: System, execution: str, status: str) -> dict[str, Any]:
    eventually(
        lambda: system.http.get(f"/v1/executions/{execution}").status_code == 200, "it is projected"
    )
    return in_status(system, execution, status)


def test_shredded_content_is_gone_and_the_audit_verifies(private: System) -> None:
    kept = done(private, "vault.keep", {"text": secret("before")}, "succeeded")
    waiting = begin(private, "vault.wait", {"text": secret("left")})
    waits_for(private, waiting, "signal:told:1")
    run(private, ["symphainy", "audit", "key"])
    run(private, ["symphainy", "audit", "checkpoint"])
    dry = run(private, ["symphainy", "tenant", "shred", TENANT, "--dry-run"])
    assert dry == ""
    unsure = subprocess.run(
        [sys.executable, "-m", "symphainy_cli", "tenant", "shred", TENANT],
        env=private.environment,
        input="another\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert unsure.returncode == 1
    assert "not_confirmed" in unsure.stderr
    assert shown(private, kept["execution_id"])["result"] == {"text": secret("before")}
    command = ["symphainy", "tenant", "shred", TENANT, "--yes", "--reason", "contract ended"]
    told = json.loads(run(private, [*command, "--json"]))
    assert told["shredded"]["reason"] == "contract ended"
    assert [one["error"] for one in told["partitions"]] == [None] * 4

    def gone() -> bool:
        return shown(private, kept["execution_id"]).get("content") == "shredded"

    eventually(gone, "the gateway has forgotten the key")
    found = shown(private, kept["execution_id"])
    assert found["result"] == {"content": "shredded"}
    assert found["status"] == "succeeded"
    ended = in_status(private, waiting, "cancelled")
    assert "shredded" in ended["cancel"]["reason"]
    body = {
        "intent_type": "vault.keep",
        "session_id": kept["session_id"],
        "payload": {"text": secret("after")},
    }
    refused = private.http.post("/v1/intents?wait=20s", json=body)
    assert (refused.status_code, refused.json()["code"]) == (410, "content_shredded")
    again = json.loads(run(private, [*command, "--json"]))
    assert again["shredded"] == told["shredded"]
    assert not list((private.settings.data_dir / "keys").glob("*.key"))
    run(private, ["symphainy", "audit", "checkpoint"])
    verified = json.loads(run(private, ["symphainy", "audit", "verify", "--json"]))
    assert verified["ok"] is True


def test_an_owner_without_keys_and_disk_folds_what_was_shredded(private: System) -> None:
    private.supervisor.stop("owner")
    shutil.rmtree(private.settings.data_dir / "state")
    private.again("owner")
    run(private, ["symphainy", "tenant", "resume", TENANT])
    refused = private.http.post("/v1/sessions", json={})
    assert (refused.status_code, refused.json()["code"]) == (410, "content_shredded")
    waiting = private.http.get("/v1/executions?status=waiting").json()["items"]
    assert waiting == []
    assert "Traceback" not in private.log("owner").read_text()


def test_secrets_are_in_no_log_figure_problem_or_output(
    private: System, secrets: list[bytes]
) -> None:
    bad = private.http.get(
        "/v1/capabilities", headers={"Authorization": f"Bearer {private.key[:-2]}xx"}
    )
    assert bad.status_code == 401
    told = [bad.text, private.http.get("/metrics").text]
    for command in (["doctor"], ["tenant", "keys", TENANT], ["key", "list"], ["tenant", "list"]):
        done_so = subprocess.run(
            [sys.executable, "-m", "symphainy_cli", *command],
            env=private.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        told += [done_so.stdout, done_so.stderr]
    logs = "".join(one.read_text() for one in (private.settings.data_dir / "logs").iterdir())
    assert len(logs) > 1_000, "the logs are empty"
    everything = ("".join(told) + logs).encode()
    for one in secrets:
        assert one not in everything, "a secret is told"
