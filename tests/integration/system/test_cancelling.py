"""Executions that somebody ends, on real parts.

- A handler that waits ends at once; so does what waits for its turn or its next attempt.
- What runs is told, cleans up, and ends; what succeeds all the same has succeeded.
- So it is although no owner is there when it is asked.
- To ask twice changes nothing; what has ended, is unknown or is asked badly is refused, with a
  code.
- The one command and the client do what the route does.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.integration.system.test_waiting import PATIENT, begin, in_status, shown, waits_for
from tests.support.system import System, eventually

from symphainy import Client
from symphainy.errors import ApiError


def ask(system: System, execution: str, body: dict[str, Any] | None = None) -> Any:
    """Ask for its end over HTTP."""
    return system.http.post(f"/v1/executions/{execution}/cancel", json=body or {})


def kinds(system: System, execution: str) -> list[str]:
    """What happened to it."""
    events = system.http.get(f"/v1/executions/{execution}/events").json()["events"]
    return [event["type"] for event in events]


def test_a_handler_that_waits_ends_at_once(whole: System) -> None:
    execution = begin(whole, "work.approve", PATIENT)
    waits_for(whole, execution, "signal:approved:1")
    answer = ask(whole, execution, {"reason": "withdrawn"})
    assert (answer.status_code, answer.json()["status"]) == (202, "succeeded"), answer.text
    found = in_status(whole, execution, "cancelled")
    assert (found["cancel"]["reason"], found["cancel"]["by"]) == ("withdrawn", "ann")
    assert found["success"] is False
    told = kinds(whole, execution)
    assert told[-3:] == ["cancel_requested", "step_cancelled", "execution_cancelled"]
    late = ask(whole, execution)
    assert (late.status_code, late.json()["code"]) == (409, "execution_ended")


def test_what_backs_off_is_not_tried_again(whole: System) -> None:
    execution = begin(whole, "work.later", {"after": "1h"})
    in_backing_off(whole, execution)
    ask(whole, execution)
    in_status(whole, execution, "cancelled")
    assert kinds(whole, execution).count("step_dispatched") == 1


def in_backing_off(system: System, execution: str) -> None:
    """Return once its first attempt has failed."""

    def backs_off() -> bool:
        return any(step["status"] == "backing_off" for step in shown(system, execution)["steps"])

    eventually(backs_off, "it backs off")


@pytest.mark.parametrize("intent", ["work.forever", "work.grind"])
def test_what_would_run_for_minutes_ends_within_seconds(
    whole: System, tmp_path: Path, intent: str
) -> None:
    execution = begin(whole, intent, {"folder": str(tmp_path)})
    eventually((tmp_path / "begun").exists, "it runs")
    asked_at = time.monotonic()
    answer = ask(whole, execution, {"reason": "too long"})
    assert answer.status_code == 202, answer.text
    found = in_status(whole, execution, "cancelled")
    assert time.monotonic() - asked_at < 5
    assert (tmp_path / "cleaned up: True").exists()
    assert found["cancel"]["reason"] == "too long"
    told = kinds(whole, execution)
    assert told[-3:] == ["step_handed_back", "step_cancelled", "execution_cancelled"]


def test_what_runs_is_told_by_the_next_owner(system: System, tmp_path: Path) -> None:
    system.start("tests.support.work_realm:realm")
    execution = begin(system, "work.forever", {"folder": str(tmp_path)})
    eventually((tmp_path / "begun").exists, "it runs")
    system.supervisor.kill("owner")
    answer = ask(system, execution, {"reason": "nobody is there"})
    assert answer.status_code == 202, answer.text
    system.supervisor.restart("owner")
    in_status(system, execution, "cancelled")
    assert (tmp_path / "cleaned up: True").exists()


def test_what_runs_may_succeed_and_then_has(whole: System) -> None:
    execution = begin(whole, "work.stubborn", {"ms": 700})
    answer = ask(whole, execution, {"reason": "too late"})
    assert answer.status_code == 202, answer.text
    found = in_status(whole, execution, "succeeded")
    assert found["cancel"]["reason"] == "too late"


def test_the_client_and_the_command_ask_too(whole: System) -> None:
    first = begin(whole, "work.approve", PATIENT)
    second = begin(whole, "work.approve", PATIENT)

    async def end() -> None:
        async with Client(str(whole.http.base_url), whole.key) as client:
            for _ in range(2):
                await client.cancel(first, "asked", cancel_id="once")
            with pytest.raises(ApiError, match="another payload"):
                await client.cancel(first, "asked otherwise", cancel_id="once")

    asyncio.run(end())
    in_status(whole, first, "cancelled")
    gateway = ["--url", str(whole.http.base_url), "--key", whole.key, "--json"]
    command = [sys.executable, "-m", "symphainy_cli", "cancel", second, "--reason", "asked"]
    told = subprocess.run([*command, *gateway], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout)["execution_id"] == second
    in_status(whole, second, "cancelled")


@pytest.mark.parametrize(
    ("execution", "body", "status", "code"),
    [
        ("exe-0-" + "0" * 32, {}, 404, "execution_not_found"),
        ("", {"reason": 1}, 422, "invalid_request"),
        ("", {"reason": "x" * 2_001}, 422, "invalid_request"),
        ("", {"why": "x"}, 422, "invalid_request"),
    ],
)
def test_bad_requests_are_refused(
    whole: System, execution: str, body: dict[str, Any], status: int, code: str
) -> None:
    answer = ask(whole, execution or begin(whole, "work.approve", PATIENT), body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_it_ends_although_everybody_dies(system: System) -> None:
    system.start("tests.support.work_realm:realm")
    execution = begin(system, "work.approve", PATIENT)
    waits_for(system, execution, "signal:approved:1")
    system.supervisor.kill("worker")
    system.supervisor.kill("owner")
    answer = ask(system, execution, {"reason": "nobody is there"})
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted"), answer.text
    system.supervisor.restart("owner")
    in_status(system, execution, "cancelled")
