"""The life of a session, as its owner decides it.

- It expires when it was not used for too long, or has lived for too long; never before, and not
  while what was stated before that stands undecided.
- A closed one takes nothing new, but what a running execution of it invokes and awaits.
- What runs in it goes on, or is asked to end, in bounded turns, also by the next owner.
- Its attributes change by a merge patch, and travel with what is delivered next.
- It is forgotten a dedupe window after it was over, unless something runs in it; its id is free.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.property.test_owned_partition import (
    ACME,
    CAPABILITY,
    OPTIONS,
    SESSION,
    WINDOW_MS,
    World,
    folded,
)
from tests.property.test_owned_partition import Log as BareLog
from tests.samples import INTENT

from symphainy_processors.admission import sessions
from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.fold.layout import state_key
from symphainy_processors.owner import sessions as owner_sessions
from symphainy_processors.owner.deciding import Shell
from symphainy_processors.owner.partition import OwnedPartition
from symphainy_processors.owner.ports import Input, Sent
from symphainy_runtime.journal.writer import Positions, ownership_taken
from symphainy_runtime.policy.actions import EXPIRE_SESSION
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.events import JournalRecord
from symphainy_schemas.records import Call, Intent, ReportKind, StepReport, Task
from symphainy_schemas.state import ExecutionState, ExecutionStatus, SessionState
from symphainy_transport.topics import INTENTS, STEPS


class Log(BareLog):
    """Intents that an owner states wait until the test lets them stand."""

    def __init__(self) -> None:
        super().__init__()
        self.stated: list[Intent] = []

    def submit(self, partition: int, intent: Intent, sent: Sent) -> None:
        self.stated.append(intent)
        sent()


def _report(task: Task, at: int) -> StepReport:
    return StepReport(
        kind=ReportKind.STARTED,
        execution_id=task.execution_id,
        session_id=task.session_id,
        tenant_id=task.tenant_id,
        step=task.step,
        attempt=task.attempt,
        delivery=task.delivery,
        token=task.token,
        dispatched_at=task.dispatched_at,
        worker="w",
        at=at,
    )


class Scene:
    """One partition with one session."""

    def __init__(self, world: World | None = None, **opened: Any) -> None:
        self.log, self.world = Log(), world or World()
        self._intents = self._reports = 0
        self.take_over()
        self.states("runtime.open_session", "open", opened)
        self.lands()

    def take_over(self) -> None:
        """A new owner; what flew is lost, and so is what was stated and does not stand."""
        self.log.flying, self.log.stated = [], []
        before = folded(self.log.journal)
        positions = Positions(before.intents_next, before.steps_next)
        standing = before.settled.standing
        value = ownership_taken("o", self.world.now, standing, positions, before.acted_to)
        self.log.journal.append(value)
        state = folded(self.log.journal)
        shell = Shell("o", self.log, self.world, Contracts(), OPTIONS)
        self.owned = OwnedPartition(0, state, state.settled.standing, standing, shell)
        self.owned.take_over()

    def states(self, intent_type: str, intent_id: str, payload: dict[str, Any]) -> None:
        """Somebody states an intent, and the owner decides it."""
        intent = replace(
            INTENT,
            intent_id=intent_id,
            intent_type=intent_type,
            realm=intent_type.split(".")[0],
            session_id=SESSION,
            tenant_id=ACME.tenant_id,
            principal="ann",
            causation_id="",
            payload=msgspec.json.encode(payload),
            payload_ref=None,
        )
        self.takes(intent)

    def takes(self, intent: Intent) -> None:
        """It stands in the log, and the owner decides it."""
        self.owned.take(Input(INTENTS, 0, self._intents, None, encode(intent)))
        self._intents += 1

    def works(self, name: str) -> ExecutionState:
        """Somebody states some work."""
        self.states(CAPABILITY.name, name, {"n": 1})
        self.lands()
        return self.execution(name)

    def lands(self) -> None:
        """Kafka acknowledges everything."""
        while self.log.flying or self.log.sending:
            while self.log.flying:
                self.log.land()
            while self.log.sending:
                self.log.deliver()

    def ticks_at(self, now: int) -> None:
        """The owner looks at what is due; what it states of sessions is decided, and landed."""
        self.world.now = now
        self.owned.tick()
        stated, self.log.stated = self.log.stated, []
        for intent in stated:
            self.takes(intent)
        self.owned.tick()
        self.lands()

    def done(self) -> None:
        """The worker tells that its last task succeeded."""
        told = _report(self.log.tasks[-1], self.world.now)
        told = replace(told, kind=ReportKind.SUCCEEDED, started_at=told.at, result=b"{}")
        self.owned.take(Input(STEPS, 0, self._reports, None, encode(told)))
        self._reports += 1
        self.lands()

    def forgets(self) -> bool:
        """Whether the store has lost the session at the next flush, and `state` will hear of it."""
        self.owned.state.changed = {}
        self.owned.state.flush()
        gone = self.owned.state.store.get(state_key(SESSION)) is None
        assert not gone or SESSION in self.owned.state.changed
        return gone

    @property
    def session(self) -> SessionState:
        found = folded(self.log.journal).session(SESSION)
        assert found is not None
        return found

    def execution(self, name: str) -> ExecutionState:
        id_ = ids.execution_id(ACME.tenant_id, SESSION, name, 0)
        found = folded(self.log.journal).execution(id_)
        assert found is not None
        return found

    def events(self, kind: type) -> list[Any]:
        records = (decode(value, JournalRecord) for value in self.log.journal)
        return [event for one in records for event in one.events if isinstance(event, kind)]

    def refusal(self) -> str:
        code: str = self.events(e.IntentRejected)[-1].error.code
        return code


def test_an_idle_session_expires_when_nothing_was_stated_for_so_long() -> None:
    scene = Scene(idle_ms=100)
    opened_at = scene.session.opened_at
    scene.ticks_at(opened_at + 99)
    assert not scene.session.closed_at
    scene.works("one")  # used
    scene.ticks_at(opened_at + 100)
    assert not scene.session.closed_at
    scene.ticks_at(opened_at + 199)
    assert scene.session.expired
    (expired,) = scene.events(e.SessionExpired)
    assert expired == e.SessionExpired(due_at=opened_at + 199, idle=True, cancels=False)
    assert scene.works("two").status is ExecutionStatus.REJECTED
    assert scene.refusal() == "session_expired"
    assert scene.execution("one").status is ExecutionStatus.RUNNING  # which goes on


def test_a_session_expires_at_the_end_of_its_life_however_it_is_used() -> None:
    scene = Scene(lifetime_ms=100)
    at = scene.session.opened_at + 100
    scene.world.now = at - 1
    scene.works("one")
    scene.ticks_at(at)
    assert scene.events(e.SessionExpired) == [
        e.SessionExpired(due_at=at, idle=False, cancels=False)
    ]


def test_what_was_stated_before_the_time_was_over_is_decided_first() -> None:
    """The owner comes late: its statement stands behind all that it has not read yet."""
    scene = Scene(idle_ms=100)
    opened_at = scene.session.opened_at
    scene.world.now = opened_at + 5_000
    scene.owned.tick()
    (over,) = scene.log.stated
    scene.states(CAPABILITY.name, "early", {"n": 1})
    scene.takes(over)
    scene.lands()
    assert scene.execution("early").status is ExecutionStatus.RUNNING
    assert scene.refusal() == "session_not_due"
    assert not scene.session.closed_at


def test_a_session_is_stated_to_be_over_once_by_an_owner_and_again_by_the_next() -> None:
    scene = Scene(lifetime_ms=100)
    scene.world.now = scene.session.opened_at + 100
    scene.owned.tick()
    scene.states(CAPABILITY.name, "late", {"n": 1})
    scene.owned.tick()
    first = [one.intent_id for one in scene.log.stated]
    scene.take_over()
    scene.owned.tick()
    second = [one.intent_id for one in scene.log.stated]
    assert (len(first), len(second)) == (1, 1)
    assert first != second  # nobody can take an id that nobody knows


def test_nobody_ends_a_session_before_its_time_by_saying_so() -> None:
    scene = Scene(lifetime_ms=1_000)
    scene.states(EXPIRE_SESSION, "mine", {})
    scene.lands()
    assert scene.refusal() == "session_not_due"
    foreign = replace(INTENT, intent_type=EXPIRE_SESSION, realm="runtime", session_id=SESSION)
    scene.world.now += 1_000
    scene.takes(replace(foreign, tenant_id="other", payload_ref=None, payload=b"{}"))
    scene.lands()
    assert scene.refusal() == "tenant_not_found"
    assert not scene.session.closed_at


@pytest.mark.parametrize("asked_a_turn", [1, 2, 100])
def test_what_runs_is_asked_to_end_in_bounded_turns(
    asked_a_turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner_sessions, "ASKED_A_TURN", asked_a_turn)
    scene = Scene()
    names = [f"w{number}" for number in range(5)]
    for name in names:
        scene.works(name)
    scene.states("runtime.close_session", "close", {"mode": "cancel", "reason": "done"})
    scene.lands()
    assert scene.execution("close").status is ExecutionStatus.ACCEPTED
    assert scene.works("after").status is ExecutionStatus.REJECTED
    for _ in range(2):
        scene.ticks_at(scene.world.now)
    scene.take_over()
    for _ in range(8):
        scene.ticks_at(scene.world.now)
    assert scene.execution("close").status is ExecutionStatus.SUCCEEDED
    assert all(scene.execution(name).cancel_reason for name in names)
    assert len(scene.events(e.CancelRequested)) == 5
    assert len(scene.events(e.SessionSwept)) == 1
    assert not scene.session.closing


def test_what_is_asked_runs_in_this_session_and_is_flushed_or_not() -> None:
    scene = Scene()
    scene.works("flushed")
    scene.owned.state.flush()
    scene.works("fresh")
    found, reached = scene.owned.state.work.running_in(SESSION, "", 100)
    names = [ids.execution_id(ACME.tenant_id, SESSION, one, 0) for one in ("flushed", "fresh")]
    assert ([one.execution_id for one in found], reached) == (sorted(names), "")
    assert scene.owned.state.work.running_in(SESSION[:-1] + "9", "", 100) == ([], "")


def test_a_session_may_ask_at_its_expiry() -> None:
    scene = Scene(lifetime_ms=100, at_expiry="cancel")
    scene.works("one")
    for _ in range(3):
        scene.ticks_at(scene.session.opened_at + 100)
    assert scene.session.expired
    assert scene.execution("one").cancel_reason
    (expired,) = scene.events(e.SessionExpired)
    assert expired.cancels


def test_what_closes_a_session_is_not_cancelled_or_paused() -> None:
    scene = Scene()
    scene.states("runtime.close_session", "close", {"mode": "cancel"})
    closing = ids.execution_id(ACME.tenant_id, SESSION, "close", 0)
    scene.states("runtime.cancel", "stop", {"execution_id": closing})
    scene.lands()
    assert scene.refusal() == "contract_violation"
    scene.ticks_at(scene.world.now)
    assert scene.execution("close").status is ExecutionStatus.SUCCEEDED


def test_a_draining_session_takes_what_a_running_execution_invokes_and_awaits() -> None:
    scene = Scene()
    parent = scene.works("parent")
    scene.states("runtime.close_session", "close", {})
    scene.lands()
    report = replace(
        _report(scene.log.tasks[-1], scene.world.now),
        kind=ReportKind.INVOKED,
        name="invoke:1",
        call=Call(CAPABILITY.name, CAPABILITY.realm, b'{"n":2}', awaited=True),
    )
    scene.owned.take(Input(STEPS, 0, 0, None, encode(report)))
    scene.lands()
    (child,) = scene.log.stated
    assert child.causation_id == parent.execution_id
    scene.takes(child)
    scene.takes(replace(child, intent_id="forged"))  # claims the same cause, and is not awaited
    scene.lands()
    assert scene.execution(child.intent_id).status is ExecutionStatus.RUNNING
    assert scene.execution("forged").status is ExecutionStatus.REJECTED
    assert scene.refusal() == "session_closed"


def _over(**opened: Any) -> Scene:
    scene = Scene(**opened)
    scene.states("runtime.close_session", "close", {})
    scene.lands()
    return scene


def test_a_session_is_forgotten_a_dedupe_window_after_it_was_over() -> None:
    scene = _over()
    closed_at = scene.session.closed_at
    scene.world.now = closed_at + WINDOW_MS
    scene.works("late")
    assert scene.refusal() == "session_closed"
    assert not scene.forgets()
    scene.world.now += 1
    scene.works("later")
    assert scene.refusal() == "session_not_found"
    assert scene.forgets()


def test_its_id_is_free_then_and_the_next_one_stays() -> None:
    scene = _over()
    scene.states("runtime.open_session", "too-early", {})
    scene.lands()
    assert scene.refusal() == "session_exists"
    scene.world.now += WINDOW_MS + 1
    scene.states("runtime.open_session", "again", {"attributes": {"of": "the next one"}})
    scene.lands()
    assert scene.session.attributes == b'{"of":"the next one"}'
    assert not scene.forgets()
    scene.world.now += WINDOW_MS + 1
    assert scene.works("one").status is ExecutionStatus.RUNNING
    assert not scene.forgets()


def test_a_session_stays_while_something_runs_in_it() -> None:
    scene = Scene()
    scene.works("long")
    scene.states("runtime.close_session", "close", {})
    scene.lands()
    for name in ("late", "later"):
        scene.world.now += WINDOW_MS + 1
        scene.works(name)
        assert scene.refusal() == "session_closed"
        assert not scene.forgets()
    scene.done()
    scene.works("still-later")
    assert scene.refusal() == "session_not_found"
    assert not scene.forgets()  # it is looked at again after another window
    scene.world.now += WINDOW_MS + 1
    scene.works("last")
    assert scene.forgets()


def test_a_session_that_cannot_end_yet_stays() -> None:
    scene = Scene()
    scene.works("long")
    scene.states("runtime.close_session", "close", {"mode": "cancel"})
    scene.lands()
    scene.world.now += WINDOW_MS + 1
    assert scene.session.closing
    scene.works("late")
    assert scene.refusal() == "session_closed"
    assert not scene.forgets()


def test_attributes_are_merged_and_travel_with_what_is_delivered_next() -> None:
    scene = Scene(attributes={"a": {"b": 1, "c": 2}, "d": 3})
    scene.works("before")
    assert msgspec.json.decode(scene.log.tasks[-1].session) == {"a": {"b": 1, "c": 2}, "d": 3}
    patch = {"attributes": {"a": {"b": None, "x": 5}, "d": None, "e": [1]}}
    scene.states("runtime.change_session", "change", patch)
    scene.works("after")
    merged = {"a": {"c": 2, "x": 5}, "e": [1]}
    assert msgspec.json.decode(scene.log.tasks[-1].session) == merged
    assert msgspec.json.decode(scene.session.attributes) == merged
    assert scene.events(e.SessionChanged)[0].principal == "ann"


@pytest.mark.parametrize(
    ("opened", "field"),
    [
        ({"idle_ms": -1}, "/payload/idle_ms"),
        ({"idle_ms": True}, "/payload/idle_ms"),
        ({"lifetime_ms": sessions.LONGEST_MS + 1}, "/payload/lifetime_ms"),
        ({"lifetime_ms": 1.5}, "/payload/lifetime_ms"),
        ({"at_expiry": "explode"}, "/payload/at_expiry"),
        ({"at_expiry": ["drain"]}, "/payload/at_expiry"),
        ({"attributes": [1]}, "/payload/attributes"),
        ({"attributes": {"a": "x" * sessions.ATTRIBUTES_BYTES}}, "/payload/attributes"),
    ],
)
def test_what_a_session_cannot_be_is_named(opened: dict[str, Any], field: str) -> None:
    scene = Scene(**opened)
    (rejected,) = scene.events(e.IntentRejected)
    assert (rejected.error.code, rejected.error.field) == ("contract_violation", field)
    assert rejected.error.cure


def test_a_closed_session_is_not_changed_closed_or_expired_again() -> None:
    scene = Scene(lifetime_ms=100)
    scene.states("runtime.close_session", "close", {})
    for action in ("change", "close", "expire"):
        scene.world.now += 200
        scene.states(f"runtime.{action}_session", action, {})
        scene.lands()
        assert scene.refusal() == "session_closed"
    scene.owned.tick()
    assert scene.log.stated == []
