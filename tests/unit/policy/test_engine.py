"""The engine against Cedar itself, asked for everything at once.

- What is remembered, and asked by what policies ask only, is what Cedar answers to the whole.
- Which rules are asked, by action and role, does not change the answer.
- Nor does what was asked before, nor what was forgotten of it.
- The platform's prohibitions hold for everybody; a tenant's own rules replace its permits.
- A rule that cannot be evaluated refuses; nothing is permitted by nobody.
- The Data Steward is asked of every reference, and the first refusal counts.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.policies import (
    REFERENCES,
    TENANTS,
    asked_directly,
    intent,
    intents,
    policies,
    policy_set,
    sets,
    texts,
)

from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.facts import MOST_REFERENCES, Facts
from symphainy_runtime.policy.reading import read_rules
from symphainy_runtime.policy.recorded import Session, Target
from symphainy_runtime.policy.stages import UNPERMITTED, StagePolicies
from symphainy_schemas.records import Intent, Stage, Tenant

SESSIONS = (None, Session("ann"), Session("bob"))
TARGETS = (None, *(Target(tenant, "content.read", "bob", "content") for tenant in TENANTS))
TIMES = st.integers(0, 7 * 86_400_000)
PARTY = ("intent_type", "realm", "tenant_id", "principal", "roles", "attributes")


def tenant(name: str) -> Tenant:
    """A tenant with attributes."""
    return Tenant(
        tenant_id=name,
        version=1,
        display_name=name,
        shard_size=0,
        created_at=0,
        attributes=b'{"size":20}' if name == "acme" else b"",
    )


def facts() -> st.SearchStrategy[Facts]:
    """Requests."""
    return st.tuples(intents(), TIMES, st.sampled_from(SESSIONS), st.sampled_from(TARGETS)).map(
        lambda one: Facts(one[0], one[1], tenant(one[0].tenant_id), one[2], one[3])
    )


def of_one_party(most: int = 6) -> st.SearchStrategy[list[Facts]]:
    """Requests of the same parties, which differ in the context."""

    def stated(base: Intent, other: Intent) -> Intent:
        return replace(other, **{name: getattr(base, name) for name in PARTY})

    def facts_of(base: Intent) -> st.SearchStrategy[list[Facts]]:
        contexts = st.tuples(intents(), TIMES, st.sampled_from(SESSIONS), st.sampled_from(TARGETS))
        request = contexts.map(
            lambda one: Facts(stated(base, one[0]), one[1], tenant(base.tenant_id), one[2], one[3])
        )
        return st.lists(request, min_size=1, max_size=most)

    return intents().flatmap(facts_of)


def requests(most: int) -> st.SearchStrategy[list[Facts]]:
    """Of several parties, or of one."""
    return st.lists(facts(), min_size=1, max_size=most) | of_one_party(most)


def resources(about: Facts) -> list[Any]:
    """What the stages would ask about."""
    return [about.capability, about.tenant, *map(about.data, about.references)]


@given(texts(6), requests(6))
@settings(max_examples=120, deadline=None)
def test_what_is_remembered_is_what_cedar_answers_to_the_whole(
    text: str, several: list[Facts]
) -> None:
    rules = read_rules("acme", Stage.SECURITY_GUARD, text)
    stage = StagePolicies(Stage.SECURITY_GUARD, rules)
    for about in [*several, *several]:  # the second time all is remembered
        for resource in resources(about):
            found = stage.decide(about, resource)
            allowed, names, broken = asked_directly(rules, about, resource)
            assert found.allowed == allowed
            assert set(found.policies) == names
            assert broken == bool(found.reasons and not names and found.reasons != (UNPERMITTED,))


@given(sets("platform"), sets("acme"), requests(4))
@settings(max_examples=60, deadline=None)
def test_stages_are_asked_in_turn_by_the_rules_in_force(
    platform: Any, own: Any, several: list[Facts]
) -> None:
    both = Policies(platform, own)
    for about in several:
        decided = both.decide(about)
        assert [stage.stage for stage in decided.stages] == list(Stage)[: len(decided.stages)]
        assert all(stage.allowed for stage in decided.stages[:-1])
        assert decided.allowed == (len(decided.stages) == 3 and decided.stages[-1].allowed)
        for stage, resource in zip(decided.stages, (about.capability, about.tenant), strict=False):
            general = read_rules("platform", Stage(stage.stage), getattr(platform, stage.stage))
            special = read_rules("acme", Stage(stage.stage), getattr(own, stage.stage))
            forbids = [rule for rule in general if rule.forbids]
            rules = [*forbids, *special] if special else general
            allowed, names, _ = asked_directly(rules, about, resource)
            assert (stage.allowed, set(stage.policies)) == (allowed, names)


@given(
    sets("platform"),
    sets("acme"),
    requests(4),
    st.sampled_from([1, 2, 1_000]),
)
@settings(max_examples=40, deadline=None)
def test_what_was_asked_before_changes_no_decision(
    platform: Any, own: Any, several: list[Facts], kept: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        for bound in ("stages.PREPARED", "stages.REMEMBERED", "engine.REMEMBERED"):
            patched.setattr(f"symphainy_runtime.policy.{bound}", kept)
        both = Policies(platform, own)
        for about in [*several, *several]:
            assert both.decide(about) == Policies(platform, own).decide(about)


@given(policies(), facts())
@settings(max_examples=60, deadline=None)
def test_a_rule_for_another_action_or_role_changes_nothing(text: str, about: Facts) -> None:
    rules = read_rules("acme", Stage.SECURITY_GUARD, text)
    alone = StagePolicies(Stage.SECURITY_GUARD, rules).decide(about, about.capability)
    apart = 'permit(principal in Role::"nobody_s", action == Action::"other.one", resource);'
    more = read_rules("acme", Stage.SECURITY_GUARD, f"{text}\n{apart}")
    assert StagePolicies(Stage.SECURITY_GUARD, more).decide(about, about.capability) == alone


def decide(one: Intent, platform: Any = BUILT_IN, own: Any = None) -> tuple[bool, str, Any]:
    """(allowed, the last stage, its rules or reasons)."""
    decided = Policies(platform, own).decide(Facts(one, 0, tenant(one.tenant_id)))
    last = decided.stages[-1]
    return decided.allowed, last.stage, last.policies or last.reasons


def test_a_tenants_permit_does_not_lift_a_prohibition_of_the_platform() -> None:
    platform = policy_set(
        "platform",
        '@id("no_pay") forbid(principal, action == Action::"billing.pay", resource);'
        "permit(principal, action, resource);",
        "permit(principal, action, resource);",
    )
    own = policy_set("acme", '@id("all") permit(principal, action, resource);')
    assert decide(intent("billing.pay"), platform, own) == (
        False,
        "security_guard",
        ("platform/security_guard/no_pay",),
    )
    assert decide(intent("content.read"), platform, own)[0]


def test_a_tenants_own_rules_stand_in_place_of_the_platforms_permits() -> None:
    own = policy_set("acme", 'permit(principal in Role::"owner", action, resource);')
    assert decide(intent("content.read"), own=own) == (False, "security_guard", (UNPERMITTED,))
    assert decide(intent("content.read", roles=["owner"]), own=own)[0]
    # It has none for the other stages: there the platform's permits hold.
    assert decide(intent("content.read", roles=["owner"]), own=own)[1] == "data_steward"


def test_the_guard_is_asked_about_the_capability_and_the_manager_about_the_tenant() -> None:
    guard = 'permit(principal, action, resource == Capability::"content.read");'
    manager = 'permit(principal, action, resource == Tenant::"acme") when { resource.size > 10 };'
    own = policy_set("acme", guard, manager)
    assert decide(intent("content.read"), own=own)[0]
    assert decide(intent("content.write"), own=own)[1] == "security_guard"
    elsewhere = intent("content.read", tenant="globex")
    assert decide(elsewhere, own=own) == (False, "city_manager", (UNPERMITTED,))


@pytest.mark.parametrize("effect", ["permit", "forbid"])
def test_what_cannot_be_evaluated_refuses(effect: str) -> None:
    own = policy_set(
        "acme",
        "permit(principal, action, resource);"
        f'@id("x") {effect}(principal, action, resource) when {{ principal.level > 3 }};',
    )
    allowed, stage, (reason, *_) = decide(intent("content.read"), own=own)
    assert (allowed, stage) == (False, "security_guard")
    assert "level" in reason
    assert "acme/security_guard/x" in reason
    able = intent("content.read", attributes={"level": 4})
    assert decide(able, own=own)[0] == (effect == "permit")


@pytest.mark.parametrize("own", [None, policy_set("acme")])
def test_nothing_is_permitted_by_nobody(own: Any) -> None:
    assert decide(intent("content.read"), policy_set("platform"), own) == (
        False,
        "security_guard",
        (UNPERMITTED,),
    )


def test_the_steward_is_asked_of_every_reference_wherever_it_stands() -> None:
    mine, theirs = REFERENCES
    deep = {"a": [{"b": mine}, {mine: [theirs]}]}
    allowed, stage, reasons = decide(intent("content.read", payload=deep))
    assert (allowed, stage, reasons) == (False, "data_steward", (UNPERMITTED,))
    ours = {"a": [{"b": mine}, {mine: [mine]}]}
    assert decide(intent("content.read", payload=ours)) == (
        True,
        "data_steward",
        ("platform/data_steward/own_data",),
    )


def test_the_steward_refuses_more_references_than_can_be_asked() -> None:
    many = [f"artifact://acme/{number}" for number in range(MOST_REFERENCES + 1)]
    assert decide(intent("content.read", payload={"all": many[1:]}))[0]
    allowed, stage, (reason,) = decide(intent("content.read", payload={"all": many}))
    assert (allowed, stage) == (False, "data_steward")
    assert str(MOST_REFERENCES) in reason


def test_a_reference_with_an_escaped_slash_is_a_reference() -> None:
    hidden = replace(intent("content.read"), payload=b'{"a":"artifact:\\/\\/globex\\/x"}')
    assert decide(hidden)[:2] == (False, "data_steward")


@pytest.mark.parametrize(
    "stated",
    [
        {"__entity": {"type": "Role", "id": "owner"}},
        {"__entity": 5},
        {"__extn": {"fn": "ip", "arg": "x"}},
        {"__expr": "1"},
    ],
)
def test_a_payload_or_attribute_in_cedars_own_words_is_data(stated: Any) -> None:
    for condition in ('context.payload.a == Role::"owner"', 'principal.a == Role::"owner"'):
        own = policy_set("acme", f"permit(principal, action, resource) when {{ {condition} }};")
        one = intent("content.read", payload={"a": stated}, attributes={"a": stated})
        assert decide(one, own=own) == (False, "security_guard", (UNPERMITTED,))
