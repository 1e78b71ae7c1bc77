"""States intents as a producer does: in a session, with an id, large payloads claim-checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from pydantic import BaseModel

from symphainy.values import to_json
from symphainy_runtime.policy.actions import OPEN_SESSION
from symphainy_schemas import records
from symphainy_testing.owner import PARTITION, Owner
from symphainy_testing.time import VirtualTime
from symphainy_testing.worker import INLINE_LIMIT_BYTES
from symphainy_transport.artifacts import ArtifactStore

TENANT = "acme"
PRINCIPAL = "tester"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """An intent, and who states it for whom; see `Harness.submit`."""

    intent_type: str
    payload: BaseModel | Mapping[str, Any]
    intent_id: str
    tenant_id: str
    principal: str
    metadata: Mapping[str, Any]
    solution_context: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Stated:
    """The execution of an intent, and its session."""

    execution_id: str
    session_id: str


class Producer:
    """States intents to one owner; each tenant has one session."""

    def __init__(self, owner: Owner, time: VirtualTime, store: ArtifactStore) -> None:
        self._owner = owner
        self._time = time
        self._store = store
        self._numbers = count(1)
        self._sessions: dict[str, str] = {}

    async def state(self, statement: Statement) -> Stated:
        """State an intent for a realm; it is decided in the owner's next turn.

        Raises:
            ContractViolation: something of it cannot be written as JSON.
        """
        data = to_json(statement.payload, "The payload")
        inline, reference = await self._store.claim_check(
            statement.tenant_id, data, INLINE_LIMIT_BYTES
        )
        session_id = self._session(statement.tenant_id)
        name = statement.intent_id or self._fresh_id()
        context = statement.solution_context
        intent = records.Intent(
            intent_id=name,
            intent_type=statement.intent_type,
            realm=statement.intent_type.partition(".")[0],
            session_id=session_id,
            tenant_id=statement.tenant_id,
            principal=statement.principal,
            correlation_id=name,
            payload=inline,
            payload_ref=reference,
            metadata=to_json({"source": "test", **statement.metadata}, "The metadata"),
            solution_context=b"" if context is None else to_json(context, "The solution context"),
            created_at=self._time.now,
        )
        return Stated(self._owner.state(intent), session_id)

    def ask(
        self,
        intent_type: str,
        session_id: str,
        tenant_id: str,
        payload: Mapping[str, object],
        intent_id: str = "",
    ) -> str:
        """State one of the runtime's own intents; its execution's id."""
        name = intent_id or self._fresh_id()
        return self._owner.state(
            records.Intent(
                intent_id=name,
                intent_type=intent_type,
                realm="runtime",
                session_id=session_id,
                tenant_id=tenant_id,
                principal=PRINCIPAL,
                correlation_id=name,
                payload=to_json(payload, "What is asked"),
                metadata=b"{}",
                solution_context=b"",
                created_at=self._time.now,
            )
        )

    def _session(self, tenant_id: str) -> str:
        """The tenant's session, opened as any other."""
        session = self._sessions.get(tenant_id)
        if session is None:
            session = f"ses-{PARTITION}-{len(self._sessions) + 1:032x}"
            self._sessions[tenant_id] = session
            self.ask(OPEN_SESSION, session, tenant_id, {}, f"open-{session}")
        return session

    def _fresh_id(self) -> str:
        return f"intent-{next(self._numbers)}"
