"""Plans over two realms, and what an operator does about them, on real parts.

- Each step gets what its plan says, of the payload and of what earlier steps returned.
- A step that fails for good holds the execution, which says what an operator can do; the commands
  work as it prints them. Tried again with another input it goes on to its end.
- What is to be undone is, in reverse; where there is nothing to undo, a failed step's error is the
  end, and nothing but the wish to undo is `compensated`.
- What is stuck can be given up, one by one and many at once.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.integration.system.test_waiting import begin, in_status, waits_for
from tests.support.cli import run
from tests.support.saga_realms import GOOD_CARD, PRICE
from tests.support.system import System, eventually, isolated

from symphainy_runtime.configuration import write_config
from symphainy_runtime.local import Endpoints
from symphainy_schemas.records import Capability, Determinism, PlannedStep, Recovery
from symphainy_schemas.templates import reference

GOOD = {"item": "lamp", "card": GOOD_CARD}
BAD = {"item": "lamp", "card": "tok-bad"}
ITEM = {"item": reference("payload", "/item")}
PAYMENT = {"card": reference("payload", "/card"), "amount": reference("reserve", "/price")}


def step(name: str, intent_type: str, given: object, *needs: str) -> PlannedStep:
    """A step of a plan, with the template of what it gets."""
    template = msgspec.json.encode(given)
    return PlannedStep(
        step=name, intent_type=intent_type, needs=needs, input=template, condition=b""
    )


def plan(name: str, *steps: PlannedStep) -> Capability:
    """A capability that is carried out by those steps, and held when one fails."""
    return Capability(
        name=name,
        version=1,
        realm=name.partition(".")[0],
        handler="",
        description="",
        input_contract=b"{}",
        output_contract=b"",
        determinism=Determinism.NON_DETERMINISTIC,
        timeout_ms=0,
        attempts=1,
        backoff_ms=0,
        backoff_factor=1.0,
        backoff_max_ms=0,
        registered_at=1,
        registered_by="test",
        plan=steps,
        recovery=Recovery.HOLD_FOR_OPERATOR,
    )


PARCEL = {"hold": reference("reserve", "/hold"), "receipt": reference("charge", "/receipt")}
PLANS = (
    plan(
        "orders.place",
        step("reserve", "stock.reserve", ITEM),
        step("charge", "bank.charge", PAYMENT, "reserve"),
        step("ship", "stock.ship", PARCEL, "charge"),
    ),
    plan("orders.inspect", step("look", "stock.inspect", ITEM)),
    plan(
        "orders.hold",
        step("hold", "stock.hold", ITEM),
        step("charge", "bank.charge", {**PAYMENT, "amount": 1}, "hold"),
    ),
)


@pytest.fixture(scope="module")
def shop(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Two realms at work, and plans over them."""
    one = System(isolated(running, tmp_path_factory.mktemp("shop")))
    for role in ("owner", "projector", "gateway"):
        one.up(role)
    for realm in ("stock", "bank"):
        one.worker(f"tests.support.saga_realms:{realm}", realm)
    write_config(one.settings, *PLANS)
    yield one
    one.stop()


def saga(system: System, execution: str) -> dict[str, Any]:
    """The saga over HTTP, its steps by name."""
    answer = system.http.get(f"/v1/sagas/{execution}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found | {"steps": {one["step"]: one for one in found["steps"]}}


def ways_on(found: dict[str, Any]) -> list[list[str]]:
    """The commands that a stuck execution's error names."""
    _, _, told = found["error"]["operator_action"].partition("then: ")
    return [shlex.split(one) for one in told.split(", or: ")]


def test_a_plan_carries_data_from_step_to_step(shop: System) -> None:
    execution = begin(shop, "orders.place", GOOD)
    in_status(shop, execution, "succeeded")
    found = saga(shop, execution)
    assert found["result"] == {"sent": "hold of lamp", "for": f"{PRICE} paid"}
    assert list(found["steps"]) == ["reserve", "charge", "ship"]
    charge = found["steps"]["charge"]
    assert (charge["status"], charge["realm"], charge["needs"]) == (
        "succeeded",
        "bank",
        ["reserve"],
    )
    assert charge["result"] == {"receipt": f"{PRICE} paid"}
    assert charge["started_at"] <= charge["ended_at"]
    drawn = run(shop, ["symphainy", "saga", "show", execution])
    assert "charge ← reserve" in drawn
    alone = saga(shop, finished(shop, "stock.reserve"))
    assert [one["result"]["price"] for one in alone["steps"].values()] == [PRICE]


def finished(system: System, intent_type: str) -> str:
    """An execution of one handler that has succeeded."""
    execution = begin(system, intent_type, {"item": "lamp"})
    in_status(system, execution, "succeeded")
    return execution


def test_what_is_held_goes_on_with_another_input(shop: System) -> None:
    execution = begin(shop, "orders.place", BAD)
    in_status(shop, execution, "stuck")
    found = saga(shop, execution)
    assert (found["error"]["code"], found["ended"]) == ("card_declined", False)
    charge = found["steps"]["charge"]
    assert (charge["status"], charge["attempt"]) == ("failed", 1)
    assert charge["ended_at"] >= charge["started_at"]
    assert found["steps"]["ship"]["status"] == "not_begun"
    retry, _ = ways_on(found)
    drawn = run(shop, ["symphainy", "saga", "show", execution])
    assert shlex.join(retry) in drawn
    told = json.loads(run(shop, [*retry, "--json"]))
    assert (told["execution_id"], told["step"]) == (execution, "charge")
    assert told["status"] in ("running", "stuck")  # it may have failed again by then
    eventually(lambda: attempts(shop, execution) == 2, "it was tried again as it was")
    in_status(shop, execution, "stuck")
    mended = json.dumps({"card": GOOD_CARD, "amount": PRICE})
    run(shop, [*retry, "--input", mended, "--reason", "another card"])
    run(shop, ["symphainy", "saga", "show", execution, "--watch"])
    found = saga(shop, execution)
    assert (found["status"], found["error"], found["steps"]["charge"]["attempt"]) == (
        "succeeded",
        None,
        3,
    )
    assert found["result"]["for"] == f"{PRICE} paid"


def test_what_is_held_and_cannot_be_undone_fails_when_that_is_asked(shop: System) -> None:
    execution = begin(shop, "orders.place", BAD)
    in_status(shop, execution, "stuck")
    _, compensate = ways_on(saga(shop, execution))
    run(shop, [*compensate, "--reason", "enough"])
    found = in_status(shop, execution, "failed")
    assert found["error"]["code"] == "card_declined"
    assert (found["compensation"]["by"], found["compensation"]["reason"]) == ("ann", "enough")
    late = shop.http.post(f"/v1/sagas/{execution}/compensate", json={})
    assert (late.status_code, late.json()["code"]) == (409, "execution_ended")


def test_what_has_not_failed_and_has_done_nothing_is_compensated(shop: System) -> None:
    execution = begin(shop, "orders.inspect", GOOD)
    waits_for(shop, execution, "signal:inspected:1")
    early = shop.http.post(f"/v1/sagas/{execution}/steps/look/retry", json={})
    assert (early.status_code, early.json()["code"]) == (409, "step_not_failed")
    unknown = shop.http.post(f"/v1/sagas/{execution}/steps/pay/retry", json={})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "step_not_found")
    assert unknown.json()["cure"] == "It has: look."
    answer = shop.http.post(f"/v1/sagas/{execution}/compensate", json={"reason": "enough"})
    assert (answer.status_code, answer.json()["status"]) == (202, "succeeded")
    assert in_status(shop, execution, "compensated")["error"] is None


def test_what_was_done_is_undone(shop: System) -> None:
    execution = begin(shop, "orders.hold", BAD)
    in_status(shop, execution, "stuck")
    before = saga(shop, execution)["steps"]["hold"]["compensation"]
    assert (before["handler"], before["status"]) == ("free", "not_begun")
    run(shop, ["symphainy", "saga", "compensate", execution])
    found = in_status(shop, execution, "compensated")
    assert found["error"]["code"] == "card_declined"
    undo = saga(shop, execution)["steps"]["hold"]["compensation"]
    assert (undo["status"], undo["attempt"]) == ("succeeded", 1)
    assert "undone" in run(shop, ["symphainy", "saga", "show", execution])


def attempts(system: System, execution: str) -> int:
    """Of the charge, those that have failed."""
    charge = saga(system, execution)["steps"]["charge"]
    return int(charge["attempt"]) if charge["status"] == "failed" else 0


def test_many_are_tried_again_and_given_up_at_once(shop: System) -> None:
    session = shop.open_session()
    many = [
        shop.http.post(
            "/v1/intents",
            json={"intent_type": "orders.place", "session_id": session, "payload": BAD},
        ).json()["execution_id"]
        for _ in range(3)
    ]
    for one in many:
        in_status(shop, one, "stuck")
    mine = ["--session", session, "--json"]
    [found] = map(json.loads, run(shop, ["symphainy", "bulk", "retry", *mine, "--dry-run"]).split())
    assert found["found"] == 3
    assert [attempts(shop, one) for one in many] == [1, 1, 1]
    lines = run(shop, ["symphainy", "bulk", "retry", *mine, "--yes"]).splitlines()
    outcomes = [json.loads(line) for line in lines]
    assert [one["outcome"] for one in outcomes[:-1]] == ["recorded"] * 3
    eventually(lambda: [attempts(shop, one) for one in many] == [2, 2, 2], "all were tried again")
    for one in many:
        in_status(shop, one, "stuck")
    run(shop, ["symphainy", "bulk", "cancel", *mine, "--reason", "given up", "--yes"])
    for one in many:
        ended = in_status(shop, one, "failed")
        assert (ended["cancel"]["by"], ended["cancel"]["reason"]) == ("ann", "given up")
