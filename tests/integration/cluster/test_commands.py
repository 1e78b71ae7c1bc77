"""`symphainy topics check` and `symphainy doctor` as commands, on a real Kafka and a real Valkey.

- Both exit 0 where nothing breaks a guarantee, and 1 where something does.
- Both print, as a table and with `--json`, topic, setting, value, what is wanted, and the fix.
- `doctor` says what it reached, what it did not, and where every setting comes from.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.integration.cluster.conftest import Spoiler
from typer.testing import CliRunner

from symphainy_cli.main import app
from symphainy_runtime.settings import RuntimeSettings

FIELDS = {"topic", "setting", "expected", "actual", "fatal", "fix"}


@pytest.fixture(autouse=True)
def _environment(settings: RuntimeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands find the test's own topics."""
    for name, value in settings.model_dump(mode="json", exclude_defaults=True).items():
        monkeypatch.setenv(f"SYMPHAINY_{name.upper()}", str(value))


def _run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout


def _json(*arguments: str) -> tuple[int, Any]:
    code, text = _run(*arguments, "--json")
    return code, json.loads(text)


def test_check_exits_0_where_nothing_breaks() -> None:
    code, findings = _json("topics", "check")
    assert code == 0
    assert {f["setting"] for f in findings} == {"authorizer.class.name", "brokers"}
    assert all(set(f) == FIELDS for f in findings)


def test_check_exits_1_and_names_the_fix_where_something_breaks(spoiler: Spoiler) -> None:
    name = spoiler.alter("journal", "cleanup.policy", "compact")
    code, findings = _json("topics", "check")
    assert code == 1
    first = findings[0]
    assert (first["topic"], first["setting"], first["actual"], first["expected"]) == (
        name,
        "cleanup.policy",
        "compact",
        "delete",
    )
    assert first["fix"].endswith(f"--entity-name {name} --add-config cleanup.policy=delete")
    code, table = _run("topics", "check")
    assert code == 1
    assert "BREAKS" in table
    assert "limits" in table


def test_doctor_says_what_it_reached_and_what_limits() -> None:
    code, told = _json("doctor")
    assert code == 0, told
    assert {check["name"] for check in told["checks"]} == {
        "java",
        "kafka",
        "cluster",
        "redis",
        "artifacts",
        "identity",
    }
    assert all(check["ok"] for check in told["checks"])
    assert {f["setting"] for f in told["findings"]} == {"authorizer.class.name", "brokers"}
    sources = {row["name"]: row["source"] for row in told["settings"]}
    assert sources["topic_prefix"] == "environment SYMPHAINY_TOPIC_PREFIX"


def test_doctor_exits_1_and_shows_the_findings(spoiler: Spoiler) -> None:
    spoiler.alter("state", "cleanup.policy", "delete")
    code, told = _json("doctor")
    assert code == 1
    failed = [check for check in told["checks"] if not check["ok"]]
    assert [check["name"] for check in failed] == ["cluster"]
    assert told["findings"][0]["setting"] == "cleanup.policy"
    code, tables = _run("doctor")
    assert code == 1
    assert "BREAKS" in tables


def test_doctor_goes_on_where_kafka_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMPHAINY_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setattr("symphainy_runtime.cluster.TIMEOUT_S", 1.0)
    code, told = _json("doctor")
    assert code == 1
    reached = {check["name"]: check["ok"] for check in told["checks"]}
    assert (reached["kafka"], reached["cluster"], reached["redis"]) == (False, False, True)
