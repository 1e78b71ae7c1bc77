"""A replay finds the first place where today's handler parts from what was recorded, and no other.

- The handler that made the record is compatible with it, also side by side, also while it waits.
- A renamed, removed, added or moved step or wait is named.
- No step runs.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable

import msgspec
import pytest
from tests.unit.testing_kit.realms import Order, calls, charge, fetch_quote, orders

from symphainy import Context, Realm
from symphainy.testing import Harness, Recording, Run, replay

Function = Callable[[Context, Order], object]


async def recorded(until: str = "ended", intent_type: str = "orders.approve") -> Run:
    async with Harness(orders) as harness:
        run = await harness.submit(intent_type, Order(id="1"))
        if until == "ended":
            await harness.run_to_end()
        return run


async def first(ctx: Context, order: Order) -> None:
    """The record of most tests here."""
    await ctx.step("quote", fetch_quote, order.id)
    await ctx.sleep("1h")
    await ctx.step("charge", charge, order.id)


async def renamed(ctx: Context, order: Order) -> None:
    await ctx.step("offer", fetch_quote, order.id)
    await ctx.sleep("1h")
    await ctx.step("charge", charge, order.id)


async def added(ctx: Context, order: Order) -> None:
    await ctx.step("quote", fetch_quote, order.id)
    await ctx.step("check", fetch_quote, order.id)
    await ctx.sleep("1h")
    await ctx.step("charge", charge, order.id)


async def added_last(ctx: Context, order: Order) -> None:
    await first(ctx, order)
    await ctx.step("check", fetch_quote, order.id)


async def removed(ctx: Context, order: Order) -> None:
    await ctx.step("quote", fetch_quote, order.id)
    await ctx.step("charge", charge, order.id)


async def shortened(ctx: Context, order: Order) -> None:
    await ctx.step("quote", fetch_quote, order.id)
    await ctx.sleep("1h")


async def moved(ctx: Context, order: Order) -> None:
    await ctx.sleep("1h")
    await ctx.step("quote", fetch_quote, order.id)
    await ctx.step("charge", charge, order.id)


async def repeated(ctx: Context, order: Order) -> None:
    await ctx.step("quote", fetch_quote, order.id)
    await ctx.step("quote", fetch_quote, order.id)


async def failing(ctx: Context, order: Order) -> None:
    await ctx.step("quote", fetch_quote, order.id)
    raise ValueError("no more")


async def failing_last(ctx: Context, order: Order) -> None:
    await first(ctx, order)
    raise ValueError("no more")


async def side_by_side(ctx: Context, order: Order) -> None:
    """Other code, which asks for the same in an order that may be that of the record."""
    await asyncio.gather(ctx.step("quote", fetch_quote, order.id), ctx.sleep("1h"))
    await ctx.step("charge", charge, order.id)


def in_thread(ctx: Context, order: Order) -> None:
    ctx.wait(ctx.step("quote", fetch_quote, order.id))
    ctx.wait(ctx.sleep("1h"))
    ctx.wait(ctx.step("charge", charge, order.id))


def in_thread_renamed(ctx: Context, order: Order) -> None:
    ctx.wait(ctx.step("quote", fetch_quote, order.id))
    ctx.wait(ctx.signal("go"))


def realm_of(function: Function) -> Realm:
    realm = Realm("versions")
    realm.intent("versions.run")(function)  # type: ignore[type-var]
    return realm


async def recording_of_the_first() -> Recording:
    async with Harness(realm_of(first)) as harness:
        run = await harness.submit("versions.run", Order(id="1"), until="ended")
        return Recording.of(run.succeeded())


@pytest.mark.parametrize("until", ["waiting", "ended"])
@pytest.mark.parametrize("intent_type", ["orders.approve", "orders.race", "orders.pay_in_thread"])
async def test_the_handler_that_made_it_is_compatible(until: str, intent_type: str) -> None:
    run = await recorded(until, intent_type)
    calls.clear()
    report = await replay(orders, Recording.of(run))
    report.compatible()
    assert report.difference == ""
    assert not [call for call in calls if "thread" not in call], "no step runs"
    assert report.result == run.result


@pytest.mark.parametrize("function", [first, side_by_side, in_thread])
async def test_other_code_that_asks_alike_is_compatible(function: Function) -> None:
    report = await replay(realm_of(function), await recording_of_the_first())
    assert report.compatible().asked == ("quote", "sleep:1", "charge")


@pytest.mark.parametrize(
    ("function", "difference"),
    [
        (renamed, "it asks for offer where the record has quote (number 1)."),
        (added, "it asks for check where the record has sleep:1 (number 2)."),
        (added_last, "it asks for check where the record ends with success."),
        (removed, "it asks for charge where the record has sleep:1 (number 2)."),
        (
            shortened,
            "it fails (journal_mismatch: The handler's code does not match what is recorded of "
            "this execution: step 'charge' is recorded, and the handler returned without asking "
            "for it.) where the record has charge (number 3).",
        ),
        (moved, "it asks for sleep:1 where the record has quote (number 1)."),
        (
            repeated,
            "it fails (step_repeated: Step 'quote' is used twice in one handler.) where the record "
            "has sleep:1 (number 2).",
        ),
        (
            failing,
            "it fails (handler_error: ValueError: no more) where the record has sleep:1 "
            "(number 2).",
        ),
        (
            failing_last,
            "it fails (handler_error: ValueError: no more) where the record ends with success.",
        ),
        (in_thread_renamed, "it asks for signal:go:1 where the record has sleep:1 (number 2)."),
    ],
)
async def test_the_first_difference_is_named(function: Function, difference: str) -> None:
    report = await replay(realm_of(function), await recording_of_the_first())
    assert report.difference == difference
    with pytest.raises(AssertionError) as told:
        report.compatible()
    assert difference in str(told.value)
    assert "recorded: quote, sleep:1, charge" in str(told.value)


async def test_what_was_asked_for_after_a_failure_is_not_compared() -> None:
    async def careful(ctx: Context, order: Order) -> None:
        await ctx.step("quote", fetch_quote, order.id)
        try:
            await ctx.step("charge", charge, order.id)
        except ValueError:
            await ctx.step("bill", charge, order.id)

    realm = realm_of(careful)
    async with Harness(realm) as harness:
        harness.fail("versions.run", step="charge", error=ValueError("no card"))
        run = await harness.submit("versions.run", Order(id="1"), until="ended")
        recording = Recording.of(run.succeeded())
    assert [answer.name for answer in recording.answers] == ["quote", "journal:branched", "bill"]
    (await replay(realm, recording)).compatible()
    report = await replay(realm_of(renamed), recording)
    assert report.difference == "it asks for offer where the record has quote (number 1)."


async def test_what_waits_must_still_wait_for_it() -> None:
    async with Harness(realm_of(first)) as harness:
        run = await harness.submit("versions.run", Order(id="1"))
        waiting = Recording.of(run.waiting("sleep:1"))
    (await replay(realm_of(first), waiting)).compatible()
    report = await replay(realm_of(removed), waiting)
    assert report.difference == "it asks for charge where the record waits for sleep:1."


async def test_what_has_come_is_not_waited_for() -> None:
    async with Harness(realm_of(first)) as harness:
        run = await harness.submit("versions.run", Order(id="1"), until="ended")
    documents = [one.document for one in run.journal]
    kinds = [one.type for one in run.journal]
    for last, waits in (("step_suspended", ("sleep:1",)), ("step_resumed", ())):
        until = kinds.index(last) + 1
        recording = Recording.from_events(documents[:until], payload=Order(id="1"))
        assert (recording.waits, recording.end) == (waits, "")


async def test_a_replay_leaves_no_thread_behind() -> None:
    await replay(realm_of(in_thread_renamed), await recording_of_the_first())
    for thread in threading.enumerate():
        if "replay-handler" in thread.name:
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()


@pytest.mark.parametrize("form", ["list", "show", "gateway", "lines"])
async def test_a_recording_is_read_as_the_surfaces_print_it(form: str) -> None:
    run = await recorded()
    documents = [one.document for one in run.journal]
    text = {
        "list": json.dumps(documents),
        "show": json.dumps({"execution_id": run.execution_id, "log": documents}),
        "gateway": json.dumps({"events": documents}),
        "lines": "\n".join(msgspec.json.encode(one).decode() for one in documents),
    }[form]
    recording = Recording.read(text, payload=Order(id="1"))
    assert recording == Recording.of(run)
    assert recording.end == "succeeded"
    (await replay(orders, recording)).compatible()


async def test_what_is_no_recording_is_refused() -> None:
    run = await recorded()
    documents = [one.document for one in run.journal]
    with pytest.raises(ValueError, match="begins with the event intent_received"):
        Recording.from_events(documents[1:], payload={})
    with pytest.raises(ValueError, match="never called"):
        Recording.from_events(documents[:2], payload={})
    with pytest.raises(ValueError, match="more than one execution"):
        Recording.from_events([*documents, {**documents[1], "execution_id": "exe-"}], payload={})
    with pytest.raises(ValueError, match="neither JSON nor JSON lines"):
        Recording.read("time  event", payload={})
    with pytest.raises(ValueError, match=r"does not answer orders\.approve"):
        await replay(realm_of(first), Recording.of(run))


async def test_a_handler_that_asks_for_nothing_and_does_not_end_is_named() -> None:
    async def stuck(ctx: Context, order: Order) -> None:
        await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="asked for nothing for"):
        await replay(realm_of(stuck), await recording_of_the_first(), patience="50ms")
