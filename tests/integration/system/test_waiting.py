"""Handlers that wait, on real parts.

- A handler that sleeps or waits for a signal holds no worker, and outlives its timeout and a kill.
- A signal wakes it, once; one that comes early is kept; one that never comes is a `SignalTimeout`.
- What is recorded never runs again, however often the handler does.
- Signals to nothing, to what has ended, or malformed, are refused with a code.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.system import System, eventually

from symphainy import Client
from symphainy.errors import ApiError

PATIENT = {"nap_ms": 200, "patience_ms": 60_000}


def begin(system: System, intent_type: str, payload: dict[str, Any]) -> str:
    """Submit; the execution's id."""
    body = {
        "intent_type": intent_type,
        "session_id": system.open_session(),
        "payload": payload,
    }
    answer = system.http.post("/v1/intents", json=body)
    assert answer.status_code == 202, answer.text
    found: str = answer.json()["execution_id"]
    return found


def shown(system: System, execution: str) -> dict[str, Any]:
    """What is known of it."""
    answer = system.http.get(f"/v1/executions/{execution}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def in_status(system: System, execution: str, status: str) -> dict[str, Any]:
    """The same, once it has that status."""
    eventually(lambda: shown(system, execution)["status"] == status, f"it is {status}")
    return shown(system, execution)


def waits_for(system: System, execution: str, wait: str) -> None:
    """Return once its handler waits for that."""

    def waiting() -> bool:
        found = shown(system, execution)
        names = [one["name"] for step in found["steps"] for one in step.get("waits", [])]
        return found["status"] == "waiting" and wait in names

    eventually(waiting, f"its handler waits for {wait}")


def test_an_approval_is_waited_for_and_wakes_the_handler_once(whole: System) -> None:
    execution = begin(whole, "work.approve", PATIENT)
    waits_for(whole, execution, "signal:approved:1")
    sent = whole.http.post(
        f"/v1/executions/{execution}/signals/approved", json={"data": {"by": "ann"}}
    )
    assert sent.status_code == 202, sent.text
    assert sent.json()["status"] == "succeeded"
    found = in_status(whole, execution, "succeeded")
    assert found["result"] == {"ran": 1, "by": "ann", "delivery": 3}
    events = whole.http.get(f"/v1/executions/{execution}/events").json()["events"]
    kinds = [event["type"] for event in events]
    assert kinds.count("step_suspended") == 2
    assert kinds.count("step_resumed") == 2
    assert kinds.count("signal_received") == 1
    late = whole.http.post(f"/v1/executions/{execution}/signals/approved", json={"data": 1})
    assert (late.status_code, late.json()["code"]) == (409, "execution_ended")


def test_no_approval_in_time_is_a_timeout(whole: System) -> None:
    execution = begin(whole, "work.approve", {"nap_ms": 1, "patience_ms": 300})
    found = in_status(whole, execution, "succeeded")
    assert found["result"]["by"] is None


def test_a_signal_that_comes_early_is_kept_and_a_repeat_sends_nothing(whole: System) -> None:
    execution = begin(whole, "work.approve", {"nap_ms": 1_500, "patience_ms": 60_000})
    waits_for(whole, execution, "sleep:1")

    async def send() -> None:
        async with Client(str(whole.http.base_url), whole.key) as client:
            for _ in range(2):
                await client.signal(execution, "approved", {"by": "ben"}, signal_id="once")
            with pytest.raises(ApiError, match="another payload"):
                await client.signal(execution, "approved", {"by": "cyd"}, signal_id="once")

    asyncio.run(send())
    assert in_status(whole, execution, "succeeded")["result"]["by"] == "ben"
    events = whole.http.get(f"/v1/executions/{execution}/events").json()["events"]
    assert [event["type"] for event in events].count("signal_received") == 1


def test_waits_and_steps_stand_side_by_side(whole: System) -> None:
    execution = begin(whole, "work.side_by_side", PATIENT)
    waits_for(whole, execution, "signal:told:1")
    whole.http.post(f"/v1/executions/{execution}/signals/told", json={"data": [1]})
    assert in_status(whole, execution, "succeeded")["result"] == {"ran": 1, "told": [1]}


def test_a_sync_handler_waits_too(whole: System) -> None:
    execution = begin(whole, "work.sync_approve", PATIENT)
    waits_for(whole, execution, "signal:told:1")
    whole.http.post(f"/v1/executions/{execution}/signals/told")
    assert in_status(whole, execution, "succeeded")["result"] == {"told": None, "delivery": 3}


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("exe-0-" + "0" * 32 + "/signals/approved", {"data": 1}, 404, "execution_not_found"),
        ("{}/signals/" + "x" * 201, {"data": 1}, 400, "invalid_parameter"),
        ("{}/signals/approved", {"dat": 1}, 422, "invalid_request"),
        ("{}/signals/approved", {"data": "x" * 70_000}, 413, "too_large"),
    ],
)
def test_bad_signals_are_refused(
    whole: System, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    execution = begin(whole, "work.approve", PATIENT)
    answer = whole.http.post(f"/v1/executions/{path.format(execution)}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_handler_sleeps_through_the_death_of_everybody(system: System) -> None:
    system.start("tests.support.work_realm:realm")
    execution = begin(system, "work.approve", {"nap_ms": 4_000, "patience_ms": 60_000})
    waits_for(system, execution, "sleep:1")
    for role in ("owner", "worker"):
        system.supervisor.kill(role)
        system.supervisor.restart(role)
    waits_for(system, execution, "signal:approved:1")
    system.http.post(f"/v1/executions/{execution}/signals/approved", json={"data": {"by": "ann"}})
    found = in_status(system, execution, "succeeded")
    assert (found["result"]["by"], found["result"]["ran"]) == ("ann", 1)
