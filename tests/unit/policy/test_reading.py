"""Policies as they are written.

- A malformed text, a template, and two rules of one name are refused with the stage and the cause.
- A rule is named by its @id or its place, in the order of the text, also beyond ten.
- The hash of a set tells the stages apart.
"""

from __future__ import annotations

import pytest

from symphainy_runtime.policy.reading import LIMIT_BYTES, BadPolicy, digest_of, read_rules
from symphainy_schemas.records import Stage

ALL = "permit(principal, action, resource);"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("permit(principal, action, resource)", "no Cedar"),
        ("permit(principal, action);", "no Cedar"),
        ("allow(principal, action, resource);", "no Cedar"),
        ('permit(principal, action, resource) when { context.x == "};', "no Cedar"),
        ("permit(principal == ?principal, action, resource);", "Templates"),
        (f'@id("a") {ALL} @id("a") {ALL}', "Two policies are named acme/city_manager/a"),
        (f'@id("policy1") {ALL} {ALL}', "Two policies are named acme/city_manager/policy1"),
        (" " * LIMIT_BYTES + ALL, "more than"),
    ],
)
def test_what_cannot_be_used_names_stage_and_cause(text: str, says: str) -> None:
    with pytest.raises(BadPolicy) as raised:
        read_rules("acme", Stage.CITY_MANAGER, text)
    assert raised.value.code == "policy_malformed"
    assert raised.value.field == "city_manager"
    assert says in raised.value.message
    assert raised.value.cure


def test_rules_are_named_by_id_or_place_in_the_order_of_the_text() -> None:
    rules = read_rules("acme", Stage.SECURITY_GUARD, f'@id("first") {ALL}' + ALL * 11)
    places = [f"acme/security_guard/policy{place}" for place in range(1, 12)]
    assert [rule.name for rule in rules] == ["acme/security_guard/first", *places]


def test_an_empty_text_has_no_rules() -> None:
    assert read_rules("acme", Stage.DATA_STEWARD, " // nothing\n") == ()


def test_a_rule_says_whether_it_forbids_and_why() -> None:
    text = '@id("no") @reason("Not today.") forbid(principal, action, resource);' + ALL
    first, second = read_rules("platform", Stage.SECURITY_GUARD, text)
    assert (first.forbids, first.reason) == (True, "Not today.")
    assert (second.forbids, second.reason) == (False, "")


def test_the_hash_tells_the_stages_apart() -> None:
    found = {digest_of(ALL, "", ""), digest_of("", ALL, ""), digest_of("", "", ALL)}
    assert len(found) == 3
    assert digest_of("ab", "c", "") != digest_of("a", "bc", "")
