"""The gateway's parts over one backend, and what every route begins with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.requests import Request

from symphainy_gateway import bodies
from symphainy_gateway.backend import Backend
from symphainy_gateway.bodies import Headers
from symphainy_gateway.callers import Caller
from symphainy_gateway.foresight import Foresight
from symphainy_gateway.identity import Identity
from symphainy_gateway.intents import Origin, idempotency_key, traceparent
from symphainy_gateway.metrics import Metrics
from symphainy_gateway.pressure import Pressure
from symphainy_gateway.problems import Refused
from symphainy_gateway.quotas.metering import Metering
from symphainy_gateway.quotas.storing import Storing
from symphainy_gateway.streaming import ExecutionEvents
from symphainy_gateway.submitting import Holds, Submitter
from symphainy_gateway.waiters import Waiters
from symphainy_runtime.read_model.reader import Document
from symphainy_schemas import ids

# The read model follows the log within milliseconds: who asks for what was accepted a moment ago
# finds it, and an id that never was is told apart this much later.
LAG_GRACE_S = 0.5


@dataclass(frozen=True, slots=True)
class Gateway:
    """What the routes share."""

    backend: Backend
    metrics: Metrics
    identity: Identity
    pressure: Pressure
    waiters: Waiters
    foresight: Foresight
    metering: Metering
    submitter: Submitter
    events: ExecutionEvents
    stopping: asyncio.Event

    @classmethod
    def over(cls, backend: Backend) -> Gateway:
        """The parts, over `backend`."""
        metrics = Metrics()
        pressure = Pressure(backend.settings, backend.clock, metrics)
        waiters = Waiters(backend)
        foresight = Foresight(backend)
        metering = Metering(backend, metrics)
        held = Holds(pressure, metering, Storing(backend, metrics))
        return cls(
            backend=backend,
            metrics=metrics,
            identity=Identity(backend.settings, backend.clock, metrics),
            pressure=pressure,
            waiters=waiters,
            foresight=foresight,
            metering=metering,
            submitter=Submitter(backend, waiters, foresight, held, metrics),
            events=ExecutionEvents(backend, waiters),
            stopping=asyncio.Event(),
        )

    def stop(self) -> None:
        """Let waiters and streams go; requests that come later do not wait."""
        self.stopping.set()
        self.waiters.stop()

    async def caller(self, request: Request, wanted: str = "") -> Caller:
        """Whose request it is. `wanted` is the verb of a route that states no intent.

        Raises:
            Refused: it presents no valid credential, or one that is not for this.
            Unavailable: whether it is valid cannot be told now.
        """
        headers = dict(request.scope["headers"])
        return await self.identity.caller(headers, self.backend.configuration, wanted)

    async def body(self, request: Request, headers: Headers) -> bytes:
        """The request's body. Hold a place for it (`pressure.body`) while it is used.

        Raises:
            Refused: it is too large, came too slowly, or the client left.
        """
        settings = self.backend.settings
        return await bodies.read(
            request.receive, headers, settings.max_body_bytes, settings.body_timeout_s
        )

    def origin(self, request: Request, caller: Caller, *, keyed: bool = True) -> Origin:
        """What a submission takes from its request. `keyed`: Idempotency-Key has a meaning here.

        Raises:
            Refused: Idempotency-Key is malformed, or has no meaning here.
        """
        headers: list[tuple[bytes, bytes]] = request.scope["headers"]
        named = dict(headers)
        key = idempotency_key(headers) if b"idempotency-key" in named else ""
        if key and not keyed:
            raise Refused(
                "Idempotency-Key has no meaning here.",
                code="invalid_parameter",
                field="/Idempotency-Key",
                cure="Leave it out; in a batch, state intent_id in each line.",
            )
        return Origin(
            caller=caller,
            now_ms=self.backend.clock.now_ms(),
            fresh_id=ids.new_intent_id(),
            key=key,
            traceparent=traceparent(named),
        )

    async def execution(self, caller: Caller, execution_id: str) -> Document:
        """The caller's execution; one that was accepted a moment ago is waited for.

        Raises:
            Refused: there is none.
            Unavailable: the read model did not answer.
        """
        tenant_id = caller.tenant_id
        if self._may_be(execution_id):
            async with self.backend.notifier.watch(execution_id) as watch:
                document = await self.waiters.read(tenant_id, execution_id)
                if document is None:
                    document = await self.waiters.until(
                        watch, tenant_id, execution_id, lambda _: True, LAG_GRACE_S
                    )
            if document is not None:
                return document
        raise Refused(
            f"There is no execution {execution_id[:80]!r}.",
            code="execution_not_found",
            cure="Use the id as it was returned; ended executions leave the read model in time.",
        )

    def _may_be(self, execution_id: str) -> bool:
        return (
            execution_id.isascii()
            and ids.is_execution_id(execution_id)
            and ids.partition_of(execution_id) < self.backend.publisher.partitions
        )
