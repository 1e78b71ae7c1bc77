"""Handlers that invoke others: once, side by side, bound to each other or not."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from pydantic import BaseModel

from symphainy import (
    ChildFailed,
    ChildTimeout,
    Context,
    Outcome,
    Plan,
    PlanInput,
    Realm,
    RetryableError,
    Step,
    TerminalError,
)
from symphainy_schemas import events as e
from symphainy_testing import Harness, Recording, Run, replay

shop = Realm("shop")


class Order(BaseModel):
    items: list[str] = []
    card: str = "good"


class Item(BaseModel):
    name: str
    card: str = "good"


class Price(BaseModel):
    name: str
    cents: int


@shop.intent("shop.price_item")
async def price_item(ctx: Context, payload: Item) -> Price:
    if payload.card == "bad":
        raise TerminalError("The card was refused.", code="card_refused")
    if payload.card == "slow":
        await ctx.sleep("1h")
    if payload.card == "flaky" and ctx.attempt < 3:
        raise RetryableError("Not yet.")
    return Price(name=payload.name, cents=len(payload.name) * 100)


@shop.intent("shop.total")
async def total(ctx: Context, payload: Order) -> Outcome:
    prices = await asyncio.gather(
        *(ctx.invoke(price_item, Item(name=name, card=payload.card)) for name in payload.items)
    )
    return Outcome(result={"cents": sum(price.cents for price in prices)})


@shop.intent("shop.ask_and_go")
async def ask_and_go(ctx: Context, payload: Order) -> Outcome:
    child = await ctx.invoke("shop.price_item", {"name": "pen", "card": "slow"}, wait=False)
    return Outcome(result={"child": child})


@shop.intent("shop.patient")
async def patient(ctx: Context, payload: Order) -> Outcome:
    try:
        price = await ctx.invoke(price_item, Item(name="pen", card=payload.card), timeout="1m")
    except ChildTimeout:
        return Outcome(result="timeout")
    except ChildFailed as error:
        return Outcome(result=[error.status, error.code])
    return Outcome(result=price.cents)


@shop.intent("shop.sync")
def sync(ctx: Context, payload: Order) -> Outcome:
    price = ctx.wait(ctx.invoke(price_item, Item(name="pen")))
    return Outcome(result=price.cents)


@shop.intent("shop.total_twice")
async def total_twice(ctx: Context, payload: Order) -> Outcome:
    first = await ctx.invoke(total, payload)
    second = await ctx.invoke(total, payload)
    return Outcome(result=[first, second])


async def test_children_run_side_by_side_and_their_results_come_back_as_models() -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(total, Order(items=["pen", "ink", "paper"]))
        run.succeeded({"cents": 1100})
        assert [child.result["name"] for child in run.children] == ["pen", "ink", "paper"]
        for child in run.children:
            received = child.journal[0].event
            assert isinstance(received, e.IntentReceived)
            assert received.awaited_by == received.causation_id == run.execution_id
            assert child.session_id == run.session_id


async def test_a_child_is_stated_once_however_often_its_parent_runs() -> None:
    async with Harness(shop) as harness:
        harness.crash(total, when="ran", call=1)
        run = await harness.submit(total, Order(items=["pen", "ink"]), until="ended")
        run.succeeded({"cents": 600})
        assert len(run.children) == 2


async def test_a_worker_that_dies_before_its_call_is_heard_of_states_it_anew() -> None:
    async with Harness(shop) as harness:
        harness.crash(price_item, when="before")
        run = await harness.submit(total, Order(items=["pen"]), until="ended")
        run.succeeded({"cents": 300})
        assert len(run.children) == 1


async def test_the_retries_of_a_child_are_its_own() -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(total, Order(items=["pen"], card="flaky"), until="ended")
        run.succeeded({"cents": 300})
        assert run.attempts == 1
        assert run.children[0].attempts == 3


async def test_a_failed_child_fails_whoever_lets_it_pass_for_good() -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(total, Order(items=["pen"], card="bad"), until="ended")
        run.failed("card_refused")
        assert run.attempts == 1
        assert run.error is not None
        assert "has ended as failed" in run.error.message
        caught = await harness.submit(patient, Order(card="bad"))
        caught.succeeded(["failed", "card_refused"])


async def test_siblings_of_a_failed_child_are_cancelled() -> None:
    realm = Realm("jobs")

    @realm.intent("jobs.one")
    async def one(ctx: Context, payload: Item) -> Price:
        if payload.card == "bad":
            raise TerminalError("No.")
        await ctx.signal("never")
        raise AssertionError

    @realm.intent("jobs.all")
    async def all_(ctx: Context, payload: Order) -> Outcome:
        await asyncio.gather(
            ctx.invoke(one, Item(name="waits")), ctx.invoke(one, Item(name="fails", card="bad"))
        )
        return Outcome()

    async with Harness(realm) as harness:
        run = await harness.submit(all_, Order(), until="ended")
        run.failed()
        waits, fails = run.children
        fails.failed()
        waits.cancelled()


async def test_a_child_that_nobody_waits_for_outlives_its_parent() -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(ask_and_go, Order())
        (child,) = run.children
        run.succeeded({"child": child.execution_id})
        child.waiting()
        await harness.skip("2h")
        child.succeeded({"name": "pen", "cents": 300})


async def test_a_child_that_takes_too_long_goes_on_until_its_parent_ends() -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(patient, Order(card="slow"))
        run.waiting("invoke:shop.price_item:1:ended")
        await harness.skip("2m")
        run.succeeded("timeout")
        run.children[0].cancelled()


async def test_who_is_cancelled_takes_its_children_along_to_any_depth() -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(total_twice, Order(items=["pen", "ink"], card="slow"))
        (child,) = run.children
        assert len(child.children) == 2
        await run.cancel("enough")
        run.cancelled()
        child.cancelled()
        for grandchild in child.children:
            grandchild.cancelled()


async def test_a_child_that_somebody_cancels_is_told_as_such() -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(patient, Order(card="slow"))
        await run.children[0].cancel("by hand")
        run.succeeded(["cancelled", "cancelled"])


async def test_children_of_children() -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(total_twice, Order(items=["pen", "ink"]))
        run.succeeded([{"cents": 600}, {"cents": 600}])


async def test_sync_handlers_invoke_through_wait() -> None:
    async with Harness(shop) as harness:
        (await harness.submit(sync, Order())).succeeded(300)


async def test_what_admission_rejects_is_told_as_rejected() -> None:
    realm = Realm("odd")

    @realm.intent("odd.ask")
    async def ask(ctx: Context, payload: Order) -> Outcome:
        try:
            return Outcome(result=await ctx.invoke("odd.nobody_answers", {}))
        except ChildFailed as error:
            return Outcome(result=[error.status, error.code])

    async with Harness(realm) as harness:
        run = await harness.submit(ask, Order())
        run.succeeded(["rejected", "capability_not_found"])


@pytest.mark.parametrize(
    ("target", "payload", "code"),
    [
        ("runtime.cancel", {}, "bad_invocation"),
        ("no type", {}, "bad_invocation"),
        ("odd.ask", {"much": "x" * 70_000}, "payload_too_large"),
        ("odd.ask", [1], "bad_invocation"),
        ("odd.ask", {"raw": b"x"}, "raw_bytes"),
    ],
)
async def test_what_is_no_intent_is_refused_where_it_is_invoked(
    target: str, payload: object, code: str
) -> None:
    realm = Realm("odd")

    @realm.intent("odd.bad")
    async def bad(ctx: Context, _payload: Order) -> Outcome:
        return Outcome(result=await ctx.invoke(target, payload))  # type: ignore[call-overload]

    async with Harness(realm) as harness:
        (await harness.submit(bad, Order())).failed(code)


async def test_at_most_a_hundred_children_are_awaited_at_once() -> None:
    async with Harness(shop) as harness:
        items = [f"i{number}" for number in range(100)]
        (await harness.submit(total, Order(items=items))).succeeded()
        run = await harness.submit(total, Order(items=[*items, "more"]), until="ended")
        run.failed("too_many_children")


async def test_a_parent_that_rests_goes_on_with_its_child_s_result_when_it_is_resumed() -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(total, Order(items=["pen"], card="slow"))
        await run.pause()
        await harness.skip(timedelta(hours=2))
        assert run.children[0].ended
        assert not run.ended
        await run.resume()
        run.succeeded({"cents": 300})


async def test_nobody_signals_under_a_child_s_name() -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(patient, Order(card="slow"))
        with pytest.raises(Exception, match="use another name"):
            await run.signal(run.children[0].execution_id, {"status": "succeeded"})


async def test_a_recording_of_a_parent_is_replayed_without_stating_anything() -> None:
    async with Harness(shop) as harness:
        run = await harness.submit(total, Order(items=["pen", "ink"]))
        again = await replay(shop, Recording.of(run))
        assert again.compatible().result == {"cents": 600}


class Held(BaseModel):
    card: str


class Checked(BaseModel):
    tried: int


bank = Realm("bank")
TRIED: dict[str, int] = {}


@bank.intent("bank.check")
async def check_card(ctx: Context, payload: Item) -> Checked:
    tried = TRIED[payload.name] = TRIED.get(payload.name, 0) + 1
    if payload.card == "bad" and payload.name == "limit" and tried == 1:
        raise TerminalError("The card was refused.", code="card_refused")
    return Checked(tried=tried)


@bank.intent("bank.pay")
async def pay(ctx: Context, payload: Held) -> Outcome:
    checks = ("owner", "limit")
    found = await asyncio.gather(
        *(ctx.invoke(check_card, Item(name=name, card=payload.card)) for name in checks)
    )
    return Outcome(result={"tried": [one.tried for one in found]})


@bank.plan("bank.carefully", recovery="hold_for_operator")
def carefully(held: PlanInput[Held]) -> Plan:
    return Plan([Step("pay", pay, {"card": held["card"]})])


def children(run: Run) -> list[e.ChildInvoked]:
    """What it has invoked."""
    return [x.event for x in run.journal if isinstance(x.event, e.ChildInvoked)]


async def test_who_is_tried_again_invokes_anew_what_it_had_invoked_in_vain() -> None:
    TRIED.clear()
    async with Harness(bank) as harness:
        run = await harness.submit(carefully, Held(card="bad"))
        assert run.status == "stuck"
        first = children(run)
        await run.retry("pay", reason="the limit was raised")
        run.succeeded({"tried": [1, 2]})
        assert TRIED == {"owner": 1, "limit": 2}
        anew = [one for one in children(run) if one not in first]
        assert [one.name for one in anew] == ["invoke:bank.check:2"]
        assert len({one.child for one in (*first, *anew)}) == 3
