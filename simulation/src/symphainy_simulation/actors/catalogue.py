"""What the curator knows in a simulated run: capabilities, tenants and policies."""

from __future__ import annotations

from symphainy_schemas.records import Capability, Determinism, PolicySet, Tenant
from symphainy_simulation.actors import plans
from symphainy_simulation.actors import policies as fixed
from symphainy_simulation.plan import TENANTS, Scenario

CONTRACT = b'{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}'
NAMES = (
    "quick",
    "steps",
    "flaky",
    "slow",
    "keyed",
    "refuse",
    "hang",
    "untimed",
    "beating",
    "dated",
)
UNTIMED = frozenset({"untimed", "beating"})
HEARTBEAT_MS = 90
DEADLINE_MS = 450
REALMS = ("work", "side")


def capabilities(scenario: Scenario) -> dict[str, Capability]:
    """By intent type."""
    found = {
        f"{realm}.{name}": _capability(realm, name, scenario)
        for realm in REALMS
        for name in (*NAMES, *plans.ENTRIES, *plans.PLANS)
    }
    for realm in REALMS:
        for name in plans.ENTRIES:
            found[f"{realm}.{name}"] = plans.undoable(name, found[f"{realm}.{name}"], scenario)
        for name in plans.PLANS:
            plain = found[f"{realm}.{name}"]
            found[f"{realm}.{name}"] = plans.planned(realm, name, plain, scenario)
    return found


def _capability(realm: str, name: str, scenario: Scenario) -> Capability:
    keyed = name == "keyed"
    return Capability(
        name=f"{realm}.{name}",
        version=1,
        realm=realm,
        handler=name,
        description="",
        input_contract=CONTRACT,
        output_contract=b"",
        determinism=Determinism.DETERMINISTIC,
        timeout_ms=0 if name in UNTIMED else scenario.timeout_ms,
        attempts=scenario.attempts,
        backoff_ms=25,
        backoff_factor=2.0,
        backoff_max_ms=150,
        concurrency_key="/key" if keyed else "",
        key_concurrency=scenario.key_limit if keyed else 0,
        registered_at=0,
        registered_by="simulation",
        heartbeat_ms=HEARTBEAT_MS if name == "beating" else 0,
        deadline_ms=DEADLINE_MS if name == "dated" else 0,
    )


def tenants(scenario: Scenario) -> dict[str, Tenant]:
    """By id. Only the first has a limit, and another weight."""
    return {
        name: Tenant(
            tenant_id=name,
            version=1,
            display_name=name,
            shard_size=0,
            created_at=0,
            weight=2 if name == TENANTS[0] else 1,
            max_concurrency=scenario.tenant_limit if name == TENANTS[0] else 0,
            dedupe_window_ms=scenario.tenant_window_ms if name == TENANTS[0] else 0,
        )
        for name in TENANTS
    }


def limits(scenario: Scenario) -> dict[str, int]:
    """Most steps of a tenant that may be outstanding in one partition (rule 20)."""
    if not scenario.tenant_limit:
        return {}
    return {TENANTS[0]: -(-scenario.tenant_limit // scenario.partitions)}


def policies(scope: str, version: int, sha256: bytes) -> PolicySet | None:
    """That version of a scope's policies."""
    found = fixed.of(scope, version)
    return found if found is not None and found.sha256 == sha256 else None
