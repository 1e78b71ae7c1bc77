"""The rules of one stage, prepared: which of them an intent concerns, and what they answered.

Cedar is asked once for each request that differs in something that the rules ask; its answer is
remembered. Nothing of a request that is not asked can change the answer.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from itertools import islice
from typing import Any

import cedarpy
import msgspec

from symphainy_runtime.policy.actions import realm_of
from symphainy_runtime.policy.asked import WHOLE, asked_of, only
from symphainy_runtime.policy.context import Context, encode
from symphainy_runtime.policy.facts import Entity, Facts
from symphainy_runtime.policy.reading import Rule
from symphainy_schemas.records import Stage, StageDecision

REMEMBERED = 20_000
"""Answers of one stage to one action and its roles; a tenth is forgotten at once."""
UNPERMITTED = "No policy permits it."
PREPARED = 1_000
"""Combinations of an action and roles whose rules are kept prepared, in one stage."""
_NOBODY, _NOTHING = "", b"{}"  # the first for an entity of which no policy asks which it is
Known = tuple[str, str, bytes, tuple[tuple[str, str], ...]]


class Answer:
    """A decision of a stage. Equal only to itself, so that it is quickly found again; the same
    rules give the same decision as the same answer."""

    __slots__ = ("allowed", "decision")

    def __init__(self, decision: StageDecision) -> None:
        """Of that decision."""
        self.decision = decision
        self.allowed = decision.allowed


class StagePolicies:
    """The rules of one stage, prepared."""

    def __init__(self, stage: Stage, rules: Sequence[Rule]) -> None:
        """`rules` have distinct names."""
        self.stage = stage
        self.rules = tuple(rules)
        self._roles = frozenset(role for rule in rules if (role := _role(rule)) is not None)
        self._applicable: dict[tuple[str, frozenset[str]], _Applicable] = {}
        self.forgotten = 0
        """How often what was prepared was forgotten: questions from before would keep it."""

    def decide(self, facts: Facts, resource: Entity) -> StageDecision:
        """Whether these rules let the intent pass, as far as this resource is concerned."""
        return self.question(facts, resource).ask(facts).decision

    def question(self, facts: Facts, resource: Entity) -> Question:
        """What these rules are asked about this resource by all facts of the same parties."""
        roles = self._roles.intersection(facts.intent.roles) if self._roles else self._roles
        asked = (facts.action, roles)
        applicable = self._applicable.get(asked)
        if applicable is None:
            if len(self._applicable) >= PREPARED:
                self._applicable.clear()
                self.forgotten += 1
            rules = [rule for rule in self.rules if _may_apply(rule, facts.action, roles)]
            applicable = self._applicable[asked] = _Applicable(self.stage, facts.action, rules)
        return applicable.question(facts.principal, resource)


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
        self.context = Context(self._asked.members["context"])
        self._remembered: dict[tuple[Question, Hashable], Answer] = {}
        self._answers: dict[StageDecision, Answer] = {}
        self._questions: dict[tuple[Known, Known], Question] = {}
        # One stage is asked about resources of one kind only, so what they are made of tells them.
        self._keys: dict[str, dict[Any, Known]] = {"principal": {}, "resource": {}}

    def question(self, principal: Entity, resource: Entity) -> Question:
        """What is asked of these two, whatever the context."""
        asked = self._key("principal", principal), self._key("resource", resource)
        known = self._questions.get(asked)
        if known is None:
            if len(self._questions) >= REMEMBERED:
                self._questions.clear()
            known = self._questions[asked] = Question(self, *asked)
        return known

    def answer(self, question: Question, context: Hashable, facts: Facts) -> Answer:
        """The answer to a question in a context of this key, which these facts have."""
        asked = question, context
        known = self._remembered.get(asked)
        if known is None:
            if len(self._remembered) >= REMEMBERED:
                for oldest in list(islice(self._remembered, REMEMBERED // 10)):
                    del self._remembered[oldest]
            json = self.context.json(facts)
            decided = self._evaluate(question.principal, question.resource, json)
            if len(self._answers) >= REMEMBERED:
                self._answers.clear()
            known = self._answers.setdefault(decided, Answer(decided))
            self._remembered[asked] = known
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
            return entity.type, entity.id, encode(entity.attributes), entity.parents
        name = entity.id if (entity.type, entity.id) in asked.named else _NOBODY
        has = encode(only(entity.attributes, members)) if members else _NOTHING
        parents = entity.parents
        if parents:
            parents = tuple(parent for parent in parents if parent in asked.named)
        return entity.type, name, has, parents

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


class Question:
    """What a stage is asked about a principal and a resource, in whatever context. Equal only to
    itself."""

    __slots__ = ("_applicable", "_key", "principal", "resource")

    def __init__(self, applicable: _Applicable, principal: Known, resource: Known) -> None:
        """Of rules, about these two."""
        self._applicable = applicable
        self._key = applicable.context.key
        self.principal, self.resource = principal, resource

    def ask(self, facts: Facts) -> Answer:
        """The answer to these facts; the question is of their parties.

        Raises: as `Facts.context`.
        """
        return self._applicable.answer(self, self._key(facts), facts)


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
