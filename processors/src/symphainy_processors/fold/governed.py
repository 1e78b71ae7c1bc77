"""Fold what is in force of a tenant, or of the platform, on a partition. Pure and total."""

from __future__ import annotations

from msgspec.structs import replace

from symphainy_schemas import events as e
from symphainy_schemas.state import TenantState

GOVERNING = frozenset({e.PolicyActivated, e.TenantSuspended, e.TenantResumed, e.KeyRevoked})


def evolve_tenant(
    kept: TenantState | None, record: e.JournalRecord, event: e.Event
) -> TenantState | None:
    """What is in force after `event`, which is one of `GOVERNING`."""
    scope: str = event.scope  # type: ignore[union-attr]
    tenant = kept or TenantState(session_id=record.session_id, scope=scope)
    match event:
        case e.PolicyActivated():
            return replace(tenant, policy_version=event.version, policy_sha256=event.sha256)
        case e.TenantSuspended():
            return replace(tenant, suspended=True, reason=event.reason)
        case e.TenantResumed():
            return replace(tenant, suspended=False, reason="")
        case e.KeyRevoked() if event.key_id not in tenant.revoked:
            return replace(tenant, revoked=(*tenant.revoked, event.key_id))
    return tenant
