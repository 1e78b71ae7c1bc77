"""`symphainy submit`, on a gateway in memory: what is shown of an execution, and the exit code.

- One that succeeded exits 0; one that ended otherwise, or is stuck, exits 1.
- What is stuck is told with what an operator can do.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from symphainy import Client
from symphainy_cli import executions
from symphainy_cli.main import app

EXECUTION = "exe-3-" + "0a" * 16
ACTION = f"Mend the cause, then: symphainy saga retry {EXECUTION} charge"
ERROR = {"code": "card_declined", "message": "No.", "step": "charge", "operator_action": ACTION}


def submit(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], error: Any, *more: str
) -> Result:
    """Submit an intent that is answered so; the execution's status tells `error`."""

    def answers(request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path == "/v1/sessions":
            return httpx.Response(201, json={"session_id": "ses-3-" + "0a" * 16})
        if request.method == "POST":
            return httpx.Response(202, json={"execution_id": EXECUTION, **answer})
        return httpx.Response(200, json={"execution_id": EXECUTION, **answer, "error": error})

    network = httpx.MockTransport(answers)
    monkeypatch.setattr(executions, "Client", partial(Client, transport=network))
    where = ["--url", "http://gateway", "--key", "k"]
    return CliRunner().invoke(app, ["submit", "shop.order", *more, *where])


@pytest.mark.parametrize(
    ("status", "code"),
    [("succeeded", 0), ("running", 0), ("failed", 1), ("compensated", 1), ("cancelled", 1)],
)
def test_an_end_without_success_exits_1(
    monkeypatch: pytest.MonkeyPatch, status: str, code: int
) -> None:
    result = submit(monkeypatch, {"status": status}, None)
    assert result.exit_code == code
    assert status in result.stdout
    assert "operator" not in result.stdout


def test_what_is_stuck_is_told_with_what_an_operator_can_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = submit(monkeypatch, {"status": "stuck"}, ERROR)
    assert result.exit_code == 1
    assert f"stuck: {ACTION}" in result.stdout


def test_what_is_stuck_without_a_word_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    result = submit(monkeypatch, {"status": "stuck"}, None)
    assert (result.exit_code, "see symphainy saga show" in result.stdout) == (1, True)


def test_in_json_the_document_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    result = submit(monkeypatch, {"status": "stuck"}, ERROR, "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["error"]["operator_action"]) == (1, ACTION)
