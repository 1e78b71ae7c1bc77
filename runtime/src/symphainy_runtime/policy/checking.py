"""Whether a policy set can be put in force: nothing in it is unknown, and every rule can match."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import cedarpy
from msgspec import Struct

from symphainy_runtime.policy.reading import Rule, read_rules, texts
from symphainy_schemas.records import PolicySet, Stage

_NOWHERE = "symphainy_nowhere"
# Cedar does not type what stands behind a condition that never holds. So a rule that would not
# notice an attribute that nobody has, after all its conditions, never gets that far.
_PROBE = {"kind": "when", "body": {".": {"left": {"Var": "context"}, "attr": _NOWHERE}}}


class Finding(Struct, frozen=True):
    """What is wrong with one rule."""

    stage: str
    rule: str
    message: str


def check(policies: PolicySet, schemas: Mapping[Stage, Mapping[str, Any]]) -> list[Finding]:
    """What is wrong with the set, by the schema of each stage; empty if it can be put in force.

    Raises:
        BadPolicy: a text cannot be read at all.
    """
    found: list[Finding] = []
    for stage, text in texts(policies).items():
        rules = read_rules(policies.scope, stage, text)
        schema = cedarpy.Schema.from_json_str(json.dumps(schemas[stage]))
        problems = _validate(rules, schema)
        found += [Finding(stage, name, message) for name, message in problems]
        broken = {name for name, _ in problems}
        found += [
            Finding(stage, name, "It never matches.")
            for name in _never(rules, schema)
            if name not in broken
        ]
    return found


def _validate(rules: Sequence[Rule], schema: cedarpy.Schema) -> list[tuple[str, str]]:
    if not rules:
        return []
    # Cedar numbers what it reads from text; in our order that is the place.
    result = cedarpy.validate_policies(_text([rule.tree for rule in rules]), schema)
    by_place = {f"policy{place}": rule.name for place, rule in enumerate(rules)}
    return [
        (by_place.get(error.policy_id, ""), error.error.split("`, ", 1)[-1])
        for error in result.errors
    ]


def _never(rules: Sequence[Rule], schema: cedarpy.Schema) -> list[str]:
    """Rules that no request can match."""
    if not rules:
        return []
    probes = [{**rule.tree, "conditions": [*rule.tree["conditions"], _PROBE]} for rule in rules]
    result = cedarpy.validate_policies(_text(probes), schema)
    noticed = {error.policy_id for error in result.errors if _NOWHERE in error.error}
    return [rule.name for place, rule in enumerate(rules) if f"policy{place}" not in noticed]


def _text(trees: Sequence[Any]) -> str:
    """Cedar text of these policies, in their order."""
    return "\n".join(
        cedarpy.policies_from_json_str(
            json.dumps({"staticPolicies": {"policy0": tree}, "templates": {}, "templateLinks": []})
        )
        for tree in trees
    )
