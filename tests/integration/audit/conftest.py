"""A system of real processes, and an auditor's commands beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.system import System, isolated
from typer.testing import CliRunner

from symphainy_cli.main import app
from symphainy_runtime.local import Endpoints
from symphainy_runtime.local.ports import free_ports

EVERY = {"SYMPHAINY_AUDIT_INTERVAL_S": "0.2"}
Audit = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def system(running: Endpoints, tmp_path: Path) -> Iterator[System]:
    """Topics and a key; its auditor makes checkpoints five times a second, and tells figures."""
    port = str(free_ports(1)[0])
    one = System(isolated(running, tmp_path), extra={**EVERY, "SYMPHAINY_AUDIT_METRICS_PORT": port})
    yield one
    one.stop()


@pytest.fixture
def audit(system: System) -> Audit:
    """`audit("verify", …)`: a command's exit code, and what it says in JSON."""

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        environment = {k: v for k, v in system.environment.items() if k.startswith("SYMPHAINY_")}
        done = CliRunner().invoke(app, ["audit", *arguments, "--json"], env=environment)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, json.loads(done.stdout)

    return run
