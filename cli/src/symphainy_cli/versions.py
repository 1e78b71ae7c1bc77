"""How the versions of capabilities stand, gathered from `config`, the realms' groups and Redis."""

from __future__ import annotations

from dataclasses import dataclass

from redis import Redis

from symphainy_runtime.configuration import Configuration
from symphainy_runtime.read_model.live_versions import live_versions
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.versions import Standing, Version, standings
from symphainy_schemas.errors import SymphainyError
from symphainy_transport.groups import members
from symphainy_transport.topics import Topics

_CLIENT = "symphainy-capability"


@dataclass(frozen=True, slots=True)
class Found:
    """The versions of a listing, and what could not be found out about them."""

    standings: tuple[Standing, ...]
    doubt: SymphainyError | None


def find(settings: RuntimeSettings, known: Configuration) -> Found:
    """How all versions stand. Without the read model it is not known how many executions live.

    Raises:
        Unavailable: Kafka did not tell which workers live.
    """
    topics = Topics(settings.topic_prefix)
    realms = sorted({one.realm for one in known.versions.values()})
    living = {realm: members(settings, _CLIENT, topics.name(f"realm.{realm}")) for realm in realms}
    try:
        executions: dict[Version, int] | None = _executions(settings)
    except SymphainyError as error:
        return Found(standings(known, living, None), error)
    return Found(standings(known, living, executions), None)


def _executions(settings: RuntimeSettings) -> dict[Version, int]:
    redis: Redis = Redis.from_url(settings.require_redis())
    try:
        return live_versions(redis, settings.redis_prefix, settings.partitions)
    finally:
        redis.close()
