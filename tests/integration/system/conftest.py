"""A system of real processes on the shared services."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.system import System, isolated

from symphainy_runtime.local import Endpoints


@pytest.fixture
def system(running: Endpoints, tmp_path: Path) -> Iterator[System]:
    """Topics and a key; a test starts the roles that it needs, and may kill them."""
    one = System(isolated(running, tmp_path))
    yield one
    one.stop()


@pytest.fixture(scope="module")
def whole(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Everything up, for tests that break nothing."""
    one = System(isolated(running, tmp_path_factory.mktemp("whole")))
    one.start("tests.support.work_realm:realm")
    yield one
    one.stop()
