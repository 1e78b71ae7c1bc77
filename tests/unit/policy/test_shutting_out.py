"""A set of the platform's after which nobody could put others in force is found out beforehand.

- Whatever refuses it: a prohibition, a missing permission, in any stage; the built-in set has
  nothing.
- A tenant's set cannot: it is not asked.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.support.policies import policy_set

from symphainy_runtime.configuration import Configuration
from symphainy_runtime.policy.defaults import BUILT_IN, CITY_MANAGER, DATA_STEWARD, SECURITY_GUARD
from symphainy_runtime.policy.shutting_out import shut_out
from symphainy_runtime.policy.writing import findings
from symphainy_schemas.records import PLATFORM

FORBID = '@id("shut") forbid(principal, action == Action::"runtime.activate_policy", resource);'
HOURS = FORBID.replace(";", " unless { context.time.hour == 12 };")
NAMED = '@id("only") permit(principal == Principal::"platform/ann", action, resource);'


def test_the_built_in_set_can_be_replaced() -> None:
    assert shut_out(replace(BUILT_IN, version=1)) == []


@pytest.mark.parametrize(
    ("guard", "manager", "expected"),
    [
        (
            SECURITY_GUARD + FORBID,
            CITY_MANAGER,
            [("security_guard", "platform/security_guard/shut")],
        ),
        (SECURITY_GUARD, CITY_MANAGER + FORBID, [("city_manager", "platform/city_manager/shut")]),
        (SECURITY_GUARD, CITY_MANAGER + HOURS, [("city_manager", "platform/city_manager/shut")]),
        ("", CITY_MANAGER, [("security_guard", "")]),
    ],
)
def test_one_that_could_not_is_named(
    guard: str, manager: str, expected: list[tuple[str, str]]
) -> None:
    found = shut_out(policy_set(PLATFORM, guard, manager, DATA_STEWARD))
    assert [(one.stage, one.rule) for one in found] == expected
    assert all("runtime.activate_policy" in one.message for one in found)


def test_its_author_is_who_is_asked_about() -> None:
    mine = policy_set(PLATFORM, NAMED, CITY_MANAGER, DATA_STEWARD)
    assert shut_out(replace(mine, created_by="ann")) == []
    assert [one.rule for one in shut_out(replace(mine, created_by="bob"))] == [""]


def test_a_tenant_s_set_shuts_nobody_out() -> None:
    assert shut_out(policy_set("acme", FORBID)) == []


def test_it_is_told_with_everything_else_that_is_wrong() -> None:
    bad = policy_set(PLATFORM, SECURITY_GUARD + FORBID, CITY_MANAGER, DATA_STEWARD)
    assert "platform/security_guard/shut" in [one.rule for one in findings(bad, Configuration())]
