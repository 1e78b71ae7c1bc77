"""The routes beside POST /v1/intents.

- Without a valid key nothing of a tenant is answered; what is for operators needs none.
- Another tenant's things are answered like none.
- What the router refuses is a problem too, and 405 names the methods.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.unit.gateway.caller import Caller
from tests.unit.gateway.fakes import (
    KEY,
    OTHER_KEY,
    SESSION,
    intent_body,
    unavailable,
)

UNKNOWN_EXECUTION = f"exe-3-{'0' * 32}"
OF_TENANTS = [
    ("GET", "/v1/capabilities"),
    ("GET", "/v1/executions"),
    ("GET", f"/v1/executions/{UNKNOWN_EXECUTION}"),
    ("GET", f"/v1/executions/{UNKNOWN_EXECUTION}/status"),
    ("GET", f"/v1/executions/{UNKNOWN_EXECUTION}/events"),
    ("GET", f"/v1/executions/{UNKNOWN_EXECUTION}/stream"),
    ("GET", f"/v1/sagas/{UNKNOWN_EXECUTION}"),
    ("POST", f"/v1/sagas/{UNKNOWN_EXECUTION}/compensate"),
    ("POST", f"/v1/sagas/{UNKNOWN_EXECUTION}/steps/charge/retry"),
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
@pytest.mark.parametrize(
    "key",
    ["", "sym_x_y", KEY + "0", "Basic", "sym__"],
    ids=["none", "malformed", "longer", "no key", "empty parts"],
)
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
        ("PUT", f"/v1/sessions/{SESSION}", "DELETE, GET, PATCH"),
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
