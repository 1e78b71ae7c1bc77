"""What the indexes of the read model forget, on a real Redis.

- An execution leaves every index once its end is longer ago than the retention; what lives stays,
  however long ago it began, and what has ended since.
- A session leaves with its document once it was over for so long, unless something runs in it or it
  was opened again.
- A repeat of an intent brings nothing back of what has left.
- The log's index says that it has not all of what reaches back behind what has left, and answers
  what does not.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis
from tests.integration.read_model.test_live_versions import DAY_MS, FAILED, RECEIVED, TERM, Site
from tests.samples import JOURNAL

from symphainy_runtime.local import Endpoints
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.index import IndexSource
from symphainy_runtime.wal.query import Query
from symphainy_schemas import events as e
from symphainy_schemas.codec import encode

OLD, LIVE, NEW = (f"exe-0-{digit * 32}" for digit in "abc")
BEGAN = time.time_ns() // 1_000_000  # Redis drops what has expired by its own clock
LATER = BEGAN + DAY_MS


class Aging(Site):
    """A partition whose time passes."""

    def at(self, at: int, seq: int, execution: str, *events: e.Event) -> None:
        """Project a record of that time."""
        term = TERM if seq else -1
        record = replace(JOURNAL, term=term, seq=seq, execution_id=execution, events=events, at=at)
        self.projector.take(TERM + seq, encode(record))
        assert self.write() == 1
        self.projector.applied()

    def indexed(self) -> dict[str, set[str]]:
        """The executions that each index has, by what the index is of."""
        found: dict[str, set[str]] = {}
        for key in self.redis.scan_iter(f"{self.keys.root}idx:*"):
            kind = key.decode().removeprefix(self.keys.root).split(":")[1]
            members = {one.decode().split("|")[0] for one in self.redis.zrange(key, 0, -1)}
            found[kind] = found.get(kind, set()) | members
        return found


@pytest.fixture
def aging(running: Endpoints) -> Iterator[Aging]:
    redis: Redis = Redis.from_url(running.redis_url)
    one = Aging(redis, f"t{secrets.token_hex(4)}:")
    one.at(BEGAN, 0, "", e.OwnershipTaken(owner="o", feature_level=1))
    one.at(BEGAN, 1, OLD, RECEIVED, e.ExecutionStarted())
    one.at(BEGAN, 2, LIVE, RECEIVED, e.ExecutionStarted())
    one.at(BEGAN + 10, 3, OLD, FAILED)
    one.at(BEGAN + 20, 4, NEW, RECEIVED, e.ExecutionStarted())
    one.at(BEGAN + 30, 5, NEW, FAILED)
    yield one
    redis.close()


def query(aging: Aging, url: str, **asked: Any) -> list[str] | None:
    """Whose rows the index has of a query; None if not all."""
    source = IndexSource(RuntimeSettings(redis_url=url, redis_prefix=aging.prefix))
    try:
        found = source.find(Query(tenant_id=JOURNAL.tenant_id, **asked), 0)
    finally:
        source.close()
    return None if found is None else [row.execution_id for row in found.rows]


def test_what_has_ended_long_ago_leaves_every_index(aging: Aging) -> None:
    everything = {OLD, LIVE, NEW}
    kinds = {"ses", "ten", "typ", "sta"}
    assert aging.indexed() == {kind: everything for kind in kinds} | {"end": {OLD, NEW}}
    aging.at(
        LATER + 10, 6, LIVE, e.StepProgressed(step="main", attempt=1, delivery=1, message="on")
    )
    assert aging.indexed() == {kind: {LIVE, NEW} for kind in kinds} | {"end": {NEW}}
    aging.at(LATER + DAY_MS, 7, LIVE, FAILED)
    assert aging.indexed() == {kind: {LIVE} for kind in kinds} | {"end": {LIVE}}


def test_a_repeat_brings_nothing_back(aging: Aging) -> None:
    aging.redis.delete(aging.keys.execution(OLD), aging.keys.events(OLD))
    aging.at(LATER + 10, 6, OLD, e.IntentRepeated(same_payload=True))
    assert not aging.redis.exists(aging.keys.execution(OLD), aging.keys.events(OLD))
    aging.at(LATER + 10, 7, NEW, e.IntentRepeated(same_payload=True))
    assert aging.redis.llen(aging.keys.events(NEW)) == 4


def test_the_log_s_index_knows_from_when_on_it_has_all(aging: Aging, running: Endpoints) -> None:
    url = running.redis_url
    everything = query(aging, url)
    assert everything is not None
    assert set(everything) == {OLD, LIVE, NEW}
    aging.at(LATER + 10, 6, LIVE, FAILED)
    assert query(aging, url) is None
    assert query(aging, url, from_ms=BEGAN + 10) is None
    assert query(aging, url, from_ms=BEGAN + 11) == [NEW, NEW, NEW, LIVE]


OPENED = e.SessionOpened(principal="ann", attributes=b"{}")
CLOSED = e.SessionClosed(reason="done")


def document(aging: Aging) -> dict[bytes, bytes]:
    """The session's."""
    found: dict[bytes, bytes] = aging.redis.hgetall(aging.keys.session(JOURNAL.session_id))
    return found


def test_a_session_leaves_once_nothing_runs_in_it(aging: Aging) -> None:
    aging.at(BEGAN + 40, 6, "exe-0-0", OPENED, e.ExecutionSucceeded())
    aging.at(BEGAN + 50, 7, "exe-0-1", CLOSED, e.ExecutionSucceeded())
    aging.at(LATER + 50, 8, NEW, e.IntentRepeated(same_payload=True))
    assert aging.redis.zcard(aging.keys.running(JOURNAL.session_id)) == 1
    assert document(aging)[b"status"] == b"closed"
    aging.at(LATER + 60, 9, LIVE, FAILED)
    aging.at(LATER + DAY_MS + 49, 10, NEW, e.IntentRepeated(same_payload=True))
    assert document(aging)
    aging.at(LATER + DAY_MS + 50, 11, NEW, e.IntentRepeated(same_payload=True))
    assert not document(aging)
    assert "own" not in aging.indexed()


def test_a_session_that_was_opened_again_stays_and_begins_anew(aging: Aging) -> None:
    aging.at(BEGAN + 40, 6, LIVE, FAILED)
    aging.at(BEGAN + 41, 7, "exe-0-0", OPENED, e.ExecutionSucceeded())
    aging.at(BEGAN + 50, 8, "exe-0-1", CLOSED, e.ExecutionSucceeded())
    aging.at(BEGAN + 90, 9, "exe-0-2", OPENED, e.ExecutionSucceeded())
    assert b"ending" not in document(aging)
    aging.at(LATER + 50, 10, NEW, e.IntentRepeated(same_payload=True))
    assert document(aging)[b"status"] == b"open"
    assert aging.indexed()["own"] == {JOURNAL.session_id}
