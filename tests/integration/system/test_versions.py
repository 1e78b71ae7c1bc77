"""Two versions of a realm's code, on real parts.

- An execution keeps the version that it began with until it ends, while a newer one is in force.
- What a worker does not serve it hands back, and it waits for a worker that does.
- A worker that only drains goes on with its old version, and puts nothing in force.
- `capability list` shows a version on its way in and out, also after a rebuild of the read model.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.integration.system.test_waiting import begin, in_status, shown, waits_for
from tests.support.system import System, eventually

FIRST, SECOND = "tests.support.aged_realm:first", "tests.support.aged_realm:second"
Row = tuple[str, int, int | None, bool]


def command(system: System, *arguments: str) -> str:
    """What a verb prints."""
    run = subprocess.run(
        [sys.executable, "-m", "symphainy_cli", *arguments],
        env=system.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def listed(system: System) -> dict[int, Row]:
    """State, workers, live executions and whether these are stranded, by version."""
    found: list[dict[str, Any]] = json.loads(command(system, "capability", "list", "--json"))
    assert {one["name"] for one in found} == {"aged.hold"}
    return {
        one["version"]: (one["state"], one["workers"], one["live_executions"], one["stranded"])
        for one in found
    }


def shows(system: System, expected: dict[int, Row]) -> None:
    """Return once the listing is that."""
    seen: list[dict[int, Row]] = []

    def look() -> bool:
        seen.append(listed(system))
        return seen[-1] == expected

    try:
        eventually(look, f"the versions are {expected}")
    except AssertionError as error:
        raise AssertionError(f"{error}; last they were {seen[-1]}") from error


def hold(system: System) -> str:
    """Begin an execution and return when its handler waits."""
    execution = begin(system, "aged.hold", {"text": "a"})
    waits_for(system, execution, "signal:go:1")
    return execution


def let_go(system: System, execution: str) -> None:
    """Let its handler go on."""
    answer = system.http.post(f"/v1/executions/{execution}/signals/go", json={"data": None})
    assert answer.status_code == 202, answer.text


def ends(system: System, execution: str, code: str, version: int) -> None:
    """Return when it has succeeded with that code."""
    found = in_status(system, execution, "succeeded")
    assert (found["result"], found["versions"]) == ({"code": code}, [f"aged.hold@{version}"])


def test_an_execution_keeps_its_version_while_a_newer_one_is_rolled_out(system: System) -> None:
    for role in ("owner", "projector", "gateway"):
        system.up(role)
    system.worker(FIRST, "first")
    quick, slow = hold(system), hold(system)
    shows(system, {1: ("serving", 1, 2, False)})

    system.worker(SECOND, "second")
    shows(system, {1: ("draining", 1, 2, False), 2: ("rolling_out", 1, 0, False)})
    newer = hold(system)
    let_go(system, quick)
    ends(system, quick, "first", 1)
    shows(system, {1: ("draining", 1, 1, False), 2: ("rolling_out", 1, 1, False)})

    system.supervisor.stop("first")
    shows(system, {1: ("draining", 0, 1, True), 2: ("serving", 1, 1, False)})
    assert "Start one that does" in command(system, "capability", "list")
    let_go(system, slow)
    eventually(lambda: "version_not_served" in reasons(system, slow), "it is handed back")
    assert shown(system, slow)["status"] != "succeeded"

    system.worker(FIRST, "drains", "--draining")
    ends(system, slow, "first", 1)
    shows(system, {1: ("retired", 1, 0, False), 2: ("rolling_out", 1, 1, False)})
    command(system, "read-model", "rebuild")
    shows(system, {1: ("retired", 1, 0, False), 2: ("rolling_out", 1, 1, False)})
    let_go(system, newer)
    ends(system, newer, "second", 2)
    system.supervisor.stop("drains")
    shows(system, {2: ("serving", 1, 0, False)})


def reasons(system: System, execution: str) -> list[str]:
    """Why it was handed back."""
    answer = system.http.get(f"/v1/executions/{execution}/events")
    events = answer.json()["events"]
    return [one["data"]["reason"] for one in events if one["type"] == "step_handed_back"]
