"""The platform's policies until somebody activates others: each tenant to itself."""

from __future__ import annotations

from symphainy_runtime.policy.actions import GOVERNANCE
from symphainy_runtime.policy.reading import digest_of
from symphainy_schemas.records import PLATFORM, PolicySet

PLATFORM_OPERATOR = "platform_operator"
TENANT_ADMIN = "tenant_admin"
OPERATOR = "operator"
AUDITOR = "auditor"
EXPLAINED_TO = frozenset({PLATFORM_OPERATOR, TENANT_ADMIN, OPERATOR, AUDITOR})
"""Roles whose principals are told which policies decided, and why."""
_ACTIONS = ", ".join(f'Action::"{action}"' for action in sorted(GOVERNANCE))

SECURITY_GUARD = f"""\
@id("own_tenant")
@reason("A tenant's principals use what the tenant has.")
permit(principal, action, resource) when {{ principal.tenant == resource.tenant }};

@id("operators_govern")
permit(principal in Role::"{PLATFORM_OPERATOR}", action in [{_ACTIONS}], resource);

@id("nobody_else_governs")
@reason("Only a platform operator, or an administrator of the tenant, governs it.")
forbid(principal, action in [{_ACTIONS}], resource)
unless {{
  principal in Role::"{PLATFORM_OPERATOR}" ||
  (principal in Role::"{TENANT_ADMIN}" && principal.tenant == resource.tenant)
}};
"""
CITY_MANAGER = """\
@id("everything")
permit(principal, action, resource);
"""
DATA_STEWARD = """\
@id("own_data")
@reason("A tenant refers to its own data.")
permit(principal, action, resource) when { principal.tenant == resource.tenant };
"""

BUILT_IN = PolicySet(
    scope=PLATFORM,
    version=0,
    sha256=digest_of(SECURITY_GUARD, CITY_MANAGER, DATA_STEWARD),
    security_guard=SECURITY_GUARD,
    city_manager=CITY_MANAGER,
    data_steward=DATA_STEWARD,
    note="Built in.",
    created_at=0,
    created_by="symphainy",
)
