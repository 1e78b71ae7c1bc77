"""Executions that somebody lets rest, on real parts.

- Nothing more of it begins, whatever comes, until it is resumed; then it goes on where it stood.
- It rests although everybody dies.
- The one command and the client do what the routes do.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

from tests.integration.system.test_cancelling import kinds
from tests.integration.system.test_waiting import PATIENT, begin, in_status, shown, waits_for
from tests.support.system import System, eventually

from symphainy import Client


def ask(system: System, execution: str, verb: str, reason: str = "") -> Any:
    """Ask over HTTP."""
    path = f"/v1/executions/{execution}/{verb}"
    answer = system.http.post(path, json={"reason": reason})
    assert answer.status_code == 202, answer.text
    return answer.json()


def held(system: System, execution: str) -> bool:
    """Whether its step is."""
    return any(step["status"] == "held" for step in shown(system, execution)["steps"])


def approve(system: System, execution: str) -> None:
    """Send what its handler waits for."""
    path = f"/v1/executions/{execution}/signals/approved"
    assert system.http.post(path, json={"data": {"by": "ann"}}).status_code == 202


def test_it_rests_whatever_comes_and_goes_on_where_it_stood(whole: System) -> None:
    execution = begin(whole, "work.approve", PATIENT)
    waits_for(whole, execution, "signal:approved:1")
    assert ask(whole, execution, "pause", "closed")["status"] == "succeeded"
    told = shown(whole, execution)["paused"]
    assert (told["reason"], told["by"]) == ("closed", "ann")
    approve(whole, execution)
    eventually(lambda: held(whole, execution), "it is held")
    before = kinds(whole, execution).count("step_dispatched")
    assert ask(whole, execution, "resume", "open")["status"] == "succeeded"
    found = in_status(whole, execution, "succeeded")
    assert found["paused"] is None
    assert kinds(whole, execution).count("step_dispatched") == before + 1


def test_it_rests_although_everybody_dies(system: System) -> None:
    system.start("tests.support.work_realm:realm")
    execution = begin(system, "work.approve", PATIENT)
    waits_for(system, execution, "signal:approved:1")
    ask(system, execution, "pause")
    approve(system, execution)
    eventually(lambda: held(system, execution), "it is held")
    for name in ("worker", "owner"):
        system.supervisor.kill(name)
        system.supervisor.restart(name)
    ask(system, execution, "resume")
    in_status(system, execution, "succeeded")


def test_the_client_and_the_commands_ask_too(whole: System) -> None:
    execution = begin(whole, "work.approve", PATIENT)
    waits_for(whole, execution, "signal:approved:1")

    async def rest() -> None:
        async with Client(str(whole.http.base_url), whole.key) as client:
            await client.pause(execution, "closed")
            await client.resume(execution, "open")
            await client.resume(execution, "open again")  # changes nothing

    asyncio.run(rest())
    gateway = ["--url", str(whole.http.base_url), "--key", whole.key, "--json"]
    for verb, paused in (("pause", True), ("resume", False)):
        command = [sys.executable, "-m", "symphainy_cli", verb, execution, "--reason", "asked"]
        told = subprocess.run([*command, *gateway], capture_output=True, text=True, check=True)
        assert json.loads(told.stdout) == {"execution_id": execution, "status": "waiting"}
        assert (shown(whole, execution)["paused"] is not None) is paused
    approve(whole, execution)
    in_status(whole, execution, "succeeded")
    assert kinds(whole, execution).count("execution_resumed") == 2
