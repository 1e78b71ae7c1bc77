"""/v1/sagas: an execution step by step, and what is asked of it.

- Steps stand in the order of the plan, those that have not begun too; each beside what undoes it.
- An execution of one handler is a saga of one step.
- What is asked goes into the log as the caller's control intent, once for a key; what the owner
  says no to is a problem with its code and status.
- Another tenant's execution is neither shown nor asked.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.gateway.caller import Caller
from tests.unit.gateway.fakes import OTHER_KEY, SESSION, Verdict, error

from symphainy_schemas.records import Intent

EXECUTION = f"exe-3-{'b' * 32}"
SAGA = f"/v1/sagas/{EXECUTION}"


def planned(step: str, *needs: str, undo: str | None = None) -> dict[str, Any]:
    """A step as the read model has it of a plan."""
    return {
        "step": step,
        "intent_type": f"shop.{step}",
        "version": 2,
        "realm": "shop",
        "needs": list(needs),
        "condition": None,
        "compensation": undo,
    }


DECLINED = error("card_declined")
PLAN = [planned("reserve", undo="release"), planned("charge", "reserve"), planned("ship", "charge")]
STEPS = [
    {"step": "compensate:reserve", "status": "failed", "attempt": 3, "error": DECLINED},
    {"step": "charge", "status": "failed", "attempt": 2, "delivery": 2, "error": DECLINED},
    {
        "step": "reserve",
        "status": "succeeded",
        "attempt": 1,
        "delivery": 1,
        "worker": "w-1",
        "started_at": 10,
        "ended_at": 30,
        "result": {"hold": 7},
    },
]


def document(**members: Any) -> dict[str, Any]:
    """An execution of a plan as the read model shows it."""
    return {
        "execution_id": EXECUTION,
        "intent_id": "i-1",
        "intent_type": "shop.order",
        "realm": "shop",
        "session_id": SESSION,
        "tenant_id": "acme",
        "status": "stuck",
        "success": False,
        "started_at": 5,
        "execution_time_ms": None,
        "as_of": 40,
        "error": DECLINED,
        "cancel": None,
        "paused": None,
        "compensation": None,
        "plan": PLAN,
        "steps": STEPS,
        **members,
    }


@pytest.fixture
def caller() -> Caller:
    """A gateway that knows one execution, which is stuck."""
    made = Caller()
    made.backend.read_model.documents[EXECUTION] = document()
    return made


async def test_steps_stand_in_the_order_of_the_plan_beside_what_undoes_them(
    caller: Caller,
) -> None:
    saga = (await caller("GET", SAGA)).json
    reserve, charge, ship = saga["steps"]
    assert [one["step"] for one in saga["steps"]] == ["reserve", "charge", "ship"]
    assert (saga["status"], saga["ended"], saga["error"]["code"]) == (
        "stuck",
        False,
        "card_declined",
    )
    assert (reserve["status"], reserve["worker"], reserve["result"]) == (
        "succeeded",
        "w-1",
        {"hold": 7},
    )
    undo = reserve["compensation"]
    assert (undo["step"], undo["handler"], undo["status"]) == (
        "compensate:reserve",
        "release",
        "failed",
    )
    assert (charge["needs"], charge["attempt"], charge["error"]) == (["reserve"], 2, DECLINED)
    assert (ship["status"], ship["attempt"], ship["compensation"]) == ("not_begun", 0, None)


async def test_an_execution_of_one_handler_is_a_saga_of_one_step(caller: Caller) -> None:
    alone = {"step": "main", "status": "succeeded", "attempt": 1, "delivery": 1}
    caller.backend.read_model.documents[EXECUTION] = document(
        plan=None, steps=[alone], status="succeeded", success=True, error=None, result={"n": 1}
    )
    [step] = (await caller("GET", SAGA)).json["steps"]
    assert (step["step"], step["intent_type"], step["needs"]) == ("main", "shop.order", [])
    assert step["result"] == {"n": 1}


async def test_the_result_of_a_plans_only_step_stands_in_the_step_too(caller: Caller) -> None:
    done = {"step": "reserve", "status": "succeeded", "attempt": 1, "delivery": 1}
    caller.backend.read_model.documents[EXECUTION] = document(
        plan=PLAN[:1], steps=[done], status="succeeded", success=True, error=None, result={"n": 1}
    )
    [step] = (await caller("GET", SAGA)).json["steps"]
    assert (step["result"], step["compensation"]["status"]) == ({"n": 1}, "not_begun")


async def test_what_is_asked_is_the_callers_intent_in_the_log(caller: Caller) -> None:
    asked = {"input": {"card": "tok-2"}, "reason": "a new card"}
    answer = await caller("POST", f"{SAGA}/steps/charge/retry", asked)
    assert (answer.status, answer.json["status"]) == (202, "succeeded")
    answer = await caller("POST", f"{SAGA}/steps/compensate:reserve/retry")
    assert answer.status == 202
    answer = await caller("POST", f"{SAGA}/compensate", {"reason": "enough"})
    assert (answer.status, answer.json["status"]) == (202, "succeeded")
    told = caller.backend.publisher.published
    assert [(one.intent_type, one.session_id, one.principal) for one in told] == [
        ("runtime.retry_step", SESSION, "ada"),
        ("runtime.retry_step", SESSION, "ada"),
        ("runtime.compensate", SESSION, "ada"),
    ]
    assert [msgspec.json.decode(one.payload) for one in told] == [
        {"execution_id": EXECUTION, "step": "charge", **asked},
        {"execution_id": EXECUTION, "step": "compensate:reserve", "reason": ""},
        {"execution_id": EXECUTION, "reason": "enough"},
    ]


async def test_a_key_asks_once_and_for_one_thing(caller: Caller) -> None:
    key = [(b"idempotency-key", b"again-1")]
    for _ in range(2):
        answer = await caller("POST", f"{SAGA}/steps/charge/retry", {"input": {}}, headers=key)
        assert answer.status == 202
    assert len(caller.backend.publisher.published) == 1
    other = await caller("POST", f"{SAGA}/steps/charge/retry", {"input": {"n": 1}}, headers=key)
    assert (other.status, other.json["code"]) == (409, "idempotency_conflict")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("step_not_found", 404),
        ("step_not_failed", 409),
        ("step_may_run", 409),
        ("compensation_began", 409),
        ("execution_stopping", 409),
        ("contract_violation", 422),
    ],
)
async def test_what_the_owner_says_no_to_is_a_problem(
    caller: Caller, code: str, status: int
) -> None:
    def no(_: Intent) -> Verdict:
        return "rejected", error(code)

    caller.backend.publisher.verdict = no
    answer = await caller("POST", f"{SAGA}/steps/charge/retry")
    assert (answer.status, answer.json["code"]) == (status, code)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"input": [1]}, "/input"),
        ({"reason": 1}, "/reason"),
        ({"reason": "x" * 2_001}, "/reason"),
        ({"step": "charge"}, "/step"),
    ],
)
async def test_what_a_retry_does_not_know_is_refused(
    caller: Caller, body: object, field: str
) -> None:
    answer = await caller("POST", f"{SAGA}/steps/charge/retry", body)
    assert (answer.status, answer.json["code"], answer.json.get("field", "")) == (
        422,
        "invalid_request",
        field,
    )
    assert caller.backend.publisher.published == []


async def test_a_name_that_no_step_can_have_is_refused(caller: Caller) -> None:
    answer = await caller("POST", f"{SAGA}/steps/{'x' * 201}/retry")
    assert (answer.status, answer.json["field"]) == (400, "/step")


@pytest.mark.parametrize("path", ["compensate", "steps/charge/retry"])
async def test_what_has_ended_is_asked_nothing(caller: Caller, path: str) -> None:
    caller.backend.read_model.documents[EXECUTION] = document(status="compensated")
    answer = await caller("POST", f"{SAGA}/{path}")
    assert (answer.status, answer.json["code"]) == (409, "execution_ended")
    assert caller.backend.publisher.published == []


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ""), ("POST", "/compensate"), ("POST", "/steps/charge/retry")]
)
async def test_another_tenants_saga_is_answered_like_none(
    caller: Caller, method: str, path: str
) -> None:
    answer = await caller(method, f"{SAGA}{path}", key=OTHER_KEY)
    assert (answer.status, answer.json["code"]) == (404, "execution_not_found")
    assert caller.backend.publisher.published == []


async def test_behind_a_step_that_is_run_for_each_element_stand_those_that_have_begun(
    caller: Caller,
) -> None:
    each = planned("charge", undo="refund") | {"for_each": {"$from": "payload", "at": "/items"}}
    told = [
        {"step": f"charge[{n}]", "status": status, "attempt": 1, "started_at": n, "ended_at": n + 5}
        for n, status in ((10, "succeeded"), (2, "started"), (9, "succeeded"))
    ]
    told.append({"step": "compensate:charge[9]", "status": "succeeded", "attempt": 1})
    caller.backend.read_model.documents[EXECUTION] = document(
        plan=[each, planned("ship", "charge")], steps=told
    )
    steps = (await caller("GET", SAGA)).json["steps"]
    names = ["charge", "charge[2]", "charge[9]", "charge[10]", "ship"]
    assert [one["step"] for one in steps] == names
    assert [one["element_of"] for one in steps] == ["", "charge", "charge", "charge", ""]
    whole = steps[0]
    assert (whole["status"], whole["started_at"], whole["ended_at"]) == ("started", 2, 15)
    assert whole["compensation"]["status"] == "succeeded"
    assert steps[1]["compensation"]["status"] == "not_begun"
    assert steps[2]["compensation"]["step"] == "compensate:charge[9]"
    assert whole["for_each"] == each["for_each"]
