"""A realm in memory behaves as it does in production: the same deciders, the same worker.

- What a realm's author can see of an execution is there, and is what the journal has.
- Time passes only as the harness says.
- Two runs of one scenario have the same journal, to the byte.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.testing_kit.realms import Grant, Order, approve, calls, fetch_quote, media, orders

from symphainy import Context, Event, Intent, Realm, RuntimeParticipant
from symphainy.testing import Harness, Refused, Run
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.owner.options import OwnerOptions
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_schemas.events import EVENT_TYPES

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
APPROVED = [
    "intent_received",
    "policy_validated",
    "capability_resolved",
    "execution_started",
    "step_dispatched",
    "step_started",
    "step_checkpointed",
    "step_suspended",
    "timer_fired",
    "step_resumed",
    "step_dispatched",
    "step_started",
    "step_suspended",
    "signal_received",
    "step_resumed",
    "step_dispatched",
    "step_started",
    "step_succeeded",
    "execution_succeeded",
]


async def approved() -> Run:
    async with Harness(orders) as harness:
        run = await harness.submit("orders.approve", Order(id="1"))
        assert run.status == "waiting"
        await harness.skip("24h")
        await run.signal("granted", Grant(by="ann"))
        return run


async def test_an_execution_goes_from_its_intent_to_its_result() -> None:
    calls.clear()
    run = await approved()
    assert run.status == "succeeded"
    assert run.ended
    assert run.result == {"by": "ann"}
    assert (run.attempts, run.deliveries) == (1, 3)
    assert [one.type for one in run.journal] == APPROVED
    (quote,) = run.events_of("step_checkpointed")
    assert quote.data["name"] == "quote"
    assert quote.data["result"] == 1
    assert calls == ["fetch_quote"]


async def test_two_runs_have_the_same_journal() -> None:
    first, second = await approved(), await approved()
    assert [one.document for one in first.journal] == [one.document for one in second.journal]
    assert [one.event for one in first.journal] == [one.event for one in second.journal]


async def test_threads_do_not_change_the_journal() -> None:
    told = []
    for _ in range(3):
        async with Harness(orders) as harness:
            run = await harness.submit("orders.pay_in_thread", Order(id="1"), until="ended")
            told.append([one.event for one in run.journal])
    assert told[0] == told[1] == told[2]


async def test_the_journal_folds_to_what_the_owner_knows() -> None:
    """As every restart in production has it: valid records, in order, through the one fold."""
    async with Harness(orders) as harness:
        waiting = await harness.submit(approve, Order(id="1"))
        ended = await harness.submit("orders.pay", Order(id="2"))
        folded = PartitionState(OwnerOptions().dedupe_window_ms)
        standing = Validity()
        for offset, value in enumerate(harness.journal):
            stored = judge(value, offset, standing)
            assert stored.valid
            assert stored.record is not None
            folded.settle(folded.apply(stored.record, stored.standing))
            standing = stored.standing
        for run in (waiting, ended):
            assert folded.execution(run.execution_id) == harness.execution(run.execution_id)


def test_it_works_where_there_is_no_plugin() -> None:
    assert asyncio.run(approved()).result == {"by": "ann"}


def test_what_a_test_costs(capsys: pytest.CaptureFixture[str]) -> None:
    """No bound: the figure depends on the machine. Seen: about 10 ms of processor time."""
    asyncio.run(approved())
    begun = time.process_time()
    for _ in range(5):
        asyncio.run(approved())
    with capsys.disabled():
        print(f"\n  one harness test: {(time.process_time() - begun) / 5 * 1_000:.1f} ms of CPU")


async def test_what_nobody_signals_ends_by_its_timeout() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit(approve, Order(id="1"), until="ended")
        assert run.result == {"by": None}
        assert harness.now == BEGIN + timedelta(days=4)


async def test_time_stops_at_each_wait_and_nowhere_between() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit(approve, Order(id="1"))
        run.waiting("sleep:1")
        await harness.skip(timedelta(hours=23, minutes=59))
        run.waiting("sleep:1")
        await harness.skip("1m")
        run.waiting("signal:granted:1")


async def test_all_that_is_due_in_a_skip_happens_at_its_own_moment() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit(approve, Order(id="1"))
        await harness.skip("30d")
        run.succeeded({"by": None})
        day, begun = 86_400_000, run.journal[0].at
        assert [one.at - begun for one in run.events_of("step_resumed")] == [day, 4 * day]
        assert [one.at - begun for one in run.events_of("step_dispatched")] == [0, day, 4 * day]
        assert harness.now == BEGIN + timedelta(days=30)


async def test_what_was_left_to_run_is_awaited_when_it_is_to_end() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit("orders.linger", Order(id="1"), until="started")
        assert run.status == "running"
        await run.advance()
        run.succeeded()


async def test_a_signal_that_comes_early_is_kept() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit(approve, Order(id="1"))
        await run.signal("granted", {"by": "eve"}, signal_id="once")
        await run.signal("granted", {"by": "eve"}, signal_id="once")
        run.waiting("sleep:1")
        assert len(run.events_of("signal_received")) == 1
        await harness.skip("24h")
        run.succeeded({"by": "eve"})


async def test_a_signal_to_what_has_ended_is_refused() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit(approve, Order(id="1"), until="ended")
        with pytest.raises(Refused) as refused:
            await run.signal("granted", {"by": "eve"})
        assert refused.value.code == "execution_ended"
        with pytest.raises(Refused):
            await run.cancel("too late")


async def test_what_waits_is_cancelled_at_once() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit(approve, Order(id="1"))
        await run.cancel("the customer withdrew")
        run.cancelled()
        assert run.events_of("execution_cancelled")[0].data == {"reason": "the customer withdrew"}


async def test_what_runs_is_told_and_ends() -> None:
    calls.clear()
    async with Harness(orders) as harness:
        run = await harness.submit("orders.hold", Order(id="1"), until="started")
        await run.cancel("enough")
        run.cancelled()
        assert calls == ["hold ended"]


async def test_what_rests_goes_on_when_it_is_resumed() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit(approve, Order(id="1"))
        await run.pause("closed")
        await harness.skip("24h")
        deliveries = run.deliveries
        assert run.events_of("step_held")
        await run.resume("open")
        assert run.deliveries == deliveries + 1


async def test_a_deadline_passes_with_the_time() -> None:
    realm = Realm("slow")

    @realm.intent("slow.approve", deadline="2h")
    async def slow(ctx: Context, order: Order) -> None:
        await ctx.signal("granted")

    async with Harness(realm) as harness:
        run = await harness.submit("slow.approve", Order(id="1"))
        await harness.skip("1h")
        run.waiting()
        await harness.skip("1h")
        run.failed("deadline_exceeded")


async def test_a_payload_that_breaks_the_contract_is_rejected_as_in_production() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit("orders.approve", {"id": 7})
        run.rejected("contract_violation")
        assert run.error is not None
        assert run.error.field == "/payload/id"
        assert "7" in run.error.message
        assert run.error.cure
        assert (run.attempts, run.deliveries) == (0, 0)
        (await harness.submit("orders.nothing")).rejected("capability_not_found")


async def test_a_repeated_intent_is_the_same_execution() -> None:
    async with Harness(orders) as harness:
        first = await harness.submit(approve, Order(id="1"), intent_id="once")
        again = await harness.submit(approve, Order(id="1"), intent_id="once")
        assert first.execution_id == again.execution_id
        assert len(again.events_of("intent_repeated")) == 1
        assert len(again.events_of("execution_started")) == 1


async def test_all_that_a_handler_returns_can_be_seen() -> None:
    async with Harness(media) as harness:
        run = await harness.submit(
            "media.store",
            {"text": "hello"},
            principal="ann",
            tenant_id="other",
            metadata={"source": "mail"},
        )
        run.succeeded({"by": "ann", "for": "other", "meta": {"source": "mail"}})
        assert run.emitted == (Event("file.stored", {"size": 5}),)
        assert run.state == {"stored": True}
        assert await run.artifact("copy") == b"hello"
        assert run.artifacts["copy"].media_type == "text/plain"


async def test_an_intent_may_refer_to_an_artifact_of_its_tenant() -> None:
    async with Harness(media) as harness:
        reference = await harness.artifacts().put("a.txt", "from before")
        run = await harness.submit("media.read", {"file": reference})
        run.succeeded({"text": "from before"})


async def test_a_large_payload_is_claim_checked_on_its_way() -> None:
    async with Harness(media) as harness:
        run = await harness.submit("media.store", {"text": "x" * 70_000})
        run.succeeded()
        assert run.journal[0].data["payload_ref"]["size"] > 70_000
        (await harness.submit("media.store", {"txt": "x" * 70_000})).failed("payload_invalid")


async def test_several_realms_and_executions_at_once() -> None:
    async with Harness(orders, media) as harness:
        runs = [
            await harness.submit("orders.race", Order(id=str(n)), until="accepted")
            for n in range(5)
        ]
        assert {run.status for run in runs} == {"running"}
        stored = await harness.submit("media.store", {"text": "x"})
        stored.succeeded()
        for run in runs:
            run.waiting("sleep:1")
            assert len(run.events_of("step_checkpointed")) == 2
        await harness.run_to_end()
        for run in runs:
            run.succeeded({"steps": [1, 2]})


async def test_a_plain_function_runs_in_a_thread() -> None:
    calls.clear()
    async with Harness(orders) as harness:
        run = await harness.submit("orders.pay_in_thread", Order(id="7"))
        run.waiting("sleep:1")
        await harness.skip("1h")
        run.succeeded("paid 7")
    assert calls == ["thread True", "fetch_quote", "thread True", "charge in True"]


async def test_a_thread_that_waits_is_ended_whatever_exceptions_it_catches() -> None:
    calls.clear()
    async with Harness(orders) as harness:
        run = await harness.submit("orders.careful_thread", Order(id="7"))
        run.waiting("sleep:1")
        assert calls == []
        await harness.skip("1h")
        run.succeeded()
    assert calls == ["after the wait"]


async def test_a_harness_is_made_of_realms_and_used_once() -> None:
    for realms in ((), (orders, orders)):
        with pytest.raises(ValueError, match="each once"):
            Harness(*realms)
    with pytest.raises(ValueError, match="jitter"):
        Harness(orders, jitter=1.0)
    harness = Harness(orders)
    with pytest.raises(RuntimeError, match="async with Harness"):
        await harness.submit(approve, Order(id="1"))
    async with harness:
        pass
    with pytest.raises(RuntimeError, match="make a new one"):
        async with harness:
            pass


async def test_two_calls_at_once_are_told_to_queue() -> None:
    async with Harness(orders) as harness:
        both = (harness.submit("orders.race", Order(id="1")), harness.skip("1h"))
        results = await asyncio.gather(*both, return_exceptions=True)
        assert [type(r) for r in results].count(RuntimeError) == 1
        assert 'until="accepted"' in str(next(r for r in results if isinstance(r, RuntimeError)))


async def test_a_handler_that_does_nothing_is_named_not_waited_for() -> None:
    async with Harness(orders, patience="50ms") as harness:
        with pytest.raises(AssertionError, match="done nothing for"):
            await harness.submit("orders.hold", Order(id="1"))


async def test_time_may_pass_while_a_handler_runs() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit("orders.hold", Order(id="1"), until="started")
        assert run.status == "running"
        await harness.skip("59s")
        assert run.events_of("step_started")
        assert run.status == "running"
        await harness.skip("1s")
        run.failed("timeout")


async def test_what_waits_for_a_signal_for_ever_cannot_run_to_its_end() -> None:
    realm = Realm("waiting")

    @realm.intent("waiting.ever")
    async def ever(ctx: Context, order: Order) -> None:
        await ctx.signal("come")

    async with Harness(realm) as harness:
        await harness.submit(ever, Order(id="1"))
        with pytest.raises(AssertionError, match="it waits for signal:come:1"):
            await harness.run_to_end()


async def test_started_is_also_what_has_come_to_wait() -> None:
    async with Harness(orders) as harness:
        run = await harness.submit(approve, Order(id="1"), until="started")
        assert run.status in ("running", "waiting")
        await run.advance()
        run.waiting("sleep:1")


class Clerk(RuntimeParticipant):
    """A participant, as it is declared in class form."""

    def get_supported_intents(self) -> list[str]:
        return ["desk.file"]

    async def handle_intent(self, intent: Intent, context: Context) -> Mapping[str, object]:
        return {"result": await context.step("length", fetch_quote, intent.payload["id"])}


async def test_a_participant_is_tested_like_a_function() -> None:
    calls.clear()
    desk = Realm("desk")
    desk.add(Clerk())
    async with Harness(desk) as harness:
        harness.fail("desk.file", ValueError("no"), step="length")
        (await harness.submit("desk.file", {"id": "123"})).succeeded(3)
    assert calls == ["fetch_quote"]


async def test_what_a_worker_breaks_at_is_raised_at_once() -> None:
    async with Harness(orders) as harness:
        harness._driver.broke(LookupError("a bug"))
        with pytest.raises(LookupError, match="a bug"):
            await harness.submit(approve, Order(id="1"))


async def test_event_types_are_checked() -> None:
    run = await approved()
    with pytest.raises(ValueError, match="step_checkpointed"):
        run.events_of("step_checkpoint")
    assert all(isinstance(run.events_of(name), tuple) for name in EVENT_TYPES)
