"""What is in force of a tenant, or of the platform, partition by partition, from the read model."""

from __future__ import annotations

from typing import Any

import msgspec
from redis import Redis
from redis.exceptions import RedisError

from symphainy_runtime.read_model.keys import Keys
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import Unavailable


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """On one partition. `as_of` is the journal offset of the last change; -1: there was none."""

    partition: int
    policy_version: int = 0
    suspended: bool = False
    reason: str = ""
    as_of: int = -1


def in_force(settings: RuntimeSettings, scope: str) -> list[InForce]:
    """By partition; a read model that lags tells of an earlier moment.

    Raises:
        Unavailable: Redis did not answer.
    """
    redis: Any = Redis.from_url(settings.require_redis())
    try:
        pipe = redis.pipeline(transaction=False)
        for p in range(settings.partitions):
            pipe.hgetall(Keys(settings.redis_prefix, p).governed(scope))
        found = pipe.execute()
    except RedisError as error:
        raise Unavailable(f"Redis did not answer: {error}") from error
    finally:
        redis.close()
    return [_read(p, fields) for p, fields in enumerate(found)]


def _read(partition: int, fields: dict[bytes, bytes]) -> InForce:
    return InForce(
        partition=partition,
        policy_version=int(fields.get(b"policy_version", 0)),
        suspended=fields.get(b"suspended") == b"1",
        reason=fields.get(b"reason", b"").decode(),
        as_of=int(fields.get(b"as_of", -1)),
    )
