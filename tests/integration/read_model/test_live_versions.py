"""How many live executions have a version, on a real Redis.

- An execution counts from its start to its end, for its own capability and those of its steps.
- A batch that comes again counts nothing, and an execution that ends again takes nothing away.
- What was begun by a projector that did not count is said to be so.
- Where the position is deleted the counts are, and begin anew with it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis
from tests.samples import EVENTS, JOURNAL

from symphainy_processors.projection.projector import PartitionProjector
from symphainy_runtime.local import Endpoints
from symphainy_runtime.read_model.keys import Keys
from symphainy_runtime.read_model.live_versions import live_versions
from symphainy_schemas import events as e
from symphainy_schemas.codec import encode
from symphainy_schemas.errors import OperatorError, Unavailable

TERM, DAY_MS = 40, 86_400_000
RESOLVED = next(one for one in EVENTS if isinstance(one, e.CapabilityResolved))
RECEIVED = next(one for one in EVENTS if isinstance(one, e.IntentReceived))
FAILED = next(one for one in EVENTS if isinstance(one, e.ExecutionFailed))
STEP = RESOLVED.plan[0]
HAS = {(RESOLVED.name, RESOLVED.version): 1, (STEP.intent_type, STEP.version): 1}


class Site:
    """One partition's read model, and a projector of it."""

    def __init__(self, redis: Any, prefix: str) -> None:
        self.redis, self.prefix, self.keys = redis, prefix, Keys(prefix, 0)
        script = resources.files("symphainy_processors.projection") / "apply.lua"
        self._script = redis.register_script(script.read_text())
        self.projector = PartitionProjector(self.keys, DAY_MS)
        self.load()

    def load(self) -> None:
        """Stand where Redis says."""
        self.projector.load(self.redis.hgetall(self.keys.position))

    def take(self, seq: int, *events: e.Event, execution: str = "exe-0-1") -> None:
        """Project a record that counts; the first of a term takes it."""
        term = TERM if seq else -1
        record = replace(JOURNAL, term=term, seq=seq, execution_id=execution, events=events)
        self.projector.take(TERM + seq, encode(record))

    def write(self) -> int:
        """Whether the batch counted."""
        arguments = self.projector.arguments()
        return int(self._script(keys=[self.keys.position], args=arguments))

    def counts(self) -> dict[tuple[str, int], int]:
        """As an operator is told them, of two partitions."""
        return live_versions(self.redis, self.prefix, 2)


@pytest.fixture
def site(running: Endpoints) -> Iterator[Site]:
    redis: Redis = Redis.from_url(running.redis_url)
    yield Site(redis, f"t{secrets.token_hex(4)}:")
    redis.close()


def begin(site: Site) -> None:
    """One that lives."""
    site.take(0, e.OwnershipTaken(owner="o", feature_level=1), execution="")
    site.take(1, RECEIVED, RESOLVED, e.ExecutionStarted())


def test_an_execution_counts_from_its_start_to_its_end(site: Site) -> None:
    assert site.counts() == {}
    begin(site)
    assert site.write() == 1
    assert site.counts() == HAS
    site.projector.applied()
    site.take(2, RECEIVED, RESOLVED, e.ExecutionStarted(), execution="exe-0-2")
    site.take(3, FAILED)
    assert site.write() == 1
    assert site.counts() == HAS
    site.projector.applied()
    site.take(4, FAILED, execution="exe-0-2")
    site.take(5, FAILED, execution="exe-0-2")
    assert site.write() == 1
    assert site.counts() == {}


def test_a_batch_that_comes_again_counts_nothing(site: Site) -> None:
    begin(site)
    assert (site.write(), site.write()) == (1, 0)
    assert site.counts() == HAS
    site.load()
    begin(site)
    assert not site.projector.dirty


def test_one_that_was_refused_counts_nothing(site: Site) -> None:
    begin(site)
    rejected = e.IntentRejected(error=FAILED.error)
    site.take(2, RECEIVED, RESOLVED, rejected, execution="exe-0-2")
    assert site.write() == 1
    assert site.counts() == HAS


def test_counts_begin_anew_with_the_position(site: Site) -> None:
    begin(site)
    site.write()
    site.redis.delete(site.keys.position)
    assert site.counts() == {}
    site.load()
    begin(site)
    assert site.write() == 1
    assert site.counts() == HAS


def test_a_read_model_that_did_not_count_says_so(site: Site) -> None:
    site.redis.hset(site.keys.position, "offset", 9)
    with pytest.raises(OperatorError, match="older release") as refused:
        site.counts()
    assert refused.value.code == "read_model_older"
    site.redis.delete(site.keys.position)


def test_a_redis_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        live_versions(Redis(host="127.0.0.1", port=1), "t:", 2)
