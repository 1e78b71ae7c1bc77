"""Draws who governs, and what: policies put in force, tenants suspended and resumed, keys revoked;
and a configuration that is late. A part of the plan by itself, from a stream of its own."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from symphainy_runtime.policy.actions import (
    ACTIVATE_POLICY,
    RESUME_TENANT,
    REVOKE_KEY,
    SUSPEND_TENANT,
)
from symphainy_runtime.policy.defaults import PLATFORM_OPERATOR, TENANT_ADMIN
from symphainy_schemas.records import PLATFORM
from symphainy_simulation.actors.policies import VERSIONS
from symphainy_simulation.plan import TENANTS, Fault, Governs, Harm, Kind, Scenario, Stated

SHARE = 0.3  # of the seeds have some
FIRST_MS, LATEST_MS = 90, 2_800
LATE = 0.5  # of those in which configuration is late somewhere
REFERRING = 0.15  # of the intents
ROLES = ((), (), ("member",), ("member", "guest"), ("guest",))
KEYS = ("", "k1", "k2")
SPOILT = (
    "another hash",
    "another session",
    "no session of these",
    "no object",
    "no JSON",
    "no scope",
    "no version",
    "no hash",
    "nobody's",
    "the platform's",
)
MEANT_FOR = {
    "another hash": ACTIVATE_POLICY,
    "no version": ACTIVATE_POLICY,
    "no hash": ACTIVATE_POLICY,
    "the platform's": SUSPEND_TENANT,
}


def with_governance(stated: list[Stated], chance: Random, scenario: Scenario) -> list[Stated]:
    """What is stated, by whom, and behind it what governs."""
    if chance.random() >= SHARE:
        return stated
    found = [_by_somebody(one, chance) for one in stated]
    tenants = sorted({one.tenant for one in stated})
    for _ in range(chance.choice((2, 5, 9))):
        found += _governs(len(found), tenants, chance, scenario)
    return found


def with_late_config(faults: list[Fault], stated: list[Stated], chance: Random) -> list[Fault]:
    """What goes wrong, and what comes late of the configuration, where it is asked."""
    governed = any(one.governs is not None for one in stated)
    if not governed or chance.random() >= LATE:
        return faults
    found = list(faults)
    for _ in range(chance.choice((1, 2, 4))):
        found.append(
            Fault(
                number=len(found),
                at_ms=chance.randrange(50, LATEST_MS),
                harm=Harm.CONFIG,
                target=chance.randrange(12),
                calls=chance.randrange(40),
                ms=chance.choice((60, 300, 1_200)),
                variant=chance.choice(("unavailable", "unavailable", "lacking")),
                share=chance.random(),
            )
        )
    return sorted(found, key=lambda fault: (fault.at_ms, fault.number))


def _by_somebody(one: Stated, chance: Random) -> Stated:
    """With a key in its payload, at times, that refers to somebody's data."""
    said = replace(one, roles=chance.choice(ROLES), credential=chance.choice(KEYS))
    if one.kind is not Kind.INTENT or one.key or chance.random() >= REFERRING:
        return said
    whose = one.tenant if chance.random() < 0.8 else chance.choice(TENANTS)
    return replace(said, key=f"artifact://{whose}/a")


def _governs(number: int, tenants: list[str], chance: Random, scenario: Scenario) -> list[Stated]:
    """One broadcast, with what belongs to it: another operator's, or a resumption."""
    at_ms = chance.randrange(FIRST_MS, LATEST_MS)
    asks = chance.choices((ACTIVATE_POLICY, SUSPEND_TENANT, REVOKE_KEY), (6, 3, 1))[0]
    spoilt = chance.choice(SPOILT) if chance.random() < 0.12 else ""
    asks = MEANT_FOR.get(spoilt, asks)
    scope = chance.choice(tenants)
    if spoilt == "the platform's" or (asks == ACTIVATE_POLICY and chance.random() < 0.4):
        scope = PLATFORM
    if spoilt == "nobody's":
        scope = "nobody"
    first = _one(number, at_ms, asks, scope, chance, scenario, tenants, spoilt)
    found = [first]
    if asks == ACTIVATE_POLICY and chance.random() < 0.4:
        later = max(FIRST_MS, at_ms + chance.randrange(-40, 60))
        found.append(_one(number + 1, later, asks, scope, chance, scenario, tenants))
    if asks == SUSPEND_TENANT and chance.random() < 0.8:
        later = at_ms + chance.randrange(20, 1_500)
        found.append(_one(number + 1, later, RESUME_TENANT, scope, chance, scenario, tenants))
    return found


def _one(
    number: int,
    at_ms: int,
    asks: str,
    scope: str,
    chance: Random,
    scenario: Scenario,
    tenants: list[str],
    spoilt: str = "",
) -> Stated:
    tenant, roles = _who(scope, tenants, chance)
    crashes = chance.random() < 0.35
    governs = Governs(
        intent_type=asks,
        scope=scope,
        version=chance.randint(1, VERSIONS + 1) if asks == ACTIVATE_POLICY else 0,
        key_id=chance.choice(KEYS[1:]) if asks == REVOKE_KEY else "",
        spoilt=spoilt,
        order=chance.randrange(24),
        apart_ms=chance.choice((0, 0, 5, 200)),
        crashes_after=chance.randrange(scenario.partitions) if crashes else -1,
        again_ms=chance.choice((200, 700, 1_500, 0)),
    )
    return Stated(
        number, at_ms, Kind.GOVERN, tenant, 0,
        roles=roles, credential=chance.choice((*KEYS, "")), governs=governs,
    )  # fmt: skip


def _who(scope: str, tenants: list[str], chance: Random) -> tuple[str, tuple[str, ...]]:
    """The tenant of who asks, and the roles: some have no right to."""
    own = scope if scope in tenants else chance.choice(tenants)
    return chance.choices(
        (
            (PLATFORM, (PLATFORM_OPERATOR,)),
            (own, (TENANT_ADMIN,)),
            (chance.choice(tenants), (TENANT_ADMIN,)),
            (own, ("member",)),
            (PLATFORM, ()),
        ),
        (12, 4, 1, 1, 1),
    )[0]
