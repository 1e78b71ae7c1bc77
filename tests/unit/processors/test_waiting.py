"""Invariants of handlers that wait.

- A handler that waits holds no delivery; the earliest of its times is when the step is due.
- A wait keeps the time that it was first given, however often its handler comes back to it.
- Each wait ends once: by its signal, used up, or by its time; what came is recorded under its name.
- A signal that nobody waits for is kept, in order, within bounds.
- What is repeated, late or malformed changes nothing, or fails the attempt with a cure.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.samples import JOURNAL, PLAIN, REPORT

from symphainy_processors.fold.evolve import evolve_execution
from symphainy_processors.moment import Moment
from symphainy_processors.saga import decide as saga
from symphainy_processors.saga import waiting
from symphainy_schemas import events as e
from symphainy_schemas.records import (
    REDELIVERED,
    Checkpoint,
    ReportKind,
    StepReport,
    Wait,
)
from symphainy_schemas.state import (
    Child,
    ExecutionState,
    ExecutionStatus,
    Signal,
    StepState,
    StepStatus,
)

NOW = Moment(now=10_000, jitter=0.5)
STARTED = StepState(
    step="main",
    status=StepStatus.STARTED,
    attempt=2,
    delivery=3,
    token="tok",
    start_by=1,
    due_at=9_000,
    dispatched_at=42,
    open=(3,),
)
NAP, GRANT = Wait("sleep:1", 12_000), Wait("signal:grant:1", 0, "grant")


def execution(step: StepState = STARTED, *signals: Signal) -> ExecutionState:
    """An execution with one step."""
    body = replace(
        PLAIN,
    )
    return replace(body, steps=(step,), signals=signals, timeout_ms=500)


def suspends(*waits: Wait) -> StepReport:
    """The current delivery's report that its handler waits."""
    return replace(REPORT, kind=ReportKind.SUSPENDED, waits=waits, error=None)


def after(state: ExecutionState, *events: e.Event) -> ExecutionState:
    """The execution after them."""
    for event in events:
        changed = evolve_execution(state, JOURNAL, 50, event)
        assert changed is not None
        state = changed
    return state


def asleep(*waits: Wait) -> ExecutionState:
    """An execution whose handler waits."""
    state = execution()
    return after(state, *saga.on_report(state, suspends(*waits), NOW))


def signal(name: str = "grant", data: bytes = b"1") -> e.SignalReceived:
    """Somebody's signal."""
    return e.SignalReceived(name, data, "ann")


def test_a_handler_that_waits_holds_no_delivery_and_is_due_at_its_earliest_time() -> None:
    state = asleep(GRANT, NAP, Wait("sleep:2", 11_000))
    (step,) = state.steps
    assert (state.status, step.status) == (ExecutionStatus.WAITING, StepStatus.SUSPENDED)
    assert (step.due_at, step.open) == (11_000, ())
    assert not saga.needs_marker(PLAIN, step)


def test_its_time_makes_it_ready_in_the_same_attempt() -> None:
    state = asleep(GRANT, NAP)
    (step,) = state.steps
    assert saga.on_due(state, step, 11_999) == ()
    fired, resumed, ready = saga.on_due(state, step, 12_000)
    assert fired == e.TimerFired(timer="wait:main:sleep:1", due_at=12_000)
    assert resumed == e.StepResumed("main", "sleep:1", b"")
    assert ready == e.StepReady(step="main", attempt=2)
    state = after(state, fired, resumed, ready)
    (step,) = state.steps
    assert (state.status, step.status, step.waits) == (
        ExecutionStatus.RUNNING,
        StepStatus.READY,
        (GRANT,),
    )
    assert step.checkpoints[-1].name == "sleep:1"
    sent = saga.delivery(step, ready, 500, "fresh", start_by=77)
    assert (sent.attempt, sent.delivery, sent.token) == (2, 4, "tok")


def test_its_signal_is_used_up_and_its_data_recorded() -> None:
    state = asleep(NAP, GRANT)
    received, resumed, ready = waiting.signalled(state, signal(data=b'{"by":"ann"}'), NOW.now)
    assert resumed == e.StepResumed("main", GRANT.name, b'{"by":"ann"}', "grant")
    state = after(state, received, resumed, ready)
    assert state.signals == ()
    assert state.steps[0].waits == (NAP,)
    assert state.controlled_at == 7  # where the control intent stood


def test_a_signal_that_nobody_waits_for_is_kept_for_whoever_does() -> None:
    state = execution()
    for data in (b"1", b"2"):
        state = after(state, *waiting.signalled(state, signal(data=data), NOW.now))
    assert state.signals == (Signal("grant", b"1"), Signal("grant", b"2"))
    suspended, resumed, ready = saga.on_report(state, suspends(GRANT), NOW)
    assert isinstance(suspended, e.StepSuspended)
    assert resumed == e.StepResumed("main", GRANT.name, b"1", "grant")
    assert after(state, suspended, resumed, ready).signals == (Signal("grant", b"2"),)


def test_another_signal_wakes_nobody() -> None:
    assert waiting.signalled(asleep(GRANT), signal("other"), NOW.now) == (signal("other"),)


def test_a_signal_goes_to_who_waits_for_it_whosever_time_has_come() -> None:
    sleeps = replace(STARTED, step="a", status=StepStatus.SUSPENDED, waits=(NAP,), open=())
    waits = replace(sleeps, step="b", waits=(GRANT,))
    state = replace(execution(), steps=(sleeps, waits))
    _, resumed, ready = waiting.signalled(state, signal(), 12_000)
    assert resumed == e.StepResumed(step="b", name="signal:grant:1", result=b"1", signal="grant")
    assert ready == e.StepReady(step="b", attempt=2)


@pytest.mark.parametrize("status", [StepStatus.FAILED, StepStatus.STARTED, StepStatus.SUCCEEDED])
def test_the_end_of_a_child_is_kept_for_whoever_may_still_ask_for_it(status: StepStatus) -> None:
    state = replace(
        execution(replace(STARTED, status=status)), children=(Child("exe-0-1", "main"),)
    )
    state = after(state, e.ChildEnded("exe-0-1", b"{}"))
    kept = () if status is StepStatus.SUCCEEDED else (Signal("exe-0-1", b"{}"),)
    assert (state.children, state.signals) == ((), kept)


def test_a_wait_keeps_its_first_time() -> None:
    state = asleep(NAP, GRANT)
    state = after(state, *waiting.signalled(state, signal(), NOW.now))
    again = replace(state.steps[0], status=StepStatus.STARTED, open=(3,))
    later = Moment(now=11_000, jitter=0.5)
    (suspended,) = saga.on_report(execution(again), suspends(replace(NAP, until=13_000)), later)
    assert isinstance(suspended, e.StepSuspended)
    assert suspended.waits == (NAP,)


def test_a_wait_whose_time_has_passed_ends_at_once() -> None:
    late = Moment(now=12_000, jitter=0.5)
    _, fired, resumed, ready = saga.on_report(execution(), suspends(NAP), late)
    assert isinstance(fired, e.TimerFired)
    assert isinstance(resumed, e.StepResumed)
    assert isinstance(ready, e.StepReady)


def test_a_worker_that_only_found_the_task_does_not_wake_a_handler_that_waits() -> None:
    back = replace(REPORT, kind=ReportKind.HANDED_BACK, name=REDELIVERED)
    assert saga.on_report(asleep(NAP), back, NOW) == ()
    assert saga.on_report(asleep(NAP), suspends(NAP), NOW) == ()


def test_an_earlier_delivery_that_waits_only_ends() -> None:
    state = execution(replace(STARTED, open=(2, 3)))
    told = replace(suspends(NAP), delivery=2)
    assert saga.on_report(state, told, NOW) == (e.DeliveryClosed(step="main", delivery=2),)


def test_an_earlier_delivery_that_fails_does_not_end_the_wait() -> None:
    state = execution(replace(STARTED, open=(2, 3)))
    state = after(state, *saga.on_report(state, suspends(NAP), NOW))
    failed = replace(REPORT, kind=ReportKind.FAILED, delivery=2)
    assert saga.on_report(state, failed, NOW) == (e.DeliveryClosed(step="main", delivery=2),)
    assert saga.on_report(state, replace(failed, delivery=3), NOW) == ()


def test_an_earlier_delivery_that_succeeds_ends_the_wait() -> None:
    state = execution(replace(STARTED, open=(2, 3)))
    state = after(state, *saga.on_report(state, suspends(NAP), NOW))
    succeeded = replace(REPORT, kind=ReportKind.SUCCEEDED, delivery=2, error=None)
    assert after(state, *saga.on_report(state, succeeded, NOW)).status is ExecutionStatus.SUCCEEDED


@pytest.mark.parametrize(
    "waits", [(), (NAP, NAP), tuple(Wait(f"sleep:{n}", 1) for n in range(waiting.MOST_WAITS + 1))]
)
def test_malformed_waits_fail_the_attempt_with_a_cure(waits: tuple[Wait, ...]) -> None:
    failed, *_ = saga.on_report(execution(), suspends(*waits), NOW)
    assert isinstance(failed, e.StepFailed)
    assert failed.error.code == "waits_malformed"
    assert failed.error.cure


def test_signals_are_kept_within_bounds() -> None:
    kept = tuple(Signal("grant", b"1") for _ in range(waiting.MOST_SIGNALS))
    assert not waiting.has_room(execution(STARTED, *kept), signal())
    assert waiting.has_room(execution(STARTED, *kept[1:]), signal())
    large = Signal("grant", b"x" * (waiting.CHECKPOINTS_BYTES - 1))
    assert waiting.has_room(execution(STARTED, large), signal())
    assert not waiting.has_room(execution(STARTED, large), signal(data=b"12"))


def test_signals_and_checkpoints_share_what_a_task_can_carry() -> None:
    half = b"x" * (waiting.CHECKPOINTS_BYTES // 2)
    step = replace(STARTED, checkpoints=(Checkpoint("a", half),))
    assert waiting.has_room(execution(step), signal(data=half))
    assert not waiting.has_room(execution(step), signal(data=half + b"x"))
    told = replace(REPORT, kind=ReportKind.CHECKPOINT, name="b", result=half)
    kept = execution(step, Signal("grant", b"1"))
    failed, *_ = saga.on_report(kept, told, NOW)
    assert isinstance(failed, e.StepFailed)
    assert failed.error.code == "checkpoints_too_large"
