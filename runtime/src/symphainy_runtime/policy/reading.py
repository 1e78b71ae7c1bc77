"""Policies as they are written, one Cedar text for each stage, read into rules with names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import cedarpy
from msgspec import Struct

from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import PolicySet, Stage

LIMIT_BYTES = 1_048_576
"""Of one stage's text: thousands of policies."""


class BadPolicy(CallerError):
    """A policy text cannot be used; the field names the stage, the message the policy."""

    code = "policy_malformed"


class Rule(Struct, frozen=True):
    """One policy of one stage. `tree` is Cedar's JSON form of it."""

    name: str
    forbids: bool
    reason: str
    tree: Mapping[str, Any]


def texts(policies: PolicySet) -> dict[Stage, str]:
    """The text of each stage."""
    return {
        Stage.SECURITY_GUARD: policies.security_guard,
        Stage.CITY_MANAGER: policies.city_manager,
        Stage.DATA_STEWARD: policies.data_steward,
    }


def digest_of(security_guard: str, city_manager: str, data_steward: str) -> bytes:
    """SHA-256 of the three texts, each with its length before it."""
    found = sha256()
    for text in (security_guard, city_manager, data_steward):
        data = text.encode()
        found.update(len(data).to_bytes(8, "big"))
        found.update(data)
    return found.digest()


def read_rules(scope: str, stage: Stage, text: str) -> tuple[Rule, ...]:
    """The rules of a stage, in the order of the text. A rule is named scope/stage/id, by its
    `@id`, or by its place: policy0, policy1, …

    Raises:
        BadPolicy: the text is no Cedar, holds templates, or two rules of one name.
    """
    if len(text.encode()) > LIMIT_BYTES:
        raise _bad(stage, f"The policies take more than {LIMIT_BYTES} bytes.", "Write fewer.")
    try:
        read = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise _bad(stage, f"This is no Cedar: {error}.", "See docs.cedarpolicy.com.") from error
    if read["templates"]:
        raise _bad(stage, "Templates are linked by nobody here.", "Write policies without slots.")
    rules = []
    # policy10 stands behind policy9
    for place, tree in sorted(read["staticPolicies"].items(), key=lambda one: int(one[0][6:])):
        annotations = tree.get("annotations", {})
        name = f"{scope}/{stage}/{annotations.get('id') or place}"
        rules.append(Rule(name, tree["effect"] == "forbid", annotations.get("reason") or "", tree))
    names = [rule.name for rule in rules]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise _bad(stage, f"Two policies are named {twice}.", "Give each an @id of its own.")
    return tuple(rules)


def _bad(stage: Stage, message: str, cure: str) -> BadPolicy:
    return BadPolicy(message, field=stage.value, cure=cure)
