"""Rebuilding the read model beside a projector that runs, on a real Kafka and a real Redis.

- Whatever a projector writes while a rebuild deletes, what stands at the end is what one projector
  alone makes of the journal: nothing is missing, and nothing is there twice.
- A rebuild that died while it deleted is ended by whoever comes next, a projector too.
- A deletion whose turn is over deletes nothing more.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bench.owner.recorded import Recorder
from redis import Redis
from tests.support.read_models import Rows, held
from tests.support.system import eventually, isolated

from symphainy_processors.projection.clearing import Clearing, deleted_by
from symphainy_processors.projection.projector import Projector
from symphainy_processors.projection.rebuild import Rebuild
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import Endpoints
from symphainy_runtime.read_model.keys import Keys
from symphainy_runtime.settings import RuntimeSettings
from symphainy_transport.clients import producer
from symphainy_transport.topics import JOURNAL, Topics

EXECUTIONS = 60


@pytest.fixture(scope="module")
def recorded(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> RuntimeSettings:
    """A journal of some executions in one partition."""
    settings = isolated(running, tmp_path_factory.mktemp("recorded")).model_copy(
        update={"partitions": 1, "read_model_retention_days": 36_500.0}
    )
    Cluster(settings).create()
    out = producer(settings, "recorded")
    for value in Recorder().record(EXECUTIONS):
        out.produce(Topics(settings.topic_prefix).name(JOURNAL), value, partition=0)
    assert out.flush(30) == 0
    return settings


class Site:
    """A read model of its own, and a projector that runs when it is told to."""

    def __init__(self, settings: RuntimeSettings) -> None:
        prefix = f"t{secrets.token_hex(4)}:"
        self.settings = settings.model_copy(update={"redis_prefix": prefix})
        self.redis: Any = Redis.from_url(settings.require_redis())
        self.projector = Projector(self.settings, "beside")
        self.projector.start()

    def project(self) -> None:
        """To the journal's end."""
        ends = self.projector.ends()
        while self.projector.behind(ends):
            self.projector.step(0.25)

    def rows(self) -> Rows:
        """What stands in Redis."""
        return held(self.redis, self.settings.redis_prefix)

    def close(self) -> None:
        """Disconnect."""
        self.projector.close()
        self.redis.close()


@pytest.fixture
def site(recorded: RuntimeSettings) -> Iterator[Site]:
    made = Site(recorded)
    yield made
    made.close()


@pytest.fixture(scope="module")
def alone(recorded: RuntimeSettings) -> Rows:
    """What one projector makes of the journal."""
    made = Site(recorded)
    made.project()
    rows = made.rows()
    made.close()
    assert sum(name.startswith("{0}:exe:") for name in rows) > EXECUTIONS
    return rows


def after_each_page(monkeypatch: pytest.MonkeyPatch, then: Callable[[], None]) -> None:
    """While something is deleted, page by page: after each page, `then`."""
    monkeypatch.setattr("symphainy_processors.projection.clearing.SCAN_COUNT", 10)
    scan = Redis.scan

    def paged(self: Any, *args: Any, **options: Any) -> Any:
        found = scan(self, *args, **options)
        monkeypatch.setattr(Redis, "scan", scan)  # what `then` scans has no pages of its own
        then()
        monkeypatch.setattr(Redis, "scan", paged)
        return found

    monkeypatch.setattr(Redis, "scan", paged)


@pytest.mark.parametrize("steps", [0, 12, 1_000], ids=["at its start", "midway", "at its end"])
def test_a_projector_that_runs_meanwhile_loses_nothing(
    site: Site, alone: Rows, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr("symphainy_processors.projection.projector.BATCH", 20)
    ends = site.projector.ends()
    for _ in range(steps):
        if site.projector.behind(ends):
            site.projector.step(0.25)
    rebuild = Rebuild(site.settings)
    with monkeypatch.context() as patched:
        after_each_page(patched, lambda: void(site.projector.step(0.05)))
        rebuild.delete()
    rebuild.run(void)
    assert site.rows() == alone


def void(_: object) -> None:
    """Nobody wants to know."""


def test_a_deletion_that_somebody_left_is_ended_by_a_projector(site: Site, alone: Rows) -> None:
    site.project()
    Clearing.begin(site.redis, site.settings.redis_prefix, [0])
    assert len(site.rows()) == len(alone), "nothing is deleted yet"
    ends = site.projector.ends()
    assert site.projector.behind(ends) == ends[0][1] - ends[0][0], "and nothing counts any more"
    Rebuild(site.settings).run(void)
    assert site.rows() == alone


def test_nothing_is_written_while_a_partition_is_held(site: Site) -> None:
    Clearing.begin(site.redis, site.settings.redis_prefix, [0])
    before = site.rows()
    one = site.projector._partitions[0]
    one.load({})
    for offset, value in enumerate(Recorder().record(1)):
        one.take(offset, value)
    assert site.projector._script(keys=[one.keys.position], args=one.arguments()) == 0
    assert site.rows() == before


def test_a_deletion_that_comes_late_deletes_nothing(site: Site, alone: Rows) -> None:
    late = Clearing.begin(site.redis, site.settings.redis_prefix, [0])
    mark = deleted_by(site.redis.hgetall(Keys(site.settings.redis_prefix, 0).position))
    assert mark is not None
    Clearing(site.redis, site.settings.redis_prefix, {0: mark}).run()
    Rebuild(site.settings).run(void)
    assert late.run() == 0
    assert site.rows() == alone


def test_a_later_deletion_does_not_end_with_an_earlier_one(site: Site, alone: Rows) -> None:
    """Keys that were written between the two were not in the earlier one's scan."""
    earlier = Clearing.begin(site.redis, site.settings.redis_prefix, [0])
    site.project()
    later = Clearing.begin(site.redis, site.settings.redis_prefix, [0])
    earlier.run()
    assert deleted_by(site.redis.hgetall(Keys(site.settings.redis_prefix, 0).position)) is not None
    later.run()
    Rebuild(site.settings).run(void)
    assert site.rows() == alone


def test_a_redis_that_lost_everything_is_filled_though_nothing_is_decided(
    site: Site, alone: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("symphainy_processors.projection.projector.LOOK_S", 0.0)
    site.project()
    lost = site.redis.delete(*site.redis.keys(f"{site.settings.redis_prefix}*"))
    assert lost == len(alone)
    ends = site.projector.ends()
    eventually(lambda: site.projector.step(0.05) == 0 and not site.projector.behind(ends), "filled")
    assert site.rows() == alone


def test_only_the_read_model_is_deleted(site: Site) -> None:
    others = {f"{site.settings.redis_prefix}{name}": b"1" for name in ("quota:{acme}:storage", "x")}
    site.redis.mset(others)
    site.project()
    Rebuild(site.settings).delete()
    assert site.rows() == {}
    assert site.redis.mget(list(others)) == list(others.values())
