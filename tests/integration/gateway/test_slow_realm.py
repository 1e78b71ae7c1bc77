"""A realm that takes nothing slows acceptance, and loses nothing.

- The owner stops reading where too many of its executions are live; the backlog then grows to its
  limit, and the gateway refuses with 429 and Retry-After.
- When the realm works again the partition takes intents again, and everything that was taken, and
  nothing that was refused, is executed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.system import System, eventually, isolated

from symphainy_runtime.local import Endpoints

LIVE = 10
BACKLOG = 10
REALM = "tests.support.work_realm:realm"


@pytest.fixture
def narrow(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Everything up, with low limits."""
    settings = isolated(running, tmp_path_factory.mktemp("narrow"))
    limits = {"max_live_executions": LIVE, "max_backlog": BACKLOG}
    system = System(settings.model_copy(update=limits))
    system.start(REALM)
    yield system
    system.stop()


def _submit(system: System, session: str, name: str) -> Any:
    body = {
        "intent_id": name,
        "intent_type": "work.add",
        "session_id": session,
        "payload": {"numbers": [1]},
    }
    return system.http.post("/v1/intents", json=body)


def _filled(system: System, session: str, taken: list[str]) -> Callable[[], bool]:
    """Submits one intent a call; whether the partition refused one with its owner held."""

    def step() -> bool:
        name = f"i-{len(taken)}"
        answer = _submit(system, session, name)
        if answer.status_code == 202:
            taken.append(name)
            return False
        assert (answer.status_code, answer.json()["code"]) == (429, "backlogged")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        # Before the gateway saw what the owner has decided, it refuses early; and it goes on to
        # until the backlog has shrunk, which it does not do any more once the owner waits.
        return len(taken) > LIVE and "its intents wait" in system.log("owner").read_text()

    return step


def test_a_realm_that_takes_nothing_slows_acceptance(narrow: System) -> None:
    session = narrow.open_session()
    narrow.supervisor.stop("worker")
    taken: list[str] = []
    eventually(_filled(narrow, session, taken), "the partition is full")
    # The owner decides what it had read when it was full, and no more.
    assert len(taken) <= 3 * (LIVE + BACKLOG)
    narrow.again("worker")
    eventually(
        lambda: _submit(narrow, session, "late").status_code in (200, 202),
        "the partition takes intents again",
    )
    names = [*taken, "late"]
    found: dict[str, str] = {}

    def all_ended() -> bool:
        page = narrow.http.get(f"/v1/executions?session={session}&type=work.add&limit=100").json()
        found.update({it["intent_id"]: it["status"] for it in page["items"]})
        return Counter(found.values()) == {"succeeded": len(names)}

    eventually(all_ended, "everything that was taken is executed")
    assert set(found) == set(names)
