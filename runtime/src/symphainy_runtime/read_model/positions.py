"""How far the read model stands in each partition's journal, and how far intents were decided."""

from __future__ import annotations

from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from symphainy_runtime.read_model.keys import Keys
from symphainy_schemas.errors import Unavailable


class Position(NamedTuple):
    """Where the read model of one partition stands.

    `offset` is the last journal offset that it took in. Intents below `intents_next` were decided
    at `at` (journaled, ms since the epoch); later ones may have been since.
    """

    offset: int
    intents_next: int
    at: int


async def positions(redis: Redis, prefix: str, partitions: int) -> dict[int, Position]:
    """The positions that are known, by partition, in one round trip.

    Raises:
        Unavailable: Redis did not answer.
    """
    pipe = redis.pipeline(transaction=False)
    for partition in range(partitions):
        pipe.hmget(Keys(prefix, partition).position, "offset", "intents_next", "at")
    try:
        found: list[Any] = await pipe.execute()
    except (RedisError, OSError) as error:
        raise Unavailable(
            f"The read model did not tell its positions: {type(error).__name__}.",
            code="read_model_unavailable",
        ) from error
    return {
        partition: Position(*map(int, fields))
        for partition, fields in enumerate(found)
        if all(fields)  # a projector of an older release wrote no `intents_next`
    }
