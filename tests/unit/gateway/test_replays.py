"""Replays and validations over HTTP.

- Who has the role states an intent of that, with the mode; the owner's yes is waited for.
- Without the owner's yes, or with nobody's answer, nothing is read.
- Each request is an intent of its own; who may not, or asks for nothing, states none.
- What cannot be asked, and what the journal refuses, is told.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.gateway.caller import Answer, Caller
from tests.unit.gateway.fakes import OTHER_KEY, SESSION, error, intent_body, key_of

from symphainy_gateway.routes import replays
from symphainy_runtime.api_keys import KeyOptions, new_key
from symphainy_runtime.configuration import config_key
from symphainy_schemas import ids
from symphainy_schemas.codec import encode
from symphainy_schemas.errors import CallerError, Unavailable
from symphainy_schemas.records import Intent


async def running() -> tuple[Caller, str]:
    """A gateway, and an execution of its tenant with two records."""
    call = Caller()
    stated = intent_body(correlation_id="order-7")
    answer = await call("POST", "/v1/intents?wait=1s", stated)
    name: str = answer.json["execution_id"]
    assert ids.partition_of(name) == ids.partition_of(SESSION)
    call.backend.read_model.journal[name] = [
        {"offset": 7, "index": 0, "type": "intent_received"},
        {"offset": 7, "index": 1, "type": "execution_started"},
        {"offset": 9, "index": 0, "type": "execution_succeeded"},
    ]
    return call, name


def asked(call: Caller) -> list[Intent]:
    """The intents that were stated after the first, which is replayed."""
    return call.backend.publisher.published[1:]


async def replay(call: Caller, name: str, mode: str = "events_only", **more: Any) -> Answer:
    """An auditor's replay or, as a mode, validation."""
    more = {"key": key_of(call.backend, "auditor"), **more}
    if mode == "validate":
        return await call("POST", f"/v1/executions/{name}/validate", **more)
    return await call("POST", f"/v1/executions/{name}/replay", {"mode": mode}, **more)


@pytest.mark.parametrize("role", ["operator", "auditor", "tenant_admin", "platform_operator"])
async def test_those_who_answer_for_it_may(role: str) -> None:
    call, name = await running()
    key = key_of(call.backend, role)
    body = {"mode": "state_only", "at_offset": 8}
    told = await call("POST", f"/v1/executions/{name}/replay", body, key=key)
    assert told.status == 200
    assert told.json["offsets"] == [7, 9]
    assert told.json["asked"] == {"offset": 8, "at": None}
    report = await call("POST", f"/v1/executions/{name}/validate", key=key)
    assert (report.status, report.json["execution_id"]) == (200, name)


async def test_nobody_else_may() -> None:
    call, name = await running()
    for path in ("replay", "validate"):
        body = {"mode": "events_only"} if path == "replay" else None
        told = await call("POST", f"/v1/executions/{name}/{path}", body)
        assert (told.status, told.json["code"]) == (403, "out_of_scope")
        rival = await call("POST", f"/v1/executions/{name}/{path}", body, key=OTHER_KEY)
        assert rival.status == 403
        nobody = await call("POST", f"/v1/executions/{name}/{path}", body, key="")
        assert nobody.status == 401


async def test_another_tenants_execution_is_none() -> None:
    call, name = await running()
    call.backend.read_model.documents[name]["tenant_id"] = "rival"
    key = key_of(call.backend, "auditor")
    for path, body in (("replay", {"mode": "events_only"}), ("validate", None)):
        told = await call("POST", f"/v1/executions/{name}/{path}", body, key=key)
        assert (told.status, told.json["code"]) == (404, "execution_not_found")


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"mode": "full"}, 422, "replay_needs_code", "/mode"),
        ({"mode": "full", "handler_version": 3}, 422, "replay_needs_code", "/mode"),
        ({"mode": "events_only", "handler_version": 3}, 422, "invalid_request", "/handler_version"),
        ({"mode": "state_only", "at": 1, "at_offset": 1}, 422, "invalid_request", "/at"),
        ({"mode": "state_only", "at_offset": -1}, 422, "invalid_request", "/at_offset"),
        ({"mode": "state_only", "at_offset": "1"}, 422, "invalid_request", "/at_offset"),
        ({"mode": "half"}, 422, "invalid_request", "/mode"),
        ({}, 422, "invalid_request", "/mode"),
        (b"{", 400, "malformed_json", ""),
    ],
)
async def test_what_cannot_be_asked(body: Any, status: int, code: str, field: str) -> None:
    call, name = await running()
    key = key_of(call.backend, "auditor")
    told = await call("POST", f"/v1/executions/{name}/replay", body, key=key)
    assert (told.status, told.json["code"]) == (status, code)
    assert told.json.get("field", "") == field


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (CallerError("Gone.", code="history_expired"), 410),
        (CallerError("Not yet.", code="before_execution"), 422),
        (CallerError("Nowhere.", code="range_not_kept"), 422),
        (CallerError("It runs.", code="execution_running"), 409),
        (Unavailable("Kafka is away."), 503),
    ],
)
async def test_what_the_journal_refuses_is_told(failure: Exception, status: int) -> None:
    call, name = await running()
    call.backend.replays.failure = failure
    key = key_of(call.backend, "auditor")
    for path, body in (("replay", {"mode": "events_only"}), ("validate", None)):
        told = await call("POST", f"/v1/executions/{name}/{path}", body, key=key)
        assert told.status == status
        assert told.is_problem


async def test_who_looks_states_it_and_the_answer_names_the_record() -> None:
    call, name = await running()
    key = key_of(call.backend, "auditor")
    body = {"mode": "state_only", "at_offset": 8}
    told = await call("POST", f"/v1/executions/{name}/replay", body, key=key)
    (one,) = asked(call)
    assert msgspec.json.decode(one.payload) == {"execution_id": name, **body}
    assert (one.intent_type, one.realm, one.session_id) == ("runtime.replay", "runtime", SESSION)
    assert (one.principal, one.roles, one.correlation_id) == ("olga", ("auditor",), "order-7")
    record = ids.execution_id("acme", SESSION, one.intent_id, 3)
    assert told.headers["link"] == f'</v1/executions/{record}>; rel="describedby"'
    told = await replay(call, name, "validate")
    assert told.status == 200
    *_, last = asked(call)
    assert msgspec.json.decode(last.payload) == {"execution_id": name, "mode": "validate"}
    assert ids.execution_id("acme", SESSION, last.intent_id, 3) in told.headers["link"]


@pytest.mark.parametrize("mode", ["events_only", "state_only", "full", "validate"])
async def test_what_policy_denies_is_not_read(mode: str) -> None:
    call, name = await running()
    call.backend.publisher.verdict = lambda _: ("rejected", error("policy_denied"))
    call.backend.replays.failure = AssertionError("read")
    told = await replay(call, name, mode)
    assert told.is_problem
    assert (told.status, told.json["code"]) == (403, "policy_denied")
    (one,) = asked(call)
    assert msgspec.json.decode(one.payload)["mode"] == mode
    assert told.json["intent_id"] == one.intent_id


@pytest.mark.parametrize("mode", ["events_only", "full", "validate"])
async def test_what_nobody_decides_is_not_read(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "DECISION_WAIT_S", 0.01)
    call, name = await running()
    call.backend.publisher.verdict = lambda _: None
    call.backend.replays.failure = AssertionError("read")
    told = await replay(call, name, mode)
    assert (told.status, told.json["code"]) == (503, "undecided")
    assert told.headers["retry-after"]
    assert told.json["execution_id"] != name


async def test_a_full_replay_is_asked_for_before_it_is_said_where_it_runs() -> None:
    call, name = await running()
    told = await replay(call, name, "full")
    assert (told.status, told.json["code"]) == (422, "replay_needs_code")
    (one,) = asked(call)
    assert told.json["execution_id"] == ids.execution_id("acme", SESSION, one.intent_id, 3)
    assert name in told.json["cure"]


async def test_each_look_is_decided_by_itself() -> None:
    call, name = await running()
    for _ in range(2):
        assert (await replay(call, name)).status == 200
    first, second = asked(call)
    assert first.intent_id != second.intent_id
    for mode in ("events_only", "validate"):
        told = await replay(call, name, mode, headers=[(b"idempotency-key", b"again")])
        assert (told.status, told.json["field"]) == (400, "/Idempotency-Key")
    assert len(asked(call)) == 2


async def test_a_credential_for_reading_is_enough_and_no_other() -> None:
    call, name = await running()
    for scope, status in (("read", 200), ("runtime.*", 403)):
        text, record = new_key(
            KeyOptions(tenant_id="acme", principal="ida", roles=("auditor",), scopes=(scope,)), 1
        )
        call.backend.configuration.apply(config_key(record), encode(record))
        for mode in ("events_only", "validate"):
            assert (await replay(call, name, mode, key=text)).status == status
    assert len(asked(call)) == 2


async def test_who_may_not_or_asks_for_nothing_states_nothing() -> None:
    call, name = await running()
    key = key_of(call.backend, "writer")
    for mode in ("events_only", "validate"):
        assert (await replay(call, name, mode, key=key)).status == 403
        assert (await replay(call, name[:-4] + "ffff", mode)).status == 404
    assert (await replay(call, name, "half")).status == 422
    assert asked(call) == []
