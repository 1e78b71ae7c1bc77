"""HTTP, the command line and Python give the same rows of a system that runs, and docs/wal.md runs.

- Rows over HTTP are those of the command line and of Python, from each source.
- A page of one leads to the next, until there is none.
- Every command of docs/wal.md runs, as it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from shlex import split
from typing import Any

import httpx
import msgspec
import pytest
from tests.support.cli import run
from tests.support.system import TENANT, System, eventually, isolated

from symphainy_cli.keys import create_key
from symphainy_runtime.local import Endpoints
from symphainy_runtime.policy.defaults import AUDITOR
from symphainy_runtime.wal.answering import Source, Wal
from symphainy_runtime.wal.query import Query

PAGE = (Path(__file__).parents[3] / "docs/wal.md").read_text()
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def system(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    one = System(isolated(running, tmp_path_factory.mktemp("surfaces")))
    one.start("tests.support.work_realm:realm")
    yield one
    one.stop()


@pytest.fixture(scope="module")
def executions(system: System) -> list[str]:
    """Some that have ended, and one that failed."""
    session = system.open_session()
    made = []
    for intent_type in ("work.add", "work.add", "work.refuse"):
        body = {"intent_type": intent_type, "session_id": session, "payload": {"numbers": [1, 2]}}
        answer = system.http.post("/v1/intents?wait=30s", json=body)
        assert answer.status_code == 200, answer.text
        made.append(answer.json()["execution_id"])
    return made


@pytest.fixture(scope="module")
def http(system: System) -> Iterator[httpx.Client]:
    """A caller to whom decisions are explained, as to the operator at the command line."""
    key = create_key(system.settings, TENANT, "ada", (AUDITOR,))
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=system.url, headers=headers, timeout=60.0) as client:
        eventually(lambda: client.get("/v1/wal?limit=1").status_code == 200, "the key is known")
        yield client


def over_http(http: httpx.Client, query: str, limit: int = 200) -> list[Any]:
    rows: list[Any] = []
    cursor = ""
    while True:
        answer = http.get(f"/v1/wal?{query}&limit={limit}{cursor}")
        assert answer.status_code == 200, answer.text
        rows += answer.json()["items"]
        if answer.json()["cursor"] is None:
            return rows
        cursor = f"&cursor={answer.json()['cursor']}"


def by_command(system: System, *options: str) -> list[Any]:
    told = run(system, ["symphainy", "wal", "query", "--limit", "0", "--json", *options])
    return [json.loads(line) for line in told.splitlines()]


def in_python(system: System, query: Query, source: Source) -> list[Any]:
    with Wal(system.settings, "test", source=source) as wal:
        return [json.loads(msgspec.json.encode(row)) for row in wal.rows(query)]


def test_all_surfaces_give_the_same_rows(
    system: System, http: httpx.Client, executions: list[str]
) -> None:
    for name in executions:
        rows = over_http(http, f"execution={name}")
        assert {row["execution_id"] for row in rows} == {name}
        assert rows[0]["type"] == "intent_received"
        assert rows == over_http(http, f"execution={name}", limit=2)
        assert rows == by_command(system, "--execution", name)
        query = Query(tenant_id=TENANT, execution_id=name)
        for source in (Source.AUTO, Source.INDEX, Source.KAFKA):
            assert rows == in_python(system, query, source), source
    failed = over_http(http, "event=execution_failed&type=work.refuse&from=0")
    assert [row["execution_id"] for row in failed] == executions[2:]
    options = ("--event", "execution_failed", "--type", "work.refuse", "--tenant", TENANT)
    assert failed == by_command(system, *options)


def test_every_command_of_the_page_runs(
    system: System, http: httpx.Client, executions: list[str]
) -> None:
    assert len(COMMANDS) == 7
    for command in COMMANDS:
        words = split(command.replace("$EXECUTION", executions[0]))
        assert run(system, words), command
    rows = in_python(system, Query(tenant_id=TENANT, execution_id=executions[0]), Source.ARCHIVE)
    assert rows == over_http(http, f"execution={executions[0]}")


def test_what_is_asked_wrongly_is_told_in_a_line(system: System) -> None:
    for options in (
        ["query", "--offset", "5"],
        ["query", "--execution", "nonsense"],
        ["query", "--partition", "99"],
        ["query", "--partition", "0", "--offset", "1000000"],
        ["query", "--cursor", "x"],
        ["sql", "selec 1", "--archive", "nowhere"],
        ["export", "--partition", "99"],
    ):
        assert run(system, ["symphainy", "wal", *options], code=1) == ""
