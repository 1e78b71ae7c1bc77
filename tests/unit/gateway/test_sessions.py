"""Sessions: opened and closed by control intents, shown and replayed from the read model.

- The tenant's own intents do it, and only what the owner decided is told.
- The same Idempotency-Key opens the same session.
"""

from __future__ import annotations

import json

import pytest
from tests.unit.gateway.caller import Caller
from tests.unit.gateway.fakes import (
    CLOSED_SESSION,
    SESSION,
    UNKNOWN_SESSION,
    intent_body,
)

from symphainy_schemas import ids


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.mark.parametrize("body", [None, {}, {"attributes": {"a": 1}, "tenant_id": "acme"}])
async def test_a_session_is_opened_by_its_intent(caller: Caller, body: object) -> None:
    answer = await caller("POST", "/v1/sessions", body)
    [intent] = caller.backend.publisher.published
    assert answer.status == 201
    assert answer.headers["location"] == f"/v1/sessions/{intent.session_id}"
    assert answer.json["session_id"] == intent.session_id
    assert ids.is_session_id(intent.session_id)
    assert (intent.intent_type, intent.realm) == ("runtime.open_session", "runtime")
    attributes = body["attributes"] if isinstance(body, dict) and body else {}
    assert json.loads(intent.payload) == {"attributes": attributes}


async def test_a_session_that_is_not_seen_open_in_time_is_acknowledged(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("symphainy_gateway.routes.sessions.DECISION_WAIT_S", 0.01)
    caller.backend.publisher.verdict = lambda _: None
    answer = await caller("POST", "/v1/sessions")
    assert (answer.status, answer.json["status"]) == (202, "accepted")


async def test_the_same_key_opens_the_same_session(caller: Caller) -> None:
    key = [(b"idempotency-key", b"k-1")]
    first, again = [await caller("POST", "/v1/sessions", headers=key) for _ in range(2)]
    assert (first.status, first.json) == (again.status, again.json)
    assert len(caller.backend.publisher.published) == 1
    other = await caller("POST", "/v1/sessions", headers=[(b"idempotency-key", b"k-2")])
    assert other.json["session_id"] != first.json["session_id"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"attributes": 1}, 422, "invalid_request"),
        ({"tenant_id": "rival"}, 403, "tenant_mismatch"),
        ({"attributes": {"a": "x" * 70_000}}, 413, "too_large"),
        (b"{", 400, "malformed_json"),
        (b"x" * 9_000_000, 413, "body_too_large"),
    ],
)
async def test_another_session_is_refused(
    caller: Caller, body: object, status: int, code: str
) -> None:
    answer = await caller("POST", "/v1/sessions", body)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert caller.backend.publisher.published == []


async def test_a_session_is_shown_and_replayed(caller: Caller) -> None:
    assert (await caller("GET", f"/v1/sessions/{SESSION}")).json["status"] == "open"
    replayed = (await caller("GET", f"/v1/sessions/{SESSION}/events")).json
    assert replayed == {"session_id": SESSION, "events": []}


@pytest.mark.parametrize("session_id", [UNKNOWN_SESSION, "nonsense", "ses-٣-" + "0" * 32])
@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("GET", "/events"), ("DELETE", "")])
async def test_an_unknown_session_is_a_problem(
    caller: Caller, session_id: str, method: str, suffix: str
) -> None:
    answer = await caller(method, f"/v1/sessions/{session_id}{suffix}")
    assert (answer.status, answer.json["code"]) == (404, "session_not_found")


async def test_a_session_is_closed_by_its_intent(caller: Caller) -> None:
    answer = await caller("DELETE", f"/v1/sessions/{SESSION}?reason=all+done")
    [intent] = caller.backend.publisher.published
    assert answer.status == 200
    assert (intent.intent_type, intent.session_id) == ("runtime.close_session", SESSION)
    assert json.loads(intent.payload) == {"reason": "all done", "mode": "drain"}


async def test_closing_a_closed_session_is_the_owners_to_refuse(caller: Caller) -> None:
    answer = await caller("DELETE", f"/v1/sessions/{CLOSED_SESSION}")
    assert (answer.status, answer.json["code"]) == (409, "session_closed")
    assert len(caller.backend.publisher.published) == 1


@pytest.mark.parametrize("reason", ["", "a%00b", "x" * 201, "a%0Ab"])
async def test_a_reason_is_short_printable_text(caller: Caller, reason: str) -> None:
    answer = await caller("DELETE", f"/v1/sessions/{SESSION}?reason={reason}")
    assert (answer.status, answer.json["field"]) == (400, "/reason")


async def test_what_runs_may_be_asked_to_end_or_nothing_else(caller: Caller) -> None:
    await caller("DELETE", f"/v1/sessions/{SESSION}?mode=cancel")
    [intent] = caller.backend.publisher.published
    assert json.loads(intent.payload)["mode"] == "cancel"
    answer = await caller("DELETE", f"/v1/sessions/{SESSION}?mode=burn")
    assert (answer.status, answer.json["field"]) == (400, "/mode")


async def test_a_session_is_told_when_it_expires(caller: Caller) -> None:
    body = {"idle_ms": 60_000, "lifetime_ms": 3_600_000, "at_expiry": "cancel"}
    await caller("POST", "/v1/sessions", body)
    [intent] = caller.backend.publisher.published
    assert json.loads(intent.payload) == {"attributes": {}, **body}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"idle_ms": -1}, "/idle_ms"),
        ({"lifetime_ms": 366 * 86_400_000 + 1}, "/lifetime_ms"),
        ({"lifetime_ms": "1h"}, "/lifetime_ms"),
        ({"at_expiry": "burn"}, "/at_expiry"),
    ],
)
async def test_a_time_that_is_none_is_named(caller: Caller, body: object, field: str) -> None:
    answer = await caller("POST", "/v1/sessions", body)
    assert (answer.status, answer.json["field"]) == (422, field)


async def test_attributes_are_changed_by_an_intent(caller: Caller) -> None:
    patch = {"attributes": {"a": None, "b": 1}}
    answer = await caller("PATCH", f"/v1/sessions/{SESSION}", patch)
    [intent] = caller.backend.publisher.published
    assert answer.status == 200
    assert intent.intent_type == "runtime.change_session"
    assert json.loads(intent.payload) == patch
    for body in ({}, {"attributes": [1]}, {"attributes": {}, "tenant_id": "rival"}):
        assert (await caller("PATCH", f"/v1/sessions/{SESSION}", body)).status == 422


async def test_sessions_are_listed_by_their_state(caller: Caller) -> None:
    every = (await caller("GET", "/v1/sessions")).json["items"]
    assert {one["session_id"] for one in every} == {SESSION, CLOSED_SESSION}
    closed = (await caller("GET", "/v1/sessions?status=closed")).json["items"]
    assert [one["session_id"] for one in closed] == [CLOSED_SESSION]
    answer = await caller("GET", "/v1/sessions?status=lost")
    assert (answer.status, answer.json["field"]) == (400, "/status")


async def test_a_session_shows_what_runs_in_it(caller: Caller) -> None:
    caller.backend.publisher.outcome = "running"
    submitted = await caller("POST", "/v1/intents", intent_body())
    shown = (await caller("GET", f"/v1/sessions/{SESSION}")).json
    assert shown["running"] == 1
    assert [one["execution_id"] for one in shown["executions"]] == [submitted.json["execution_id"]]
