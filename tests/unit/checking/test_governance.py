"""The checker of what governs finds what it is for, and nothing else.

- Nothing is started without a decision of policy, none is decided twice, before anything begins.
- The decision names the versions in force where the intent stands, and is what they say.
- Only a higher version takes the place of one; what is asked is what the journal tells.
- Of a suspended tenant nothing is started or dispatched; a revoked key's intents do not count.
- A task tells the decision that was recorded; all partitions come to the same.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest
from msgspec.structs import replace
from tests.unit.checking.logbook import TENANT, P, execution
from tests.unit.checking.story import ALLOWED, POLICY, Story, breaks, holds

from symphainy_runtime.policy.actions import (
    ACTIVATE_POLICY,
    RESUME_TENANT,
    REVOKE_KEY,
    SUSPEND_TENANT,
)
from symphainy_runtime.policy.defaults import BUILT_IN, PLATFORM_OPERATOR
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.records import PLATFORM, Error, Intent, PolicySet, Stage, StageDecision
from symphainy_simulation.actors import policies
from symphainy_simulation.checking import check_all
from symphainy_simulation.checking.governance import _same_everywhere
from symphainy_simulation.checking.inforce import InForce, Version

GOVERNED = ids.governing_session(TENANT, P)
EVERY = policies.every()
GOVERNS = replace(
    ALLOWED,
    stages=(
        StageDecision(
            Stage.SECURITY_GUARD, True, ("platform/security_guard/operators_govern",), ()
        ),
        *ALLOWED.stages[1:],
    ),
)
SUSPENDED = Error(code="tenant_suspended", message="The tenant is suspended.")
REVOKED = Error(code="credential_revoked", message="The credential is revoked.")


@pytest.fixture
def story() -> Story:
    """A partition that is owned."""
    one = Story()
    one.takeover()
    return one


def given(story: Story, at: int, **other: object) -> None:
    """An intent that was stated is another one."""
    written = story.intents[at]
    changed = replace(decode(written.value, Intent), **other)
    story.intents[at] = type(written)(P, at, written.key, encode(changed), written.at_ms)


def govern(story: Story, name: str, asks: str, *events: e.Event, **said: object) -> None:
    """An operator governs the tenant; `events` are what comes of it."""
    payload = msgspec.json.encode({"scope": TENANT, **said})
    at = story.intent(name, payload, asks)
    who = {"tenant_id": PLATFORM, "session_id": GOVERNED, "roles": (PLATFORM_OPERATOR,)}
    given(story, at, **who)
    story.acknowledged.pop()
    received = replace(
        story.received(name, payload), intent_type=asks, realm="runtime", roles=who["roles"]
    )
    named = ids.execution_id(PLATFORM, GOVERNED, name, P)
    decided = (received, e.PolicyValidated(GOVERNS), *(events or (e.ExecutionSucceeded(),)))
    story.record(decided, named, ("intents", at), tenant_id=PLATFORM, session_id=GOVERNED)


def activate(story: Story, version: int, name: str, *, told: bool = True) -> None:
    """A version of the tenant's policies is put in force."""
    digest = EVERY[TENANT, version].sha256
    event = e.PolicyActivated(scope=TENANT, version=version, sha256=digest, principal="ann")
    events = (event, e.ExecutionSucceeded()) if told else (e.ExecutionSucceeded(),)
    said = {"version": version, "sha256": digest.hex()}
    govern(story, name, ACTIVATE_POLICY, *events, **said)


def suspend(story: Story) -> None:
    """The tenant is suspended."""
    event = e.TenantSuspended(scope=TENANT, reason="", principal="ann")
    govern(story, "stop", SUSPEND_TENANT, event, e.ExecutionSucceeded())


def resume(story: Story) -> None:
    """The tenant is resumed."""
    event = e.TenantResumed(scope=TENANT, reason="", principal="ann")
    govern(story, "go", RESUME_TENANT, event, e.ExecutionSucceeded())


def refuse(story: Story, name: str, error: Error, **other: object) -> None:
    """An intent is refused without a decision of policy."""
    at = story.intent(name)
    if other:
        given(story, at, **other)
    received = replace(story.received(name), credential=str(other.get("credential", "")))
    events = (received, e.IntentRejected(error=error))
    story.record(events, execution(name), ("intents", at), by_policy=False)


def under(version: int) -> e.PolicyValidated:
    """What policy says of an intent under a version of the tenant's that allows all."""
    digest = sha256(BUILT_IN.sha256 + EVERY[TENANT, version].sha256).digest()
    own = (f"{TENANT}/security_guard/all",)
    guard = StageDecision(Stage.SECURITY_GUARD, True, own, ())
    stages = (guard, *ALLOWED.stages[1:])
    return e.PolicyValidated(replace(ALLOWED, tenant_version=version, sha256=digest, stages=stages))


def start(story: Story, decided: e.PolicyValidated, name: str = "i1") -> None:
    """An intent is started and comes to its end."""
    at = story.intent(name)
    events = (story.received(name), decided, POLICY, e.ExecutionStarted(), story.delivery(1, 1))
    story.succeed(story.send(story.record(events, execution(name), ("intents", at))))


def versions() -> dict[tuple[str, int], PolicySet]:
    """What `config` holds."""
    return EVERY


# --- decided once, under what is in force -------------------------------------------------------


def test_what_is_decided_under_the_policies_in_force_holds(story: Story) -> None:
    start(story, e.PolicyValidated(ALLOWED))
    activate(story, 5, "a1")
    start(story, under(5), "i2")
    activate(story, 5, "a2", told=False)
    holds(story, policies=versions())


def test_a_start_without_a_decision(story: Story) -> None:
    at = story.intent()
    events = (story.received(), POLICY, e.ExecutionStarted(), story.delivery(1, 1))
    story.succeed(story.send(story.record(events, execution(), ("intents", at), by_policy=False)))
    breaks(story, "G3", "has no decision of policy", "before policy had decided")


def test_a_decision_that_is_made_again(story: Story) -> None:
    task = story.admit(story.intent())
    story.record((e.PolicyValidated(ALLOWED),), task.execution_id)
    story.succeed(task)
    breaks(story, "G3", "policy decided 2 times")


def test_a_decision_under_other_versions(story: Story) -> None:
    activate(story, 5, "a1")
    start(story, e.PolicyValidated(ALLOWED))
    breaks(
        story, "G3", "was decided under versions (0, 0); in force are (0, 5)", policies=versions()
    )


def test_a_decision_under_another_text_of_that_version(story: Story) -> None:
    activate(story, 5, "a1")
    start(story, e.PolicyValidated(replace(under(5).decision, sha256=bytes(32))))
    breaks(story, "G3", "was decided under versions (0, 5)", policies=versions())


def test_a_decision_that_the_policies_do_not_make(story: Story) -> None:
    stages = (replace_names(ALLOWED.stages[0], "platform/security_guard/x"), *ALLOWED.stages[1:])
    start(story, e.PolicyValidated(replace(ALLOWED, stages=stages)))
    breaks(story, "G3", "asked anew it is")


def replace_names(stage: StageDecision, name: str) -> StageDecision:
    """The same by another policy."""
    return StageDecision(stage.stage, stage.allowed, (name,), ())


def test_what_policy_refused_is_started(story: Story) -> None:
    refused = StageDecision(Stage.SECURITY_GUARD, False, (), ())
    start(story, e.PolicyValidated(replace(ALLOWED, stages=(refused,))))
    breaks(story, "G3", "asked anew it is", "against its decision of policy")


def test_a_decision_by_another_tenants_policies(story: Story) -> None:
    stages = (replace_names(ALLOWED.stages[0], "bolt/security_guard/all"), *ALLOWED.stages[1:])
    start(story, e.PolicyValidated(replace(ALLOWED, stages=stages)))
    sentences = [v.sentence for v in check_all(story.history()) if v.guarantee == "G9"]
    assert any("others' policies" in one for one in sentences)


def test_policies_that_nobody_knows(story: Story) -> None:
    activate(story, 5, "a1")
    start(story, under(5))
    breaks(story, "G3", "the checker does not know", "policy_not_found")


def test_a_task_that_tells_another_decision(story: Story) -> None:
    at = story.intent()
    events = (story.received(), POLICY, e.ExecutionStarted(), story.delivery(1, 1))
    story.succeed(story.send(story.record(events, execution(), ("intents", at)), policy=None))
    breaks(story, "G3", "tells another decision of policy")


# --- what governs -------------------------------------------------------------------------------


def test_a_lower_version_that_is_adopted(story: Story) -> None:
    activate(story, 5, "a1")
    activate(story, 4, "a2")
    sentences = ("a lower version", "policy_superseded", "put in force on each")
    breaks(story, "G3", *sentences, policies=versions())


def test_an_activation_that_is_not_told(story: Story) -> None:
    activate(story, 5, "a1", told=False)
    breaks(story, "G3", "of what it changes", policies=versions())


def test_partitions_that_differ() -> None:
    one, other = Version(1, b"1"), Version(2, b"2")
    same, behind = InForce(), InForce()
    for each in (same, behind):
        each.accepted[TENANT] = {one, other}
        each.versions[TENANT] = other
    assert not list(_same_everywhere({0: same, 1: behind}))
    behind.versions[TENANT] = one
    assert len(list(_same_everywhere({0: same, 1: behind}))) == 1
    behind.accepted[TENANT] = {one}  # nobody has brought the second there
    assert not list(_same_everywhere({0: same, 1: behind}))


# --- suspended, revoked -------------------------------------------------------------------------


def test_a_tenant_that_is_suspended_and_resumed_holds(story: Story) -> None:
    suspend(story)
    refuse(story, "i1", SUSPENDED)
    resume(story)
    start(story, e.PolicyValidated(ALLOWED), "i2")
    holds(story)


def test_a_suspended_tenants_intent_is_started(story: Story) -> None:
    suspend(story)
    start(story, e.PolicyValidated(ALLOWED))
    breaks(story, "G9", "is to be refused", "was started although", "was dispatched although")


def test_a_suspended_tenants_step_is_delivered_again(story: Story) -> None:
    task = story.admit(story.intent())
    suspend(story)
    again = story.send(story.record((story.delivery(1, 2),), task.execution_id))
    story.succeed(again)
    breaks(story, "G9", "was dispatched although")


def test_what_a_suspended_tenants_execution_awaits_is_taken(story: Story) -> None:
    suspend(story)
    at = story.intent("i1")
    received = replace(story.received("i1"), awaited_by="somebody")
    events = (received, e.IntentRejected(error=SUSPENDED))
    story.record(events, execution("i1"), ("intents", at), by_policy=False)
    breaks(story, "G9", "that is not so here")


def test_a_tenant_is_refused_that_is_not_suspended(story: Story) -> None:
    refuse(story, "i1", SUSPENDED)
    breaks(story, "G9", "that is not so here")


def test_a_revoked_keys_intent_is_started(story: Story) -> None:
    event = e.KeyRevoked(scope=TENANT, key_id="k1", principal="ann")
    govern(story, "k", REVOKE_KEY, event, e.ExecutionSucceeded(), key_id="k1")
    refuse(story, "i1", REVOKED, credential="k1")
    holds(story)
    at = story.intent("i2")
    given(story, at, credential="k1")
    events = (
        replace(story.received("i2"), credential="k1"),
        POLICY,
        e.ExecutionStarted(),
        story.delivery(1, 1),
    )
    story.succeed(story.send(story.record(events, execution("i2"), ("intents", at))))
    breaks(story, "G9", "is to be refused (credential_revoked)")
