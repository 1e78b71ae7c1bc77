"""The parts of `symphainy recover`, each from Kafka alone, resumable, and safe to run twice.

A part tells how many records it has read, of how many; it comes to the number of records, what it
found in words, and what an operator should know.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from redis import Redis
from redis.exceptions import RedisError

from symphainy_cli.recounting import recounted
from symphainy_gateway.quotas.recovering import SpentBudgets
from symphainy_processors.owner.kafka.ranges import RangeReader
from symphainy_processors.owner.recovering import recovery
from symphainy_processors.projection.rebuild import Rebuild
from symphainy_runtime.configuration import read_configuration
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.state.rocks import RocksStores
from symphainy_schemas.codec import decode
from symphainy_schemas.errors import Unavailable, UnreadableRecord
from symphainy_schemas.records import Intent
from symphainy_transport.clients import consumer, first_at
from symphainy_transport.clock import SystemClock
from symphainy_transport.topics import INTENTS, Topics

Told = Callable[[int, int | None], None]
Part = tuple[int, str, list[str]]
_NAME = "symphainy-recover"


def owner_state(settings: RuntimeSettings, owner: str, told: Told) -> Part:
    """Restore every partition into the folder of `owner`; without one into one that is removed.

    Raises:
        StoreBroken: that owner runs, or the disk refuses.
        SymphainyError: as `StateRecovery.run`.
    """
    if owner:
        return _restored(settings, settings.data_dir / "state" / owner, told, owner)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="recover-", dir=settings.data_dir) as folder:
        return _restored(settings, Path(folder), told, "")


def _restored(settings: RuntimeSettings, folder: Path, told: Told, owner: str) -> Part:
    with recovery(settings, RocksStores(folder)) as job:
        found = list(job.run(told))
    where = f"restored for {owner}" if owner else "can be restored"
    live = sum(one.live for one in found)
    told_of = f"{len(found)} partitions {where}, {live} live executions"
    return sum(one.records for one in found), told_of, []


def read_model(settings: RuntimeSettings, anew: bool, told: Told) -> Part:
    """Project the journal to its end, as of now.

    Raises:
        SymphainyError: as `Rebuild`.
    """
    job = Rebuild(settings)
    if anew:
        job.delete()
    stood = job.total - job.left()
    job.run(lambda done: told(done - stood, job.total - stood))
    cut = [p for p, first in job.first_kept.items() if first > 0]
    notes = (
        [f"The journal of partitions {cut} begins later: what ended before is not in it any more."]
        if cut
        else []
    )
    have = f"{job.total} records over {job.partitions} partitions"
    return job.total - stood, f"{have}, {stood} stood already", notes


def budgets(settings: RuntimeSettings, told: Told) -> tuple[int, int, list[str]]:
    """Count what of tenants' budgets is spent: records read, counts raised, notes.

    Raises:
        Unavailable: Kafka or Redis did not answer.
    """
    spent = SpentBudgets(
        read_configuration(settings, _NAME).tenants, SystemClock().now_ms() / 1_000
    )
    since = spent.since_ms
    if since is None:
        return 0, 0, []
    topic = Topics(settings.topic_prefix).name(INTENTS)
    reader = RangeReader(settings, _NAME, topic)
    try:
        begins = _beginnings(settings, topic, since)
        ends = {p: reader.bounds(p)[1] for p in begins}
        total = sum(ends[p] - first for p, first in begins.items())
        read = 0
        for p, first in begins.items():
            for batch in reader.read(p, first, ends[p]):
                read += len(batch)
                for message in batch:
                    _count(spent, message)
                told(read, total)
    finally:
        reader.close()
    redis: Any = Redis.from_url(settings.require_redis())
    try:
        return read, spent.write(redis, settings.redis_prefix), []
    except RedisError as error:
        raise Unavailable(f"Redis did not take the counts: {error}") from error
    finally:
        redis.close()


def _count(spent: SpentBudgets, message: Any) -> None:
    try:
        spent.take(decode(message.value() or b"", Intent), message.timestamp()[1])
    except UnreadableRecord:
        return  # no gateway wrote it


def _beginnings(settings: RuntimeSettings, topic: str, since_ms: int) -> dict[int, int]:
    """The first offsets at or after a time; none of a partition that has nothing since."""
    asking = consumer(settings, f"{_NAME}-asking")
    try:
        found = {p: first_at(asking, topic, p, since_ms) for p in range(settings.partitions)}
        return {p: offset for p, offset in found.items() if offset is not None}
    finally:
        asking.close()


async def storage(settings: RuntimeSettings) -> int:
    """Count what tenants with a limit have in the object store; how many tenants.

    Raises:
        Unavailable: the object store or Redis did not answer.
    """
    tenants = read_configuration(settings, _NAME).tenants.values()
    limited = [one.tenant_id for one in tenants if one.storage_bytes > 0]
    for tenant_id in limited:
        await recounted(settings, tenant_id)
    return len(limited)


def elsewhere(settings: RuntimeSettings) -> list[tuple[str, str, str]]:
    """What Kafka does not hold: what it is, where it is to be, and whether it is there."""
    secret = settings.intent_secret_file
    return [
        ("payloads over the inline limit, artifacts", *_at(settings.artifacts_location())),
        ("evidence of the auditor", *_at(settings.audit_location())),
        ("the auditor's key", *_at(settings.audit_key_path().resolve().as_uri())),
        *([("what seals intents", *_at(secret.resolve().as_uri()))] if secret else []),
    ]


def _at(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    if parts.scheme != "file":
        return url, "elsewhere; not looked at"
    there = Path(url2pathname(parts.path)).exists()
    return url, "there" if there else "NOT THERE; where there was one, bring it from a backup"
