"""Invariants of steps that are run for each element of a list.

- All elements are ready in the decision in which the last need has ended; each gets its own.
- Who needs them begins when all have ended, and gets the results in the order of the list.
- Of an empty list nothing is run, and its results are an empty list; what is no list, or too many,
  fails the step before anything beside it begins, and that cannot be tried again.
- One element that fails for good is the step's failure; it alone is tried again.
- Each element that was done, or may have been, is undone, side by side, before what they needed.
- `at_most` bounds them by a key of their own.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.processors.plan_bench import FATAL, LIMIT_MS, PASSING, Bench, step

from symphainy_processors.fold import plans
from symphainy_processors.saga import fanning, retrying
from symphainy_schemas import events as e
from symphainy_schemas.records import PlanStep, Recovery
from symphainy_schemas.state import ExecutionStatus

ITEMS = b'{"$from":"payload","at":"/items"}'
EACH = b'{"item":{"$from":"$each","at":"/id"},"of":{"$from":"payload","at":"/of"}}'
ALL = b'{"all":{"$from":"charge","at":""}}'
PAYLOAD = b'{"of":"ann","items":[{"id":1},{"id":2},{"id":3}]}'
CHARGES = ("charge[0]", "charge[1]", "charge[2]")


def charge(*needs: str, **more: object) -> PlanStep:
    """A step for each item."""
    return step("charge", *needs, **{"input": EACH, "for_each": ITEMS, **more})  # type: ignore[arg-type]


ORDER = (step("hold"), charge("hold"), step("bill", "charge", input=ALL))


def order(*plan: PlanStep, recovery: Recovery = Recovery.COMPENSATE) -> Bench:
    """An order of three items."""
    return Bench(plan or ORDER, recovery, payload=PAYLOAD)


def test_all_elements_begin_in_one_decision_and_each_gets_its_own() -> None:
    work = order()
    work.succeeds("hold")
    assert work.running == set(CHARGES)
    assert plans.input_of(work.state, "charge[1]") == b'{"item":2,"of":"ann"}'
    assert plans.input_of(work.state, "compensate:charge[2]") == b'{"item":3,"of":"ann"}'


def test_who_needs_them_gets_all_results_in_the_order_of_the_list() -> None:
    work = order()
    work.succeeds("hold")
    for name, result in zip(reversed(CHARGES), (b'"c"', b'"b"', b'"a"'), strict=True):
        assert "bill" not in work.running
        work.succeeds(name, result)
    assert work.running == {"bill"}
    assert plans.input_of(work.state, "bill") == b'{"all":["a","b","c"]}'


def test_the_result_of_a_plan_is_that_list() -> None:
    for plan in ((charge(),), (charge(), step("other"))):
        work = order(*plan)
        names = [*CHARGES[1:], *(one.step for one in plan[1:]), CHARGES[0]]
        for name in names[:-1]:
            work.succeeds(name, b'"%s"' % name[-2:-1].encode())
        done = work.succeeds(names[-1], b'"0"')[-1]
        assert isinstance(done, e.ExecutionSucceeded)
        assert b'["0","1","2"]' in done.result


def test_a_list_of_results_is_run_for_each_again() -> None:
    again = step("bill", "charge", input=EACH, for_each=b'{"$from":"charge","at":""}')
    work = order(charge(), again, step("end", "bill", input=b'{"all":{"$from":"bill","at":""}}'))
    for number, name in enumerate(CHARGES):
        work.succeeds(name, b'{"id":%d}' % (number * 7))
    assert work.running == {"bill[0]", "bill[1]", "bill[2]"}
    assert plans.input_of(work.state, "bill[2]") == b'{"item":14,"of":"ann"}'
    for number in range(3):
        work.succeeds(f"bill[{number}]", b"%d" % number)
    assert plans.input_of(work.state, "end") == b'{"all":[0,1,2]}'


def test_of_an_empty_list_nothing_is_run_and_who_needs_it_gets_an_empty_list() -> None:
    work = Bench((charge(), step("bill", "charge", input=ALL)), payload=b'{"items":[]}')
    assert work.running == {"bill"}
    assert plans.input_of(work.state, "bill") == b'{"all":[]}'
    work.fails("bill")
    assert work.status() is ExecutionStatus.FAILED  # there is nothing to undo


def test_a_plan_of_nothing_but_an_empty_list_has_succeeded() -> None:
    work = Bench((charge(),), payload=b'{"items":[]}')
    assert work.told[-1] == e.ExecutionSucceeded(result=b"[]")


def test_where_its_condition_does_not_hold_it_is_skipped_as_a_whole() -> None:
    never = b'{"$from":"payload","at":"/of","in":["bob"]}'
    work = order(charge(condition=never), step("bill", "charge"))
    skipped = e.StepSkipped(step="charge"), e.StepSkipped(step="bill")
    assert tuple(work.told) == (*skipped, e.ExecutionSucceeded(result=b"null"))


@pytest.mark.parametrize(
    ("payload", "code", "said"),
    [
        (b"{}", "not_a_list", "null"),
        (b'{"items":"abc"}', "not_a_list", "a text"),
        (b'{"items":{"a":1}}', "not_a_list", "an object"),
        (b'{"items":[%s]}' % b",".join([b"1"] * 1_001), "too_many_elements", "1001"),
    ],
)
def test_what_is_no_list_fails_it_before_anything_beside_it_begins(
    payload: bytes, code: str, said: str
) -> None:
    work = Bench((step("beside"), charge()), payload=payload)
    end = work.told[-1]
    assert isinstance(end, e.ExecutionFailed)
    assert (end.error.code, end.error.step, end.error.field) == (code, "charge", "/items")
    assert said in end.error.message
    assert end.error.cure
    assert not any(isinstance(x, e.StepReady | e.StepDispatched) for x in work.told)


def test_what_was_done_before_there_was_no_list_is_undone() -> None:
    work = order(step("hold"), charge("hold", for_each=b'{"$from":"hold","at":"/items"}'))
    work.succeeds("hold")
    assert work.running == {"compensate:hold"}


def test_a_step_without_a_list_that_is_held_cannot_be_tried_again() -> None:
    work = Bench((step("beside"), charge()), Recovery.HOLD_FOR_OPERATOR)
    stuck = work.succeeds("beside")[-1]
    assert isinstance(stuck, e.ExecutionStuck)
    assert "saga retry" not in stuck.error.operator_action
    assert "saga compensate" in stuck.error.operator_action
    problem = retrying.problem(work.state, e.StepRetryRequested(step="charge", reason=""))
    assert problem is not None
    assert problem.code == "step_not_failed"


def test_an_element_that_fails_for_good_is_tried_again_alone_with_an_input_of_its_own() -> None:
    work = order(recovery=Recovery.HOLD_FOR_OPERATOR)
    work.succeeds("hold")
    work.fails("charge[1]")
    work.succeeds("charge[0]")
    stuck = work.succeeds("charge[2]")[-1]
    assert isinstance(stuck, e.ExecutionStuck)
    assert "saga retry" in stuck.error.operator_action
    assert "charge[1]" in stuck.error.operator_action
    problem = retrying.problem(work.state, e.StepRetryRequested(step="charge", reason=""))
    assert problem is not None
    assert problem.cure == "It has: charge[1]."
    work.retry("charge[1]", b'{"item":9}')
    assert work.running == {"charge[1]"}
    assert plans.input_of(work.state, "charge[1]") == b'{"item":9}'
    assert plans.input_of(work.state, "compensate:charge[1]") == b'{"item":9}'
    work.succeeds("charge[1]")
    assert work.running == {"bill"}


def test_the_others_end_and_what_was_or_may_have_been_done_is_undone_side_by_side() -> None:
    work = order()
    work.succeeds("hold")
    work.fails("charge[0]")  # for good: it has left nothing behind
    work.succeeds("charge[1]", b'"b"')
    work.starts("charge[2]")
    work.passes(LIMIT_MS + 1_000)  # nobody knows
    assert work.running == {"compensate:charge[1]", "compensate:charge[2]"}
    assert work.step("charge[1]").result == b'"b"'
    work.succeeds("compensate:charge[2]")
    assert work.running == {"compensate:charge[1]"}
    work.succeeds("compensate:charge[1]")
    assert work.running == {"compensate:hold"}
    work.succeeds("compensate:hold")
    assert work.told[-1] == e.ExecutionCompensated(error=replace(FATAL, step="charge[0]"))


def test_what_needed_all_of_them_is_undone_before_any() -> None:
    work = order(*ORDER, step("send", "bill"))
    work.succeeds("hold")
    for name in CHARGES:
        work.succeeds(name)
    work.succeeds("bill")
    work.fails("send")
    assert work.running == {"compensate:bill"}
    work.succeeds("compensate:bill")
    assert work.running == {f"compensate:{name}" for name in CHARGES}


def test_an_element_has_its_own_attempts() -> None:
    work = order(charge())
    work.fails("charge[0]", PASSING)
    work.fails("charge[1]", PASSING)
    assert work.step("charge[0]").attempt == work.step("charge[1]").attempt == 2
    assert work.step("charge[2]").attempt == 1


def test_they_share_a_key_that_bounds_them() -> None:
    work = order(step("hold"), charge(at_most=2), charge(step="free"))
    key, limit = plans.concurrency_of(work.state, "charge[0]")
    assert key
    assert limit == 2
    assert plans.concurrency_of(work.state, "charge[1]") == (key, limit)
    assert plans.concurrency_of(work.state, "compensate:charge[1]") == ("", 0)
    assert plans.concurrency_of(work.state, "free[1]") == ("", 0)


def test_as_many_as_are_allowed_begin_in_one_decision() -> None:
    items = b",".join(b"%d" % number for number in range(fanning.MOST_ELEMENTS))
    work = Bench(
        (charge(input=b'{"n":{"$from":"$each","at":""}}'),), payload=b'{"items":[%s]}' % items
    )
    assert len(work.running) == fanning.MOST_ELEMENTS
    assert plans.input_of(work.state, "charge[999]") == b'{"n":999}'
