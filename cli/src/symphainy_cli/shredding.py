"""What `tenant shred` does, in the order in which a failure leaves the least behind.

The tenant is suspended first, so that nothing of it begins while keys go; the record of that, in
every partition's journal, is the evidence of who shredded it and when, under the audit chain.
"""

from __future__ import annotations

import asyncio
import getpass
from typing import Any

import msgspec
from redis.asyncio import Redis

from symphainy_cli.everywhere import everywhere, require_taken
from symphainy_cli.tenant_privacy import document
from symphainy_runtime.policy.actions import CANCEL, SUSPEND_TENANT
from symphainy_runtime.policy.defaults import PLATFORM_OPERATOR
from symphainy_runtime.read_model.reader import Listing, ReadModel
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.records import Intent
from symphainy_schemas.state import ExecutionStatus
from symphainy_transport.artifacts import ArtifactStore
from symphainy_transport.clock import SystemClock
from symphainy_transport.privacy.keyring import Keyring
from symphainy_transport.publishing import IntentPublisher

SHREDDED = "Its content was shredded"
_PAGE = 500
_METADATA = b'{"source":"operator"}'


def shredded(
    settings: RuntimeSettings, keyring: Keyring, tenant_id: str, reason: str
) -> dict[str, Any]:
    """Suspend, destroy, and ask what is under way to end; what was done.

    Raises:
        Unavailable: a service did not answer; repeat it.
        OperatorError: the key service needs an operator.
    """
    by, now = getpass.getuser(), SystemClock().now_ms()
    why = f"{SHREDDED}: {reason}" if reason else f"{SHREDDED}."
    verdicts = everywhere(settings, SUSPEND_TENANT, tenant_id, {"reason": why})
    require_taken(verdicts)
    told = keyring.shred(tenant_id, at=now, by=by, reason=reason)
    ending = asyncio.run(_end_all(settings, tenant_id, why)) if settings.redis_url else []
    return {
        "tenant_id": tenant_id,
        "shredded": document(told),
        "partitions": verdicts,
        "ending": len(ending),
    }


async def _end_all(settings: RuntimeSettings, tenant_id: str, why: str) -> list[str]:
    """Ask whatever the tenant has under way to end: nobody can go on with it."""
    redis: Redis = Redis.from_url(settings.require_redis())
    artifacts = ArtifactStore(settings.artifacts_location())
    publisher = IntentPublisher(settings, artifacts, "symphainy-shredding", settings.sealing())
    await publisher.start()
    try:
        model = ReadModel(redis, settings.redis_prefix, settings.partitions)
        live = [
            one
            for status in ExecutionStatus
            if not status.ended and status is not ExecutionStatus.UNKNOWN
            for one in await _of_status(model, tenant_id, status)
        ]
        for session_id, execution_id in live:
            await publisher.publish(_cancel(tenant_id, session_id, execution_id, why))
    finally:
        await publisher.stop()
        await redis.aclose()
    return [execution_id for _, execution_id in live]


async def _of_status(
    model: ReadModel, tenant_id: str, status: ExecutionStatus
) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    cursor: str | None = None
    while True:
        page = await model.listing(
            tenant_id, Listing(status=status.value, limit=_PAGE, cursor=cursor)
        )
        found += [(one["session_id"], one["execution_id"]) for one in page.items]
        cursor = page.cursor
        if cursor is None:
            return found


def _cancel(tenant_id: str, session_id: str, execution_id: str, why: str) -> Intent:
    intent_id = ids.new_intent_id()
    return Intent(
        intent_id=intent_id,
        intent_type=CANCEL,
        realm=CANCEL.partition(".")[0],
        session_id=session_id,
        tenant_id=tenant_id,
        principal=getpass.getuser(),
        correlation_id=intent_id,
        payload=msgspec.json.encode({"execution_id": execution_id, "reason": why}),
        metadata=_METADATA,
        solution_context=b"",
        created_at=SystemClock().now_ms(),
        roles=(PLATFORM_OPERATOR,),
    )
