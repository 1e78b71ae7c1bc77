"""examples/order_checkout.py does what DBOS's widget store does.

- An order is placed, a widget reserved, the payment awaited, and what is paid is dispatched.
- What is not paid, or not in time, gives the widget back and cancels the order, in this order.
- Once an order is paid, nothing but time is between it and its dispatch.
"""

from __future__ import annotations

import pytest
from examples import order_checkout
from examples.order_checkout import (
    Checkout,
    Payment,
    Status,
    Store,
    await_payment,
    check_out,
    create_order,
    dispatch,
    release,
    reserve,
    shop,
)

from symphainy.testing import Harness, Run

WIDGET = Checkout(product_id=1)


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store with 100 widgets and no orders."""
    fresh = Store()
    monkeypatch.setattr(order_checkout, "store", fresh)
    return fresh


def status(store: Store) -> Status:
    """Of the only order."""
    (one,) = store.orders.values()
    return one


def code(run: Run) -> str:
    """Why it was undone."""
    assert run.error is not None
    return run.error.code


async def test_what_is_paid_is_dispatched(store: Store) -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(check_out, WIDGET)
        run.waiting("signal:payment:1")
        assert (store.inventory[1], status(store)) == (99, Status.PENDING)
        await run.signal("payment", Payment(status="paid"))
        run.waiting("sleep:1")
        assert status(store) is Status.PAID
        await harness.skip("9s")
        assert (status(store), list(store.remaining.values())) == (Status.PAID, [1])
        await harness.skip("1s")
        run.succeeded({"order_id": f"{run.execution_id}:order"})
        assert (store.inventory[1], status(store)) == (99, Status.DISPATCHED)


async def test_what_is_sold_out_cancels_the_order(store: Store) -> None:
    store.inventory[1] = 0
    async with Harness(shop) as harness:
        run = await harness.submit(check_out, WIDGET)
        run.compensated("order")
        assert code(run) == "sold_out"
        assert (store.inventory[1], status(store)) == (0, Status.CANCELLED)


async def test_a_payment_that_is_declined_gives_the_widget_back(store: Store) -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(check_out, WIDGET)
        await run.signal("payment", Payment(status="declined"))
        run.compensated("stock", "order")
        assert code(run) == "payment_failed"
        assert (store.inventory[1], status(store)) == (100, Status.CANCELLED)


async def test_a_payment_that_does_not_come_gives_the_widget_back(store: Store) -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(check_out, WIDGET)
        await harness.skip("59s")
        run.waiting("signal:payment:1")
        await harness.skip("1s")
        run.compensated("stock", "order")
        assert code(run) == "signal_timeout"
        assert run.attempts_of("payment") == 1
        assert (store.inventory[1], status(store)) == (100, Status.CANCELLED)


async def test_an_order_that_cannot_be_placed_leaves_nothing(store: Store) -> None:
    async with Harness(shop) as harness:
        harness.fail(create_order, ConnectionError("down"), times=5)
        (await harness.submit(check_out, WIDGET)).failed("handler_error")
        assert (store.inventory[1], store.orders) == (100, {})


async def test_a_reservation_of_which_nobody_knows_is_released(store: Store) -> None:
    async with Harness(shop) as harness:
        harness.crash(reserve, when="ran")
        harness.fail(reserve, ConnectionError("down"), call=2, times=5)
        run = await harness.submit(check_out, WIDGET)
        run.compensated("stock", "order")
        assert store.inventory[1] == 100


async def test_an_operator_has_a_release_tried_again(store: Store) -> None:
    async with Harness(shop) as harness:
        harness.fail(release, ConnectionError("down"), times=10)
        run = await harness.submit(check_out, WIDGET)
        await run.signal("payment", Payment(status="declined"))
        run.stuck("handler_error", step="compensate:stock")
        assert status(store) is Status.PENDING  # in reverse: the order is not cancelled before
        await run.retry("compensate:stock")
        run.compensated("stock", "order")
        assert (store.inventory[1], status(store)) == (100, Status.CANCELLED)


async def test_a_worker_dies_while_it_waits_and_while_it_dispatches(store: Store) -> None:
    async with Harness(shop) as harness:
        harness.crash(await_payment, call=2)
        harness.crash(dispatch, step="paid", when="ran")
        harness.crash(dispatch, step="progress_4", when="recorded")
        run = await harness.submit(check_out, WIDGET)
        await run.signal("payment", Payment(status="paid"), until="ended")
        run.succeeded()
        assert (store.inventory[1], status(store)) == (99, Status.DISPATCHED)


async def test_a_dispatch_that_fails_goes_on_until_it_is_done(store: Store) -> None:
    async with Harness(shop) as harness:
        harness.fail(dispatch, ConnectionError("down"), step="progress_4", times=50)
        run = await harness.submit(check_out, WIDGET)
        await run.signal("payment", Payment(status="paid"), until="ended")
        run.succeeded()
        assert run.attempts_of("dispatch") == 51


async def test_a_customer_who_leaves_before_paying_is_undone(store: Store) -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(check_out, WIDGET)
        await run.cancel("the customer left")
        assert run.undone == ("stock", "order")
        assert (store.inventory[1], status(store)) == (100, Status.CANCELLED)


async def test_an_order_that_is_cancelled_after_it_was_paid_is_undone_too(store: Store) -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(check_out, WIDGET)
        await run.signal("payment", Payment(status="paid"))
        await run.cancel("the parcel was lost")
        assert run.undone == ("stock", "order")
        assert (store.inventory[1], status(store)) == (100, Status.CANCELLED)
