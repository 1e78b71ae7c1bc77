"""Policies and requests for tests: a grammar of Cedar texts, intents, and Cedar itself asked for
everything at once, which is what the engine's short cuts are held against.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import cedarpy
import msgspec
from hypothesis import strategies as st

from symphainy_runtime.policy.actions import realm_of
from symphainy_runtime.policy.context import CONTEXT
from symphainy_runtime.policy.facts import Entity, Facts
from symphainy_runtime.policy.reading import Rule, digest_of
from symphainy_schemas.records import Intent, PolicySet

ACTIONS = ("content.read", "content.write", "billing.pay", "runtime.signal", "runtime.replay")
ROLES = ("editor", "auditor", "owner")
NAMES = ("ann", "bob")
TENANTS = ("acme", "globex")
REFERENCES = tuple(f"artifact://{tenant}/{'ab' * 32}" for tenant in TENANTS)

_SCOPES_OF_PRINCIPALS = (
    "principal",
    "principal is Principal",
    'principal == Principal::"acme/ann"',
    'principal in Principal::"acme/bob"',
    *(f'principal in Role::"{role}"' for role in ROLES),
    'principal is Principal in Role::"auditor"',
)
_SCOPES_OF_ACTIONS = (
    "action",
    'action == Action::"content.read"',
    'action == Action::"content"',
    'action in Action::"content"',
    'action in Action::"billing.pay"',
    'action in [Action::"content.write", Action::"runtime"]',
    'action == Other::Action::"content.read"',
)
_SCOPES_OF_RESOURCES = (
    "resource",
    "resource is Capability",
    'resource == Capability::"content.read"',
    'resource == Tenant::"acme"',
    'resource in Data::"artifact://acme/x"',
    f'resource == Data::"{REFERENCES[0]}"',
)
_ATOMS = (
    "true",
    "principal.tenant == resource.tenant",
    'principal.tenant == "acme"',
    'principal.name like "a*"',
    "principal.level > 2",
    "principal has level && principal.level > 2",
    "principal has level",
    'principal has tags && principal.tags.contains("x")',
    'principal has home && principal.home.city == "Bern"',
    "principal has home.city",
    "principal == resource",
    'principal == Principal::"acme/ann"',
    'principal in Role::"owner"',
    'principal in [Role::"editor", Role::"auditor"]',
    "principal is Principal",
    'principal is Principal in Role::"owner"',
    "principal in resource",
    "[principal].contains(principal)",
    '{who: principal}.who == Principal::"acme/bob"',
    'resource == Capability::"content.read"',
    "resource has realm",
    "resource.size > 10",
    "resource has size && resource.size > 10",
    'action in Action::"content"',
    'action == Action::"billing.pay"',
    "context.priority < 3",
    "context.invoked",
    "context.payload_bytes > 40",
    "context.time.hour < 12 || context.time.weekday == 7",
    "context.payload.number > 1",
    "context has payload && context.payload has number && context.payload.number > 1",
    "context has payload.number",
    "context has payload && context.payload == {number: 2}",
    "context has payload && context.payload has deep && context.payload.deep has a",
    'context has payload && context.payload has list && context.payload.list.contains("x")',
    "context has session && context.session.principal == principal.name",
    "context.session.principal == principal.name",
    'context has target && context.target.realm == "content"',
    'context.mode == "full"',
    'context has mode && context.mode != "events_only"',
    "context has nowhere",
    "context == context",
    "(if context has target then context.target.principal else principal.name) == principal.name",
)


def conditions() -> st.SearchStrategy[str]:
    """Cedar expressions; some cannot be evaluated for every request."""

    def larger(of: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        two = st.tuples(of, st.sampled_from(["&&", "||"]), of)
        return st.one_of(
            two.map(lambda one: f"({one[0]} {one[1]} {one[2]})"),
            of.map(lambda one: f"!({one})"),
            st.tuples(of, of, of).map(lambda one: f"(if {one[0]} then ({one[1]}) else ({one[2]}))"),
        )

    return st.recursive(st.sampled_from(_ATOMS).map(lambda one: f"({one})"), larger, max_leaves=4)


def policies() -> st.SearchStrategy[str]:
    """One Cedar policy without an id."""
    clause = st.tuples(st.sampled_from(["when", "unless"]), conditions()).map(
        lambda one: f" {one[0]} {{ {one[1]} }}"
    )
    return st.tuples(
        st.sampled_from(["permit", "permit", "forbid"]),
        st.sampled_from(_SCOPES_OF_PRINCIPALS),
        st.sampled_from(_SCOPES_OF_ACTIONS),
        st.sampled_from(_SCOPES_OF_RESOURCES),
        st.lists(clause, max_size=2).map("".join),
    ).map(lambda one: f"{one[0]}({one[1]}, {one[2]}, {one[3]}){one[4]};")


def texts(most: int = 4) -> st.SearchStrategy[str]:
    """The text of a stage."""
    return st.lists(policies(), max_size=most).map("\n".join)


def sets(scope: str, version: int = 1) -> st.SearchStrategy[PolicySet]:
    """Whole sets."""
    return st.tuples(texts(), texts(), texts()).map(lambda one: policy_set(scope, *one, version))


def policy_set(
    scope: str, guard: str = "", manager: str = "", steward: str = "", version: int = 1
) -> PolicySet:
    """A set of these texts."""
    return PolicySet(
        scope=scope,
        version=version,
        sha256=digest_of(guard, manager, steward),
        security_guard=guard,
        city_manager=manager,
        data_steward=steward,
        note="",
        created_at=0,
        created_by="test",
    )


def intents() -> st.SearchStrategy[Intent]:
    """Intents that policies of the grammar tell apart."""
    attributes: Mapping[str, st.SearchStrategy[Any]] = {
        "level": st.integers(0, 4),
        "tags": st.lists(st.sampled_from("xy"), max_size=2),
        "home": st.sampled_from([{"city": "Bern"}, {"city": "Rome", "zip": 1}, {}]),
    }
    payload: Mapping[str, st.SearchStrategy[Any]] = {
        "number": st.sampled_from([1, 2, 1.5, "2", None]),
        "mode": st.sampled_from(["full", "events_only", 3]),
        "deep": st.sampled_from([{"a": 1}, {}, 3]),
        "list": st.lists(st.sampled_from(["x", 1]), max_size=2),
        "ref": st.sampled_from(REFERENCES),
        "more": st.lists(st.sampled_from(REFERENCES), max_size=2),
    }
    return st.builds(
        intent,
        st.sampled_from(ACTIONS),
        tenant=st.sampled_from(TENANTS),
        principal=st.sampled_from(NAMES),
        roles=st.lists(st.sampled_from(ROLES), unique=True).map(tuple),
        attributes=st.fixed_dictionaries({}, optional=dict(attributes)),
        payload=st.fixed_dictionaries({}, optional=dict(payload)),
        priority=st.integers(1, 5),
        causation_id=st.sampled_from(["", "exe-0-" + "0" * 32]),
    )


def intent(
    action: str,
    *,
    tenant: str = "acme",
    principal: str = "ann",
    roles: Sequence[str] = (),
    attributes: Mapping[str, Any] | None = None,
    payload: Any = None,
    priority: int = 3,
    causation_id: str = "",
    session: str = "ses-0-" + "0" * 32,
    name: str = "one",
) -> Intent:
    """An intent."""
    return Intent(
        intent_id=name,
        intent_type=action,
        realm=realm_of(action),
        session_id=session,
        tenant_id=tenant,
        principal=principal,
        correlation_id=name,
        causation_id=causation_id,
        payload=msgspec.json.encode({} if payload is None else payload),
        metadata=b"{}",
        solution_context=b"",
        created_at=0,
        priority=priority,
        roles=tuple(roles),
        attributes=msgspec.json.encode(attributes) if attributes else b"",
        authentication="api_key",
    )


def asked_directly(
    rules: Sequence[Rule], facts: Facts, resource: Entity
) -> tuple[bool, set[str], bool]:
    """(allowed, determining rules, whether a rule could not be evaluated), from Cedar itself: every
    rule, every attribute, every parent, the whole context."""
    principal = facts.principal
    told = {name: value for name in CONTEXT if (value := facts.context(name)) is not None}
    request = {
        "principal": {"type": principal.type, "id": principal.id},
        "action": {"type": "Action", "id": facts.action},
        "resource": {"type": resource.type, "id": resource.id},
        "context": told,
    }
    group = {"type": "Action", "id": realm_of(facts.action)}
    entities = [
        _entity(principal),
        _entity(resource),
        {"uid": {"type": "Action", "id": facts.action}, "attrs": {}, "parents": [group]},
    ]
    trees = {rule.name: rule.tree for rule in rules}
    whole = {"staticPolicies": trees, "templates": {}, "templateLinks": []}
    answer = cedarpy.is_authorized(
        request, cedarpy.PolicySet.from_json_str(json.dumps(whole)), entities
    )
    broken = bool(answer.diagnostics.errors)
    names = set() if broken else set(answer.diagnostics.reasons)
    return bool(answer.allowed) and not broken, names, broken


def _entity(entity: Entity) -> dict[str, Any]:
    return {
        "uid": {"type": entity.type, "id": entity.id},
        "attrs": dict(entity.attributes),
        "parents": [{"type": kind, "id": name} for kind, name in entity.parents],
    }
