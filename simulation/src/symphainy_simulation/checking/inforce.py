"""What is in force at a place of the write-ahead log, worked out from the intents before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from symphainy_runtime.policy import actions
from symphainy_runtime.policy.actions import ACTIVATE_POLICY, REVOKE_KEY, SUSPEND_TENANT
from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_runtime.policy.reading import BadPolicy, read_rules
from symphainy_schemas import ids
from symphainy_schemas.records import PLATFORM, Intent, PolicySet, Stage
from symphainy_schemas.state import TenantState
from symphainy_simulation.checking.history import Body, History
from symphainy_simulation.checking.verdicts import text_of

Known = Mapping[tuple[str, int], PolicySet]
MALFORMED = "contract_violation"


class Version(NamedTuple):
    """One version of a scope's policies, and its hash."""

    version: int
    sha256: bytes


NONE = Version(0, b"")


class Asked(NamedTuple):
    """What a control intent says; what cannot be read of it is empty."""

    scope: str
    version: Version
    key_id: str


class InForce:
    """What is in force on one partition, as the walk goes on."""

    def __init__(self, carried: Iterable[Body] = ()) -> None:
        self.versions: dict[str, Version] = {}
        self.accepted: dict[str, set[Version]] = {}
        """All versions that were accepted, by scope."""
        self.suspended: set[str] = set()
        self.revoked: set[tuple[str, str]] = set()
        for one in carried:
            if isinstance(one, TenantState):
                self.versions[one.scope] = Version(one.policy_version, one.policy_sha256)
                self.revoked |= {(one.scope, key) for key in one.revoked}
                self.suspended |= {one.scope} if one.suspended else set()

    def of(self, scope: str) -> Version:
        """The version of a scope's policies."""
        return self.versions.get(scope, NONE)

    def named(self, platform: Version, tenant: Version | None) -> tuple[int, int, bytes]:
        """How a decision names them."""
        own = tenant or NONE
        general = platform.sha256 if platform.version else BUILT_IN.sha256
        return platform.version, own.version, sha256(general + own.sha256).digest()

    def text(self, scope: str, known: Known) -> PolicySet | None:
        """The policies in force; None if the checker does not know them."""
        one = self.of(scope)
        if scope == PLATFORM and not one.version:
            return BUILT_IN
        found = known.get((scope, one.version))
        return found if found is not None and found.sha256 == one.sha256 else None

    def lowers(self, intent: Intent) -> bool:
        """Whether it would put in force what is not higher."""
        asked = asked_of(intent)
        before = self.of(asked.scope)
        lower = asked.version.version <= before.version and asked.version != before
        return intent.intent_type == ACTIVATE_POLICY and lower

    def take(self, intent: Intent) -> bool:
        """It was accepted; whether that changes anything."""
        asked = asked_of(intent)
        match intent.intent_type:
            case actions.ACTIVATE_POLICY:
                changed = self.of(asked.scope) != asked.version
                self.versions[asked.scope] = asked.version
                self.accepted.setdefault(asked.scope, set()).add(asked.version)
            case actions.SUSPEND_TENANT:
                changed = asked.scope not in self.suspended
                self.suspended.add(asked.scope)
            case actions.RESUME_TENANT:
                changed = asked.scope in self.suspended
                self.suspended.discard(asked.scope)
            case _:
                changed = (asked.scope, asked.key_id) not in self.revoked
                self.revoked.add((asked.scope, asked.key_id))
        return changed


def asked_of(intent: Intent) -> Asked:
    """What a control intent says."""
    stated: Any = None
    if intent.payload_ref is None:
        try:
            stated = msgspec.json.decode(intent.payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            stated = None
    told = stated if isinstance(stated, dict) else {}
    scope, version, key_id = told.get("scope"), told.get("version"), told.get("key_id")
    try:
        digest = bytes.fromhex(str(told.get("sha256", "")))
    except ValueError:
        digest = b""
    is_name = isinstance(scope, str) and ids.TENANT_ID.fullmatch(scope) is not None
    asked = Asked(
        str(scope) if is_name else "",
        Version(version, digest) if type(version) is int else NONE,
        key_id if isinstance(key_id, str) else "",
    )
    return asked if asked.scope and _is_whole(intent.intent_type, asked) else Asked("", NONE, "")


def _is_whole(intent_type: str, asked: Asked) -> bool:
    if intent_type == ACTIVATE_POLICY:
        return asked.version.version > 0 and len(asked.version.sha256) == 32
    return intent_type != REVOKE_KEY or 0 < len(asked.key_id) <= 64


def expected(intent: Intent, partition: int, before: InForce, history: History) -> frozenset[str]:
    """The codes that it may come to, once policy lets it pass; empty text: it is accepted."""
    asked = asked_of(intent)
    if not asked.scope or intent.session_id != ids.governing_session(asked.scope, partition):
        return frozenset({MALFORMED})
    known_scopes = (
        {PLATFORM, asked.scope} if history.tenants is None else {PLATFORM, *history.tenants}
    )
    if asked.scope not in known_scopes:
        return frozenset({"tenant_not_found"})
    if intent.intent_type == SUSPEND_TENANT and asked.scope == PLATFORM:
        return frozenset({MALFORMED})
    if intent.intent_type != ACTIVATE_POLICY:
        return frozenset({""})
    if before.lowers(intent):
        return frozenset({"policy_superseded"})
    known = history.policies.get((asked.scope, asked.version.version))
    if known is None or known.sha256 != asked.version.sha256:
        return frozenset({"policy_not_found"})
    return frozenset({"" if _is_cedar(known) else "policy_malformed"})


def _is_cedar(policies: PolicySet) -> bool:
    try:
        for stage in Stage:
            read_rules(policies.scope, stage, text_of(policies, stage))
    except BadPolicy:
        return False
    return True
