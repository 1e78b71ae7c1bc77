"""The main path on real parts: an intent goes in, its result, events and offsets come out.

- A result carries what the handler returned, and every event its place in Kafka.
- Refusals are journaled and come back as problems with a code, the field and the cure.
- Retries and timeouts follow the declared policy.
- A repeat of an intent id gets the first answer; another payload under it is a conflict.
- Straight into Kafka is the same as through the gateway.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from tests.support.system import TENANT, System, eventually

from symphainy import IntentProducer


def submit(system: System, session: str, intent_type: str, payload: dict[str, Any]) -> Any:
    """Submit and wait."""
    body = {"intent_type": intent_type, "session_id": session, "payload": payload}
    return system.http.post("/v1/intents?wait=30s", json=body)


def test_an_intent_becomes_a_result_with_events_in_their_places(whole: System) -> None:
    session = whole.open_session()
    answer = submit(whole, session, "work.add", {"numbers": [1, 2, 3]})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["status"] == "succeeded"
    assert found["success"] is True
    assert found["result"] == {"total": 6}
    assert found["artifacts"]["text"]["media_type"] == "text/plain"
    assert found["events"] == [{"type": "numbers.added", "data": {"total": 6}}]
    assert found["state_changes"] == [{"key": "total", "value": 6}]
    events = whole.http.get(f"/v1/executions/{found['execution_id']}/events").json()["events"]
    assert [event["type"] for event in events] == [
        "intent_received",
        "policy_validated",
        "capability_resolved",
        "execution_started",
        "step_dispatched",
        "step_started",
        "step_succeeded",
        "artifact_recorded",
        "event_emitted",
        "state_changed",
        "execution_succeeded",
    ]
    places = [(event["offset"], event["index"]) for event in events]
    assert places == sorted(places)
    assert {event["topic"] for event in events} == {"journal"}
    assert {event["partition"] for event in events} == {int(session.split("-")[1])}


@pytest.mark.parametrize(
    ("intent_type", "payload", "status", "code", "field"),
    [
        ("work.nothing", {}, 404, "capability_not_found", "/intent_type"),
        ("work.add", {}, 422, "contract_violation", "/payload"),
        ("work.add", {"numbers": ["x"]}, 422, "contract_violation", "/payload/numbers/0"),
    ],
)
def test_refusals_are_problems_and_in_the_journal(
    whole: System, intent_type: str, payload: dict[str, Any], status: int, code: str, field: str
) -> None:
    answer = submit(whole, whole.open_session(), intent_type, payload)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (status, code, field)
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert problem["cure"]
    document = whole.http.get(f"/v1/executions/{problem['execution_id']}").json()
    assert document["status"] == "rejected"
    assert document["error"]["code"] == code


def test_a_closed_session_takes_nothing_more(whole: System) -> None:
    session = whole.open_session()
    assert whole.http.delete(f"/v1/sessions/{session}").status_code in (200, 204)
    answer = submit(whole, session, "work.add", {"numbers": []})
    assert (answer.status_code, answer.json()["code"]) == (409, "session_closed")


def test_a_terminal_error_ends_the_execution_as_failed(whole: System) -> None:
    found = submit(whole, whole.open_session(), "work.refuse", {"numbers": []}).json()
    assert found["status"] == "failed"
    assert found["error"]["code"] == "no_account"
    assert found["error"]["message"] == "No such account."


def test_retries_follow_the_policy(whole: System) -> None:
    session = whole.open_session()
    found = submit(whole, session, "work.flaky", {"succeed_at": 3}).json()
    assert (found["status"], found["result"]) == ("succeeded", {"attempt": 3})
    found = submit(whole, session, "work.flaky", {"succeed_at": 9}).json()
    assert found["status"] == "failed"
    events = whole.http.get(f"/v1/executions/{found['execution_id']}/events").json()["events"]
    kinds = [event["type"] for event in events]
    assert kinds.count("step_failed") == 3
    assert kinds.count("step_retry_scheduled") == 2


def test_a_handler_that_outlives_its_limit_times_out(whole: System) -> None:
    found = submit(whole, whole.open_session(), "work.slow", {"numbers": []}).json()
    assert found["status"] == "failed"
    assert found["error"]["code"] == "timeout"


def test_a_repeat_gets_the_first_answer_and_a_conflict_is_told(whole: System) -> None:
    session = whole.open_session()
    body = {
        "intent_id": "order-7",
        "intent_type": "work.add",
        "session_id": session,
        "payload": {"numbers": [1]},
    }
    first = whole.http.post("/v1/intents?wait=30s", json=body)
    again = whole.http.post("/v1/intents?wait=30s", json=body)
    assert again.json()["execution_id"] == first.json()["execution_id"]
    assert again.json()["result"] == first.json()["result"]
    changed = whole.http.post("/v1/intents", json={**body, "payload": {"numbers": [2]}})
    assert (changed.status_code, changed.json()["code"]) == (409, "idempotency_conflict")


def test_large_payloads_and_artifacts_go_by_reference(whole: System) -> None:
    numbers = [1] * 100_000  # 200 kB of JSON, over the inline limit
    found = submit(whole, whole.open_session(), "work.add", {"numbers": numbers}).json()
    assert found["result"] == {"total": 100_000}
    assert found["payload_ref"]["size"] > 65_536


def test_straight_into_kafka_is_the_same(whole: System) -> None:
    async def run() -> list[str]:
        async with IntentProducer(whole.settings, TENANT, "batch") as producer:
            session = await producer.open_session()
            small = await producer.submit("work.add", {"numbers": [4]}, session_id=session)
            numbers = {"numbers": [1] * 100_000}
            large = await producer.submit("work.add", numbers, session_id=session)
            wrong = await producer.submit("work.add", {"numbers": "x"}, session_id=session)
            return [one.execution_id for one in (small, large, wrong)]

    small, large, wrong = asyncio.run(run())

    def document(execution: str) -> dict[str, Any]:
        found: dict[str, Any] = whole.http.get(f"/v1/executions/{execution}").json()
        return found

    def has(execution: str, status: str) -> bool:
        return bool(document(execution).get("status") == status)

    for execution, status in ((small, "succeeded"), (large, "succeeded"), (wrong, "rejected")):
        eventually(partial(has, execution, status), status)
    assert document(small)["result"] == {"total": 4}
    assert document(large)["result"] == {"total": 100_000}
    assert document(wrong)["error"]["code"] == "contract_violation"
