"""What is said of a set before it is put in force.

- An unknown attribute, action, or type, and a possibly absent attribute asked without `has`, is
  found, with its rule and stage; a rule that never matches, too; a good set has no findings.
- The built-in set has none, for any capabilities.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.samples import SAMPLES
from tests.support.policies import policy_set

from symphainy_runtime.policy.checking import Finding, check
from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_runtime.policy.reading import BadPolicy
from symphainy_runtime.policy.schema import schema_of
from symphainy_schemas.records import ApiKey, Capability, Stage, Tenant

_SAMPLE = SAMPLES["capability"]
assert isinstance(_SAMPLE, Capability)
CONTRACT = {"type": "object", "properties": {"amount": {"type": "integer"}}}
CAPABILITY = replace(
    _SAMPLE, name="billing.pay", realm="billing", input_contract=msgspec.json.encode(CONTRACT)
)
TENANT = Tenant(
    tenant_id="acme",
    version=1,
    display_name="",
    shard_size=0,
    created_at=0,
    attributes=b'{"region":"eu"}',
)
KEY = ApiKey(
    key_id="k",
    version=1,
    tenant_id="acme",
    principal="ann",
    secret_sha256=b"",
    created_at=0,
    attributes=b'{"level":3}',
)
SCHEMAS: dict[Stage, Any] = {
    stage: schema_of(stage, [CAPABILITY], [TENANT], [KEY], {"department": "String"})
    for stage in Stage
}


def findings(guard: str = "", manager: str = "", steward: str = "") -> list[Finding]:
    """What is found in a tenant's set."""
    return check(policy_set("acme", guard, manager, steward), SCHEMAS)


def permit(condition: str, action: str = "action") -> str:
    """A policy with an id."""
    return f'@id("x") permit(principal, {action}, resource) when {{ {condition} }};'


@pytest.mark.parametrize(
    "condition",
    [
        "principal.tenant == resource.tenant",
        "principal has level && principal.level > 2",
        'principal has department && principal.department == "sales"',
        "context.priority < 3 && context.time.hour > 6",
        "context has session && context.session.principal == principal.name",
        'principal in Role::"anything"',
    ],
)
def test_a_good_rule_has_no_findings(condition: str) -> None:
    assert findings(permit(condition)) == []


def test_what_a_contract_names_can_be_asked() -> None:
    action = 'action == Action::"billing.pay"'
    good = "context has payload && context.payload has amount && context.payload.amount < 9"
    assert findings(permit(good, action)) == []
    assert findings(manager=permit('resource has region && resource.region == "eu"')) == []
    assert findings(steward=permit("resource has size && resource.size < 9")) == []


def test_the_mode_of_a_replay_can_be_asked_without_asking_whether_it_is_there() -> None:
    replay = 'action == Action::"runtime.replay"'
    assert findings(permit('context.mode == "full"', replay)) == []
    assert findings(permit('context has target && context.target.realm == "x"', replay)) == []
    assert findings(permit("context.mode == 3", replay))
    assert findings(permit('context.mode == "full"', 'action == Action::"runtime.cancel"'))


@pytest.mark.parametrize(
    ("condition", "action", "says"),
    [
        ("principal.shoe_size > 3", "action", "shoe_size"),
        ("context.nowhere", "action", "nowhere"),
        ("principal.level > 2", "action", "level"),
        ("context.session.principal == principal.name", "action", "session"),
        ("context.payload.amount > 2", 'action == Action::"billing.pay"', "payload"),
        ('principal.name == Nobody::"x"', "action", "Nobody"),
        ("true", 'action == Action::"billing.refund"', "billing.refund"),
        ("context.priority == principal.name", "action", ""),
    ],
)
def test_what_is_unknown_or_may_be_absent_is_found(condition: str, action: str, says: str) -> None:
    found = findings(permit(condition, action))
    assert found
    assert {(one.stage, one.rule) for one in found} == {("security_guard", "acme/security_guard/x")}
    assert any(says in one.message for one in found)


@pytest.mark.parametrize(
    ("policy", "stage"),
    [
        (permit("1 == 2"), "guard"),
        (permit("false"), "guard"),
        ('@id("x") permit(principal, action, resource is Tenant);', "guard"),
        ('@id("x") permit(principal, action, resource is Capability);', "manager"),
    ],
)
def test_a_rule_that_never_matches_is_found(policy: str, stage: str) -> None:
    found = findings(**{stage: policy})
    assert [one.rule.rpartition("/")[2] for one in found] == ["x"]


def test_findings_name_their_rule_among_many() -> None:
    good = "permit(principal, action, resource);" * 11
    found = findings(good + permit("context.nowhere"))
    assert {one.rule for one in found} == {"acme/security_guard/x"}


def test_the_built_in_set_has_no_findings() -> None:
    assert check(BUILT_IN, SCHEMAS) == []


def test_a_malformed_text_is_told_as_such() -> None:
    with pytest.raises(BadPolicy):
        findings("permit(")


def test_attributes_of_sessions_are_known_as_they_are_declared() -> None:
    asks = permit(
        "context has session && context.session.attributes has stage && "
        'context.session.attributes.stage == "draft"'
    )
    assert findings(asks)  # there is no such attribute, so it never matches
    declared = {"session.stage": "String", "team": "String"}
    schemas: dict[Stage, Any] = {
        stage: schema_of(stage, [CAPABILITY], declared=declared) for stage in Stage
    }
    assert check(policy_set("acme", asks, "", ""), schemas) == []
