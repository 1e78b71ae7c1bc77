"""A handler whose code does not match what is recorded.

- A handler that returns without having asked for a recorded step or wait fails; so does one that
  asks for it as something else, or cannot read it. The error names the first that differs.
- It can be tried again, not at once, and stands also where the handler caught it.
- Nothing is missed that the same code may leave out: order, branches side by side, what came after
  a step that failed, while an error is handled, or by the number of the attempt.
- Code that is rolled back does not miss what the code in between has recorded.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from pydantic import BaseModel
from tests.unit.sdk.fakes import Called, run

from symphainy import Context, Handler, Realm, Retry, SignalTimeout
from symphainy.invocation import MISMATCH_PAUSE_MS, Failed
from symphainy.replay import Replay
from symphainy_schemas.records import BRANCHED, Checkpoint

Body = Callable[[Context], Awaitable[object]]


class Empty(BaseModel):
    """A payload of nothing."""


class Price(BaseModel):
    """What a step returns."""

    cents: int


def handler_of(body: Body, retry: Retry = Retry()) -> Handler[Any, Any]:  # noqa: B008  # frozen
    """A handler that does what `body` does."""

    @Realm("content").intent("content.read", retry=retry)
    async def read(ctx: Context, payload: Empty) -> None:
        await body(ctx)

    return read


async def replay(body: Body, *recorded: Checkpoint | str, attempt: int = 2) -> Called:
    """One run of `body` past what is recorded; a name alone is a step that gave 1."""
    checkpoints = tuple(Checkpoint(one, b"1") if isinstance(one, str) else one for one in recorded)
    return await run(handler_of(body), b"{}", checkpoints=checkpoints, attempt=attempt)


async def again(body: Body, called: Called, *before: Checkpoint | str) -> Called:
    """The next run, past what the last one recorded too."""
    return await replay(body, *before, *(Checkpoint(*one) for one in called.supervision.recorded))


def one() -> int:
    """A step's body."""
    return 1


def fails() -> int:
    """A step that fails."""
    raise ConnectionError("no answer")


def assert_mismatch(called: Called, *said: str) -> None:
    """The attempt failed as it should, and its error says so."""
    error = called.error
    assert (error.code, error.retryable) == ("journal_mismatch", True)
    assert all(part in error.message for part in said), error.message
    assert "Roll the code back" in error.cure


# -- what is found ---------------------------------------------------------------------------


async def test_a_recorded_step_that_is_asked_for_under_another_name_is_missed() -> None:
    async def renamed(ctx: Context) -> None:
        await ctx.step("price", one)

    called = await replay(renamed, "quote", "charge")
    assert_mismatch(called, "step 'quote' is recorded", "asked for step 'price' instead")


async def test_the_first_that_is_missed_is_named() -> None:
    async def shortened(ctx: Context) -> None:
        await ctx.step("a", one)

    called = await replay(shortened, "a", "b", "c")
    assert_mismatch(called, "step 'b' is recorded", "returned without asking for it.")


async def test_a_recorded_wait_is_missed() -> None:
    async def impatient(ctx: Context) -> None:
        await ctx.step("a", one)

    called = await replay(impatient, "a", Checkpoint("signal:granted:1", b"{}"))
    assert_mismatch(called, "wait 'signal:granted:1' is recorded")


async def test_a_sync_handler_misses_too() -> None:
    @Realm("content").intent("content.read")
    def read(ctx: Context, payload: Empty) -> None:
        ctx.wait(ctx.step("price", one))

    called = await run(read, b"{}", checkpoints=(Checkpoint("quote", b"1"),))
    assert_mismatch(called, "step 'quote'", "step 'price' instead")


async def test_a_recorded_wait_is_no_step() -> None:
    async def steps(ctx: Context) -> None:
        await ctx.step("sleep:1", one)

    called = await replay(steps, Checkpoint("sleep:1", b""))
    assert_mismatch(called, "wait 'sleep:1' is now asked for as a step")


async def test_a_recorded_result_is_no_sleep() -> None:
    async def sleeps(ctx: Context) -> None:
        await ctx.sleep("1s")

    assert_mismatch(await replay(sleeps, "sleep:1"), "'sleep:1' is recorded with a result")


async def test_a_recorded_result_that_the_annotation_no_longer_reads() -> None:
    def price() -> Price:
        return Price(cents=1)

    async def reads(ctx: Context) -> None:
        await ctx.step("price", price)

    called = await replay(reads, Checkpoint("price", b'{"dollars":1}'))
    assert_mismatch(called, "step 'price' is recorded, but the result of step 'price' does not fit")
    assert "default for a new field" in called.error.cure


# -- what it is worth ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry", "pause_ms"), [(Retry(), MISMATCH_PAUSE_MS), (Retry(maximum="5m"), 300_000)]
)
async def test_it_is_tried_again_but_not_at_once(retry: Retry, pause_ms: int) -> None:
    async def nothing(ctx: Context) -> None:
        """Asks for nothing."""

    recorded = (Checkpoint("quote", b"1"),)
    end = (await run(handler_of(nothing, retry), b"{}", checkpoints=recorded)).end
    assert isinstance(end, Failed)
    assert end.retry_after_ms == pause_ms


@pytest.mark.parametrize("error", [None, KeyError("other")])
async def test_a_handler_that_catches_it_begins_nothing_and_fails_all_the_same(
    error: Exception | None,
) -> None:
    ran: list[str] = []

    async def catches(ctx: Context) -> None:
        with suppress(Exception):
            await ctx.step("sleep:1", one)
        with suppress(Exception):
            await ctx.step("charge", ran.append, "charge")
        if error is not None:
            raise error

    called = await replay(catches, Checkpoint("sleep:1", b""))
    assert_mismatch(called, "wait 'sleep:1'")
    assert (ran, called.supervision.recorded) == ([], [])


async def test_a_handler_that_fails_or_waits_is_not_judged() -> None:
    async def breaks(ctx: Context) -> None:
        raise KeyError("other")

    async def waits(ctx: Context) -> None:
        await ctx.sleep("1s")

    assert (await replay(breaks, "quote")).error.code == "handler_error"
    assert (await replay(waits, "quote")).end is None


async def test_code_that_is_rolled_back_matches_again() -> None:
    async def before(ctx: Context) -> None:
        await ctx.step("quote", one)
        await ctx.step("charge", one)

    async def changed(ctx: Context) -> None:
        await ctx.step("price", one)
        await ctx.sleep("1h")

    waits = await replay(changed, "quote")
    assert [name for name, _ in waits.supervision.recorded] == [BRANCHED, "price"]
    recorded = [Checkpoint(*told) for told in waits.supervision.recorded]
    slept = Checkpoint("sleep:1", b"")
    assert_mismatch(await replay(changed, "quote", *recorded, slept), "step 'quote'")
    assert (await replay(before, "quote", *recorded, slept)).result is None


async def test_a_wait_that_begins_with_something_missing_is_marked_too() -> None:
    async def before(ctx: Context) -> None:
        await ctx.step("quote", one)

    async def changed(ctx: Context) -> None:
        await ctx.sleep("1h")

    called = await replay(changed, "quote")
    assert [name for name, _ in called.supervision.recorded] == [BRANCHED]
    assert json.loads(called.supervision.recorded[0][1]) == {
        "missing": "quote",
        "before": "sleep:1",
    }
    back = await again(before, called, "quote")
    assert back.result is None


# -- what is not missed ----------------------------------------------------------------------


async def test_the_order_of_the_calls_may_differ() -> None:
    async def walks(ctx: Context) -> None:
        for city in ("b", "c", "a"):  # of a set, say, in another process
            await ctx.step(city, one)

    called = await replay(walks, "a", "b")
    assert called.result is None
    assert [name for name, _ in called.supervision.recorded] == [BRANCHED, "c"]
    assert (await again(walks, called, "a", "b")).result is None


@pytest.mark.parametrize("recorded", ["a", "b", "c"])
async def test_branches_side_by_side_may_record_in_any_order(recorded: str) -> None:
    async def gathers(ctx: Context) -> None:
        await asyncio.gather(*(ctx.step(name, one) for name in "abc"))

    called = await replay(gathers, recorded)
    assert called.result is None
    assert {name for name, _ in called.supervision.recorded} == set("abc") - {recorded}  # no mark


async def test_waits_side_by_side_are_asked_for_in_the_same_turn() -> None:
    async def gathers(ctx: Context) -> None:
        await asyncio.gather(ctx.signal("told"), ctx.sleep("1h"))

    called = await replay(gathers, Checkpoint("sleep:1", b""))
    assert [wait.name for wait in called.supervision.waits] == ["signal:told:1"]
    assert called.supervision.recorded == []  # no mark


async def test_a_branch_that_was_left_behind_is_heard() -> None:
    async def leaves(ctx: Context) -> None:
        left.append(asyncio.ensure_future(ctx.step("audit", one)))

    left: list[asyncio.Future[int]] = []
    assert (await replay(leaves, "audit")).result is None


async def test_what_stood_in_for_a_failed_step_need_not_be_asked_for_again() -> None:
    outcome = [fails, one]

    async def falls_back(ctx: Context) -> None:
        await ctx.step("quote", one)
        try:
            await ctx.step("primary", outcome.pop(0))
        except ConnectionError:
            await ctx.step("fallback", one)
            await ctx.sleep("1h")

    first = await replay(falls_back)
    assert [name for name, _ in first.supervision.recorded] == ["quote", BRANCHED, "fallback"]
    assert json.loads(first.supervision.recorded[1][1]) == {"left": "primary", "before": "fallback"}
    slept = Checkpoint("sleep:1", b"")
    recorded = [Checkpoint(*told) for told in first.supervision.recorded]
    assert (await replay(falls_back, *recorded, slept)).result is None


async def test_what_stands_before_a_failed_step_is_missed_all_the_same() -> None:
    async def renamed(ctx: Context) -> None:
        await ctx.step("price", one)

    called = await replay(renamed, "quote", Checkpoint(BRANCHED, b"{}"), "fallback")
    assert_mismatch(called, "step 'quote'")


async def test_a_step_that_was_cut_off_is_gone_past_like_one_that_failed() -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    async def hurries(ctx: Context) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await ctx.step("slow", hangs)
        await ctx.step("instead", one)

    called = await replay(hurries)
    assert [name for name, _ in called.supervision.recorded] == [BRANCHED, "instead"]


async def test_what_a_handler_did_about_an_error_need_not_be_asked_for_again() -> None:
    answers: list[Callable[[], int]] = [fails, one]

    async def undoes(ctx: Context) -> None:
        await ctx.step("reserve", one)
        try:
            answers.pop(0)()  # outside of any step
        except ConnectionError:
            await ctx.step("release", one)
            raise

    first = await replay(undoes)
    assert first.error.code == "handler_error"
    assert [name for name, _ in first.supervision.recorded] == ["reserve", BRANCHED, "release"]
    assert (await again(undoes, first)).result is None


async def test_what_a_sync_handler_did_about_an_error_need_not_be_asked_for_again() -> None:
    answers: list[Callable[[], int]] = [fails, one]

    @Realm("content").intent("content.read")
    def undoes(ctx: Context, payload: Empty) -> None:
        try:
            answers.pop(0)()
        except ConnectionError:
            ctx.wait(ctx.step("release", one))
            raise

    first = await run(undoes, b"{}")
    recorded = tuple(Checkpoint(*told) for told in first.supervision.recorded)
    assert [checkpoint.name for checkpoint in recorded] == [BRANCHED, "release"]
    assert (await run(undoes, b"{}", checkpoints=recorded)).result is None


@pytest.mark.parametrize("in_thread", [False, True])
async def test_what_a_step_asks_for_inside_need_not_be_asked_for_again(in_thread: bool) -> None:
    async def nests(ctx: Context) -> None:
        async def outer() -> int:
            return sum(await asyncio.gather(ctx.step("inner", one), ctx.step("other", one)))

        def blocking() -> int:
            return ctx.wait(ctx.step("inner", one))

        await ctx.step("first", one)
        await ctx.step("outer", blocking if in_thread else outer)

    first = await replay(nests)
    names = [name for name, _ in first.supervision.recorded]
    assert names == ["first", BRANCHED, "inner", *([] if in_thread else ["other"]), "outer"]
    assert (await again(nests, first)).result is None


async def test_a_signals_timeout_is_recorded_and_so_binds() -> None:
    async def escalates(ctx: Context) -> None:
        try:
            await ctx.signal("granted", timeout="1h")
        except SignalTimeout:
            await ctx.step("escalate", one)

    late = Checkpoint("signal:granted:1", b"")
    called = await replay(escalates, late)
    assert [name for name, _ in called.supervision.recorded] == ["escalate"]  # no mark
    assert (await again(escalates, called, late)).result is None


async def test_a_branch_by_what_is_recorded_or_by_the_attempt_is_free() -> None:
    async def branches(ctx: Context) -> None:
        if await ctx.step("count", one) > 1:
            await ctx.step("many", one)
        if ctx.attempt == 1:
            await ctx.step("announce", one)

    assert (await replay(branches, "count", "announce")).result is None
    assert (await replay(branches, "count", "announce", attempt=1)).result is None


def test_a_handler_that_is_only_collected_makes_no_noise() -> None:
    """As when its loop is gone: it is closed from another context than it ran in."""

    async def handler() -> None:
        with Replay(()).asked("one"):
            await asyncio.sleep(0)

    running = handler()
    contextvars.copy_context().run(running.send, None)
    running.close()
