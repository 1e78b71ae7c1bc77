"""Charging intents to their tenants, before anything is appended.

Charges that come while a round trip to Redis is under way go together into the next one, so their
number grows with the load and not their cost. A tenant without limits costs a look at its record.
While Redis is away, or slower than `TIMEOUT_S`, nobody waits for it: a stand-in of this gateway
counts. One attempt every `RETRY_S` seconds, of which no request knows, finds out when it is back.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from symphainy_gateway.backend import Backend
from symphainy_gateway.intents import RUNTIME_REALM
from symphainy_gateway.metrics import Metrics
from symphainy_gateway.quotas import refusing
from symphainy_gateway.quotas.counting import US, Taken, full
from symphainy_gateway.quotas.ledger import TIMEOUT_S, Ask
from symphainy_gateway.quotas.limits import Limits, limits_of
from symphainy_gateway.quotas.standing import Standing
from symphainy_gateway.replies import Headers
from symphainy_schemas.errors import Unavailable
from symphainy_schemas.records import Intent

log = logging.getLogger(__name__)
# How long after Redis is back a gateway still counts by itself; an attempt costs a connection.
RETRY_S: Final = 1.0


@dataclass(slots=True)
class _Queue:
    """Who waits to be charged, of one tenant."""

    intents: list[asyncio.Future[bool]] = field(default_factory=list)
    controls: list[asyncio.Future[bool]] = field(default_factory=list)


class Metering:
    """Charges for all routes."""

    def __init__(self, backend: Backend, metrics: Metrics) -> None:
        self._backend = backend
        self._metrics = metrics
        self._share = 1 / backend.settings.gateways
        self._standings: dict[str, Standing] = {}
        self._queues: dict[str, _Queue] = {}
        self._asking: asyncio.Task[None] | None = None
        self._retry_at: float | None = None
        metrics.gauge(
            "quota_stand_in", "1 while Redis is away and this gateway counts by itself.", self.away
        )

    def away(self) -> bool:
        """Whether the stand-in counts."""
        return self._retry_at is not None

    async def charge(self, intent: Intent) -> None:
        """Charge one intent to its tenant.

        Raises:
            Refused: `over_quota` or `budget_exhausted`.
        """
        limits = self._limits(intent.tenant_id)
        if limits is None:
            return
        standing = self._standing(intent.tenant_id, limits)
        control = intent.realm == RUNTIME_REALM
        if self._retry_at is not None:
            self._look_again(intent.tenant_id)
            granted = self._stand_in(standing, control)
        else:
            granted = await self._granted(intent.tenant_id, control)
        if not granted:
            counts = standing.counts() or full(limits, self._now_us())
            refused = refusing.refusal(limits, counts, control, intent.intent_id)
            self._metrics.refused(refused.code)
            raise refused

    def told(self, tenant_id: str) -> Headers:
        """The headers that say how the tenant stands, as this gateway last knew; none if it has no
        limits over time."""
        limits = self._limits(tenant_id)
        if limits is None:
            return ()
        counts = self._standing(tenant_id, limits).counts() or full(limits, self._now_us())
        return refusing.headers(limits, counts)

    def _limits(self, tenant_id: str) -> Limits | None:
        return limits_of(self._backend.configuration.tenants.get(tenant_id))

    def _standing(self, tenant_id: str, limits: Limits) -> Standing:
        standing = self._standings.get(tenant_id)
        if standing is None:
            standing = self._standings[tenant_id] = Standing(limits)
        standing.limits = limits
        return standing

    def _now_us(self) -> int:
        return self._backend.clock.now_ms() * (US // 1_000)

    def _stand_in(self, standing: Standing, control: bool) -> bool:
        self._metrics.stand_ins.inc()
        return standing.stand_in(control, self._share, self._now_us())

    async def _granted(self, tenant_id: str, control: bool) -> bool:
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        queue = self._queues.setdefault(tenant_id, _Queue())
        (queue.controls if control else queue.intents).append(future)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all(), name="gateway-quotas")
        return await future

    def _look_again(self, tenant_id: str) -> None:
        """Ask Redis again if it is time, with nobody waiting."""
        now = self._backend.clock.monotonic()
        if self._asking is None and self._retry_at is not None and now >= self._retry_at:
            self._queues.setdefault(tenant_id, _Queue())
            self._asking = asyncio.create_task(self._ask_all(), name="gateway-quotas")

    async def _ask_all(self) -> None:
        try:
            while self._queues:
                queues, self._queues = self._queues, {}
                await self._ask(queues)
        finally:
            self._asking = None

    async def _ask(self, queues: dict[str, _Queue]) -> None:
        asks = [self._question(tenant_id, queue) for tenant_id, queue in queues.items()]
        asked = [self._standings[tenant_id].local for tenant_id in queues]
        try:
            async with asyncio.timeout(TIMEOUT_S):
                answers = await self._backend.ledger.take(asks)
        except Exception as error:  # whoever waits must hear of it, whatever it is
            if not isinstance(error, Unavailable | TimeoutError):
                log.exception("charging in Redis failed")
            self._metrics.quota_failures.inc()
            self._retry_at = self._backend.clock.monotonic() + RETRY_S
            for tenant_id, queue in queues.items():
                self._answer_by_itself(self._standings[tenant_id], queue)
            return
        self._retry_at = None
        for ask, local, taken in zip(asks, asked, answers, strict=True):
            standing = self._standings[ask.tenant_id]
            standing.heard(taken.counts, local)
            _answer(queues[ask.tenant_id], taken)

    def _question(self, tenant_id: str, queue: _Queue) -> Ask:
        standing = self._standings[tenant_id]
        return Ask(
            tenant_id,
            standing.limits,
            len(queue.intents),
            len(queue.controls),
            standing.ceiling(self._share),
            standing.owed(),
        )

    def _answer_by_itself(self, standing: Standing, queue: _Queue) -> None:
        for control, futures in ((False, queue.intents), (True, queue.controls)):
            for future in futures:
                if not future.done():
                    future.set_result(self._stand_in(standing, control))


def _answer(queue: _Queue, taken: Taken) -> None:
    """The first in the queue have what was granted."""
    for futures, granted in ((queue.intents, taken.intents), (queue.controls, taken.controls)):
        for number, future in enumerate(futures):
            if not future.done():  # else its request was cancelled
                future.set_result(number < granted)
