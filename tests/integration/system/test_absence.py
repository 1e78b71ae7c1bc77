"""An owner outlives the absence of its broker: it waits, and goes on, as the same process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.system import System, eventually, isolated

from symphainy_runtime.local import Death, KafkaOptions, LocalServices, ServicesOptions


@pytest.fixture
def services(tmp_path: Path) -> Iterator[LocalServices]:
    """Services of the test's own, which it may kill."""
    own = LocalServices(tmp_path / "services", options=ServicesOptions(kafka=KafkaOptions()))
    yield own
    own.stop()


def test_an_owner_outlives_its_brokers_absence(services: LocalServices, tmp_path: Path) -> None:
    deaths: list[Death] = []
    system = System(isolated(services.start(), tmp_path), on_death=deaths.append)
    assert services.kafka is not None
    try:
        for role in ("owner", "projector", "gateway"):
            system.up(role)
        owner = system.supervisor.pids["owner"]
        for absence in (1, 2):
            services.kafka.kill()
            gone = 20 * absence
            eventually(
                lambda gone=gone: _complaints(system) >= gone,  # type: ignore[misc]
                "the owner has tried to reach it for seconds",
            )
            services.kafka.restart()
            eventually(lambda: _opens(system), "a session can be opened")
        assert deaths == []
        assert system.supervisor.pids["owner"] == owner
    finally:
        system.stop()


def _complaints(system: System) -> int:
    return system.log("owner").read_text().count("Connection refused")


def _opens(system: System) -> bool:
    return system.http.post("/v1/sessions", json={}).status_code == 201
