"""A failed assertion tells the execution's story; a true one says nothing."""

from __future__ import annotations

import pytest
from tests.unit.testing_kit.realms import Order, approve, orders

from symphainy.testing import Harness, Run

STORY = """\
orders.approve (exe-0-23f7754f8441a06295e0fcf64ff4dd73) has failed, attempt 3, delivery 3:
            +0 s  intent_received       orders.approve {"id":"1"}
            +0 s  policy_validated
            +0 s  capability_resolved
            +0 s  execution_started
            +0 s  step_dispatched       attempt 1, delivery 1
            +0 s  step_started
            +0 s  step_failed           attempt 1: handler_error: ValueError: no quote
            +0 s  step_retry_scheduled  attempt 2
         +0.75 s  timer_fired           retry:main
         +0.75 s  step_dispatched       attempt 2, delivery 2
         +0.75 s  step_started
         +0.75 s  step_failed           attempt 2: handler_error: ValueError: no quote
         +0.75 s  step_retry_scheduled  attempt 3
         +2.25 s  timer_fired           retry:main
         +2.25 s  step_dispatched       attempt 3, delivery 3
         +2.25 s  step_started
         +2.25 s  step_failed           attempt 3: handler_error: ValueError: no quote
         +2.25 s  execution_failed      handler_error: ValueError: no quote"""


async def failed() -> Run:
    async with Harness(orders) as harness:
        harness.fail(approve, ValueError("no quote"), times=3)
        return await harness.submit(approve, Order(id="1"))


async def test_what_has_failed_has_not_succeeded() -> None:
    run = await failed()
    assert run.failed().failed("handler_error") is run
    with pytest.raises(AssertionError) as told:
        run.succeeded()
    assert str(told.value) == f"Expected succeeded.\n{STORY}"
    cause = told.value.__cause__
    assert isinstance(cause, ValueError), "pytest shows where the handler raised it"
    assert str(cause) == "no quote"
    with pytest.raises(AssertionError, match="Expected failed with timeout"):
        run.failed("timeout")
    for check in (run.cancelled, run.waiting, run.rejected):
        with pytest.raises(AssertionError, match="Expected"):
            check()


async def test_a_wrong_result_is_shown_beside_the_right_one() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit(approve, Order(id="1"), until="ended")
    assert run.succeeded({"by": None}) is run
    with pytest.raises(AssertionError, match=r"Expected the result None, got \{'by': None\}"):
        run.succeeded(None)


async def test_what_waits_for_something_else_says_for_what() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit(approve, Order(id="1"))
    with pytest.raises(AssertionError, match="it waits for sleep:1"):
        run.waiting("signal:granted:1")
    with pytest.raises(AssertionError, match="is waiting, attempt 1, delivery 1"):
        run.succeeded()
    assert "waiting" in repr(run)


async def test_what_only_waits_has_no_cause() -> None:
    async with Harness(orders) as harness:
        for intent_type in ("orders.approve", "orders.pay_in_thread"):
            run = await harness.submit(intent_type, Order(id="1"))
            with pytest.raises(AssertionError) as told:
                run.succeeded()
            assert told.value.__cause__ is None
