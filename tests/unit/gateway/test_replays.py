"""Replays and validations over HTTP: who may, what is asked, and that errors are told."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.gateway.caller import Caller
from tests.unit.gateway.fakes import OTHER_KEY, SESSION, intent_body, key_of

from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError, Unavailable


async def running() -> tuple[Caller, str]:
    """A gateway, and an execution of its tenant with two records."""
    call = Caller()
    answer = await call("POST", "/v1/intents?wait=1s", intent_body())
    name: str = answer.json["execution_id"]
    assert ids.partition_of(name) == ids.partition_of(SESSION)
    call.backend.read_model.journal[name] = [
        {"offset": 7, "index": 0, "type": "intent_received"},
        {"offset": 7, "index": 1, "type": "execution_started"},
        {"offset": 9, "index": 0, "type": "execution_succeeded"},
    ]
    return call, name


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
