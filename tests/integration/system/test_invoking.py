"""Handlers that invoke others, on real parts.

- What is invoked is stated once, and its result comes back, whoever is killed meanwhile.
- Who waits for it finds it in the history; who is cancelled takes it along.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.integration.system.test_waiting import PATIENT, begin, in_status, shown, waits_for
from tests.support.system import System

from symphainy import Client, ExecutionResult
from symphainy_cli.proof import prove

FAMILIES, CHILDREN = 60, 3


def events_of(system: System, execution: str, kind: str) -> list[dict[str, Any]]:
    """What the execution's events of a type say."""
    events = system.http.get(f"/v1/executions/{execution}/events").json()["events"]
    return [event["data"] for event in events if event["type"] == kind]


async def families(system: System, kill: Any) -> list[ExecutionResult]:
    """Submit them all, kill somebody while they run, and await their ends."""
    async with Client(system.url, system.key) as client:
        sessions = [await client.open_session() for _ in range(6)]

        async def one(number: int) -> str:
            numbers = {"numbers": [number + child for child in range(CHILDREN)]}
            session = sessions[number % len(sessions)]
            result = await client.submit("work.family", numbers, session_id=session, wait="0s")
            return result.execution_id

        first = await asyncio.gather(*(one(number) for number in range(FAMILIES // 2)))
        killing = asyncio.create_task(asyncio.to_thread(kill))
        rest = [await one(number) for number in range(FAMILIES // 2, FAMILIES)]
        await killing
        found = [*first, *rest]
        ends = await asyncio.gather(*(client.ended(name) for name in found))
        assert set(ends) == {"succeeded"}
        return [await client.status(name) for name in found]


@pytest.mark.parametrize("role", ["owner", "worker"])
def test_a_kill_neither_loses_nor_doubles_what_is_invoked(system: System, role: str) -> None:
    system.start("tests.support.work_realm:realm")

    def kill_and_start_again() -> None:
        system.supervisor.kill(role)
        system.supervisor.restart(role)

    results = asyncio.run(families(system, kill_and_start_again))
    children: list[str] = []
    for number, result in enumerate(results):
        total = sum(number + child + 1 for child in range(CHILDREN))
        assert shown(system, result.execution_id)["result"] == {"total": total}
        invoked = events_of(system, result.execution_id, "child_invoked")
        ended = events_of(system, result.execution_id, "child_ended")
        mine = [one["child"] for one in invoked]
        assert len(set(mine)) == CHILDREN
        assert sorted(one["child"] for one in ended) == sorted(mine)
        assert {one["outcome"]["status"] for one in ended} == {"succeeded"}
        assert {shown(system, child)["causation_id"] for child in mine} == {result.execution_id}
        children += mine
    assert len(set(children)) == FAMILIES * CHILDREN
    proof = prove(system.settings, [*children, *(one.execution_id for one in results)])
    assert proof.exact, proof
    assert proof.received == FAMILIES * (CHILDREN + 1)


def test_who_waits_holds_no_worker_and_goes_on_with_the_result(whole: System) -> None:
    parent = begin(whole, "work.delegate", PATIENT)
    waits_for(whole, parent, "invoke:work.approve:1:ended")
    (invoked,) = events_of(whole, parent, "child_invoked")
    child = invoked["child"]
    waits_for(whole, child, "signal:approved:1")
    whole.http.post(f"/v1/executions/{child}/signals/approved", json={"data": {"by": "ann"}})
    in_status(whole, child, "succeeded")
    found = in_status(whole, parent, "succeeded")
    assert found["result"]["told"]["by"] == "ann"


def test_who_is_cancelled_takes_along_what_it_waits_for(whole: System) -> None:
    parent = begin(whole, "work.delegate", PATIENT)
    waits_for(whole, parent, "invoke:work.approve:1:ended")
    (invoked,) = events_of(whole, parent, "child_invoked")
    waits_for(whole, invoked["child"], "signal:approved:1")
    asked = whole.http.post(f"/v1/executions/{parent}/cancel", json={"reason": "enough"})
    assert asked.status_code == 202, asked.text
    in_status(whole, parent, "cancelled")
    found = in_status(whole, invoked["child"], "cancelled")
    assert found["causation_id"] == parent
