"""The life of a session on real parts.

- It expires by its own, with nobody asking; then it takes nothing, and says why.
- It shows what runs in it, and what closes it asks that to end.
- Its attributes reach the handler, and change for what is delivered next.
- The command line opens, shows, lists, changes and closes it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from tests.support.system import System, eventually


def opened(system: System, **body: Any) -> str:
    answer = system.http.post("/v1/sessions", json=body)
    assert answer.status_code == 201, answer.text
    session: str = answer.json()["session_id"]
    return session


def shown(system: System, session: str) -> dict[str, Any]:
    found: dict[str, Any] = system.http.get(f"/v1/sessions/{session}").json()
    return found


def submit(system: System, session: str, intent_type: str, payload: Any, wait: str = "30s") -> Any:
    body = {"intent_type": intent_type, "session_id": session, "payload": payload}
    return system.http.post(f"/v1/intents?wait={wait}" if wait else "/v1/intents", json=body)


@pytest.mark.parametrize("body", [{"idle_ms": 1_500}, {"lifetime_ms": 1_500}])
def test_a_session_expires(whole: System, body: dict[str, int]) -> None:
    session = opened(whole, **body)
    assert submit(whole, session, "work.add", {"numbers": [1]}).json()["status"] == "succeeded"
    eventually(lambda: shown(whole, session)["status"] == "expired", "it has expired")
    answer = submit(whole, session, "work.add", {"numbers": [1]})
    assert (answer.status_code, answer.json()["code"]) == (409, "session_expired")
    found = shown(whole, session)
    assert found["ending"] == {
        "reason": "idle" if "idle_ms" in body else "lifetime",
        "mode": "drain",
    }
    events = whole.http.get(f"/v1/sessions/{session}/events").json()["events"]
    (expired,) = (one for one in events if one["type"] == "session_expired")
    assert expired["at"] >= found["opened_at"] + 1_500


def test_what_runs_is_shown_and_asked_to_end(whole: System) -> None:
    session = opened(whole)
    running = submit(whole, session, "work.nap", {"ms": 60_000}, wait="").json()["execution_id"]

    def runs() -> bool:
        found = shown(whole, session)
        listed: list[str] = [one["execution_id"] for one in found["executions"]]
        return listed == [running]

    eventually(runs, "it runs")
    answer = whole.http.delete(f"/v1/sessions/{session}?mode=cancel")
    assert answer.status_code in (200, 202), answer.text
    eventually(
        lambda: whole.http.get(f"/v1/executions/{running}/status").json()["status"] == "cancelled",
        "it was cancelled",
    )
    eventually(lambda: shown(whole, session)["running"] == 0, "nothing runs")
    found = shown(whole, session)
    assert (found["status"], found["closing"]) == ("closed", False)
    assert found["ending"]["mode"] == "cancel"


def test_the_command_line_leads_a_session_through_its_life(whole: System) -> None:
    def said(*arguments: str) -> Any:
        told = subprocess.run(
            [sys.executable, "-m", "symphainy_cli", *arguments, "--json"],
            env=whole.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(told.stdout)

    def cli(*arguments: str) -> Any:
        return said("session", *arguments, "--url", whole.url, "--key", whole.key)

    session = cli("open", "--attributes", '{"stage": "draft", "n": 1}', "--lifetime", "1h")[
        "session_id"
    ]
    found = cli("show", session)
    assert found["attributes"] == {"stage": "draft", "n": 1}
    assert found["expires_at"] == found["opened_at"] + 3_600_000
    changed = cli("change", session, "--attributes", '{"stage": "final", "n": null}')
    assert changed["attributes"] == {"stage": "final"}
    done = submit(whole, session, "work.session", {"numbers": []}).json()
    assert done["result"] == {"stage": "final"}
    handlers = ("--handlers", "tests.support.work_realm:realm")
    again = said("replay", "execution", done["execution_id"], "--mode", "full", *handlers)
    assert again["equal"] == 1, "the handler got the session's attributes again"
    assert session in [one["session_id"] for one in cli("list", "--status", "open")["items"]]
    assert cli("close", session, "--reason", "done")["status"] == "closed"
    assert session not in [one["session_id"] for one in cli("list", "--status", "open")["items"]]
    assert session in [one["session_id"] for one in cli("list", "--status", "closed")["items"]]
