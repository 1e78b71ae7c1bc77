"""Whom an owner tells that an execution is to end.

- Each delivery that is open, once, when the request stands in the journal; never before.
- A doubt tells nobody; the next owner does, of what a worker may still have.
- Nobody is told of what runs nowhere.
- Of a plan that ends because a step has failed, whoever runs another step is told, once.
"""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace
from tests.property.test_owned_partition import (
    ACME,
    CAPABILITY,
    OPTIONS,
    SESSION,
    Log,
    World,
    folded,
)

from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.owner.deciding import Shell
from symphainy_processors.owner.partition import OwnedPartition
from symphainy_processors.owner.ports import Input
from symphainy_runtime.journal.writer import Positions, ownership_taken
from symphainy_schemas import ids
from symphainy_schemas.codec import encode
from symphainy_schemas.records import (
    REDELIVERED,
    Capability,
    Error,
    Intent,
    PlannedStep,
    Recovery,
    ReportKind,
    StepReport,
    Task,
    Wait,
)
from symphainy_transport.topics import INTENTS, STEPS

TARGET = ids.execution_id(ACME.tenant_id, SESSION, "work", 0)


class Planned(World):
    """Three steps side by side, each of them `work.do`."""

    def __init__(self, recovery: Recovery) -> None:
        super().__init__()
        steps = (
            PlannedStep(step=name, intent_type="work.do", needs=(), input=b"", condition=b"")
            for name in ("a", "b", "c")
        )
        self._plan = replace(CAPABILITY, name="work.all", plan=tuple(steps), recovery=recovery)

    def capability(self, intent_type: str) -> Capability | None:
        return self._plan if intent_type == "work.all" else super().capability(intent_type)


class Scene:
    """One partition with a session, and one execution whose task was sent."""

    def __init__(self, world: World | None = None) -> None:
        self.log, self.world = Log(), world or World()
        self._reports = 0
        self._intents = 0
        self.owned = self.taken()
        self.states("runtime.open_session", "open", {})
        self.states("work.do" if world is None else "work.all", "work", {"n": 1})
        self.lands()

    def taken(self) -> OwnedPartition:
        """A new owner; what flew is lost."""
        self.log.flying = []
        before = folded(self.log.journal)
        positions = Positions(before.intents_next, before.steps_next)
        standing = before.settled.standing
        value = ownership_taken("o", self.world.now, standing, positions, before.acted_to)
        self.log.journal.append(value)
        state = folded(self.log.journal)
        shell = Shell("o", self.log, self.world, Contracts(), OPTIONS)
        self.owned = OwnedPartition(0, state, state.settled.standing, standing, shell)
        self.owned.take_over()
        return self.owned

    def states(self, intent_type: str, intent_id: str, payload: dict[str, object]) -> None:
        """Somebody states an intent, and the owner decides it."""
        intent = Intent(
            intent_id=intent_id,
            intent_type=intent_type,
            realm=intent_type.split(".")[0],
            session_id=SESSION,
            tenant_id=ACME.tenant_id,
            principal="ann",
            correlation_id=intent_id,
            payload=msgspec.json.encode(payload),
            metadata=b"{}",
            solution_context=b"",
            created_at=0,
        )
        self.owned.take(Input(INTENTS, 0, self._intents, None, encode(intent)))
        self._intents += 1

    def cancels(self) -> None:
        """Somebody cancels it."""
        self.states("runtime.cancel", "cancel", {"execution_id": TARGET, "reason": "why not"})

    def lands(self) -> None:
        """Kafka acknowledges everything."""
        while self.log.flying or self.log.sending:
            while self.log.flying:
                self.log.land()
            while self.log.sending:
                self.log.deliver()

    @property
    def task(self) -> Task:
        """The last one."""
        return self.log.tasks[-1]

    def reports(
        self,
        kind: ReportKind,
        name: str = "",
        waits: tuple[Wait, ...] = (),
        step: str = "",
        error: Error | None = None,
    ) -> None:
        """A worker reports on the last task, or that of a step, and all of that lands."""
        task = next(one for one in reversed(self.log.tasks) if step in ("", one.step))
        report = StepReport(
            kind=kind,
            execution_id=task.execution_id,
            session_id=task.session_id,
            tenant_id=task.tenant_id,
            step=task.step,
            attempt=task.attempt,
            delivery=task.delivery,
            token=task.token,
            dispatched_at=task.dispatched_at,
            worker="w",
            at=self.world.now,
            name=name,
            waits=waits,
            error=error,
        )
        self._reads(encode(report))

    def time_passes(self) -> None:
        """Ten milliseconds, and what comes due in them."""
        self.world.now += 10
        self.owned.tick()
        while self.log.steps:
            self._reads(self.log.steps.pop(0))
        self.lands()

    def _reads(self, value: bytes) -> None:
        self.owned.take(Input(STEPS, 0, self._reports, None, value))
        self._reports += 1
        self.lands()


def told(scene: Scene) -> list[int]:
    """The deliveries of which workers were told, each behind its dispatch."""
    for notice in scene.log.notices:
        assert (notice.execution_id, notice.realm, notice.step) == (TARGET, "work", "main")
        sent = [t.dispatched_at for t in scene.log.tasks if t.delivery == notice.delivery]
        assert all(offset < notice.before <= len(scene.log.journal) for offset in sent)
    return [notice.delivery for notice in scene.log.notices]


@pytest.mark.parametrize("started", [True, False])
def test_each_open_delivery_is_told_once_when_the_request_stands(started: bool) -> None:
    scene = Scene()
    scene.reports(ReportKind.HANDED_BACK, REDELIVERED)  # whoever had it first may still run it
    scene.time_passes()
    if started:
        scene.reports(ReportKind.STARTED)
    scene.cancels()
    assert told(scene) == []
    scene.log.land()
    assert told(scene) == [1, 2]
    scene.lands()
    scene.owned.tick()
    assert told(scene) == [1, 2]


def test_what_has_ended_is_not_told() -> None:
    scene = Scene()
    scene.reports(ReportKind.HANDED_BACK, "worker_stopping")
    scene.cancels()
    scene.lands()
    assert told(scene) == [2]


def test_what_waits_is_told_nothing() -> None:
    scene = Scene()
    scene.reports(ReportKind.SUSPENDED, waits=(Wait("signal:grant:1", 0, "grant"),))
    scene.cancels()
    scene.lands()
    assert told(scene) == []


def test_a_doubt_tells_nobody() -> None:
    scene = Scene()
    scene.cancels()
    _, appended = scene.log.flying.pop(0)
    appended(None, 0)
    assert scene.owned.lost
    assert told(scene) == []


def test_the_next_owner_tells_again_what_may_still_run() -> None:
    scene = Scene()
    scene.reports(ReportKind.STARTED)
    scene.cancels()
    scene.lands()
    scene.log.notices.clear()
    scene.taken()
    assert told(scene) == [1]
    scene.reports(ReportKind.HANDED_BACK, "cancelled")
    scene.log.notices.clear()
    scene.taken()
    assert told(scene) == []


NO = Error(code="no", message="It cannot be done.")


def told_of(scene: Scene) -> list[str]:
    """The steps whose workers were told."""
    return [notice.step for notice in scene.log.notices]


def test_the_failure_of_a_step_is_told_to_who_runs_the_others_of_its_plan_once() -> None:
    scene = Scene(Planned(Recovery.COMPENSATE))
    for step in "abc":
        scene.reports(ReportKind.STARTED, step=step)
    scene.reports(ReportKind.FAILED, step="a", error=replace(NO, retryable=True))
    assert told_of(scene) == []  # it is tried again
    scene.reports(ReportKind.FAILED, step="b", error=NO)
    assert told_of(scene) == ["c"]
    scene.reports(ReportKind.FAILED, step="c", error=NO)
    assert told_of(scene) == ["c"]


def test_a_takeover_tells_them_again() -> None:
    scene = Scene(Planned(Recovery.COMPENSATE))
    scene.reports(ReportKind.STARTED, step="b")
    scene.reports(ReportKind.FAILED, step="a", error=NO)
    assert told_of(scene) == ["b", "c"]
    scene.log.notices.clear()
    scene.taken()
    assert told_of(scene) == ["b", "c"]


@pytest.mark.parametrize("recovery", [Recovery.HOLD_FOR_OPERATOR, Recovery.RETRY_FORWARD])
def test_of_a_plan_that_goes_on_beside_what_failed_nobody_is_told(recovery: Recovery) -> None:
    scene = Scene(Planned(recovery))
    scene.reports(ReportKind.FAILED, step="a", error=NO)
    assert told_of(scene) == []
