"""A Kafka of these tests' own: they stop its clock, which nobody else's tests should notice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from symphainy_runtime.local import LocalServices


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServices]:
    """Kafka alone, started."""
    services = LocalServices(tmp_path_factory.mktemp("owner-ports") / "data", valkey=False)
    with services:
        yield services
