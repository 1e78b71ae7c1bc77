"""Decides an intent by the policies in force, stage by stage, and says which of them did.

In each stage the platform's prohibitions hold for everybody. What is permitted there, the tenant's
own policies say, and where it has none, the platform's (docs/policy.md). Nothing is permitted by
nobody; a policy that cannot be evaluated permits nothing and prohibits everything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from itertools import islice
from typing import Any

import cedarpy
import msgspec

from symphainy_runtime.policy.actions import realm_of
from symphainy_runtime.policy.asked import WHOLE, asked_of, only
from symphainy_runtime.policy.facts import MOST_REFERENCES, Entity, Facts
from symphainy_runtime.policy.reading import Rule, read_rules, texts
from symphainy_schemas.records import PLATFORM, PolicyDecision, PolicySet, Stage, StageDecision

REMEMBERED = 20_000
"""Answers of one stage to one action and its roles; a tenth is forgotten at once."""
UNPERMITTED = "No policy permits it."
PREPARED = 1_000
"""Combinations of an action and roles whose rules are kept prepared, in one stage."""
_NOBODY, _NOTHING = "", b"{}"  # the first for an entity of which no policy asks which it is
Known = tuple[str, str, bytes, tuple[tuple[str, str], ...]]
_encode = msgspec.json.Encoder(order="deterministic").encode


class StagePolicies:
    """The rules of one stage, prepared."""

    def __init__(self, stage: Stage, rules: Sequence[Rule]) -> None:
        """`rules` have distinct names."""
        self.stage = stage
        self.rules = tuple(rules)
        self._roles = frozenset(role for rule in rules if (role := _role(rule)) is not None)
        self._applicable: dict[tuple[str, frozenset[str]], _Applicable] = {}

    def decide(self, facts: Facts, resource: Entity) -> StageDecision:
        """Whether these rules let the intent pass, as far as this resource is concerned."""
        roles = self._roles.intersection(facts.intent.roles) if self._roles else self._roles
        asked = (facts.action, roles)
        applicable = self._applicable.get(asked)
        if applicable is None:
            if len(self._applicable) >= PREPARED:
                self._applicable.clear()
            rules = [rule for rule in self.rules if _may_apply(rule, facts.action, roles)]
            applicable = self._applicable[asked] = _Applicable(self.stage, facts.action, rules)
        return applicable.decide(facts, resource)


def _role(rule: Rule) -> str | None:
    """The role that the rule's principal must have; None if it demands none."""
    scope = rule.tree["principal"]
    if scope["op"] != "in" or scope["entity"]["type"] != "Role":
        return None
    return str(scope["entity"]["id"])


def _may_apply(rule: Rule, action: str, roles: frozenset[str]) -> bool:
    """Whether the rule's scope holds the action, and the principal's roles."""
    role = _role(rule)
    if role is not None and role not in roles:
        return False
    scope = rule.tree["action"]
    if scope["op"] == "All":
        return True
    named = scope["entities"] if "entities" in scope else (scope["entity"],)
    names = (action,) if scope["op"] == "==" else (action, realm_of(action))
    return any(one["id"] in names for one in named)


class _Applicable:
    """The rules of a stage whose scope holds an action, and some roles; with what they answered."""

    def __init__(self, stage: Stage, action: str, rules: Sequence[Rule]) -> None:
        self._stage, self._action = stage, action
        self._reasons = {rule.name: rule.reason for rule in rules}
        trees = {rule.name: rule.tree for rule in rules}
        whole = {"staticPolicies": trees, "templates": {}, "templateLinks": []}
        self._policies = cedarpy.PolicySet.from_json_str(json.dumps(whole))
        self._asked = asked_of(trees.values())
        context = self._asked.members["context"]
        every = dict.fromkeys(CONTEXT, WHOLE) if context is WHOLE else context
        self._members = [
            (n, None if below is WHOLE else below, below) for n, below in every.items()
        ]
        self._remembered: dict[Any, StageDecision] = {}
        # One stage is asked about resources of one kind only, so what they are made of tells them.
        self._keys: dict[str, dict[Any, Known]] = {"principal": {}, "resource": {}}

    def decide(self, facts: Facts, resource: Entity) -> StageDecision:
        asked = (
            self._key("principal", facts.principal),
            self._key("resource", resource),
            self._context(facts),
        )
        known = self._remembered.get(asked)
        if known is None:
            if len(self._remembered) >= REMEMBERED:
                for oldest in list(islice(self._remembered, REMEMBERED // 10)):
                    del self._remembered[oldest]
            known = self._remembered[asked] = self._evaluate(*asked)
        return known

    def _key(self, root: str, entity: Entity) -> Known:
        """The entity, as far as anybody asks which it is, what it has, and to what it belongs."""
        if entity.made_of is None:
            return self._make_key(root, entity)
        keys = self._keys[root]
        known = keys.get(entity.made_of)
        if known is None:
            if len(keys) >= REMEMBERED:
                keys.clear()
            known = keys[entity.made_of] = self._make_key(root, entity)
        return known

    def _make_key(self, root: str, entity: Entity) -> Known:
        asked = self._asked
        members = asked.members[root]
        if members is WHOLE:
            return entity.type, entity.id, _encode(entity.attributes), entity.parents
        name = entity.id if (entity.type, entity.id) in asked.named else _NOBODY
        has = _encode(only(entity.attributes, members)) if members else _NOTHING
        parents = entity.parents
        if parents:
            parents = tuple(parent for parent in parents if parent in asked.named)
        return entity.type, name, has, parents

    def _context(self, facts: Facts) -> bytes:
        if not self._members:
            return _NOTHING
        found = {}
        for name, members, below in self._members:
            value = facts.context(name, members)
            if value is not None:
                found[name] = only(value, below)
        return _encode(found)

    def _evaluate(self, principal: Known, resource: Known, context: bytes) -> StageDecision:
        request = {
            "principal": {"type": principal[0], "id": principal[1]},
            "action": {"type": "Action", "id": self._action},
            "resource": {"type": resource[0], "id": resource[1]},
            "context": msgspec.json.decode(context),
        }
        entities = [_entity(*principal), _entity(*resource), _action(self._action)]
        result = cedarpy.is_authorized(request, self._policies, entities)
        broken = tuple(str(error) for error in result.diagnostics.errors)
        if broken:
            return StageDecision(self._stage, False, (), broken)
        names = tuple(sorted(result.diagnostics.reasons))
        reasons = tuple(self._reasons[name] for name in names if self._reasons[name])
        if not result.allowed and not names:
            reasons = (UNPERMITTED,)
        return StageDecision(self._stage, bool(result.allowed), names, reasons)


CONTEXT = ("priority", "payload", "payload_bytes", "invoked", "session", "target", "mode", "time")
"""The members of the context."""


class Policies:
    """The policies that are in force for a tenant's intents."""

    def __init__(self, platform: PolicySet, tenant: PolicySet | None) -> None:
        """`tenant`: its own, if it has any.

        Raises:
            BadPolicy: one of the texts cannot be used.
        """
        self.platform_version = platform.version
        self.tenant_version = 0 if tenant is None else tenant.version
        hashes = platform.sha256 + (b"" if tenant is None else tenant.sha256)
        self.sha256 = sha256(hashes).digest()
        self._stages = [StagePolicies(stage, _in_force(stage, platform, tenant)) for stage in Stage]
        self._decisions: dict[tuple[StageDecision, ...], PolicyDecision] = {}

    @property
    def rules(self) -> dict[Stage, tuple[Rule, ...]]:
        """What is in force in each stage."""
        return {policies.stage: policies.rules for policies in self._stages}

    def decide(self, facts: Facts) -> PolicyDecision:
        """What policy says of the intent, up to the first stage that refuses it."""
        guard, manager, steward = self._stages
        stages: tuple[StageDecision, ...] = (guard.decide(facts, facts.capability),)
        if stages[-1].allowed:
            stages = (*stages, manager.decide(facts, facts.tenant))
        if stages[-1].allowed:
            stages = (*stages, _of_all_data(steward, facts))
        known = self._decisions.get(stages)
        if known is None:
            if len(self._decisions) > REMEMBERED:
                self._decisions.clear()
            known = self._decisions[stages] = PolicyDecision(
                platform_version=self.platform_version,
                tenant_version=self.tenant_version,
                sha256=self.sha256,
                stages=stages,
            )
        return known


_NO_DATA = StageDecision(Stage.DATA_STEWARD, True, (), ())


def _of_all_data(steward: StagePolicies, facts: Facts) -> StageDecision:
    """What the Data Steward says of every reference: the first refusal, or who let them pass."""
    references = facts.references
    if not references:
        return _NO_DATA
    if len(references) > MOST_REFERENCES:
        reason = f"The payload refers to more than {MOST_REFERENCES} pieces of data."
        return StageDecision(Stage.DATA_STEWARD, False, (), (reason,))
    names: dict[str, None] = {}
    reasons: dict[str, None] = {}
    for reference in references:
        decided = steward.decide(facts, facts.data(reference))
        if not decided.allowed:
            return decided
        names.update(dict.fromkeys(decided.policies))
        reasons.update(dict.fromkeys(decided.reasons))
    return StageDecision(Stage.DATA_STEWARD, True, tuple(names), tuple(reasons))


def _in_force(stage: Stage, platform: PolicySet, tenant: PolicySet | None) -> tuple[Rule, ...]:
    general = read_rules(PLATFORM, stage, texts(platform)[stage])
    own = () if tenant is None else read_rules(tenant.scope, stage, texts(tenant)[stage])
    if not own:
        return general
    return (*(rule for rule in general if rule.forbids), *own)


def _entity(
    kind: str, name: str, attributes: bytes, parents: tuple[tuple[str, str], ...]
) -> dict[str, Any]:
    return {
        "uid": {"type": kind, "id": name},
        "attrs": msgspec.json.decode(attributes),
        "parents": [{"type": parent, "id": of} for parent, of in parents],
    }


def _action(name: str) -> dict[str, Any]:
    group = {"type": "Action", "id": realm_of(name)}
    return {"uid": {"type": "Action", "id": name}, "attrs": {}, "parents": [group]}
