"""What is in force on a partition: which policies decide an intent, who is suspended (rule 8).

The versions in force are folded state, so they are a function of the offset in the write-ahead log;
their texts stand in `config`. Without its text an intent is not decided, and not refused either.
"""

from __future__ import annotations

from symphainy_processors.admission import governing
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.owner.ports import World
from symphainy_runtime.policy.actions import ACTIVATE_POLICY, GOVERNANCE
from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.facts import Facts
from symphainy_runtime.policy.reading import BadPolicy
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.errors import OperatorError, Unavailable
from symphainy_schemas.records import PLATFORM, Error, Intent, PolicyDecision, PolicySet, Tenant
from symphainy_schemas.state import ExecutionState, SessionState, TenantState

PREPARED = 1_000
"""Combinations of the platform's and a tenant's policies that an owner keeps prepared."""

_CURE = "See docs/operations.md, Policies that are missing."


def exists(scope: str, tenant: Tenant | None) -> bool:
    """Whether there is such a scope, of which that tenant is known: the platform always is."""
    return scope == PLATFORM or tenant is not None


class PolicyMissing(OperatorError):
    """Policies are in force whose text cannot be read.

    Operator action: restore the topic `config`, or the connection to it; the partition decides
    nothing before that, and loses nothing.
    """

    code = "policy_missing"


class Prepared:
    """Policies as they are asked, by their versions; shared by the partitions of an owner."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, str, bytes], Policies] = {}

    def of(self, platform: PolicySet, tenant: PolicySet | None) -> Policies:
        """The platform's policies, with a tenant's own.

        Raises:
            BadPolicy: one of the texts cannot be used.
        """
        key = platform.sha256, *(("", b"") if tenant is None else (tenant.scope, tenant.sha256))
        known = self._known.get(key)
        versions = platform.version, 0 if tenant is None else tenant.version
        if known is None or (known.platform_version, known.tenant_version) != versions:
            if len(self._known) >= PREPARED:
                self._known.clear()
            known = self._known[key] = Policies(platform, tenant)
        return known


class Governing:
    """What is in force on one partition."""

    def __init__(
        self, partition: int, state: PartitionState, world: World, prepared: Prepared
    ) -> None:
        self._partition = partition
        self._state, self._world = state, world
        self._prepared = prepared
        self._sessions: dict[str, str] = {}
        self._in_force: dict[str, tuple[TenantState | None, TenantState | None, Policies]] = {}

    def of(self, scope: str) -> TenantState | None:
        """What is in force of a tenant, or of the platform; None: nothing was ever asked."""
        session = self._sessions.get(scope)
        if session is None:
            if len(self._sessions) >= PREPARED:
                self._sessions.clear()
            session = self._sessions[scope] = ids.governing_session(scope, self._partition)
        return self._state.governed(session)

    def suspended(self, tenant_id: str) -> bool:
        """Whether nothing of the tenant is taken or dispatched."""
        known = self.of(tenant_id)
        return known is not None and known.suspended

    def policies(self, tenant_id: str) -> Policies:
        """What decides the tenant's intents, at this place of the log.

        Raises:
            PolicyMissing: its text is not at hand.
        """
        platform = self.of(PLATFORM)
        tenant = None if tenant_id == PLATFORM else self.of(tenant_id)
        known = self._in_force.get(tenant_id)
        if known is not None and known[0] is platform and known[1] is tenant:
            return known[2]
        general = self._text(platform)
        found = self._prepared.of(general or BUILT_IN, self._text(tenant))
        if len(self._in_force) >= PREPARED:
            self._in_force.clear()
        self._in_force[tenant_id] = platform, tenant, found
        return found

    def _text(self, state: TenantState | None) -> PolicySet | None:
        if state is None or not state.policy_version:
            return None
        found = self._find(state.scope, state.policy_version, state.policy_sha256)
        if found is None:
            raise PolicyMissing(
                f"Version {state.policy_version} of the policies of {state.scope} is in force, and "
                "`config` does not hold it.",
                cure=_CURE,
            )
        return found

    def _find(self, scope: str, version: int, sha256: bytes) -> PolicySet | None:
        try:
            return self._world.policies(scope, version, sha256)
        except Unavailable as error:
            raise PolicyMissing(
                f"Version {version} of the policies of {scope} is needed, and `config` cannot be "
                f"read: {error.message}",
                cure=_CURE,
            ) from error

    def decide(
        self,
        intent: Intent,
        now: int,
        tenant: Tenant | None,
        session: SessionState | None,
        target: ExecutionState | None,
    ) -> PolicyDecision:
        """What policy says of the intent, under the versions that are in force.

        Of what governs, the platform's policies decide: a scope's own never shut their author out.

        Raises:
            PolicyMissing: their text is not at hand.
        """
        if intent.intent_type not in GOVERNANCE:
            facts = Facts(intent, now, tenant, session, target)
            return self.policies(intent.tenant_id).decide(facts)
        asked = governing.asked_by(intent)
        scope = "" if isinstance(asked, Error) else asked.scope
        facts = Facts(intent, now, self._world.tenant(scope), scope=scope)
        return self.policies(PLATFORM).decide(facts)

    def standing(self, intent: Intent) -> governing.Standing:
        """What an intent that governs would change.

        Raises:
            PolicyMissing: nobody knows whether `config` holds what it names.
        """
        asked = governing.asked_by(intent)
        if isinstance(asked, Error):
            return governing.Standing(partition=self._partition, exists=False)
        return governing.Standing(
            partition=self._partition,
            exists=exists(asked.scope, self._world.tenant(asked.scope)),
            kept=self.of(asked.scope),
            problem=self._problem(asked) if intent.intent_type == ACTIVATE_POLICY else None,
        )

    def _problem(self, asked: governing.Asked) -> Error | None:
        """Why these policies cannot be put in force."""
        assert isinstance(asked, e.PolicyActivated)
        found = self._find(asked.scope, asked.version, asked.sha256)
        if found is None:
            return Error(
                code="policy_not_found",
                message=f"`config` holds no version {asked.version} of the policies of "
                f"{asked.scope} with this hash.",
                field="/payload/version",
                cure="Write them first: symphainy policy apply does both.",
            )
        try:
            if asked.scope == PLATFORM:
                self._prepared.of(found, None)
            else:
                self._prepared.of(BUILT_IN, found)
        except BadPolicy as error:
            return Error(code=error.code, message=error.message, field=error.field, cure=error.cure)
        return None
