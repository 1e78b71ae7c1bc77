"""The HTTP surface over real parts.

- What was accepted can be read at once by its Location, and its events name their places.
- However many repeats of one intent id arrive together, there is one execution.
- A stream tells every event once, in order; resumed, it tells the rest; it ends with `end`.
- Pages of a listing make the whole, newest first.
- Size limits hold on the wire, also for chunked bodies; nothing malformed gets past as a 5xx.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.support.system import System, eventually

from symphainy_schemas import ids

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def session(system: System) -> str:
    return system.open_session()


def _intent(session: str, **members: Any) -> dict[str, Any]:
    return {
        "intent_type": "work.add",
        "session_id": session,
        "payload": {"numbers": [1, 2]},
        **members,
    }


def _submit(system: System, body: dict[str, Any], wait: str = "30s") -> Any:
    answer = system.http.post("/v1/intents", params={"wait": wait}, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _stream(system: System, execution_id: str, after: int | None = None) -> list[tuple[str, str]]:
    """(id, event) of everything that the stream tells."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    told: list[tuple[str, str]] = []
    path = f"/v1/executions/{execution_id}/stream"
    with system.http.stream("GET", path, headers=headers) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        for block in "".join(answer.iter_text()).split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            if "event" in fields:
                told.append((fields.get("id", ""), fields["event"]))
    return told


def test_a_session_lives_from_post_to_delete(system: System) -> None:
    opened = system.http.post("/v1/sessions", json={"attributes": {"purpose": "test"}})
    assert opened.status_code == 201
    path = opened.headers["location"]
    shown = system.http.get(path).json()
    assert shown == {**opened.json(), "running": 0, "executions": []}
    assert (shown["status"], shown["attributes"]) == ("open", {"purpose": "test"})
    _submit(system, _intent(shown["session_id"]))
    replayed = system.http.get(f"{path}/events").json()["events"]
    types = [event["type"] for event in replayed]
    assert types[:3] == ["intent_received", "policy_validated", "session_opened"]
    assert types[-1] == "execution_succeeded"
    closed = system.http.delete(path, params={"reason": "done"})
    assert (closed.status_code, closed.json()["status"]) == (200, "closed")
    refused = system.http.post("/v1/intents", json=_intent(shown["session_id"]))
    assert (refused.status_code, refused.json()["code"]) == (409, "session_closed")
    again = system.http.delete(path)
    assert (again.status_code, again.json()["code"]) == (409, "session_closed")


def test_the_same_key_opens_the_same_session(system: System) -> None:
    headers = {"Idempotency-Key": ids.new_intent_id()}
    first, again = [system.http.post("/v1/sessions", headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()


def test_what_was_accepted_can_be_read_at_once(system: System, session: str) -> None:
    for _ in range(20):
        accepted = system.http.post("/v1/intents", json=_intent(session))
        assert accepted.status_code == 202
        found = system.http.get(accepted.headers["location"])
        assert found.status_code == 200
        assert found.json()["wal"] == accepted.json()["wal"]


def test_what_a_request_brings_reaches_the_log(system: System, session: str) -> None:
    body = _intent(session, correlation_id="case-9", metadata={"colour": "blue"})
    answer = system.http.post("/v1/intents?wait=30s", json=body, headers={"traceparent": TRACE})
    document = answer.json()
    assert document["correlation_id"] == "case-9"
    assert document["metadata"] == {"colour": "blue", "source": "http"}
    path = f"/v1/executions/{document['execution_id']}"
    events = system.http.get(f"{path}/events").json()["events"]
    assert events[0]["data"]["traceparent"] == TRACE
    assert {event["partition"] for event in events} == {ids.partition_of(session)}
    status = system.http.get(f"{path}/status").json()
    assert (status["status"], status["ended"]) == ("succeeded", True)


def test_a_payload_over_the_inline_limit_is_handled(system: System, session: str) -> None:
    document = _submit(system, _intent(session, payload={"numbers": [1] * 60_000}))
    assert document["result"] == {"total": 60_000}
    assert document["payload_ref"]["size"] > 65_536
    breaking = system.http.post(
        "/v1/intents", json=_intent(session, payload={"numbers": ["x"] * 60_000})
    )
    assert (breaking.status_code, breaking.json()["code"]) == (422, "contract_violation")
    assert "execution_id" not in breaking.json()


async def test_repeats_that_arrive_together_are_one_execution(system: System, session: str) -> None:
    body = _intent(session, intent_id=ids.new_intent_id())
    async with httpx.AsyncClient(
        base_url=system.url, headers=system.http.headers, timeout=60
    ) as client:
        answers = await asyncio.gather(
            *(client.post("/v1/intents?wait=30s", json=body) for _ in range(20))
        )
    assert {answer.status_code for answer in answers} == {200}
    [execution_id] = {answer.json()["execution_id"] for answer in answers}
    [started] = {answer.json()["started_at"] for answer in answers}
    events = system.http.get(f"/v1/executions/{execution_id}/events").json()["events"]
    assert [it["type"] for it in events].count("execution_started") == 1
    assert started
    conflict = system.http.post("/v1/intents", json=body | {"payload": {"numbers": [3]}})
    assert (conflict.status_code, conflict.json()["code"]) == (409, "idempotency_conflict")


def test_a_stream_tells_every_event_once_and_resumes(system: System, session: str) -> None:
    accepted = system.http.post("/v1/intents", json=_intent(session)).json()
    told = _stream(system, accepted["execution_id"])
    events = system.http.get(f"/v1/executions/{accepted['execution_id']}/events").json()["events"]
    numbered = [(str(index), event["type"]) for index, event in enumerate(events)]
    assert told == [*numbered, ("", "end")]
    assert _stream(system, accepted["execution_id"], after=3) == [*numbered[4:], ("", "end")]
    assert _stream(system, accepted["execution_id"], after=len(events)) == [("", "end")]


def test_a_client_that_leaves_ends_its_stream(system: System, session: str) -> None:
    body = _intent(session, intent_type="work.slow")
    accepted = system.http.post("/v1/intents", json=body).json()
    path = f"/v1/executions/{accepted['execution_id']}/stream"
    with system.http.stream("GET", path) as answer:
        lines = answer.iter_lines()  # held, because httpx closes the response with it
        assert next(lines) == "id: 0"
        assert "symphainy_gateway_streams_open 1.0" in system.http.get("/metrics").text
    eventually(
        lambda: "symphainy_gateway_streams_open 0.0" in system.http.get("/metrics").text,
        "the stream is closed",
    )


def test_pages_make_the_whole_listing(system: System, session: str) -> None:
    submitted = [_submit(system, _intent(session))["execution_id"] for _ in range(7)]
    for filters in (
        {"session": session, "type": "work.add"},
        {"type": "work.add", "session": session, "status": "succeeded"},
    ):
        found: list[str] = []
        cursor: str | None = None
        while True:
            params = {**filters, "limit": "3"} | ({"cursor": cursor} if cursor else {})
            page = system.http.get("/v1/executions", params=params).json()
            assert len(page["items"]) <= 3
            found += [item["execution_id"] for item in page["items"]]
            cursor = page["cursor"]
            if cursor is None:
                break
        assert found == submitted[::-1]
    empty = {"session": session, "to": "2020-01-01T00:00:00Z"}
    assert system.http.get("/v1/executions", params=empty).json()["items"] == []


@pytest.mark.parametrize("cursor", ["AAAA", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5Lw==", "MS8=", "_-_-"])
def test_a_cursor_of_ones_own_making_is_no_5xx(system: System, cursor: str) -> None:
    answer = system.http.get("/v1/executions", params={"cursor": cursor})
    assert answer.status_code in (200, 400)


def test_a_batch_answers_each_line(system: System, session: str) -> None:
    lines = [_intent(session, intent_id=f"line-{n}") for n in range(50)]
    lines[7] = _intent(session, payload={"numbers": "x"})
    lines[9] = _intent(session, intent_type="work.nothing")
    content = "\n".join(json.dumps(line) for line in lines)
    headers = {"Content-Type": "application/x-ndjson"}
    answer = system.http.post("/v1/intents:batch", content=content, headers=headers)
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert [it["line"] for it in told] == list(range(1, 51))
    refused = {it["line"]: it["body"]["code"] for it in told if it["http_status"] != 202}
    assert refused == {8: "contract_violation", 10: "capability_not_found"}
    assert told[0]["body"]["execution_id"] == ids.execution_id(
        "acme", session, "line-0", ids.partition_of(session)
    )


def test_capabilities_show_what_the_worker_registered(system: System) -> None:
    items = system.http.get("/v1/capabilities").json()["items"]
    by_name = {item["name"]: item for item in items}
    assert by_name["work.flaky"]["attempts"] == 3
    assert by_name["work.add"]["input_contract"]["required"] == ["numbers"]


def test_an_unknown_key_is_refused(system: System) -> None:
    answer = httpx.get(f"{system.url}/v1/capabilities", headers={"Authorization": "Bearer sym_a_b"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_a_chunked_body_is_bounded_too(system: System) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 1_000_000

    headers = {"Content-Type": "application/json"}
    answer = system.http.post("/v1/intents", content=chunks(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "target",
    [
        "/v1/executions/%ff",
        "/v1/executions/%zz/events",
        "/v1/sessions/%00",
        "/v1/executions?session=%ff",
        "/v1/executions?limit=1&limit=2",
        "/v1/executions/../../etc",
        "/%2e%2e/%2e%2e",
        "//",
        "/v1/executions?from=%E2%82%AC",
    ],
)
def test_a_malformed_target_is_a_problem(system: System, target: str) -> None:
    connection = http.client.HTTPConnection(
        system.settings.gateway_host, system.settings.gateway_port
    )
    connection.request("GET", target, headers={"Authorization": f"Bearer {system.key}"})
    answer = connection.getresponse()
    document = json.loads(answer.read())
    connection.close()
    assert answer.getheader("content-type") == "application/problem+json"
    assert 400 <= answer.status < 500
    assert document["status"] == answer.status
    assert document["code"]
