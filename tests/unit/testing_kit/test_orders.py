"""The tests that docs/testing.md shows, on examples/orders_realm.py."""

from __future__ import annotations

from pathlib import Path

from examples.orders_realm import Grant, Order, approve, orders

from symphainy.testing import Harness, Recording, replay

HERE = Path(__file__).parent


async def test_an_order_is_approved() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit("orders.approve", Order(id="1"))
        assert run.status == "waiting"
        await harness.skip("24h")
        await run.signal("granted", Grant(by="ann"))
        run.succeeded({"by": "ann", "quote": 101})
        assert len(run.events_of("step_checkpointed")) == 1


async def test_nobody_grants_it() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit(approve, Order(id="1"), until="ended")
        run.succeeded({"by": None, "quote": 101})
        assert harness.now.day == 5  # it began on the 1st


async def test_the_quote_service_is_down_twice() -> None:
    async with Harness(orders) as harness:
        harness.fail(approve, ConnectionError("quotes"), step="quote", times=2)
        run = await harness.submit(approve, Order(id="1"))
        run.waiting("sleep:1")
        assert run.attempts == 3


async def test_a_worker_dies_after_the_quote_is_recorded() -> None:
    async with Harness(orders) as harness:
        harness.crash(approve, step="quote", when="recorded")
        run = await harness.submit(approve, Order(id="1"))
        assert (run.attempts, run.deliveries) == (1, 2)
        assert len(run.events_of("step_checkpointed")) == 1


async def test_the_quote_service_hangs() -> None:
    async with Harness(orders) as harness:
        harness.hang(approve, step="quote")
        run = await harness.submit(approve, Order(id="1"))
        assert run.events_of("step_failed")[0].data["error"]["code"] == "heartbeat_timeout"
        assert run.attempts == 2


async def test_an_order_without_an_id_is_rejected() -> None:
    async with Harness(orders) as harness:
        (await harness.submit(approve, {})).rejected("contract_violation")


async def test_an_order_is_withdrawn() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit(approve, Order(id="1"))
        await run.cancel("the customer withdrew it")
        run.cancelled()


async def test_executions_under_way_go_on_with_this_handler() -> None:
    shown = (HERE / "approved.json").read_text()
    (await replay(orders, Recording.read(shown, payload=Order(id="1")))).compatible()
