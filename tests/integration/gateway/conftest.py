"""The gateway on real parts: shared services with everything up, and services of its own to break.

Nothing here stands in for anything: the owner, the projector and the worker are the system's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.system import System, isolated

from symphainy_runtime.local import Endpoints, LocalServices


@pytest.fixture(scope="module")
def system(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Everything up; tests must leave it so."""
    one = System(isolated(running, tmp_path_factory.mktemp("gateway")))
    one.start("tests.support.work_realm:realm")
    yield one
    one.stop()


@pytest.fixture
def services(tmp_path: Path) -> Iterator[LocalServices]:
    """Services that a test may kill and restart; not started yet."""
    one = LocalServices(tmp_path / "services")
    yield one
    one.stop()


@pytest.fixture
def systems(tmp_path: Path) -> Iterator[Callable[..., System]]:
    """Makes a system, of which the test starts the roles that it needs; `limits` are settings."""
    made: list[System] = []

    def make(endpoints: Endpoints, **limits: int) -> System:
        settings = isolated(endpoints, tmp_path / "system")
        made.append(System(settings.model_copy(update=limits)))
        return made[-1]

    yield make
    for one in made:
        one.stop()
