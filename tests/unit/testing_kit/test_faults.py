"""What goes wrong as planned leads to what it leads to in production.

- A failed attempt is tried again as the policy says, in virtual time.
- A worker that dies runs nothing twice that was recorded, and everything again that was not.
- A limit ends what hangs.
- A plan that strikes nothing fails the test.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.unit.testing_kit.realms import Order, approve, calls, orders, pay, pay_in_thread

from symphainy import RetryableError, TerminalError
from symphainy.testing import Harness, Moment

ORDER = Order(id="7")


async def test_attempts_are_repeated_in_virtual_time() -> None:
    async with Harness(orders, jitter=0.5) as harness:
        harness.fail(approve, ValueError("no quote"), times=2)
        run = await harness.submit(approve, ORDER)
        run.waiting("sleep:1")
        assert run.attempts == 3
        at = [one.at - run.journal[0].at for one in run.events_of("step_dispatched")]
        assert at == [0, 750, 750 + 1_500]
        first, second = run.events_of("step_failed")
        assert first.data["error"]["message"] == "ValueError: no quote"
        assert second.data["attempt"] == 2


async def test_an_execution_whose_attempts_are_used_up_has_failed() -> None:
    async with Harness(orders) as harness:
        harness.fail(approve, OSError("gone"), step="quote", times=3)
        run = await harness.submit(approve, ORDER)
        run.failed("handler_error")
        assert run.attempts == 3


async def test_a_terminal_error_is_not_tried_again() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit("orders.refuse", ORDER)
        run.failed("closed")
        assert run.attempts == 1


async def test_a_step_fails_in_the_call_that_was_named() -> None:
    calls.clear()
    async with Harness(orders) as harness:
        harness.fail(pay, RetryableError("busy", after="1h"), step="charge", call=1)
        harness.fail(pay, TerminalError("never"), step="charge", call=2)
        run = await harness.submit(pay, ORDER)
        run.failed("terminal_error")
        assert run.attempts == 2
        assert run.events_of("step_failed")[1].at - run.journal[0].at == 3_600_000
    assert calls == ["pay 1/1", "fetch_quote", "pay 2/2"]  # the quote is recorded


async def test_a_recorded_step_is_not_called() -> None:
    with pytest.raises(AssertionError, match="struck 0 times: 1 calls were made"):
        await _planned_for_a_call_that_is_not_made()


async def _planned_for_a_call_that_is_not_made() -> None:
    async with Harness(orders) as harness:
        harness.fail(pay, ValueError(), step="charge")
        harness.fail(pay, ValueError(), step="quote", call=2)
        (await harness.submit(pay, ORDER)).succeeded("paid 7")


@pytest.mark.parametrize(
    ("when", "charges"), [(Moment.BEFORE, 1), (Moment.RAN, 2), (Moment.RECORDED, 1)]
)
@pytest.mark.parametrize("handler", [pay, pay_in_thread])
async def test_a_worker_dies_at_a_step(when: Moment, charges: int, handler: object) -> None:
    calls.clear()
    intent_type = "orders.pay" if handler is pay else "orders.pay_in_thread"
    async with Harness(orders) as harness:
        harness.crash(intent_type, step="charge", when=when)
        run = await harness.submit(intent_type, ORDER, until="ended")
        run.succeeded("paid 7")
        assert run.attempts == 1
        (back,) = run.events_of("step_handed_back")
        assert back.data["reason"] == "redelivered_after_assignment"
    assert calls.count("charge in True") == charges
    assert calls.count("fetch_quote") == 1


@pytest.mark.parametrize("intent_type", ["orders.pay", "orders.pay_in_thread"])
async def test_a_worker_dies_when_its_handler_has_done_all(intent_type: str) -> None:
    calls.clear()
    async with Harness(orders) as harness:
        harness.crash(intent_type, when="ran")
        run = await harness.submit(intent_type, ORDER, until="ended")
        run.succeeded("paid 7")
        assert run.attempts == 1
        assert len(run.events_of("step_handed_back")) == 1
    assert len([call for call in calls if call.startswith("charge in")]) == 1  # it was recorded


@pytest.mark.parametrize("intent_type", ["orders.pay", "orders.pay_in_thread"])
async def test_a_handler_hangs_when_it_has_done_all(intent_type: str) -> None:
    calls.clear()
    async with Harness(orders) as harness:
        harness.hang(intent_type, when="ran")
        run = await harness.submit(intent_type, ORDER, until="ended")
        run.succeeded("paid 7")
        assert run.attempts == 2
        (failed,) = run.events_of("step_failed")
        assert failed.data["error"]["code"] in ("timeout", "heartbeat_timeout")


async def test_a_step_hangs_when_it_has_done_its_work() -> None:
    calls.clear()
    async with Harness(orders) as harness:
        harness.hang(pay, step="charge", when="ran")
        run = await harness.submit(pay, ORDER)
        run.succeeded("paid 7")
    assert calls.count("charge in True") == 2


async def test_a_worker_that_dies_takes_all_its_handlers_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls.clear()
    async with Harness(orders) as harness:
        other = await harness.submit("orders.hold", ORDER, until="started")
        harness.crash(pay)
        run = await harness.submit(pay, ORDER)
        run.succeeded("paid 7")
        assert (run.attempts, run.deliveries) == (1, 2)
        assert len(other.events_of("step_handed_back")) == 1
        assert other.deliveries == 2
        assert calls.count("hold ended") == 1
        await harness.skip("1m")
        assert (
            other.status == "running"
        )  # the first worker may have it still, for all that is known
        await harness.skip("2m")
        other.failed("timeout")
    told = [one.getMessage() for one in caplog.records if "timeout" in one.getMessage()]
    assert len(told) == 1, "the dead one's limits end nothing"


async def test_a_handler_that_hangs_is_ended_by_its_timeout() -> None:
    async with Harness(orders) as harness:
        harness.hang(approve, times=2)
        run = await harness.submit(approve, ORDER)
        run.waiting("sleep:1")
        errors = [one.data["error"]["code"] for one in run.events_of("step_failed")]
        assert errors == ["timeout", "timeout"]
        assert run.events_of("step_failed")[0].at - run.journal[0].at == 120_000


async def test_a_step_that_hangs_is_ended_by_the_heartbeat() -> None:
    async with Harness(orders) as harness:
        harness.hang(pay, step="charge")
        run = await harness.submit(pay, ORDER)
        run.succeeded("paid 7")
        (failed,) = run.events_of("step_failed")
        assert failed.data["error"]["code"] == "heartbeat_timeout"
        assert failed.at - run.journal[0].at == 20_000
        assert harness.now == datetime(2026, 1, 1, 0, 0, 20, 750_000, tzinfo=UTC)
        assert run.progress == ("quoted", "quoted")


async def test_a_hang_costs_no_more_time_than_its_limit() -> None:
    """Also before the owner knows that the handler has started."""
    async with Harness(orders) as harness:
        harness.hang(pay)
        (await harness.submit(pay, ORDER)).succeeded("paid 7")
        assert harness.now == datetime(2026, 1, 1, 0, 0, 20, 750_000, tzinfo=UTC)


async def test_a_thread_that_hangs_is_given_up() -> None:
    async with Harness(orders) as harness:
        harness.hang(pay_in_thread)
        run = await harness.submit(pay_in_thread, ORDER, until="ended")
        run.succeeded("paid 7")
        assert run.attempts == 2


async def _planned_for_a_step_that_is_not_there(error: Exception | None = None) -> None:
    async with Harness(orders) as harness:
        harness.fail(approve, ValueError(), step="quotes")
        await harness.submit(approve, ORDER)
        if error is not None:
            raise error


async def test_a_plan_that_strikes_nothing_fails_the_test() -> None:
    with pytest.raises(AssertionError, match=r"step 'quotes' of orders\.approve fails"):
        await _planned_for_a_step_that_is_not_there()


async def test_an_error_of_the_test_itself_is_not_hidden_by_its_plans() -> None:
    with pytest.raises(KeyError):
        await _planned_for_a_step_that_is_not_there(KeyError())


async def test_plans_are_checked() -> None:
    async with Harness(orders) as harness:
        with pytest.raises(ValueError, match=r"there are orders\.approve"):
            harness.fail("orders.aprove", ValueError())
        with pytest.raises(ValueError, match="count from 1"):
            harness.hang(approve, call=0)
        with pytest.raises(ValueError, match="needs the step"):
            harness.crash(approve, when="recorded")
        with pytest.raises(ValueError, match="soon"):
            harness.crash(approve, step="quote", when="soon")
        with pytest.raises(ValueError, match="does not hang"):
            harness.hang(approve, step="quote", when="recorded")
