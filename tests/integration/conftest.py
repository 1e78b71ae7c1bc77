"""One Kafka and one Valkey for all integration tests of a run; each test has its own topics."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from tests.support.system import System

from symphainy_runtime.local import Endpoints, LocalServices


@pytest.fixture(scope="session")
def running_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of `running`."""
    return tmp_path_factory.mktemp("running") / "data"


@pytest.fixture(scope="session")
def running(running_folder: Path) -> Iterator[Endpoints]:
    """Services that run for the whole session; tests must leave them running."""
    with LocalServices(running_folder) as endpoints:
        yield endpoints


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed shows how the logs of its processes end."""
    report = yield
    if report.failed:
        report.sections += [section for system in System.alive for section in system.told()]
    return report
