"""Decide what governs: which policies are in force, who is suspended, which keys are revoked. Pure.

Each of these intents stands in every partition of the write-ahead log (rule 8), in the governing
session of its scope. Only a higher version of policies is adopted, so that all partitions come to
the same, in whatever order several reach them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from symphainy_processors.admission.control import reason_problem, violation
from symphainy_runtime.policy.actions import (
    ACTIVATE_POLICY,
    RESUME_TENANT,
    REVOKE_KEY,
    SUSPEND_TENANT,
)
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.records import PLATFORM, Error, Intent
from symphainy_schemas.state import TenantState

KEY_LIMIT = 64
Events = tuple[e.Event, ...]
Asked = e.PolicyActivated | e.TenantSuspended | e.TenantResumed | e.KeyRevoked


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force of the scope that an intent would govern, and what is wrong with the
    policies that it names."""

    partition: int
    exists: bool
    kept: TenantState | None = None
    problem: Error | None = None


def asked_by(intent: Intent) -> Asked | Error:
    """What the intent asks for, or what is wrong with it."""
    if intent.payload_ref is not None:
        return violation("/payload", "What governs is stated inline.")
    stated: Any = msgspec.json.decode(intent.payload)
    scope = stated.get("scope")
    if not isinstance(scope, str) or ids.TENANT_ID.fullmatch(scope) is None:
        return violation("/payload/scope", f"A scope is a tenant's id, or {PLATFORM!r}.")
    return _READERS[intent.intent_type](intent, scope, stated)


def decide(intent: Intent, standing: Standing) -> Events:
    """What follows the decision of policy, which has let the intent pass."""
    asked = asked_by(intent)
    problem = asked if isinstance(asked, Error) else _problem(intent, asked, standing)
    if problem is not None:
        return (e.IntentRejected(error=problem),)
    assert not isinstance(asked, Error)
    if _is_so(asked, standing.kept):
        return (e.ExecutionSucceeded(),)
    return (asked, e.ExecutionSucceeded())


def _problem(intent: Intent, asked: Asked, standing: Standing) -> Error | None:
    if intent.session_id != ids.governing_session(asked.scope, standing.partition):
        return violation("/session_id", f"This is not the session that governs {asked.scope}.")
    if not standing.exists:
        return Error(
            code="tenant_not_found",
            message=f"There is no tenant {asked.scope!r}.",
            field="/payload/scope",
            cure="Create it: symphainy tenant create.",
        )
    if isinstance(asked, e.PolicyActivated):
        return _superseded(asked, standing.kept) or standing.problem
    if isinstance(asked, e.TenantSuspended) and asked.scope == PLATFORM:
        return violation("/payload/scope", "The platform cannot be suspended.")
    return None


def _superseded(asked: e.PolicyActivated, kept: TenantState | None) -> Error | None:
    if kept is None or asked.version > kept.policy_version or _is_so(asked, kept):
        return None
    return Error(
        code="policy_superseded",
        message=f"Version {kept.policy_version} of the policies of {asked.scope} is in force; only "
        "a higher one takes its place.",
        field="/payload/version",
        cure="Write the policies as a new version, and activate that.",
    )


def _is_so(asked: Asked, kept: TenantState | None) -> bool:
    """Whether what is asked is in force already."""
    if kept is None:
        return isinstance(asked, e.TenantResumed)
    match asked:
        case e.PolicyActivated():
            return (asked.version, asked.sha256) == (kept.policy_version, kept.policy_sha256)
        case e.TenantSuspended():
            return kept.suspended
        case e.TenantResumed():
            return not kept.suspended
        case e.KeyRevoked():
            return asked.key_id in kept.revoked


def _read_activation(intent: Intent, scope: str, stated: Any) -> Asked | Error:
    version, digest = stated.get("version"), stated.get("sha256")
    if not isinstance(version, int) or isinstance(version, bool) or not 0 < version < 2**31:
        return violation("/payload/version", "A version is a number from 1.")
    try:
        sha256 = bytes.fromhex(digest) if isinstance(digest, str) else b""
    except ValueError:
        sha256 = b""
    if len(sha256) != 32:
        return violation("/payload/sha256", "A hash is 64 hexadecimal digits.")
    return e.PolicyActivated(
        scope=scope, version=version, sha256=sha256, principal=intent.principal
    )


def _with_reason(
    event: type[e.TenantSuspended | e.TenantResumed],
) -> Callable[[Intent, str, Any], Asked | Error]:
    def read(intent: Intent, scope: str, stated: Any) -> Asked | Error:
        reason = stated.get("reason", "")
        if (problem := reason_problem(reason)) is not None:
            return problem
        return event(scope=scope, reason=reason, principal=intent.principal)

    return read


def _read_revocation(intent: Intent, scope: str, stated: Any) -> Asked | Error:
    key_id = stated.get("key_id")
    if not isinstance(key_id, str) or not 0 < len(key_id) <= KEY_LIMIT:
        return violation("/payload/key_id", "A revocation names a key by its id.")
    return e.KeyRevoked(scope=scope, key_id=key_id, principal=intent.principal)


_READERS: Mapping[str, Callable[[Intent, str, Any], Asked | Error]] = {
    ACTIVATE_POLICY: _read_activation,
    SUSPEND_TENANT: _with_reason(e.TenantSuspended),
    RESUME_TENANT: _with_reason(e.TenantResumed),
    REVOKE_KEY: _read_revocation,
}
