"""Invariants of plans, beside those that the property machine and the simulation look after.

- Steps begin when what they need has ended, side by side, and get what their templates say.
- A condition that does not hold skips a step; who needs only skipped steps is skipped; a join goes
  on with what there is.
- When a step fails for good the others that run end first; then what was done is undone in reverse.
- Nothing is undone while a delivery may still start or run; whose outcome nobody knows is undone
  too, and is told so; what definitely failed, or never began, is not.
- Each compensation has its own policy; one that fails for good leaves the execution stuck, and an
  operator's retry takes it on.
- `hold_for_operator` goes on beside what failed, then waits; `retry_forward` tries for ever.
- Cancelled, overdue, or asked for: what was done is undone. A stuck compensation that is cancelled
  ends as it is.
- What rests is held; results that are too large fail their step.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.processors.plan_bench import FATAL, LIMIT_MS, PASSING, START_BY_MS, Bench, step

from symphainy_processors.fold import plans
from symphainy_processors.saga import advancing, retrying
from symphainy_processors.saga import decide as saga
from symphainy_schemas import events as e
from symphainy_schemas.records import Error, Recovery, ReportKind
from symphainy_schemas.state import ExecutionStatus, StepStatus

ROW = (step("car"), step("hotel", "car"), step("flight", "hotel"))
DIAMOND = (step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c"))


def of(name: str) -> Error:
    """What an execution says that ends because that step has failed for good."""
    return replace(FATAL, step=name)


def kinds(events: tuple[e.Event, ...]) -> list[str]:
    """Their names."""
    return [type(event).__name__ for event in events]


def test_a_row_runs_one_by_one_and_succeeds_with_the_last_result() -> None:
    trip = Bench(ROW)
    assert trip.running == {"car"}
    trip.succeeds("car")
    assert trip.running == {"hotel"}
    trip.succeeds("hotel")
    last = trip.succeeds("flight", b'{"number":7}')
    assert kinds(last)[-1] == "ExecutionSucceeded"
    assert last[-1] == e.ExecutionSucceeded(result=b'{"number":7}')


def test_a_diamond_runs_side_by_side_and_joins() -> None:
    work = Bench(DIAMOND)
    work.succeeds("a")
    assert work.running == {"b", "c"}
    work.succeeds("c")
    assert work.running == {"b"}
    work.succeeds("b")
    assert work.running == {"d"}


def test_steps_get_what_their_templates_say() -> None:
    template = b'{"ref":{"$from":"car","at":"/ref"},"city":{"$from":"payload","at":"/to"}}'
    trip = Bench((step("car"), step("hotel", "car", input=template)), payload=b'{"to":"Rome"}')
    assert plans.input_of(trip.state, "car") == b'{"to":"Rome"}'
    trip.succeeds("car", b'{"ref":"c-1"}')
    assert plans.input_of(trip.state, "hotel") == b'{"ref":"c-1","city":"Rome"}'
    assert plans.input_of(trip.state, "compensate:hotel") == b'{"ref":"c-1","city":"Rome"}'


def test_conditions_skip_and_joins_go_on() -> None:
    when = b'{"$from":"a","at":"/ok","in":[true]}'
    otherwise = b'{"$from":"a","at":"/ok","in":[true],"not":true}'
    work = Bench(
        (
            step("a"),
            step("yes", "a", condition=when),
            step("no", "a", condition=otherwise),
            step("after_no", "no"),
            step("join", "yes", "after_no"),
        )
    )
    work.succeeds("a", b'{"ok":true}')
    assert work.step("no").status is StepStatus.SKIPPED
    assert work.step("after_no").status is StepStatus.SKIPPED
    assert work.running == {"yes"}
    work.succeeds("yes")
    assert work.running == {"join"}


def test_true_is_not_one() -> None:
    only_one = b'{"$from":"a","at":"","in":[1]}'
    work = Bench((step("a"), step("b", "a", condition=only_one)))
    assert kinds(work.succeeds("a", b"true"))[-2:] == ["StepSkipped", "ExecutionSucceeded"]


def test_what_was_done_is_undone_in_reverse() -> None:
    trip = Bench(ROW)
    trip.succeeds("car", b'{"ref":1}')
    trip.succeeds("hotel")
    failed = trip.fails("flight")
    assert e.CompensationStarted(error=of("flight")) in failed
    assert trip.status() is ExecutionStatus.COMPENSATING
    assert trip.running == {"compensate:hotel"}
    assert e.CompensationSucceeded(step="hotel") in trip.succeeds("compensate:hotel")
    assert trip.running == {"compensate:car"}
    assert trip.step("car").result == b'{"ref":1}'
    end = trip.succeeds("compensate:car")
    assert end[-1] == e.ExecutionCompensated(error=of("flight"))
    assert trip.status() is ExecutionStatus.COMPENSATED


def test_branches_are_undone_side_by_side_before_what_they_needed() -> None:
    work = Bench(DIAMOND)
    for name in ("a", "b", "c"):
        work.succeeds(name)
    work.fails("d")
    assert work.running == {"compensate:b", "compensate:c"}
    work.succeeds("compensate:b")
    assert work.running == {"compensate:c"}
    work.succeeds("compensate:c")
    assert work.running == {"compensate:a"}


def test_another_branch_ends_first_and_its_success_is_undone() -> None:
    work = Bench(DIAMOND)
    work.succeeds("a")
    work.starts("b")
    assert kinds(work.fails("c")) == ["StepStarted", "StepFailed"]
    assert work.running == {"b"}
    work.succeeds("b")
    assert work.running == {"compensate:b"}


def test_another_branch_that_backs_off_goes_on_no_more() -> None:
    work = Bench(DIAMOND)
    work.succeeds("a")
    work.fails("b", PASSING)
    assert work.step("b").status is StepStatus.BACKING_OFF
    work.fails("c")
    assert work.step("b").status is StepStatus.CANCELLED
    assert work.running == {"compensate:a"}


def test_nothing_is_undone_while_a_delivery_may_start_or_run() -> None:
    work = Bench(DIAMOND)
    work.succeeds("a")
    work.passes(START_BY_MS)  # b and c are given up, and delivered anew
    assert {work.step("b").open, work.step("c").open} == {(1, 2)}
    work.succeeds("b")
    work.fails("c")  # its first delivery may still run
    assert not plans.is_undoing(work.state)
    work.passes(START_BY_MS + LIMIT_MS)
    assert e.StepClosed(step="c") in work.told
    assert work.running == {"compensate:b", "compensate:c"}


def test_whose_outcome_nobody_knows_is_undone_and_what_never_began_is_not() -> None:
    trip = Bench(ROW)
    trip.succeeds("car")
    for _ in range(2):  # attempts
        trip.starts("hotel")
        trip.passes(LIMIT_MS + 1_000)
    assert trip.running == {"compensate:hotel"}
    assert trip.step("hotel").result is None
    trip.succeeds("compensate:hotel")
    trip.succeeds("compensate:car")
    assert trip.status() is ExecutionStatus.COMPENSATED
    assert not any(getattr(event, "step", "").endswith("flight") for event in trip.told)


def test_what_definitely_failed_is_not_undone() -> None:
    trip = Bench(ROW)
    trip.starts("car")
    assert kinds(trip.fails("car"))[-1] == "ExecutionFailed"


@pytest.mark.parametrize("code", ["timeout", "heartbeat_timeout"])
def test_what_a_limit_ended_in_its_worker_is_undone(code: str) -> None:
    trip = Bench(ROW)
    trip.fails("car", Error(code=code, message="Too long."))
    assert trip.running == {"compensate:car"}


def test_an_attempt_of_which_nobody_knows_stays_so_when_a_later_one_fails() -> None:
    trip = Bench(ROW)
    trip.starts("car")
    trip.passes(LIMIT_MS + 1_000)
    trip.starts("car")
    trip.fails("car")
    assert trip.running == {"compensate:car"}


def test_with_nothing_to_undo_it_fails() -> None:
    work = Bench((step("a", undo=False), step("b", "a")))
    work.succeeds("a")
    assert work.fails("b")[-1] == e.ExecutionFailed(error=of("b"))


def test_an_error_that_names_a_place_of_its_own_keeps_it() -> None:
    work = Bench((step("a", undo=False),))
    told = replace(FATAL, step="somewhere")
    assert work.fails("a", told)[-1] == e.ExecutionFailed(error=told)


def test_a_compensation_has_its_own_policy_and_stuck_ones_wait_for_an_operator() -> None:
    trip = Bench(ROW)
    trip.succeeds("car")
    trip.fails("hotel")
    for _ in range(2):
        assert kinds(trip.fails("compensate:car", PASSING))[-1] == "StepRetryScheduled"
        trip.passes(10_000)
    stuck = trip.fails("compensate:car", PASSING)
    assert kinds(stuck)[-2:] == ["CompensationFailed", "ExecutionStuck"]
    assert trip.status() is ExecutionStatus.STUCK
    assert isinstance(stuck[-1], e.ExecutionStuck)
    assert "saga retry" in stuck[-1].error.operator_action
    trip.retry("compensate:car")
    assert trip.status() is ExecutionStatus.COMPENSATING
    assert trip.succeeds("compensate:car")[-1] == e.ExecutionCompensated(error=of("hotel"))


def test_a_stuck_compensation_that_is_cancelled_ends_as_it_is() -> None:
    trip = Bench(ROW)
    trip.succeeds("car")
    trip.cancel()
    trip.fails("hotel")
    trip.fails("compensate:car")
    assert trip.status() is ExecutionStatus.STUCK
    assert trip.cancel()[-1] == e.ExecutionFailed(error=of("compensate:car"))


def test_what_is_held_goes_on_beside_what_failed_and_is_tried_again_with_another_input() -> None:
    work = Bench(DIAMOND, Recovery.HOLD_FOR_OPERATOR)
    work.succeeds("a")
    work.fails("b")
    assert work.running == {"c"}
    assert kinds(work.succeeds("c"))[-1] == "ExecutionStuck"
    work.retry("b", b'{"x":1}')
    assert work.status() is ExecutionStatus.RUNNING
    assert plans.input_of(work.state, "b") == b'{"x":1}'
    assert work.step("b").attempt == 2
    work.succeeds("b")
    assert work.running == {"d"}


def test_what_is_held_may_be_undone() -> None:
    work = Bench(DIAMOND, Recovery.HOLD_FOR_OPERATOR)
    work.succeeds("a")
    work.fails("b")
    work.succeeds("c")
    work.compensate()
    assert work.running == {"compensate:c"}
    work.succeeds("compensate:c")
    work.succeeds("compensate:a")
    assert work.status() is ExecutionStatus.COMPENSATED


def test_forward_tries_for_ever_what_may_be_tried_again() -> None:
    work = Bench(ROW, Recovery.RETRY_FORWARD)
    for _ in range(20):
        assert kinds(work.fails("car", PASSING))[-1] == "StepRetryScheduled"
        work.passes(10_000)
    assert kinds(work.fails("car"))[-1] == "ExecutionStuck"


def test_a_cancelled_plan_is_undone() -> None:
    trip = Bench(ROW)
    trip.succeeds("car")
    trip.cancel()
    assert not plans.is_undoing(trip.state), "hotel may start"
    trip.report("hotel", ReportKind.HANDED_BACK, name="cancelled", started_at=0)
    assert trip.running == {"compensate:car"}
    trip.succeeds("compensate:car")
    assert trip.status() is ExecutionStatus.COMPENSATED


def test_what_is_handed_back_after_it_began_is_undone() -> None:
    trip = Bench(ROW)
    trip.succeeds("car")
    trip.cancel()
    trip.report("hotel", ReportKind.HANDED_BACK, name="cancelled", started_at=trip.now)
    assert trip.running == {"compensate:hotel"}


def test_what_an_earlier_delivery_began_is_undone() -> None:
    trip = Bench(ROW)
    trip.passes(START_BY_MS)
    assert trip.step("car").open == (1, 2)
    trip.cancel()
    earlier = {"delivery": 1, "name": "cancelled", "started_at": trip.now}
    trip.report("car", ReportKind.HANDED_BACK, **earlier)
    assert trip.step("car").open == (2,)
    trip.report("car", ReportKind.HANDED_BACK, name="cancelled", started_at=0)
    assert trip.running == {"compensate:car"}


def test_a_plan_that_was_done_before_it_could_be_stopped_has_succeeded() -> None:
    trip = Bench(ROW)
    trip.succeeds("car")
    trip.succeeds("hotel")
    trip.starts("flight")
    trip.cancel()
    assert kinds(trip.succeeds("flight"))[-1] == "ExecutionSucceeded"


def test_unless_it_is_to_be_undone() -> None:
    trip = Bench(ROW)
    trip.succeeds("car")
    trip.succeeds("hotel")
    trip.starts("flight")
    trip.compensate()
    trip.succeeds("flight")
    assert trip.running == {"compensate:flight"}


def test_a_late_success_of_what_is_being_undone_changes_nothing() -> None:
    trip = Bench(ROW)
    trip.succeeds("car")
    trip.starts("hotel")
    trip.cancel()
    given_up = trip.step("hotel")
    trip.passes(START_BY_MS + 10 * LIMIT_MS)
    assert plans.is_undoing(trip.state)
    late = {"attempt": 1, "delivery": given_up.delivery, "token": given_up.token}
    assert trip.report("hotel", ReportKind.SUCCEEDED, result=b'"late"', **late) == ()


def test_an_overdue_plan_is_undone_for_that() -> None:
    trip = Bench(ROW)
    trip.succeeds("car")
    trip.state = replace(trip.state, deadline_at=trip.now + 10)
    trip.now += 10
    trip.take(saga.on_deadline(trip.state, trip.now))
    trip.report("hotel", ReportKind.HANDED_BACK, name="cancelled", started_at=0)
    assert trip.state.failure is not None
    assert trip.state.failure.code == "deadline_exceeded"


def test_what_rests_is_held() -> None:
    trip = Bench(ROW)
    trip.state = replace(trip.state, paused=True)
    trip.succeeds("car")
    assert trip.step("hotel").status is StepStatus.HELD


def test_results_that_are_too_large_fail_their_step_which_is_undone() -> None:
    trip = Bench(ROW)
    large = b'"' + b"x" * advancing.RESULTS_BYTES + b'"'
    events = trip.succeeds("car", large)
    failed = next(x for x in events if isinstance(x, e.StepFailed))
    assert failed.error.code == "results_too_large"
    assert trip.running == {"compensate:car"}


@pytest.mark.parametrize(
    ("name", "code"),
    [("nothing", "step_not_found"), ("hotel", "step_not_failed"), ("car", "step_not_failed")],
)
def test_what_has_not_failed_is_not_tried_again(name: str, code: str) -> None:
    trip = Bench(ROW, Recovery.HOLD_FOR_OPERATOR)
    trip.succeeds("car")
    problem = retrying.problem(trip.state, e.StepRetryRequested(step=name, reason=""))
    assert problem is not None
    assert problem.code == code


def test_what_is_being_undone_is_not_tried_again_nor_undone_twice() -> None:
    trip = Bench(ROW)
    trip.succeeds("car")
    trip.fails("hotel")
    problem = retrying.problem(trip.state, e.StepRetryRequested(step="hotel", reason=""))
    assert problem is not None
    assert problem.code == "compensation_began"
    undo = retrying.undo_problem(trip.state)
    assert undo is not None
    assert undo.code == "compensation_began"
