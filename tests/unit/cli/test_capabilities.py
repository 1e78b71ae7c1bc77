"""What `capability list` says beside its rows.

- Executions that no live worker serves are marked, with what to do.
- Without the read model the versions are shown all the same, and the reason why counts are missing.
- Workers that do not say what they serve are counted.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace
from tests.samples import SAMPLES
from typer.testing import CliRunner

from symphainy_cli import capabilities, versions
from symphainy_runtime.configuration import Configuration, config_key
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.codec import encode
from symphainy_schemas.errors import Unavailable
from symphainy_schemas.records import Capability

SILENT = Unavailable("The read model did not tell.", code="read_model_unavailable")


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Configuration:
    """Two versions of a handler; a worker lives, and does not say what it serves."""
    sample = SAMPLES["capability"]
    assert isinstance(sample, Capability)
    configuration = Configuration()
    for version in (1, 2):
        one = replace(sample, name="content.read", realm="content", version=version, plan=())
        configuration.apply(config_key(one), encode(one))
    monkeypatch.setattr(capabilities, "_configuration", lambda: configuration)
    monkeypatch.setattr(capabilities, "kafka_settings", RuntimeSettings)
    monkeypatch.setattr(versions, "members", lambda *_: ("older",))
    return configuration


def told(*options: str) -> tuple[str, str]:
    """Output and errors, each on one line."""
    result = CliRunner().invoke(capabilities.app, ["list", *options])
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split()), " ".join(result.stderr.split())


def test_without_the_read_model_versions_are_shown_and_why_they_are_not_counted(
    known: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: Any) -> Any:
        raise SILENT

    monkeypatch.setattr(versions, "_executions", silent)
    out, err = told("--json")
    rows = json.loads(out)
    assert [(one["version"], one["state"]) for one in rows] == [(1, "unknown"), (2, "rolling_out")]
    assert [one["live_executions"] for one in rows] == [None, None]
    assert "read_model_unavailable" in err


def test_what_no_worker_serves_is_marked(
    known: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "_executions", lambda _: {("content.read", 1): 3})
    out, err = told()
    assert "1 of the workers of realm content do not say what they serve" in out
    assert "executions have it" not in out
    monkeypatch.setattr(versions, "members", lambda *_: ())
    out, err = told()
    assert "! content.read version 1: 3 executions have it, and no live worker" in out
    assert err == ""


def test_retired_versions_are_shown_where_they_are_asked_for(
    known: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "_executions", lambda _: {})
    assert [one["version"] for one in json.loads(told("--json")[0])] == [2]
    every = json.loads(told("--json", "--all")[0])
    assert [(one["version"], one["state"]) for one in every] == [(1, "retired"), (2, "rolling_out")]
    assert told("--realm", "other") == ("nothing", "")
