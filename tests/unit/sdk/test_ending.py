"""A handler whose execution somebody cancelled, on an engine without Kafka.

- An async handler is cut off where it awaits, cleans up, and only then is handed back.
- One that does not end in time is handed back all the same; what it does then is not recorded.
- A sync handler sees the flag, is cut off in what it awaits, and is handed back when it returns.
- A step that blocks a thread is waited for.
- From the request on, steps, progress and waits raise; a success is a success all the same, and an
  error that would not be tried again is one.
- A notice for what is not here, or has ended, does nothing; one that came before the task counts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.sdk.bench import Bench, File, of, working
from tests.unit.sdk.fakes import TASK, MemoryStore, until

from symphainy import Cancelled, Context, Outcome, Realm, TerminalError
from symphainy.worker.admission import CANCELLED
from symphainy.worker.notices import KEPT_S, MOST_KEPT, Noticed
from symphainy_schemas.records import CancelNotice, Reference, ReportKind, StepReport

NOTICE = CancelNotice(
    execution_id=TASK.execution_id,
    realm="content",
    step=TASK.step,
    delivery=TASK.delivery,
    before=TASK.dispatched_at + 1,
)
Async = Callable[[Context, "Ending"], Awaitable[Any]]
Sync = Callable[[Context, "Ending"], Any]


@dataclass
class Ending(Bench):
    """A bench whose two handlers the test brings along."""

    run: Async | None = None
    block: Sync | None = None
    seen: list[str] = field(default_factory=list)

    def realm(self) -> Realm:
        """One async handler, one sync one."""
        realm = Realm("content")

        @realm.intent("content.run")
        async def run(ctx: Context, payload: File) -> Outcome:
            self.seen.append("begun")
            assert self.run is not None
            return Outcome(result=await self.run(ctx, self))

        @realm.intent("content.block")
        def block(ctx: Context, payload: File) -> Outcome:
            self.seen.append("begun")
            assert self.block is not None
            return Outcome(result=self.block(ctx, self))

        return realm

    async def begin(self, intent: str, **changes: Any) -> None:
        """Its handler runs."""
        self.take(of(intent, **changes))
        await until(lambda: "begun" in self.seen)

    async def end(self) -> StepReport:
        """The final report."""
        final = (ReportKind.SUCCEEDED, ReportKind.FAILED, ReportKind.HANDED_BACK)
        await until(lambda: any(report.kind in final for report in self.outlet.reports))
        (report,) = [report for report in self.outlet.reports if report.kind in final]
        return report


def handed_back(report: StepReport) -> bool:
    """Whether it says that the delivery ended because somebody cancelled."""
    return (report.kind, report.name) == (ReportKind.HANDED_BACK, CANCELLED)


async def test_an_async_handler_cleans_up_and_is_then_handed_back() -> None:
    async def run(ctx: Context, bench: Ending) -> None:
        try:
            await bench.go_on.wait()
        except asyncio.CancelledError:
            bench.seen.append("cut off")
            assert ctx.cancel_requested
            raise
        finally:
            await asyncio.sleep(0.02)
            assert not any(r.kind is ReportKind.HANDED_BACK for r in bench.outlet.reports)
            bench.seen.append("clean")

    async with working(Ending, run=run) as bench:
        await bench.begin("run")
        bench.engine.cancel(NOTICE)
        bench.engine.cancel(NOTICE)
        assert handed_back(await bench.end())
        await bench.settled()
        assert bench.seen == ["begun", "cut off", "clean"]


async def test_a_notice_right_behind_the_task_is_not_lost() -> None:
    async def run(ctx: Context, bench: Ending) -> None:
        await bench.go_on.wait()

    async with working(Ending, run=run) as bench:
        bench.take(of("run"))  # the handler's first step is still to come
        bench.engine.cancel(NOTICE)
        assert handed_back(await bench.end())
        await bench.settled()


async def test_a_cleanup_that_takes_too_long_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    async def run(ctx: Context, bench: Ending) -> str:
        while not bench.go_on.is_set():
            try:
                await bench.go_on.wait()
            except asyncio.CancelledError:
                bench.seen.append("cut off")
        return "late"

    async with working(Ending, run=run, cleanup_s=0.03) as bench:
        await bench.begin("run")
        with caplog.at_level(logging.WARNING, "symphainy.worker"):
            bench.engine.cancel(NOTICE)
            assert handed_back(await bench.end())
        assert "still runs after 0.03 s" in caplog.text
        await until(lambda: bench.seen.count("cut off") == 2)
        assert bench.flow.held == 1, "it keeps its place until it returns"
        bench.go_on.set()
        await bench.settled()
        assert handed_back(await bench.end())


async def test_a_sync_handler_sees_the_flag() -> None:
    def block(ctx: Context, bench: Ending) -> None:
        bench.seen.append(f"asked: {ctx.cancel_requested}")
        while not ctx.cancel_requested:
            time.sleep(0.002)
        for ask in (ctx.step("a", len, "x"), ctx.progress("on"), ctx.sleep("1s"), ctx.signal("s")):
            with pytest.raises(Cancelled):
                ctx.wait(ask)
        raise Cancelled

    async with working(Ending, block=block) as bench:
        await bench.begin("block")
        await until(lambda: "asked: False" in bench.seen)
        bench.engine.cancel(NOTICE)
        assert handed_back(await bench.end())
        assert bench.kinds()[-1:] == [ReportKind.HANDED_BACK]
        assert not {ReportKind.CHECKPOINT, ReportKind.SUSPENDED} & set(bench.kinds())


async def test_a_sync_handler_is_cut_off_in_what_it_awaits_and_may_still_clean_up() -> None:
    def block(ctx: Context, bench: Ending) -> None:
        try:
            ctx.wait(ctx.step("long", asyncio.sleep, 60))
        except Cancelled:
            ctx.wait(asyncio.sleep(0.01))
            bench.seen.append("clean")
            raise

    async with working(Ending, block=block) as bench:
        await bench.begin("block")
        await until(lambda: ReportKind.STARTED in bench.kinds())
        bench.engine.cancel(NOTICE)
        assert handed_back(await bench.end())
        assert bench.seen == ["begun", "clean"]


async def test_a_sync_handler_that_does_not_look_is_not_said_to_have_ended() -> None:
    def block(ctx: Context, bench: Ending) -> str:
        bench.release.wait(10.0)
        return "done"

    async with working(Ending, block=block, cleanup_s=0.01) as bench:
        await bench.begin("block")
        bench.engine.cancel(NOTICE)
        await asyncio.sleep(0.08)
        assert bench.kinds() == [ReportKind.STARTED]
        bench.release.set()
        assert (await bench.end()).result == b'"done"'


class SlowStore(MemoryStore):
    """Gives nothing before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def get(self, reference: Reference) -> bytes:
        """Wait, then as ever."""
        self.asked.set()
        await self.answer.wait()
        return await super().get(reference)


@pytest.mark.parametrize("intent", ["run", "block"])
async def test_a_handler_whose_payload_is_still_fetched_does_not_begin(intent: str) -> None:
    store = SlowStore()
    async with working(Ending, store=store) as bench:
        reference = await store.put("acme", b'{"path":"a.pdf"}', "application/json")
        bench.take(of(intent, payload=b"", payload_ref=reference))
        await store.asked.wait()
        bench.engine.cancel(NOTICE)
        if intent == "block":
            store.answer.set()
        assert handed_back(await bench.end())
        assert bench.seen == []


async def test_a_step_in_a_thread_is_waited_for() -> None:
    async def run(ctx: Context, bench: Ending) -> None:
        try:
            await ctx.step("blocking", bench.release.wait, 10.0)
        finally:
            bench.seen.append("clean")

    async with working(Ending, run=run, cleanup_s=0.01) as bench:
        await bench.begin("run")
        await until(lambda: ReportKind.STARTED in bench.kinds())
        bench.engine.cancel(NOTICE)
        await until(lambda: "clean" in bench.seen)
        await asyncio.sleep(0.05)
        assert bench.kinds() == [ReportKind.STARTED]
        bench.release.set()
        assert handed_back(await bench.end())


async def test_a_step_in_a_thread_that_raises_afterwards_changes_nothing() -> None:
    async def run(ctx: Context, bench: Ending) -> None:
        def fails() -> None:
            bench.release.wait(10.0)
            raise SystemExit

        await ctx.step("blocking", fails)

    async with working(Ending, run=run) as bench:
        await bench.begin("run")
        await until(lambda: ReportKind.STARTED in bench.kinds())
        bench.engine.cancel(NOTICE)
        bench.release.set()
        assert handed_back(await bench.end())


async def test_who_goes_on_finds_nothing_recorded_any_more() -> None:
    async def run(ctx: Context, bench: Ending) -> str:
        try:
            await bench.go_on.wait()
        except asyncio.CancelledError:
            bench.seen.append("goes on")
        for ask in (ctx.step("a", len, "x"), ctx.progress("on"), ctx.sleep("1s"), ctx.signal("s")):
            with pytest.raises(Cancelled):
                await ask
        return "all the same"

    async with working(Ending, run=run) as bench:
        await bench.begin("run")
        bench.engine.cancel(NOTICE)
        report = await bench.end()
        assert (report.kind, report.result) == (ReportKind.SUCCEEDED, b'"all the same"')


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("rollback failed"), ReportKind.HANDED_BACK),
        (TerminalError("half is done", code="half"), ReportKind.FAILED),
        (Cancelled(), ReportKind.HANDED_BACK),
        (BaseExceptionGroup("a task group's", [Cancelled()]), ReportKind.HANDED_BACK),
    ],
)
async def test_only_an_error_for_good_is_one(error: BaseException, kind: ReportKind) -> None:
    async def run(ctx: Context, bench: Ending) -> None:
        try:
            await bench.go_on.wait()
        except asyncio.CancelledError:
            raise error from None

    async with working(Ending, run=run) as bench:
        await bench.begin("run")
        bench.engine.cancel(NOTICE)
        assert (await bench.end()).kind is kind


async def test_a_handler_may_raise_it_unasked_and_is_tried_again() -> None:
    async def run(ctx: Context, bench: Ending) -> None:
        raise Cancelled

    async with working(Ending, run=run) as bench:
        await bench.begin("run")
        report = await bench.end()
        assert report.error is not None
        assert (report.error.code, report.error.retryable) == ("cancelled", True)


async def test_a_limit_that_passes_meanwhile_ends_it_as_cancelled() -> None:
    def block(ctx: Context, bench: Ending) -> None:
        bench.release.wait(10.0)

    async with working(Ending, block=block) as bench:
        await bench.begin("block", timeout_ms=80)
        bench.engine.cancel(NOTICE)
        assert handed_back(await bench.end())


async def test_a_stop_hands_back_what_still_cleans_up() -> None:
    async def run(ctx: Context, bench: Ending) -> None:
        try:
            await bench.go_on.wait()
        finally:
            await asyncio.sleep(60)

    async with working(Ending, run=run) as bench:
        await bench.begin("run")
        bench.engine.cancel(NOTICE)
        bench.engine.stop()
        await bench.engine.drain(0.05)
        assert (await bench.end()).kind is ReportKind.HANDED_BACK


@pytest.mark.parametrize(
    "changes", [{"delivery": 2}, {"step": "other"}, {"execution_id": "exe-3-" + "0c" * 16}]
)
async def test_a_notice_of_something_else_changes_nothing(changes: dict[str, Any]) -> None:
    async def run(ctx: Context, bench: Ending) -> bool:
        await bench.go_on.wait()
        return ctx.cancel_requested

    async with working(Ending, run=run) as bench:
        await bench.begin("run")
        bench.engine.cancel(replace(NOTICE, **changes))
        bench.go_on.set()
        assert (await bench.end()).result == b"false"


async def test_a_notice_of_what_has_ended_changes_nothing() -> None:
    async def run(ctx: Context, bench: Ending) -> str:
        return "done"

    async with working(Ending, run=run) as bench:
        await bench.begin("run")
        await bench.settled()
        bench.engine.cancel(NOTICE)
        await asyncio.sleep(0.02)
        assert bench.kinds() == [ReportKind.SUCCEEDED]


async def test_what_was_told_of_before_does_not_start() -> None:
    async with working(Ending) as bench:
        bench.engine.cancel(NOTICE)
        bench.take(of("run"))
        assert handed_back(await bench.end())
        assert bench.seen == []


async def test_what_waits_for_a_slot_does_not_start() -> None:
    async def run(ctx: Context, bench: Ending) -> None:
        await bench.go_on.wait()

    async with working(Ending, run=run, concurrency=1) as bench:
        await bench.begin("run", execution_id="exe-3-" + "0c" * 16)
        bench.take(of("run"))
        bench.engine.cancel(NOTICE)
        bench.go_on.set()
        await until(lambda: any(handed_back(report) for report in bench.outlet.reports))
        assert bench.seen == ["begun"]


def test_notices_are_forgotten_in_their_order() -> None:
    now = 0.0
    noticed = Noticed(lambda: now)
    for number in range(MOST_KEPT + 2):
        noticed.add(replace(NOTICE, delivery=number))
    assert [replace(TASK, delivery=n) in noticed for n in (1, 2, MOST_KEPT + 1)] == [
        False,
        True,
        True,
    ]
    now = KEPT_S / 2
    noticed.add(replace(NOTICE, delivery=2))  # told again
    now = KEPT_S + 1
    noticed.add(replace(NOTICE, delivery=1))
    assert [replace(TASK, delivery=n) in noticed for n in (1, 2, 3)] == [True, True, False]
