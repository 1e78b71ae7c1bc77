"""Submitting an intent (guarantees G1 and G2).

- 202 only for what the log acknowledged; 200 with the result when the wait was met; else a problem.
- A chosen intent id is appended once as far as the view tells, and always names one execution.
- The view refuses nothing by itself: it only decides what is waited for.
- After a failed append the answer is 503, unknown, with the intent id to repeat.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.unit.gateway.caller import Caller
from tests.unit.gateway.fakes import (
    CLOSED_SESSION,
    OTHER_KEY,
    SESSION,
    UNKNOWN_SESSION,
    execution,
    execution_id_of,
    intent_body,
    raising,
    unavailable,
)

from symphainy_gateway import submitting
from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError, Unavailable
from symphainy_schemas.records import Intent


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.fixture
def _short_decision_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "DECISION_WAIT_S", 0.01)


async def test_an_intent_is_acknowledged_with_its_place(caller: Caller) -> None:
    answer = await caller("POST", "/v1/intents", intent_body())
    [intent] = caller.backend.publisher.published
    assert answer.status == 202
    assert answer.json == {
        "execution_id": execution_id_of(intent),
        "intent_id": intent.intent_id,
        "status": "accepted",
        "wal": {"topic": "intents", "partition": 3, "offset": 0},
    }
    assert answer.headers["location"] == f"/v1/executions/{execution_id_of(intent)}"


async def test_a_wait_that_is_met_gives_the_result(caller: Caller) -> None:
    answer = await caller("POST", "/v1/intents?wait=10s", intent_body())
    [intent] = caller.backend.publisher.published
    assert answer.status == 200
    assert answer.json == execution(intent, "succeeded")
    assert answer.headers["location"] == f"/v1/executions/{execution_id_of(intent)}"


async def test_a_failed_execution_is_a_result_too(caller: Caller) -> None:
    caller.backend.publisher.outcome = "failed"
    answer = await caller("POST", "/v1/intents?wait=10s", intent_body())
    assert (answer.status, answer.json["status"], answer.json["success"]) == (200, "failed", False)


@pytest.mark.parametrize("intent_id", [None, "order-7"])
async def test_a_wait_ends_with_what_is_stuck(caller: Caller, intent_id: str | None) -> None:
    """Nothing of it goes on until an operator acts; a repeat waits for nothing either."""
    caller.backend.publisher.outcome = "stuck"
    for _ in range(2):
        body = intent_body() if intent_id is None else intent_body(intent_id=intent_id)
        answer = await asyncio.wait_for(caller("POST", "/v1/intents?wait=5m", body), 10.0)
        assert (answer.status, answer.json["status"]) == (202, "stuck")
    assert len(caller.backend.publisher.published) == (2 if intent_id is None else 1)


@pytest.mark.parametrize("status", ["", "accepted", "running"])
async def test_a_wait_that_is_not_met_is_acknowledged(caller: Caller, status: str) -> None:
    caller.backend.publisher.outcome = status
    answer = await caller("POST", "/v1/intents?wait=10ms", intent_body())
    assert (answer.status, answer.json["status"]) == (202, status or "accepted")


@pytest.mark.parametrize("wait", ["", "?wait=10s"])
@pytest.mark.parametrize(
    ("members", "status", "code"),
    [
        ({"intent_type": "content.unknown"}, 404, "capability_not_found"),
        ({"session_id": UNKNOWN_SESSION}, 404, "session_not_found"),
        ({"session_id": CLOSED_SESSION}, 409, "session_closed"),
        ({"payload": {"n": 1, "m": 2}}, 422, "contract_violation"),
    ],
)
async def test_a_doubtful_intent_is_published_and_the_owner_answers(
    caller: Caller, wait: str, members: dict[str, Any], status: int, code: str
) -> None:
    answer = await caller("POST", f"/v1/intents{wait}", intent_body(**members))
    [intent] = caller.backend.publisher.published
    assert answer.is_problem
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.json["execution_id"] == execution_id_of(intent)
    assert answer.json["intent_id"] == intent.intent_id


async def test_another_tenants_session_is_answered_like_none(caller: Caller) -> None:
    mine = await caller("POST", "/v1/intents", intent_body(), key=OTHER_KEY)
    none = await caller(
        "POST", "/v1/intents", intent_body(session_id=UNKNOWN_SESSION), key=OTHER_KEY
    )
    assert (mine.status, mine.json["code"]) == (none.status, none.json["code"])
    assert mine.json["code"] == "session_not_found"


@pytest.mark.usefixtures("_short_decision_wait")
async def test_a_doubtful_intent_without_a_decision_is_acknowledged(caller: Caller) -> None:
    caller.backend.publisher.verdict = lambda _: None
    answer = await caller("POST", "/v1/intents", intent_body(intent_type="content.unknown"))
    assert (answer.status, answer.json["status"]) == (202, "accepted")


async def test_a_doubt_that_the_owner_does_not_share_is_acknowledged(caller: Caller) -> None:
    caller.backend.configuration.capabilities.clear()
    caller.backend.publisher.verdict = lambda _: ("running", None)
    answer = await caller("POST", "/v1/intents", intent_body())
    assert (answer.status, answer.json["status"]) == (202, "running")


async def test_a_claim_checked_payload_must_keep_its_contract() -> None:
    caller = Caller(inline_limit_bytes=1_024)
    answer = await caller("POST", "/v1/intents", intent_body(payload={"n": "x" * 2_000}))
    assert (answer.status, answer.json["code"]) == (422, "contract_violation")
    assert answer.json["field"] == "/payload/n"
    assert caller.backend.publisher.published == []


async def test_a_repeat_gets_the_first_answer_without_a_second_append(caller: Caller) -> None:
    body = intent_body(intent_id="order-7")
    first = await caller("POST", "/v1/intents?wait=1s", body)
    for target in ("/v1/intents", "/v1/intents?wait=1s"):
        again = await caller("POST", target, body)
        assert (again.status, again.json) == (200, first.json)
    assert len(caller.backend.publisher.published) == 1


async def test_a_repeat_of_what_runs_is_acknowledged(caller: Caller) -> None:
    caller.backend.publisher.outcome = "running"
    body = intent_body(intent_id="order-7")
    first = await caller("POST", "/v1/intents", body)
    for target in ("/v1/intents", "/v1/intents?wait=10ms"):
        again = await caller("POST", target, body)
        assert (again.status, again.json["status"]) == (202, "running")
        assert again.json["execution_id"] == first.json["execution_id"]
        assert again.json["wal"] == {"topic": "intents", "partition": 3, "offset": 5}
    assert len(caller.backend.publisher.published) == 1


async def test_a_repeat_with_another_payload_conflicts(caller: Caller) -> None:
    key = [(b"idempotency-key", b"order-7")]
    await caller("POST", "/v1/intents", intent_body(), headers=key)
    for wait in ("", "?wait=1s"):
        answer = await caller(
            "POST", f"/v1/intents{wait}", intent_body(payload={"n": 2}), headers=key
        )
        assert (answer.status, answer.json["code"]) == (409, "idempotency_conflict")
        assert answer.json["intent_id"] == "order-7"
    assert len(caller.backend.publisher.published) == 1


async def test_a_conflict_that_the_view_did_not_have_is_found_after_the_wait(
    caller: Caller,
) -> None:
    publisher = caller.backend.publisher

    async def decided_meanwhile(intent: Intent) -> None:
        other = msgspec.structs.replace(intent, payload=b'{"n":9}')
        publisher.tell(other, ("succeeded", None))

    publisher.before = decided_meanwhile
    answer = await caller("POST", "/v1/intents?wait=1s", intent_body(intent_id="order-7"))
    assert (answer.status, answer.json["code"]) == (409, "idempotency_conflict")


async def test_a_repeat_of_a_rejected_intent_gets_the_rejection(caller: Caller) -> None:
    body = intent_body(intent_type="content.unknown", intent_id="order-7")
    first = await caller("POST", "/v1/intents", body)
    again = await caller("POST", "/v1/intents", body)
    assert (again.status, again.json) == (first.status, first.json)
    assert len(caller.backend.publisher.published) == 1


async def test_without_a_view_an_intent_is_still_appended(caller: Caller) -> None:
    caller.backend.read_model.failure = unavailable()
    for target in ("/v1/intents", "/v1/intents?wait=10ms"):
        answer = await caller("POST", target, intent_body(intent_id="order-7"))
        assert (answer.status, answer.json["status"]) == (202, "accepted")
    assert len(caller.backend.publisher.published) == 2


@pytest.mark.parametrize("members", [{}, {"intent_id": "order-7"}])
async def test_without_kafka_the_answer_is_unknown_with_the_id(
    caller: Caller, members: dict[str, Any]
) -> None:
    caller.backend.publisher.before = raising(Unavailable("Kafka is away.", code="wal_unavailable"))
    answer = await caller("POST", "/v1/intents?wait=1s", intent_body(**members))
    assert (answer.status, answer.json["code"]) == (503, "wal_unavailable")
    assert answer.headers["retry-after"].isdigit()
    assert ids.INTENT_ID.fullmatch(answer.json["intent_id"])
    assert answer.json["intent_id"] == members.get("intent_id", answer.json["intent_id"])
    assert answer.json["intent_id"] in answer.json["cure"]
    exposition = (await caller("GET", "/metrics")).body.decode()
    assert "symphainy_gateway_publish_failures_total 1.0" in exposition


async def test_an_append_that_never_ends_is_unknown(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: Intent) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(submitting, "PUBLISH_TIMEOUT_S", 0.01)
    caller.backend.publisher.before = never
    answer = await caller("POST", "/v1/intents", intent_body())
    assert (answer.status, answer.json["code"]) == (503, "wal_unavailable")
    assert answer.json["intent_id"]


async def test_what_the_publisher_refuses_is_the_callers_to_mend(caller: Caller) -> None:
    caller.backend.publisher.before = raising(
        CallerError("Too large.", code="too_large", field="/metadata")
    )
    answer = await caller("POST", "/v1/intents", intent_body(intent_id="order-7"))
    assert (answer.status, answer.json["field"]) == (413, "/metadata")
    assert answer.json["intent_id"] == "order-7"


async def test_a_session_that_was_seen_open_is_not_looked_up_again(caller: Caller) -> None:
    await caller("POST", "/v1/intents", intent_body())
    caller.backend.read_model.opened.clear()
    assert (await caller("POST", "/v1/intents", intent_body())).status == 202
    closing = await caller("DELETE", f"/v1/sessions/{SESSION}")
    assert closing.json["code"] == "session_not_found"
    assert (await caller("POST", "/v1/intents", intent_body())).status == 404


async def test_waits_are_counted(caller: Caller) -> None:
    await caller("POST", "/v1/intents?wait=1s", intent_body())
    caller.backend.publisher.outcome = "running"
    await caller("POST", "/v1/intents?wait=10ms", intent_body())
    exposition = (await caller("GET", "/metrics")).body.decode()
    assert 'symphainy_gateway_waits_total{outcome="met"} 1.0' in exposition
    assert 'symphainy_gateway_waits_total{outcome="not_met"} 1.0' in exposition
