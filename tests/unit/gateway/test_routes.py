"""The routes beside POST /v1/intents.

- Without a valid key nothing of a tenant is answered; what is for operators needs none.
- Another tenant's things are answered like none.
- What the router refuses is a problem too, and 405 names the methods.
- A batch answers each line as POST /v1/intents would, and one bad line stops no other.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.unit.gateway.fakes import (
    CLOSED_SESSION,
    KEY,
    OTHER_KEY,
    SESSION,
    UNKNOWN_SESSION,
    Caller,
    execution_id_of,
    intent_body,
    unavailable,
)

from symphainy_gateway.routes.intents import BATCH_LINES_MAX
from symphainy_schemas import ids

UNKNOWN_EXECUTION = f"exe-3-{'0' * 32}"
OF_TENANTS = [
    ("GET", "/v1/capabilities"),
    ("GET", "/v1/executions"),
    ("GET", f"/v1/executions/{UNKNOWN_EXECUTION}"),
    ("GET", f"/v1/executions/{UNKNOWN_EXECUTION}/status"),
    ("GET", f"/v1/executions/{UNKNOWN_EXECUTION}/events"),
    ("GET", f"/v1/executions/{UNKNOWN_EXECUTION}/stream"),
    ("POST", "/v1/intents"),
    ("POST", "/v1/intents:batch"),
    ("POST", "/v1/sessions"),
    ("GET", f"/v1/sessions/{SESSION}"),
    ("DELETE", f"/v1/sessions/{SESSION}"),
    ("GET", f"/v1/sessions/{SESSION}/events"),
]
OPEN = ["/healthz", "/readyz", "/metrics", "/openapi.json"]


@pytest.fixture
def caller() -> Caller:
    return Caller()


async def _execution(caller: Caller, **members: Any) -> str:
    answer = await caller("POST", "/v1/intents", intent_body(**members))
    execution_id: str = answer.json["execution_id"]
    return execution_id


@pytest.mark.parametrize(("method", "path"), OF_TENANTS)
@pytest.mark.parametrize("key", ["", "sym_x_y", KEY + "0", "Basic", "sym__"])
async def test_without_a_valid_key_nothing_is_answered(
    caller: Caller, method: str, path: str, key: str
) -> None:
    answer = await caller(method, path, key=key)
    assert answer.is_problem
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", OPEN)
async def test_operators_need_no_key(caller: Caller, path: str) -> None:
    assert (await caller("GET", path, key="")).status == 200


@pytest.mark.parametrize("path", [*OPEN, *(path for method, path in OF_TENANTS if method == "GET")])
async def test_an_unknown_parameter_is_refused_everywhere(caller: Caller, path: str) -> None:
    answer = await caller("GET", f"{path}?nonsense=1")
    assert (answer.status, answer.json["code"]) == (400, "invalid_parameter")


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/intents/", "/v2/intents", "/%2e", "/docs"])
async def test_an_unknown_route_is_a_problem(caller: Caller, path: str) -> None:
    answer = await caller("GET", path)
    assert (answer.status, answer.json["code"]) == (404, "route_not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/intents", "POST"),
        ("PUT", f"/v1/sessions/{SESSION}", "DELETE, GET"),
        ("BREW", "/healthz", "GET"),
    ],
)
async def test_another_method_is_a_problem_that_names_the_methods(
    caller: Caller, method: str, path: str, allowed: str
) -> None:
    answer = await caller(method, path)
    assert (answer.status, answer.json["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


async def test_an_execution_is_shown_in_every_length(caller: Caller) -> None:
    execution_id = await _execution(caller)
    event = {"type": "intent_received", "topic": "journal", "partition": 3, "offset": 1, "index": 0}
    caller.backend.read_model.journal[execution_id] = [event]
    path = f"/v1/executions/{execution_id}"
    assert (await caller("GET", path)).json == caller.backend.read_model.documents[execution_id]
    status = (await caller("GET", f"{path}/status")).json
    assert (status["status"], status["success"], status["ended"]) == ("succeeded", True, True)
    events = (await caller("GET", f"{path}/events")).json
    assert events == {"execution_id": execution_id, "events": [event]}


async def test_the_short_answer_leaves_out_what_is_not_known_yet(caller: Caller) -> None:
    execution_id = await _execution(caller)
    caller.backend.read_model.documents[execution_id] |= {
        "status": "running",
        "execution_time_ms": None,
    }
    status = (await caller("GET", f"/v1/executions/{execution_id}/status")).json
    assert "execution_time_ms" not in status
    assert not status["ended"]


@pytest.mark.parametrize("suffix", ["", "/status", "/events", "/stream"])
@pytest.mark.parametrize(
    "execution_id",
    [
        UNKNOWN_EXECUTION,
        "exe-99-" + "0" * 32,
        "exe-٣-" + "0" * 32,
        "nonsense",
        "%ff",
        "a%00b",
        SESSION,
    ],
)
async def test_an_unknown_execution_is_a_problem(
    caller: Caller, execution_id: str, suffix: str
) -> None:
    answer = await caller("GET", f"/v1/executions/{execution_id}{suffix}")
    assert (answer.status, answer.json["code"]) == (404, "execution_not_found")


async def test_another_tenants_execution_is_answered_like_none(caller: Caller) -> None:
    execution_id = await _execution(caller)
    answer = await caller("GET", f"/v1/executions/{execution_id}", key=OTHER_KEY)
    assert (answer.status, answer.json["code"]) == (404, "execution_not_found")


async def test_an_execution_that_is_about_to_appear_is_waited_for(caller: Caller) -> None:
    publisher = caller.backend.publisher
    publisher.outcome = ""
    execution_id = await _execution(caller)
    [intent] = publisher.published
    caller.backend.read_model.asked.clear()
    asking = asyncio.create_task(caller("GET", f"/v1/executions/{execution_id}/status"))
    await caller.backend.read_model.asked.wait()
    publisher.tell(intent, ("running", None))
    answer = await asking
    assert (answer.status, answer.json["status"]) == (200, "running")


async def test_a_listing_is_a_page(caller: Caller) -> None:
    execution_id = await _execution(caller)
    page = (await caller("GET", "/v1/executions?limit=5&status=succeeded")).json
    assert [item["execution_id"] for item in page["items"]] == [execution_id]
    assert page["cursor"] is None
    theirs = (await caller("GET", "/v1/executions", key=OTHER_KEY)).json
    assert theirs["items"] == []


async def test_without_a_read_model_reading_is_unavailable(caller: Caller) -> None:
    caller.backend.read_model.failure = unavailable()
    for method, path in OF_TENANTS:
        if method == "GET" and path != "/v1/capabilities":
            answer = await caller(method, path)
            assert (answer.status, answer.json["code"]) == (503, "read_model_unavailable"), path
            assert "retry-after" in answer.headers


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
    assert json.loads(intent.payload) == {"reason": "all done"}


async def test_closing_a_closed_session_is_the_owners_to_refuse(caller: Caller) -> None:
    answer = await caller("DELETE", f"/v1/sessions/{CLOSED_SESSION}")
    assert (answer.status, answer.json["code"]) == (409, "session_closed")
    assert len(caller.backend.publisher.published) == 1


@pytest.mark.parametrize("reason", ["", "a%00b", "x" * 201, "a%0Ab"])
async def test_a_reason_is_short_printable_text(caller: Caller, reason: str) -> None:
    answer = await caller("DELETE", f"/v1/sessions/{SESSION}?reason={reason}")
    assert (answer.status, answer.json["field"]) == (400, "/reason")


async def test_capabilities_are_listed_with_their_contracts(caller: Caller) -> None:
    [item] = (await caller("GET", "/v1/capabilities")).json["items"]
    assert (item["name"], item["version"], item["realm"]) == ("content.ingest", 1, "content")
    assert item["input_contract"]["required"] == ["n"]
    assert item["output_contract"] is None


async def test_readiness_tells_of_each_service(caller: Caller) -> None:
    ready = await caller("GET", "/readyz", key="")
    assert ready.json == {"status": "ready", "checks": {"kafka": "", "redis": ""}}
    caller.backend.reasons["redis"] = "ConnectionError: refused"
    answer = await caller("GET", "/readyz", key="")
    assert answer.is_problem
    assert (answer.status, answer.json["code"]) == (503, "not_ready")
    assert answer.json["checks"] == {"kafka": "", "redis": "ConnectionError: refused"}


async def test_a_process_that_stops_is_not_ready(caller: Caller) -> None:
    caller.gateway.stop()
    answer = await caller("GET", "/readyz", key="")
    assert (answer.status, "process" in answer.json["checks"]) == (503, True)
    assert (await caller("GET", "/healthz", key="")).json == {"status": "ok"}


async def test_requests_are_counted_by_route_and_status(caller: Caller) -> None:
    await caller("POST", "/v1/intents", intent_body())
    await caller("GET", f"/v1/executions/{UNKNOWN_EXECUTION}")
    await caller("GET", "/nowhere")
    await caller("BREW", "/v1/intents")
    text = (await caller("GET", "/metrics")).body.decode()
    counted = "symphainy_gateway_requests_total"
    assert f'{counted}{{method="POST",route="/v1/intents",status="202"}} 1.0' in text
    route = "/v1/executions/{execution_id}"
    assert f'{counted}{{method="GET",route="{route}",status="404"}} 1.0' in text
    assert f'{counted}{{method="GET",route="unmatched",status="404"}} 1.0' in text
    assert f'{counted}{{method="other",route="/v1/intents",status="405"}} 1.0' in text


def _ndjson(*lines: object) -> bytes:
    return b"\n".join(it if isinstance(it, bytes) else json.dumps(it).encode() for it in lines)


async def _batch(caller: Caller, body: bytes, **more: Any) -> Any:
    return await caller(
        "POST", "/v1/intents:batch", body, media_type=b"application/x-ndjson", **more
    )


async def test_a_batch_answers_line_by_line(caller: Caller) -> None:
    body = _ndjson(
        intent_body(intent_id="a"),
        b"  ",
        b"{nonsense",
        intent_body(intent_id="b", intent_type="content.unknown"),
        intent_body(payload=[]),
        intent_body(tenant_id="rival"),
        intent_body(),
        b"",
    )
    answer = await _batch(caller, body)
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert [(it["line"], it["http_status"]) for it in lines] == [
        (1, 202),
        (3, 400),
        (4, 404),
        (5, 422),
        (6, 403),
        (7, 202),
    ]
    published = caller.backend.publisher.published
    by_id = {it.intent_id: execution_id_of(it) for it in published}
    assert len(by_id) == len(published) == 3
    assert lines[0]["body"]["execution_id"] == by_id["a"]
    assert lines[1]["body"]["code"] == "malformed_json"
    assert lines[2]["body"]["intent_id"] == "b"


async def test_a_repeated_batch_gets_the_first_answers(caller: Caller) -> None:
    body = _ndjson(intent_body(intent_id="a"))
    await _batch(caller, body)
    [line] = [json.loads(line) for line in (await _batch(caller, body)).body.splitlines()]
    assert (line["http_status"], line["body"]["status"]) == (200, "succeeded")
    assert len(caller.backend.publisher.published) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_batch"),
        (b"\n \n", "empty_batch"),
        (b"{}\n" * (BATCH_LINES_MAX + 1), "batch_too_large"),
    ],
)
async def test_a_batch_is_bounded(caller: Caller, body: bytes, code: str) -> None:
    assert (await _batch(caller, body)).json["code"] == code


async def test_a_batch_takes_no_idempotency_key(caller: Caller) -> None:
    answer = await _batch(caller, b"{}", headers=[(b"idempotency-key", b"k")])
    assert (answer.status, answer.json["field"]) == (400, "/Idempotency-Key")
