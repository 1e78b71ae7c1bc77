"""Counting what a tenant has stored, where the gateways count it on."""

from __future__ import annotations

from redis.asyncio import Redis
from redis.exceptions import RedisError

from symphainy_gateway.quotas.ledger import storage_key
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import Unavailable
from symphainy_transport.artifacts import ArtifactStore


async def recounted(settings: RuntimeSettings, tenant_id: str) -> int:
    """The bytes of the tenant's objects, now also in Redis.

    Raises:
        Unavailable: the object store or Redis did not answer.
    """
    total = await ArtifactStore.from_settings(settings).stored_bytes(tenant_id)
    redis: Redis = Redis.from_url(settings.require_redis())
    try:
        await redis.set(storage_key(settings.redis_prefix, tenant_id), total)
    except RedisError as error:
        raise Unavailable(f"Redis did not take the count: {error}") from error
    finally:
        await redis.aclose()
    return total
