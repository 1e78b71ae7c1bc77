"""Invariants of the routes of policies, and of what is told of a decision.

- Who governs, operates or audits is told which policies decided; everybody else only what.
- An intent is asked about under the newest policies, or a candidate, and nothing is stated.
- Policies that cannot be in force are refused by stage and policy, and nothing is written.
"""

from __future__ import annotations

import pytest
from tests.unit.gateway.caller import Caller
from tests.unit.gateway.fakes import key_of

from symphainy_gateway.callers import Caller as Who
from symphainy_gateway.explaining import explained, explained_events
from symphainy_runtime.policy.defaults import AUDITOR, OPERATOR, TENANT_ADMIN

STAGE = {"stage": "security_guard", "allowed": False, "policies": ["a/b/c"], "reasons": ["Why."]}
DECISION = {"allowed": False, "tenant_version": 3, "stages": [STAGE]}
BARE = {**DECISION, "stages": [{**STAGE, "policies": [], "reasons": []}]}


def who(*roles: str) -> Who:
    return Who(
        tenant_id="acme", principal="ann", roles=roles, authentication="api_key", credential="k"
    )


@pytest.mark.parametrize("role", [AUDITOR, OPERATOR, TENANT_ADMIN])
def test_who_governs_operates_or_audits_is_told_why(role: str) -> None:
    assert explained(who(role), {"decision": DECISION}) == {"decision": DECISION}
    event = {"type": "policy_validated", "data": {"decision": DECISION}}
    assert explained_events(who(role), [event]) == [event]


@pytest.mark.parametrize("roles", [(), ("reader",)])
def test_everybody_else_is_told_what(roles: tuple[str, ...]) -> None:
    assert explained(who(*roles), {"decision": DECISION}) == {"decision": BARE}
    assert explained(who(*roles), {"decision": None}) == {"decision": None}
    other = {"type": "step_started", "data": {"decision": 1}}
    event = {"type": "policy_validated", "data": {"decision": DECISION}}
    told = explained_events(who(*roles), [other, event])
    assert told == [other, {"type": "policy_validated", "data": {"decision": BARE}}]


async def test_an_intent_is_asked_about_and_not_stated() -> None:
    caller = Caller()
    key = key_of(caller.backend, OPERATOR)
    asked = {"intent_type": "content.ingest", "payload": {"n": 1}}
    answer = await caller("POST", "/v1/policies/check", asked, key=key)
    assert (answer.status, answer.json["allowed"]) == (200, True)
    guard = 'forbid(principal in Role::"guest", action, resource);'
    guard += "permit(principal, action, resource);"
    candidate = {"candidate": {"security_guard": guard}}
    refused = await caller(
        "POST", "/v1/policies/check", {**asked, **candidate, "roles": ["guest"]}, key=key
    )
    [stage] = refused.json["stages"]
    assert (stage["allowed"], stage["policies"]) == (False, ["acme/security_guard/policy0"])
    allowed = await caller("POST", "/v1/policies/check", {**asked, **candidate}, key=key)
    assert allowed.json["allowed"]
    assert caller.backend.publisher.published == []


async def test_policies_that_cannot_be_in_force_are_refused_by_name() -> None:
    caller = Caller()
    key = key_of(caller.backend, TENANT_ADMIN)
    wrong = {"city_manager": '@id("w") permit(principal, action == Action::"no.such", resource);'}
    answer = await caller("PUT", "/v1/policies", wrong, key=key)
    assert (answer.status, answer.json["code"]) == (422, "policy_unsound")
    assert answer.json["field"] == "/city_manager"
    assert "acme/city_manager/w" in answer.json["detail"]
    answer = await caller("PUT", "/v1/policies", {"security_guard": "permit("}, key=key)
    assert (answer.status, answer.json["code"]) == (422, "policy_malformed")
    assert caller.backend.publisher.published == []


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/policies"), ("PUT", "/v1/policies"), ("POST", "/v1/policies/check")],
)
async def test_nobody_else_sees_or_changes_policies(method: str, path: str) -> None:
    caller = Caller()
    key = key_of(caller.backend, "reader")
    answer = await caller(method, path, {} if method == "GET" else {"intent_type": "a.b"}, key=key)
    assert (answer.status, answer.json["code"]) == (403, "out_of_scope")
