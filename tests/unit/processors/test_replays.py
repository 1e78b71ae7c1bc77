"""What the owner decides of who wants to replay an execution (ADR 17).

- It is decided in one record, which says what was asked for; nothing is recorded about what is
  replayed, which may run, have ended, or be forgotten.
- Another tenant's or session's execution is answered like none.
- Policy sees the mode, always as text, and the target where it is still known.
- It is no use of the session, and is taken where a tenant is governed, too.
- What is malformed names its field.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.property.test_owned_partition import ACME, SESSION, WINDOW_MS, folded
from tests.samples import INTENT, STATE
from tests.unit.processors.test_admission import KNOWN, STATED, rejection
from tests.unit.processors.test_sessions import Scene

from symphainy_processors.admission import control
from symphainy_processors.admission.control import Target
from symphainy_processors.admission.decide import admit
from symphainy_runtime.policy.actions import REPLAY, REPLAY_MODES
from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.facts import Facts
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.codec import decode
from symphainy_schemas.events import JournalRecord
from symphainy_schemas.records import Intent, PolicySet, Reference
from symphainy_schemas.state import ExecutionState, ExecutionStatus

assert isinstance(STATE.body, ExecutionState)
HERE = "exe-3-" + "e" * 32
ENDED = replace(
    STATE.body,
    execution_id=HERE,
    tenant_id=STATED.tenant_id,
    session_id=STATED.session_id,
    status=ExecutionStatus.SUCCEEDED,
)


def replays(**payload: Any) -> Intent:
    """A stated replay."""
    told = {"execution_id": HERE, "mode": "events_only", **payload}
    stated = msgspec.json.encode(told)
    return replace(STATED, intent_type=REPLAY, realm="runtime", payload=stated)


def decided(intent: Intent, target: ExecutionState | None = ENDED, **known: Any) -> Any:
    """The events of its admission."""
    about = None if target is None else Target(target, None, True, True)
    return admit(intent, replace(KNOWN, target=about, **known))


@pytest.mark.parametrize("mode", REPLAY_MODES)
@pytest.mark.parametrize("target", [ENDED, replace(ENDED, status=ExecutionStatus.RUNNING), None])
def test_who_may_has_one_record_that_says_what_was_asked_for(
    mode: str, target: ExecutionState | None
) -> None:
    received, validated, done = decided(replays(mode=mode, at_offset=7, note="x"), target)
    assert (received.intent_type, received.principal) == (REPLAY, STATED.principal)
    assert validated.decision.allowed
    told = {"execution_id": HERE, "mode": mode, "at_offset": 7}
    assert msgspec.json.decode(done.result) == told


@pytest.mark.parametrize(
    "change", [{"tenant_id": "rival"}, {"session_id": "ses-3-" + "9" * 32}], ids=str
)
def test_anothers_execution_is_answered_like_none_of_this_place(change: dict[str, Any]) -> None:
    *_, theirs = decided(replays(), replace(ENDED, **change))
    elsewhere = "exe-4-" + "e" * 32
    *_, nowhere = decided(replays(execution_id=elsewhere), None)
    assert (theirs.error.code, theirs.error.field) == (
        "execution_not_found",
        "/payload/execution_id",
    )
    assert nowhere.error == replace(
        theirs.error, message=theirs.error.message.replace(HERE, elsewhere)
    )


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"execution_id": 7}, "execution_id"),
        ({"execution_id": "ses-3-" + "0" * 32}, "execution_id"),
        ({"mode": "half"}, "mode"),
        ({"mode": None}, "mode"),
        ({"mode": ["full"]}, "mode"),
        ({"at_offset": -1}, "at_offset"),
        ({"at_offset": True}, "at_offset"),
        ({"at": "noon"}, "at"),
        ({"at": 1 << 63}, "at"),
    ],
)
def test_what_is_malformed_names_its_field(payload: dict[str, Any], field: str) -> None:
    *_, refused = decided(replays(**payload))
    assert (refused.error.code, refused.error.field) == (
        "contract_violation",
        f"/payload/{field}",
    )


def test_a_replay_is_stated_inline() -> None:
    assert isinstance(INTENT.payload_ref, Reference)
    by_reference = replace(replays(), payload=b"", payload_ref=INTENT.payload_ref)
    *_, refused = decided(by_reference)
    assert (refused.error.code, refused.error.field) == ("contract_violation", "/payload")
    assert control.asked_by(by_reference) is None


def test_a_replay_is_taken_where_a_tenant_is_governed_and_no_work_is() -> None:
    governed = ids.governing_session(STATED.tenant_id, 3)
    here = replace(ENDED, session_id=governed)
    *_, done = decided(replace(replays(), session_id=governed), here, session=None)
    assert isinstance(done, e.ExecutionSucceeded)
    assert rejection(replace(STATED, session_id=governed))[0] == "session_not_found"


# --- policy -------------------------------------------------------------------------------------

NO_FULL = """\
@id("all") permit(principal, action, resource);
@id("no_full") forbid(principal, action == Action::"runtime.replay", resource)
when { context.mode == "full" };
@id("not_mine") forbid(principal, action == Action::"runtime.replay", resource)
when { context has target && context.target.intent_type == "pay.salary" };
"""


def policies(guard: str) -> Policies:
    """The built-in ones, and a tenant's own."""
    own = PolicySet(
        scope="acme",
        version=1,
        sha256=b"1" * 32,
        security_guard=guard,
        city_manager="",
        data_steward="",
        note="",
        created_at=0,
        created_by="test",
    )
    return Policies(BUILT_IN, own)


@pytest.mark.parametrize(
    ("payload", "intent_type", "says"),
    [
        ({"mode": "events_only"}, "work.add", ()),
        ({"mode": "validate"}, "work.add", ()),
        ({"mode": "full"}, "work.add", ("acme/security_guard/no_full",)),
        ({"mode": "events_only"}, "pay.salary", ("acme/security_guard/not_mine",)),
        ({"mode": None}, "work.add", ()),  # asked all the same; the decider says what is wrong
    ],
)
def test_policy_sees_the_mode_and_the_target(
    payload: dict[str, Any], intent_type: str, says: tuple[str, ...]
) -> None:
    intent = replays(**payload)
    target = replace(ENDED, intent_type=intent_type)
    decision = policies(NO_FULL).decide(Facts(intent, 0, target=target))
    assert decision.allowed == (not says)
    assert says in ((), decision.stages[-1].policies)


def test_a_mode_is_asked_of_a_replay_only() -> None:
    rule = 'permit(principal, action, resource) when { context.mode == "" };'
    assert policies(rule).decide(Facts(replays(mode=7), 0)).allowed
    cancels = replace(replays(), intent_type="runtime.cancel")
    assert not policies(rule).decide(Facts(cancels, 0)).allowed


# --- the owner ----------------------------------------------------------------------------------


def records(scene: Scene) -> list[JournalRecord]:
    """Everything of executions that stands in the journal."""
    read = (decode(value, JournalRecord) for value in scene.log.journal)
    return [one for one in read if one.execution_id]


def looks(scene: Scene, name: str, of: str) -> ExecutionState:
    """Somebody replays what was stated as `of`; the execution of that."""
    target = ids.execution_id(ACME.tenant_id, SESSION, of, 0)
    scene.states(REPLAY, name, {"execution_id": target, "mode": "state_only"})
    scene.lands()
    return scene.execution(name)


def test_what_is_replayed_stays_as_it_is() -> None:
    scene = Scene()
    work = scene.works("work")
    before = len(records(scene))
    looked = looks(scene, "look", "work")
    assert looked.status is ExecutionStatus.SUCCEEDED
    assert scene.execution("work") == work
    (one,) = records(scene)[before:]
    assert one.execution_id == looked.execution_id
    assert [type(event) for event in one.events] == [
        e.IntentReceived,
        e.PolicyValidated,
        e.ExecutionSucceeded,
    ]


def test_an_execution_that_has_ended_or_was_forgotten_is_replayed() -> None:
    scene = Scene()
    opened = scene.execution("open")  # which has ended
    assert looks(scene, "look", "open").status is ExecutionStatus.SUCCEEDED
    scene.world.now += WINDOW_MS + 1
    scene.ticks_at(scene.world.now)
    scene.works("later")
    assert folded(scene.log.journal).execution(opened.execution_id, scene.world.now) is None
    assert looks(scene, "again", "open").status is ExecutionStatus.SUCCEEDED


def test_who_looks_does_not_use_the_session() -> None:
    scene = Scene(idle_ms=100)
    opened_at = scene.session.opened_at
    scene.world.now = opened_at + 60
    looks(scene, "look", "open")
    assert scene.session.used_at == opened_at
    scene.ticks_at(opened_at + 100)
    assert scene.session.expired
    looks(scene, "after", "open")
    assert scene.execution("after").status is ExecutionStatus.SUCCEEDED
