"""What the gateway foresees of the owner's decision: its view, which never refuses by itself.

A view may lag. It only tells when a decision is worth waiting for, so that a caller who is about
to be rejected hears it at once.
"""

from __future__ import annotations

from collections import OrderedDict

from symphainy_gateway.backend import Backend
from symphainy_gateway.contracts import Contracts
from symphainy_gateway.intents import RUNTIME_REALM, Submission
from symphainy_gateway.problems import Refused
from symphainy_schemas.errors import Unavailable

# A session that was seen open is taken as open for so long. If another gateway closed it
# meanwhile, its next intents are answered 202 and rejected by the owner, as any race would be.
SESSION_TRUST_S = 5.0
SESSIONS_MAX = 65_536


class OpenSessions:
    """Sessions that were seen open, the least recently seen forgotten first."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()

    def holds(self, tenant_id: str, session_id: str, now: float) -> bool:
        """Whether the tenant's session was open a moment ago; `now` is monotonic, seconds."""
        seen = self._seen.get((tenant_id, session_id))
        return seen is not None and now - seen < SESSION_TRUST_S

    def add(self, tenant_id: str, session_id: str, now: float) -> None:
        """It is open now."""
        key = (tenant_id, session_id)
        self._seen[key] = now
        self._seen.move_to_end(key)
        if len(self._seen) > SESSIONS_MAX:
            self._seen.popitem(last=False)

    def discard(self, tenant_id: str, session_id: str) -> None:
        """It is not, or may not be."""
        self._seen.pop((tenant_id, session_id), None)


class Foresight:
    """Whether an intent is likely to be rejected."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._contracts = Contracts()
        self._sessions = OpenSessions()

    def doubts_capability(self, submission: Submission) -> bool:
        """Whether no capability is known for the intent, or its payload breaks the contract.

        Raises:
            Refused: it does, and the owner will not see the payload, which is claim-checked.
        """
        intent = submission.intent
        if intent.realm == RUNTIME_REALM:
            return False
        capability = self._backend.configuration.capabilities.get(intent.intent_type)
        if capability is None:
            return True
        violations = self._contracts.violations(capability, submission.payload)
        if not violations:
            return False
        if len(intent.payload) > self._backend.settings.inline_limit_bytes:
            raise Refused(
                violations[0].message,
                code="contract_violation",
                field=violations[0].field,
                cure="Send what the capability's input contract asks: GET /v1/capabilities.",
                intent_id=intent.intent_id,
                errors=violations,
            )
        return True

    def trusts_session(self, tenant_id: str, session_id: str) -> bool:
        """Whether the session was seen open lately, so that nobody need look."""
        return self._sessions.holds(tenant_id, session_id, self._backend.clock.monotonic())

    async def doubts_session(self, tenant_id: str, session_id: str) -> bool:
        """Look whether the session is not there, not the tenant's, or closed."""
        try:
            session = await self._backend.read_model.session(tenant_id, session_id)
        except Unavailable:
            return False  # no view, no doubt
        if session is None or session["status"] != "open":
            return True
        self._sessions.add(tenant_id, session_id, self._backend.clock.monotonic())
        return False

    def forget_session(self, tenant_id: str, session_id: str) -> None:
        """The session was closed, or an intent was rejected in it."""
        self._sessions.discard(tenant_id, session_id)
