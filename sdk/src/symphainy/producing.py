"""Intents straight into Kafka's write-ahead log, for services that have a Kafka client anyway.

The gateway checks credentials; here Kafka's own access control is what stands before the log, and
a signature says who it was that wrote: `docs/identity.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel

from symphainy.values import to_json
from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import Intent
from symphainy_transport.artifacts import ArtifactStore
from symphainy_transport.clock import Clock, SystemClock
from symphainy_transport.publishing import Accepted, IntentPublisher
from symphainy_transport.settings import TransportSettings
from symphainy_transport.signing import SigningKey

OPEN_SESSION = "runtime.open_session"
Payload = BaseModel | Mapping[str, Any]


class IntentProducer:
    """Appends one principal's intents to the write-ahead log. Use it with `async with`."""

    def __init__(
        self,
        settings: TransportSettings,
        tenant_id: str,
        principal: str,
        *,
        shard_size: int = 0,
        signing_key: SigningKey | None = None,
        roles: Sequence[str] = (),
        clock: Clock | None = None,
    ) -> None:
        """`shard_size` is the tenant's: on how many partitions its sessions live, 0 for all.

        `signing_key` signs every intent; `principal` must then be the key's, and `roles`, in which
        the principal acts, among the key's.

        Raises:
            CallerError: `tenant_id` is no tenant's id.
        """
        if not ids.TENANT_ID.fullmatch(tenant_id):
            raise CallerError(
                f"{tenant_id[:80]!r} is no tenant id.",
                code="malformed_tenant_id",
                cure="Use a-z, 0-9 and -, at most 63.",
            )
        self._tenant_id = tenant_id
        self._principal = principal
        self._shard_size = shard_size
        self._roles = tuple(roles)
        self._clock = clock or SystemClock()
        artifacts = ArtifactStore.from_settings(settings)
        sign = None if signing_key is None else signing_key.sign
        self._publisher = IntentPublisher(settings, artifacts, f"producer-{tenant_id}", sign)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect.

        Raises:
            Unavailable: Kafka did not answer, or the write-ahead log is not there.
        """
        await self._publisher.start()

    async def stop(self) -> None:
        """Send what is queued, and disconnect."""
        await self._publisher.stop()

    async def open_session(self, attributes: Mapping[str, Any] | None = None) -> str:
        """State that a session opens; its id, when Kafka has acknowledged it.

        Intents of the session may follow at once: they stand after it in the same partition.

        Raises:
            Unavailable: unknown whether it was appended; open another.
        """
        session_id = ids.new_session_id(
            self._tenant_id, self._publisher.partitions, self._shard_size
        )
        await self.submit(
            OPEN_SESSION, {"attributes": dict(attributes or {})}, session_id=session_id
        )
        return session_id

    async def submit(
        self,
        intent_type: str,
        payload: Payload,
        *,
        session_id: str,
        intent_id: str | None = None,
        correlation_id: str = "",
        metadata: Mapping[str, Any] | None = None,
        solution_context: Mapping[str, Any] | None = None,
        traceparent: str = "",
    ) -> Accepted:
        """Append an intent; its execution's id and its place, when Kafka has acknowledged it.

        `correlation_id` defaults to the intent's id; `metadata` gets "source": "producer" unless
        it names another source. A payload over the inline limit goes to the object store.

        Raises:
            CallerError: a part of the intent is malformed or too large.
            Unavailable: unknown whether it was appended; repeat with the same intent id.
        """
        intent_id = intent_id or ids.new_intent_id()
        _check(intent_type, intent_id)
        intent = Intent(
            intent_id=intent_id,
            intent_type=intent_type,
            realm=intent_type.partition(".")[0],
            session_id=session_id,
            tenant_id=self._tenant_id,
            principal=self._principal,
            correlation_id=correlation_id or intent_id,
            payload=to_json(payload, "The payload"),
            metadata=to_json({"source": "producer", **(metadata or {})}, "metadata"),
            solution_context=(
                b"" if solution_context is None else to_json(solution_context, "solution_context")
            ),
            created_at=self._clock.now_ms(),
            traceparent=traceparent,
            roles=self._roles,
        )
        return await self._publisher.publish(intent)


def _check(intent_type: str, intent_id: str) -> None:
    if not ids.INTENT_TYPE.fullmatch(intent_type):
        raise CallerError(
            f"{intent_type[:80]!r} is no intent type.",
            code="malformed_intent_type",
            field="/intent_type",
            cure="Name it {realm}.{action}, with a-z, 0-9 and _.",
        )
    if not ids.INTENT_ID.fullmatch(intent_id):
        raise CallerError(
            f"{intent_id[:80]!r} is no intent id.",
            code="malformed_intent_id",
            field="/intent_id",
            cure="Use at most 128 of A-Z a-z 0-9 . _ : ~ -, or leave it out.",
        )
