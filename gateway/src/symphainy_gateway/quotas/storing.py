"""Sizes: what a payload may have, and how many bytes of a tenant may be in the object store.

A payload over the inline limit goes to the object store under its hash, so what is there already
adds nothing. Bytes are counted before the upload; one that fails is counted all the same, and so is
one that two gateways take at once: `symphainy tenant recount` counts what is there. What handlers
store as artifacts goes past the gateway, and counts from the next recount on.
"""

from __future__ import annotations

import asyncio

from symphainy_gateway.backend import Backend
from symphainy_gateway.intents import RUNTIME_REALM
from symphainy_gateway.metrics import Metrics
from symphainy_gateway.quotas import refusing
from symphainy_gateway.quotas.ledger import TIMEOUT_S
from symphainy_runtime.policy.actions import CHANGE_SESSION, OPEN_SESSION, RETRY_STEP, SIGNAL
from symphainy_schemas.errors import Unavailable
from symphainy_schemas.records import Intent

_WITH_DATA = frozenset({OPEN_SESSION, CHANGE_SESSION, RETRY_STEP, SIGNAL})


class Storing:
    """Holds tenants to their sizes."""

    def __init__(self, backend: Backend, metrics: Metrics) -> None:
        self._backend = backend
        self._metrics = metrics
        self._used: dict[str, int] = {}
        self._owed: dict[str, int] = {}

    def require_fitting(self, intent: Intent) -> None:
        """Raises `Refused` (`payload_too_large`) if the payload is larger than the tenant's may be,
        inline or not. Control intents that carry nothing but a reason always fit."""
        tenant = self._backend.configuration.tenants.get(intent.tenant_id)
        limit = tenant.max_payload_bytes if tenant else 0
        size = len(intent.payload)
        if 0 < limit < size and _carries_data(intent):
            raise refusing.too_large(size, limit, intent.intent_id)

    async def reserve(self, intent: Intent) -> None:
        """Count what publishing the intent adds to the object store. While Redis is away, from what
        it last told on.

        Raises:
            Refused: `storage_exhausted`.
            Unavailable: the object store did not answer.
        """
        tenant = self._backend.configuration.tenants.get(intent.tenant_id)
        limit = tenant.storage_bytes if tenant else 0
        if limit <= 0:
            return
        size = await self._backend.publisher.adds(intent)
        if size and not await self._fits(intent.tenant_id, size, limit):
            self._metrics.refused("storage_exhausted")
            used = self._used.get(intent.tenant_id, 0)
            raise refusing.storage_full(size, used, limit, intent.intent_id)

    async def _fits(self, tenant_id: str, size: int, limit: int) -> bool:
        owed = self._owed.pop(tenant_id, 0)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                stored = await self._backend.ledger.store(tenant_id, size, limit, owed)
        except (Unavailable, TimeoutError):
            self._metrics.quota_failures.inc()
            self._metrics.stand_ins.inc()
            fits = self._used.get(tenant_id, 0) + size <= limit
            more = size if fits else 0
            self._owed[tenant_id] = self._owed.get(tenant_id, 0) + owed + more
            self._used[tenant_id] = self._used.get(tenant_id, 0) + more
            return fits
        self._used[tenant_id] = stored.used
        return stored.fits


def _carries_data(intent: Intent) -> bool:
    return intent.realm != RUNTIME_REALM or intent.intent_type in _WITH_DATA
