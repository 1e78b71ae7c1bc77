"""The policies that `config` holds in a simulated run: a few fixed versions of each scope.

Equal version numbers of two tenants are other texts, and equal texts stand under other numbers. A
platform operator is refused nothing by any of them, so that a run can be brought to its end.
"""

from __future__ import annotations

from functools import lru_cache

from symphainy_runtime.policy.defaults import (
    DATA_STEWARD,
    PLATFORM_OPERATOR,
    SECURITY_GUARD,
    TENANT_ADMIN,
)
from symphainy_runtime.policy.reading import digest_of
from symphainy_schemas.records import PLATFORM, PolicySet
from symphainy_simulation.plan import TENANTS

VERSIONS = 6
"""Of each scope; the last is no Cedar, and what is higher `config` never holds."""
MALFORMED = VERSIONS
_OPERATOR = f'principal in Role::"{PLATFORM_OPERATOR}"'
_ALL = '@id("all") permit(principal, action, resource);\n'


def _but(name: str, scope: str, when: str) -> str:
    """All but one thing."""
    return (
        f'{_ALL}@id("{name}") @reason("Not this.") forbid({scope}) when {{ {when} }}\n'
        f"unless {{ {_OPERATOR} }};\n"
    )


def _action(*names: str) -> str:
    named = ", ".join(f'Action::"{name}"' for name in names)
    return f"principal, action in [{named}], resource"


_ADMINS = f'principal in Role::"{TENANT_ADMIN}", action, resource'
_ANY = "principal, action, resource"
_MEMBERS = (
    f'@id("operators") permit(principal, action, resource) when {{ {_OPERATOR} }};\n'
    '@id("members") permit(principal in Role::"member", action, resource);\n'
    '@id("guests") forbid(principal in Role::"guest", action, resource)\n'
    f"when {{ context.priority < 3 }} unless {{ {_OPERATOR} }};\n"
)
_PAYLOAD = "context has payload && context.payload has key && context.payload.key"
_OF_TENANTS = (
    (_ALL, "", ""),
    (_MEMBERS, "", ""),
    (
        "",
        _but("no_y", _ANY, f'{_PAYLOAD} == "y"'),
        _but("secret", _ANY, 'resource.tenant != "acme"'),
    ),
    (_but("no_asking", _action("runtime.cancel", "runtime.pause"), "true"), "", ""),
    ("", _but("no_side", _action("side"), "!context.invoked"), ""),
)
_OF_THE_PLATFORM = (
    (SECURITY_GUARD, _ALL, DATA_STEWARD),
    (SECURITY_GUARD, _but("no_hang", _action("work.hang", "work.slow"), "true"), DATA_STEWARD),
    (SECURITY_GUARD, _but("no_urgent", _ANY, "context.priority == 1"), DATA_STEWARD),
    (_but("no_key", _ANY, 'principal.authentication == "key"'), _ALL, _ALL),
    (SECURITY_GUARD, _but("no_admins", _ADMINS, "true"), DATA_STEWARD),
)  # fmt: skip
_NO_CEDAR = ("permit(principal, action", "", "")


@lru_cache
def of(scope: str, version: int) -> PolicySet | None:
    """That version of a scope's policies; None if there is none."""
    if scope not in (PLATFORM, *TENANTS) or not 0 < version <= VERSIONS:
        return None
    if version == MALFORMED:
        texts = _NO_CEDAR
    elif scope == PLATFORM:
        texts = _OF_THE_PLATFORM[version - 1]
    else:
        texts = _OF_TENANTS[(version + TENANTS.index(scope)) % len(_OF_TENANTS)]
    return PolicySet(
        scope=scope,
        version=version,
        sha256=digest_of(*texts),
        security_guard=texts[0],
        city_manager=texts[1],
        data_steward=texts[2],
        note="",
        created_at=0,
        created_by="simulation",
    )


def every() -> dict[tuple[str, int], PolicySet]:
    """All that there are, by scope and version."""
    found = {}
    for scope in (PLATFORM, *TENANTS):
        for version in range(1, VERSIONS + 1):
            one = of(scope, version)
            assert one is not None
            found[scope, version] = one
    return found
