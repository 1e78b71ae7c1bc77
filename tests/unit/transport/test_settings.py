"""Settings of no use are named, with the cure."""

from __future__ import annotations

from pathlib import Path

import pytest

from symphainy_schemas.errors import OperatorError
from symphainy_transport.settings import TransportSettings


def _refused() -> OperatorError:
    with pytest.raises(OperatorError) as refused:
        TransportSettings.load()
    assert refused.value.code == "invalid_settings"
    return refused.value


def test_every_setting_of_no_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMPHAINY_PARTITIONS", "many")
    monkeypatch.setenv("SYMPHAINY_REPLICATION_FACTOR", "-1")
    error = _refused()
    assert error.field == "partitions"
    assert "SYMPHAINY_PARTITIONS: " in str(error)
    assert "SYMPHAINY_REPLICATION_FACTOR: " in str(error)


def test_what_should_be_json_and_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMPHAINY_KAFKA_EXTRA", "debug=cgrp")
    assert '"kafka_extra"' in str(_refused())


def test_a_file_that_is_not_toml(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text("partitions = = 3")
    monkeypatch.setenv("SYMPHAINY_CONFIG", str(file))
    assert "broken.toml is not TOML" in str(_refused())


def test_what_is_set_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMPHAINY_PARTITIONS", "3")
    assert TransportSettings.load().partitions == 3
