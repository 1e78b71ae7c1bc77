"""Re-driving on real parts: work that was in vain is stated again, through the gateway.

- The new execution names the old one and its place; type, payload, session and correlation are the
  old one's, a claim-checked payload too.
- To run it again states nothing twice; another run's name does.
- A dry run states nothing, and says what policy would refuse; what policy refuses is not stated.
- A dead letter that cannot be read is told with its place and reason, and fails the command.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.cli import run
from tests.support.system import TENANT, System, eventually

from symphainy_cli.keys import create_key
from symphainy_runtime.offsets.places import Places
from symphainy_transport.clients import producer
from symphainy_transport.topics import DEAD_LETTERS, INTENTS, Topics

LARGE = {"numbers": list(range(20_000))}


def fail(system: System, session: str, payload: Any, correlation: str) -> dict[str, Any]:
    body = {
        "intent_type": "work.refuse",
        "session_id": session,
        "payload": payload,
        "correlation_id": correlation,
        "metadata": {"team": "claims"},
    }
    answer = system.http.post("/v1/intents?wait=30s", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["status"] == "failed"
    return found


def redrive(system: System, key: str, *options: str, code: int = 0) -> tuple[list[Any], Any]:
    """The lines of a run, and its summary."""
    command = ["symphainy", "redrive", "--type", "work.refuse", "--yes", "--json", "--key", key]
    *lines, summary = map(json.loads, run(system, [*command, *options], code).splitlines())
    return lines, summary


def outcomes(summary: Any) -> dict[str, int]:
    return {one["outcome"]: one["count"] for one in summary["outcomes"]}


def shown(system: System, execution: str) -> dict[str, Any]:
    found: dict[str, Any] = system.http.get(f"/v1/executions/{execution}").json()
    return found


@pytest.mark.timeout(480)  # a dozen commands, each a process
def test_what_failed_is_stated_again_once(whole: System) -> None:
    key = create_key(whole.settings, TENANT, "olga", ("operator",))
    session = whole.open_session()
    olds = {
        one["execution_id"]: one
        for one in (
            fail(whole, session, {"numbers": [1]}, "order-7"),
            fail(whole, session, LARGE, "order-8"),
        )
    }
    here = ("--partition", session.split("-")[1])

    lines, summary = redrive(whole, key, *here, "--dry-run")
    assert outcomes(summary) == {"policy allows": 2}
    assert {one["execution_id"] for one in lines} == {None}

    lines, summary = redrive(whole, key, *here)
    assert outcomes(summary) == {"stated": 2}
    assert {one["of"] for one in lines} == set(olds)
    for line in lines:
        new, old = line["execution_id"], olds[line["of"]]
        eventually(
            lambda new=new: shown(whole, new).get("status") == "failed",  # type: ignore[misc]
            "the new one has run, and failed as well",
        )
        document = shown(whole, new)
        for same in ("intent_type", "session_id", "payload_sha256", "correlation_id"):
            assert document[same] == old[same], same
        assert document["user_id"] == "olga"
        metadata = document["metadata"]
        assert metadata["team"] == "claims"
        assert metadata["redrive"] == {
            "run": "1",
            "execution_id": old["execution_id"],
            "intent_id": old["intent_id"],
            "status": "failed",
            "first": old["execution_id"],
            **{name: old["wal"][name] for name in ("topic", "partition", "offset")},
        }

    before = max(old["wal"]["offset"] for old in olds.values()) + 1
    lines, summary = redrive(whole, key, *here, "--to-offset", str(before))
    assert outcomes(summary) == {"stated before": 2}
    _, summary = redrive(whole, key, *here, "--to-offset", str(before), "--run", "2")
    assert outcomes(summary) == {"stated": 2}

    forbidding = 'forbid(principal, action == Action::"work.refuse", resource);'
    governing = create_key(whole.settings, TENANT, "root", ("tenant_admin",))
    permitting = "permit(principal, action, resource);"
    answer = whole.http.put(
        "/v1/policies",
        json={"security_guard": permitting + forbidding, "note": "closed"},
        headers={"Authorization": f"Bearer {governing}"},
    )
    assert answer.status_code == 200, answer.text
    for option, run_name in (("--dry-run", "3"), ("--yes", "4")):
        lines, summary = redrive(
            whole, key, *here, "--to-offset", str(before), "--run", run_name, option, code=1
        )
        assert outcomes(summary) == {"policy refuses": 2}
        assert all("security_guard" in one["message"] for one in lines)
        assert {one["execution_id"] for one in lines} == {None}


def test_what_cannot_be_read_is_told_with_its_place(whole: System) -> None:
    key = create_key(whole.settings, TENANT, "olga", ("operator",))
    out = producer(whole.settings, "vandal")
    topic = Topics(whole.settings.topic_prefix).name(INTENTS)
    placed: list[int | None] = []
    out.produce(topic, b"no Avro", partition=1, on_delivery=lambda _, m: placed.append(m.offset()))
    assert out.flush(30) == 0
    options = ("--partition", "1", "--from-offset", str(placed[0]), "--status", "dead-letter")

    with Places(whole.settings) as places:
        letters = Topics(whole.settings.topic_prefix).name(DEAD_LETTERS)
        eventually(lambda: places.bounds(letters, 0)[1] > 0, "it is a dead letter")
    (line,), summary = redrive(whole, key, *options, code=1)
    assert outcomes(summary) == {"cannot be stated": 1}
    assert (line["partition"], line["offset"], line["of"]) == (1, placed[0], None)
    assert f"intents[1] at {placed[0]} cannot be read" in line["message"]
