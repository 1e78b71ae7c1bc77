"""Invariants of the dispatcher joined to a partition's state.

- A restart counts what workers may have, and queues what is ready; who goes gives its slots back.
- What was ready when it was read and no longer is goes nowhere, and keeps no slot.
- What waits is read page by page to its end, and goes once.
- What ends frees its slot, once, at the time it ends, whichever delivery ended it; what only closes
  an old one, or is of another step, does not.
- A delivery that was given up, and lives, has a slot again.
- Waits are told of once: from sending to start, without the run, with what the worker said of its
  own queue; nothing is told of what was sent before a restart, or was not sent after all. A clock
  that goes back makes none negative.
- A tenant's limit is shared out over the partitions of its shard, rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace
from tests.samples import ERROR, EVENTS, JOURNAL, SAMPLES

from symphainy_processors.dispatch.pools import Pools
from symphainy_processors.dispatch.rules import Bounds, Limits, Ready
from symphainy_processors.dispatch.window import Sizes, Waits, Window
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.owner.dispatching import Dispatching, first, waiting
from symphainy_runtime.journal.validity import Validity
from symphainy_runtime.journal.writer import Heading
from symphainy_schemas import events as e
from symphainy_schemas.records import Tenant, Wait

SIZES = Sizes(start=2, ceiling=2)
REALM = "content"
TENANT = SAMPLES["tenant"]
RECEIVED = next(x for x in EVENTS if isinstance(x, e.IntentReceived))
RESOLVED = next(x for x in EVENTS if isinstance(x, e.CapabilityResolved))
READY = e.StepReady(step="main", attempt=1)


def sent(delivery: int = 1) -> e.StepDispatched:
    return e.StepDispatched(
        step="main", attempt=1, delivery=delivery, token="tok", start_by=9_000, timeout_ms=0
    )


def started(delivery: int = 1) -> e.StepStarted:
    return e.StepStarted(step="main", attempt=1, delivery=delivery, worker="w", started_at=1)


def succeeded(delivery: int = 1, step: str = "main", ran_ms: int = 100) -> e.StepSucceeded:
    return e.StepSucceeded(
        step=step,
        attempt=1,
        delivery=delivery,
        worker="w",
        started_at=50_000,  # by the worker's own clock
        ended_at=50_000 + ran_ms,
        result=b"",
    )


def failed(delivery: int = 1) -> e.StepFailed:
    return e.StepFailed(step="main", attempt=1, delivery=delivery, worker="w", error=ERROR)


def suspended() -> e.StepSuspended:
    return e.StepSuspended(step="main", attempt=1, delivery=1, waits=(Wait("sleep:1", 12_000),))


def fired(timer: str) -> e.TimerFired:
    return e.TimerFired(timer=timer, due_at=1)


class WatchedWindow(Window):
    """Notes what it is told of waits and ends."""

    def __init__(self) -> None:
        super().__init__(SIZES)
        self.told: list[Waits] = []
        self.ends: list[int] = []

    def waited(self, number: int, waits: Waits) -> None:
        """How long a task waited."""
        self.told.append(waits)

    def ended(self, number: int, waits: Waits, outstanding: int, now_ms: int) -> None:
        """When a task ended."""
        self.ends.append(now_ms)
        super().ended(number, waits, outstanding, now_ms)


@dataclass
class Stage:
    """A partition's state with its dispatching, under a clock of the test's."""

    now: int = 1_000
    tenant: Tenant | None = None
    suspended: bool = False
    offset: int = 0
    state: PartitionState = field(default_factory=lambda: PartitionState(10**12))

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new owner, which has the state and nothing else."""
        self.state.flush()
        self.pools = Pools(SIZES)
        self.window = WatchedWindow()
        self.pools.of(REALM).window = self.window
        self.dispatching = Dispatching(
            self.state,
            lambda _: self.tenant,
            lambda: self.now,
            4,
            self.pools,
            lambda _: self.suspended,
        )
        self.dispatching.restore()

    def record(self, number: int, *events: e.Event) -> None:
        """Fold a record of an execution, acknowledged."""
        record = replace(JOURNAL, events=events, execution_id=f"exe-{number}", at=self.now)
        self.state.settle(self.state.apply(record, Validity(1, 1, self.offset)))
        self.offset += 1

    def admit(self, number: int, goes: bool = True, key: str = "") -> Ready:
        """An execution comes, and is sent at once or else waits."""
        resolved = replace(RESOLVED, concurrency_key=key, key_concurrency=1)
        events = (RECEIVED, resolved, e.ExecutionStarted(), READY)
        heading = Heading(tenant_id="acme", execution_id=f"exe-{number}")
        item = first(heading, events, self.offset)
        assert self.dispatching.may_go(item) is goes
        self.record(number, *events[:-1], sent() if goes else READY)
        if not goes:
            self.dispatching.wait(item)
        return item

    def decide(self, number: int, *events: e.Event, queued_ms: int | None = None) -> None:
        """Something is decided of its step."""
        before = self.state.execution(f"exe-{number}")
        assert before is not None
        (step,) = before.steps
        self.dispatching.heard(before, step, events, queued_ms)
        self.record(number, *events)

    def take(self) -> str | None:
        """Dispatch the next; its execution."""
        found = self.dispatching.take()
        if found is None:
            return None
        state, step = found
        self.record(int(state.execution_id[4:]), sent(step.delivery + 1))
        return state.execution_id

    @property
    def outstanding(self) -> int:
        """How many slots are taken."""
        assert self.pools.of(REALM).outstanding == self.dispatching.dispatcher.outstanding
        return self.dispatching.dispatcher.outstanding


def known(stage: Stage, number: int) -> Ready:
    """What the dispatcher is told of an execution's step."""
    state = stage.state.execution(f"exe-{number}")
    assert state is not None
    return waiting(state, "main", state.steps[0].ready_at)


# --- what a restart finds -------------------------------------------------------------------------


def test_a_restart_counts_what_is_out_and_queues_what_is_ready() -> None:
    stage = Stage()
    for number in (1, 2):
        stage.admit(number)
    stage.admit(3, goes=False)
    stage.restart()
    assert stage.outstanding == 2
    assert stage.take() is None
    stage.decide(1, failed())
    assert stage.take() == "exe-3"


def test_who_goes_gives_its_slots_back() -> None:
    stage = Stage()
    stage.admit(1)
    stage.dispatching.close()
    assert stage.outstanding == 0


def test_what_waits_is_read_to_its_end_and_goes_once() -> None:
    stage = Stage()
    for number in (1, 2):
        stage.admit(number)
    numbers = range(3, 3 + 2 * Bounds().page)
    for number in numbers:
        stage.admit(number, goes=False)
    stage.restart()
    stage.decide(1, failed(), e.ExecutionFailed(error=ERROR))
    for number in numbers:
        assert stage.take() == f"exe-{number}"
        stage.decide(number, failed(), e.ExecutionFailed(error=ERROR))
    assert stage.take() is None


def test_what_lies_behind_pages_that_a_key_holds_back_goes() -> None:
    stage = Stage()
    stage.admit(1, key="k")
    stage.admit(2)
    last = 3 + 2 * Bounds().page
    for number in range(3, last):
        stage.admit(number, goes=False, key="k")
    stage.admit(last, goes=False)
    stage.restart()
    stage.decide(2, failed(), e.ExecutionFailed(error=ERROR))
    assert stage.take() == f"exe-{last}"


# --- what is no longer ready ----------------------------------------------------------------------


def test_what_is_no_longer_ready_goes_nowhere_and_keeps_no_slot() -> None:
    stage = Stage()
    for number in (1, 2):
        stage.admit(number)
    for number in (3, 4):
        stage.admit(number, goes=False)
    stage.record(3, sent())
    stage.decide(1, failed())
    assert stage.take() == "exe-4"
    assert stage.outstanding == 2


def test_what_became_ready_anew_is_not_taken_from_its_old_place() -> None:
    stage = Stage()
    for number in (1, 2):
        stage.admit(number)
    for number in (3, 4):
        stage.admit(number, goes=False)
    stage.record(3, READY)
    stage.decide(1, failed())
    assert stage.take() == "exe-4"


def test_what_lived_and_is_to_be_retried_is_not_taken_from_its_old_place() -> None:
    stage = Stage()
    stage.admit(1)
    stage.decide(1, fired("start_by:main"), READY)
    stage.dispatching.wait(known(stage, 1))
    stage.decide(1, started())
    stage.decide(1, failed(), e.StepRetryScheduled(step="main", attempt=2, due_at=5_000))
    assert stage.take() is None
    assert stage.outstanding == 0


def test_what_was_not_sent_after_all_has_no_slot_and_is_forgotten() -> None:
    stage = Stage()
    item = stage.admit(1)
    stage.dispatching.give_back(item.execution_id, item.step)
    assert stage.outstanding == 0
    assert stage.dispatching._sent_at == {}


# --- what frees a slot ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ends",
    [
        (started(), succeeded(), e.ExecutionSucceeded()),
        (failed(), e.ExecutionFailed(error=ERROR)),
        (failed(), e.StepRetryScheduled(step="main", attempt=2, due_at=5_000)),
        (e.StepHandedBack(step="main", attempt=1, delivery=1, worker="w", reason="busy"), READY),
        (e.DeliveryClosed(step="main", delivery=1),),
        (fired("start_by:main"), READY),
        (started(), suspended()),
        (e.StepCancelled(step="main"),),
    ],
    ids=[
        "succeeded",
        "failed",
        "to be retried",
        "handed back",
        "closed",
        "not started in time",
        "suspended",
        "cancelled before it was sent",
    ],
)
def test_what_ends_frees_its_slot_and_is_forgotten(ends: tuple[e.Event, ...]) -> None:
    stage = Stage()
    stage.admit(1)
    stage.admit(2)
    stage.now += 200
    stage.decide(1, *ends)
    assert stage.outstanding == 1
    assert stage.window.ends == [stage.now]
    assert list(stage.dispatching._sent_at) == [("exe-2", "main")]


@pytest.mark.parametrize(
    "event",
    [
        started(2),
        e.DeliveryClosed(step="main", delivery=1),
        fired("timeout:main"),
        fired("start_by:other"),
        succeeded(2, step="other"),
        e.StepCancelled(step="other"),
    ],
    ids=[
        "started",
        "an old delivery closed",
        "a timer",
        "another's timer",
        "another step ended",
        "another step is to end",
    ],
)
def test_what_does_not_end_it_frees_nothing(event: e.Event) -> None:
    stage = Stage()
    stage.admit(1)
    stage.record(1, sent(2))
    stage.decide(1, event)
    assert stage.outstanding == 1


@pytest.mark.parametrize("event", [succeeded(1), failed(1)], ids=["succeeded", "failed"])
def test_an_older_delivery_that_decides_the_attempt_frees_its_slot(event: e.Event) -> None:
    stage = Stage()
    stage.admit(1)
    stage.record(1, sent(2))
    stage.decide(1, event)
    assert stage.outstanding == 0


@pytest.mark.parametrize(
    "given_up",
    [
        (fired("start_by:main"), READY),
        (failed(), e.StepRetryScheduled(step="main", attempt=1, due_at=5_000)),
    ],
    ids=["ready", "backing off"],
)
def test_what_was_given_up_and_lives_has_a_slot_again(given_up: tuple[e.Event, ...]) -> None:
    stage = Stage()
    stage.admit(1)
    stage.decide(1, *given_up)
    assert stage.outstanding == 0
    stage.decide(1, started())
    assert stage.outstanding == 1


def test_the_start_of_another_step_takes_no_slot() -> None:
    stage = Stage()
    stage.admit(1)
    stage.decide(1, fired("start_by:main"), READY)
    stage.decide(1, replace(started(), step="other"))
    assert stage.outstanding == 0


# --- waits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [False, True])
def test_a_start_tells_how_long_it_waited_since_it_was_sent(waits: bool) -> None:
    stage = Stage()
    if waits:
        for number in (8, 9):
            stage.admit(number)
        stage.admit(1, goes=False)
        stage.now += 1_000
        stage.decide(8, fired("start_by:main"), e.ExecutionFailed(error=ERROR))
        assert stage.take() == "exe-1"
    else:
        stage.admit(1)
    stage.now += 200
    stage.decide(1, started(), queued_ms=30)
    stage.now += 100
    stage.decide(1, succeeded(ran_ms=100), e.ExecutionSucceeded(), queued_ms=30)
    assert stage.window.told == [Waits(200, 30)]


def test_what_ends_before_its_start_was_told_waited_without_its_run() -> None:
    stage = Stage()
    stage.admit(1)
    stage.now += 500
    stage.decide(1, started(), succeeded(ran_ms=100), e.ExecutionSucceeded(), queued_ms=30)
    assert stage.window.told == [Waits(400, 30, 100)]


def test_a_clock_that_goes_back_makes_no_wait_negative() -> None:
    stage = Stage()
    for number in (1, 2):
        stage.admit(number)
    stage.now -= 500
    stage.decide(1, started(), queued_ms=0)
    stage.decide(2, started(), succeeded(ran_ms=-100), e.ExecutionSucceeded(), queued_ms=0)
    assert stage.window.told == [Waits(0, 0), Waits(0, 0, 0)]


def test_nothing_is_told_of_what_was_sent_before_a_restart() -> None:
    stage = Stage()
    stage.admit(1)
    stage.restart()
    stage.now += 500
    stage.decide(1, started(), queued_ms=30)
    stage.decide(1, succeeded(), e.ExecutionSucceeded(), queued_ms=30)
    assert stage.outstanding == 0
    assert stage.window.told == []


# --- limits, and what is known --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "shard", "share"),
    [(0, 0, 0), (10, 0, 3), (8, 0, 2), (1, 0, 1), (10, 2, 5), (11, 2, 6), (10, 9, 3)],
)
def test_a_tenants_limit_is_shared_out_over_its_partitions(
    most: int, shard: int, share: int
) -> None:
    assert isinstance(TENANT, Tenant)
    stage = Stage(tenant=replace(TENANT, max_concurrency=most, shard_size=shard, weight=3))
    assert stage.dispatching._limits("acme") == Limits(3, share)


def test_who_is_not_known_has_no_limit_and_no_weight_counts_as_one() -> None:
    assert Stage().dispatching._limits("acme") == Limits(1, 0)
    assert isinstance(TENANT, Tenant)
    stage = Stage(tenant=replace(TENANT, max_concurrency=0, weight=0))
    assert stage.dispatching._limits("acme") == Limits(1, 0)


def stopped(stage: Stage) -> bool:
    return stage.dispatching.dispatcher.stopped


def test_of_a_suspended_tenant_nothing_goes_and_that_is_told_until_it_is_resumed() -> None:
    stage = Stage(suspended=True)
    stage.admit(1, goes=False)
    assert not stopped(stage), "nobody has looked yet"
    assert stage.take() is None
    assert stopped(stage)
    stage.restart()
    assert stage.take() is None
    assert stopped(stage)
    stage.suspended = False
    assert stage.take() == "exe-1"
    assert not stopped(stage)


def test_the_same_is_known_of_a_step_when_it_is_admitted_and_when_it_waits() -> None:
    stage = Stage()
    heading = Heading(tenant_id="acme", execution_id="exe-1")
    events = (RECEIVED, RESOLVED, e.ExecutionStarted(), READY)
    item = first(heading, events, 0)
    assert item == Ready(REALM, "acme", 2, 0, "exe-1", "main", "customer-7", 2)
    stage.record(1, *events)
    assert known(stage, 1) == item
