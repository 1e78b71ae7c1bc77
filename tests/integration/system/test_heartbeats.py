"""Heartbeats on real parts.

- A handler that shows signs of life may run for longer than its heartbeat; one that is silent is
  ended, and tried again.
- A worker that dies is missed after a heartbeat, although its handler has no other limit.
"""

from __future__ import annotations

from tests.integration.system.test_waiting import begin, in_status, shown
from tests.support.system import System, eventually


def errors(system: System, execution: str) -> list[str]:
    """Why its attempts failed."""
    events = system.http.get(f"/v1/executions/{execution}/events").json()["events"]
    return [one["data"]["error"]["code"] for one in events if one["type"] == "step_failed"]


def test_signs_of_life_keep_it_running(whole: System) -> None:
    execution = begin(whole, "work.beat", {"lively_at": 1})
    assert in_status(whole, execution, "succeeded")["result"] == {"attempt": 1}
    assert errors(whole, execution) == []


def test_silence_ends_an_attempt_and_the_next_one_goes_on(whole: System) -> None:
    execution = begin(whole, "work.beat", {"lively_at": 3})
    assert in_status(whole, execution, "succeeded")["result"] == {"attempt": 3}
    assert errors(whole, execution) == ["heartbeat_timeout"] * 2


def test_a_dead_worker_is_missed_after_a_heartbeat(system: System) -> None:
    system.start("tests.support.work_realm:realm")
    execution = begin(system, "work.beat", {"lively_at": 2})

    def runs() -> bool:
        return any(step["status"] == "started" for step in shown(system, execution)["steps"])

    eventually(runs, "its handler runs")
    system.supervisor.kill("worker")
    eventually(lambda: "heartbeat_timeout" in errors(system, execution), "it is missed")
    system.supervisor.restart("worker")
    in_status(system, execution, "succeeded")
