"""What one tenant did in the name of another's session, on a real Redis.

- An intent that names a session of another tenant has an execution, rejected, of its own tenant;
  neither the session's events nor its listing shows it to the session's tenant.
- A listing by another tenant's session is answered exactly as one by a session that never was,
  however much is in it: no item, and no cursor.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from importlib import resources

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from tests.samples import EVENTS, JOURNAL

from symphainy_processors.projection.projector import PartitionProjector
from symphainy_runtime.local import Endpoints
from symphainy_runtime.read_model.keys import Keys
from symphainy_runtime.read_model.reader import Listing, ReadModel
from symphainy_schemas import events as e
from symphainy_schemas.codec import encode

TERM, DAY_MS = 40, 86_400_000
SESSION, NEVER = f"ses-0-{'a' * 32}", f"ses-0-{'f' * 32}"
RECEIVED = next(one for one in EVENTS if isinstance(one, e.IntentReceived))
OPENED = next(one for one in EVENTS if isinstance(one, e.SessionOpened))
REJECTED = next(one for one in EVENTS if isinstance(one, e.IntentRejected))
MINE = 20


def _execution(number: int) -> str:
    return f"exe-0-{number:032x}"


@pytest.fixture
async def reading(running: Endpoints) -> AsyncIterator[ReadModel]:
    """A session of acme with much in it, and what rival tried there."""
    redis: Redis = Redis.from_url(running.redis_url)
    keys = Keys(f"apart{secrets.token_hex(4)}:", 0)
    projector = PartitionProjector(keys, DAY_MS)
    projector.load({})
    seconds, _ = await redis.time()  # what ended long ago would be gone
    taken = e.OwnershipTaken(owner="o", feature_level=1)
    projector.take(TERM, encode(replace(JOURNAL, term=-1, seq=0, execution_id="", events=(taken,))))
    said: list[tuple[str, tuple[e.Event, ...]]] = [("acme", (RECEIVED, OPENED))]
    said += [("acme", (RECEIVED,))] * MINE + [("rival", (RECEIVED, REJECTED))]
    for seq, (tenant, events) in enumerate(said, 1):
        record = replace(
            JOURNAL,
            term=TERM,
            seq=seq,
            at=seconds * 1_000,
            tenant_id=tenant,
            session_id=SESSION,
            execution_id=_execution(seq),
            events=events,
        )
        projector.take(TERM + seq, encode(record))
    script = resources.files("symphainy_processors.projection") / "apply.lua"
    apply = redis.register_script(script.read_text())
    assert await apply(keys=[keys.position], args=projector.arguments()) == 1
    yield ReadModel(redis, keys.prefix, 1)
    await redis.aclose()


async def test_a_session_shows_nothing_that_another_tenant_tried_in_it(reading: ReadModel) -> None:
    events = await reading.session_events("acme", SESSION)
    assert events is not None
    assert {event["tenant_id"] for event in events} == {"acme"}
    listed = await reading.listing("acme", Listing(session_id=SESSION, limit=100))
    assert len(listed.items) == MINE + 1
    own = await reading.listing("rival", Listing(session_id=SESSION))
    assert [one["tenant_id"] for one in own.items] == ["rival"]


async def test_a_listing_by_a_foreign_session_is_as_of_one_that_never_was(
    reading: ReadModel,
) -> None:
    for limit in (1, 2, 100):
        foreign = await reading.listing("third", Listing(session_id=SESSION, limit=limit))
        assert foreign == await reading.listing("third", Listing(session_id=NEVER, limit=limit))
        assert (foreign.items, foreign.cursor) == ((), None)
