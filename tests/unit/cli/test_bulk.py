"""The bulk verbs as commands, on a gateway in memory.

- Nothing is asked of anybody without a filter, in a dry run, or before the user has said yes.
- What became of each is a line of JSON, or counted for people; refused or unknown exits 1.
- `saga retry --failed` asks the same of one execution: of each failed step, or element of one.
- Ctrl-C tells what was done and how to go on; a repeat sends the same ids where that matters.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from symphainy import Client
from symphainy_cli import bulk_run, sagas
from symphainy_cli.main import app
from symphainy_schemas.errors import CallerError

SESSION = "ses-3-" + "0a" * 16


def execution(number: int) -> str:
    """An id."""
    return f"exe-3-{number:032x}"


class Gateway:
    """Knows executions, takes what is asked of them, and keeps it."""

    def __init__(self, count: int, **members: Any) -> None:
        self.items = [
            {
                "execution_id": execution(number),
                "intent_type": "shop.order",
                "status": "running",
                "cancel": None,
                "paused": None,
                "compensation": None,
                "plan": None,
                "steps": [],
                **members,
            }
            for number in range(count)
        ]
        self.asked: list[httpx.Request] = []
        self.refused: dict[str, str] = {}
        self.interrupt_at = 0

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request; like a network's, it is awaited."""
        await asyncio.sleep(0)
        if request.method == "GET":
            one = next(
                (x for x in self.items if request.url.path.endswith(x["execution_id"])), None
            )
            return httpx.Response(200, json=one or {"items": self.items, "cursor": None})
        self.asked.append(request)
        if len(self.asked) == self.interrupt_at:
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(0)
        code = self.refused.get(request.url.path.split("/")[3], "")
        if code:
            return httpx.Response(409, json={"code": code, "detail": "No."})
        return httpx.Response(202, json={"status": "succeeded"})

    @property
    def paths(self) -> set[str]:
        """Where something was asked."""
        return {request.url.path for request in self.asked}

    @property
    def keys(self) -> list[str]:
        """Under which intent ids."""
        return [request.headers["Idempotency-Key"] for request in self.asked]


def command(
    monkeypatch: pytest.MonkeyPatch, gateway: Gateway, *arguments: str, said: str = ""
) -> Result:
    """Run any verb on that gateway; the user types `said`."""
    network = httpx.MockTransport(gateway.answer)
    for module in (bulk_run, sagas):
        monkeypatch.setattr(module, "Client", partial(Client, transport=network))
    where = ["--url", "http://gateway", "--key", "k"]
    return CliRunner().invoke(app, [*arguments, *where], input=said)


def run(
    monkeypatch: pytest.MonkeyPatch, gateway: Gateway, *arguments: str, said: str = ""
) -> Result:
    """Run a bulk verb."""
    return command(monkeypatch, gateway, "bulk", *arguments, said=said)


def told(result: Result) -> list[dict[str, Any]]:
    """The lines of JSON."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_without_a_filter_nothing_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway(1)
    result = run(monkeypatch, gateway, "cancel", "--yes")
    assert isinstance(result.exception, CallerError)
    assert (result.exception.code, gateway.asked) == ("no_filter", [])


def test_a_dry_run_says_how_many_and_the_first_and_asks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = Gateway(12)
    result = run(monkeypatch, gateway, "cancel", "--type", "shop.order", "--dry-run", "--yes")
    assert (result.exit_code, gateway.asked) == (0, [])
    assert "cancel: 12 found, the first 10" in result.stdout
    assert execution(9) in result.stdout
    assert execution(10) not in result.stdout
    result = run(monkeypatch, gateway, "cancel", "--type", "shop.order", "--dry-run", "--json")
    [line] = told(result)
    assert (line["found"], len(line["first"]), gateway.asked) == (12, 10, [])


@pytest.mark.parametrize(("said", "asked", "code"), [("n\n", 0, 1), ("", 0, 1), ("y\n", 3, 0)])
def test_the_user_is_asked_first(
    monkeypatch: pytest.MonkeyPatch, said: str, asked: int, code: int
) -> None:
    gateway = Gateway(3)
    result = run(monkeypatch, gateway, "pause", "--session", SESSION, said=said)
    assert (len(gateway.asked), result.exit_code) == (asked, code)
    assert "Pause 3?" in result.stderr


def test_what_became_of_each_is_a_line_and_a_refusal_exits_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = Gateway(4)
    gateway.refused = {execution(1): "execution_ended", execution(2): "contract_violation"}
    arguments = ("cancel", "--type", "shop.order", "--reason", "closed", "--yes", "--json")
    result = run(monkeypatch, gateway, *arguments)
    assert result.exit_code == 1
    *each, last = told(result)
    assert {one["execution_id"]: one["outcome"] for one in each} == {
        execution(0): "recorded",
        execution(1): "already ended",
        execution(2): "refused",
        execution(3): "recorded",
    }
    assert last["asked"] == 4
    assert {"outcome": "refused", "code": "contract_violation", "count": 1} in last["outcomes"]
    assert {json.loads(request.content)["reason"] for request in gateway.asked} == {"closed"}


def test_people_are_told_what_was_not_done_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway(3)
    gateway.refused = {execution(2): "contract_violation"}
    result = run(monkeypatch, gateway, "cancel", "--type", "shop.order", "--yes")
    assert result.exit_code == 1
    assert "3 asked: 2 recorded, 1 refused (contract_violation)" in result.stdout
    assert "Not done: 1" in result.stdout


def test_what_has_ended_meanwhile_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway(1)
    gateway.refused = {execution(0): "execution_ended"}
    result = run(monkeypatch, gateway, "cancel", "--type", "shop.order", "--yes")
    assert (result.exit_code, "1 already ended" in result.stdout) == (0, True)


def test_nothing_found_is_said_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, Gateway(0), "cancel", "--type", "shop.order")
    assert (result.exit_code, "0 found: nothing" in result.stdout) == (0, True)


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C is heard also where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_tells_what_was_done_and_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway(20)
    gateway.interrupt_at = 5
    send = ("signal", "go", "--data", "1", "--type", "shop.order", "--yes", "--at-once", "1")
    result = run(monkeypatch, gateway, *send)
    assert result.exit_code == 130
    assert 4 <= len(gateway.asked) <= 6
    done = int(result.stdout.split(" asked: ")[0].split()[-1])
    assert f"interrupted with {20 - done} to go; run it again with --run " in result.stderr
    name = result.stderr.split("--run ")[1].split()[0]
    again = Gateway(20)
    assert run(monkeypatch, again, *send, "--run", name).exit_code == 0
    assert again.keys[: len(gateway.keys)] == gateway.keys
    other = Gateway(20)
    run(monkeypatch, other, *send)
    assert not set(other.keys) & set(again.keys)


STUCK = {
    "status": "stuck",
    "plan": [{}],
    "steps": [
        {"step": "charge", "status": "failed", "attempt": 3},
        {"step": "print", "status": "failed", "attempt": 1},
    ],
}


def test_a_retry_needs_no_filter_and_means_every_failed_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway = Gateway(1, **STUCK)
    result = run(monkeypatch, gateway, "retry", "--reason", "mended", "--yes", "--json")
    assert result.exit_code == 0
    saga = f"/v1/sagas/{execution(0)}"
    assert gateway.paths == {f"{saga}/steps/charge/retry", f"{saga}/steps/print/retry"}
    assert {one["step"] for one in told(result)[:-1]} == {"charge", "print"}
    again = Gateway(1, **STUCK)
    run(monkeypatch, again, "retry", "--reason", "mended", "--yes")
    assert sorted(again.keys) == sorted(gateway.keys)


def test_a_retry_of_one_step_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Gateway(1, **STUCK)
    run(monkeypatch, gateway, "retry", "--step", "print", "--yes")
    assert gateway.paths == {f"/v1/sagas/{execution(0)}/steps/print/retry"}


HELD = {
    "status": "running",
    "plan": [{}],
    "steps": [
        {"step": "hotel[0]", "status": "succeeded", "attempt": 1},
        {"step": "hotel[1]", "status": "failed", "attempt": 3},
        {"step": "hotel[2]", "status": "failed", "attempt": 3},
        {"step": "print", "status": "failed", "attempt": 1},
    ],
}


@pytest.mark.parametrize(
    ("named", "asked"),
    [([], {"hotel[1]", "hotel[2]", "print"}), (["hotel"], {"hotel[1]", "hotel[2]"})],
)
def test_what_has_failed_of_one_execution_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, named: list[str], asked: set[str]
) -> None:
    gateway = Gateway(2, **HELD)
    ask = "saga", "retry", execution(1), *named, "--failed"
    result = command(monkeypatch, gateway, *ask, "--json")
    assert result.exit_code == 0, result.output
    assert {one["step"] for one in told(result)[:-1]} == asked
    assert {path.split("/")[3] for path in gateway.paths} == {execution(1)}
    again = Gateway(2, **HELD)
    command(monkeypatch, again, *ask)
    assert sorted(again.keys) == sorted(gateway.keys)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Which step"),
        (["--failed", "--input", "{}"], "each with its own input"),
        (["--failed", "--retry-id", "r"], "each with its own input"),
        (["flight", "--failed"], "no step flight has failed"),
    ],
)
def test_which_steps_are_tried_again_has_to_be_said(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    gateway = Gateway(1, **HELD)
    result = command(monkeypatch, gateway, "saga", "retry", execution(0), *arguments)
    assert isinstance(result.exception, CallerError)
    assert told in str(result.exception)
    assert gateway.asked == []


def test_compensation_and_resumption_go_where_they_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stuck = Gateway(1, **STUCK)
    assert run(monkeypatch, stuck, "compensate", "--status", "stuck", "--yes").exit_code == 0
    assert stuck.paths == {f"/v1/sagas/{execution(0)}/compensate"}
    resting = Gateway(1, paused={"by": "ann", "at": 1, "reason": ""})
    assert run(monkeypatch, resting, "resume", "--type", "shop.order", "--yes").exit_code == 0
    assert resting.paths == {f"/v1/executions/{execution(0)}/resume"}
