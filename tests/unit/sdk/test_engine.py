"""The deliveries of one realm on the event loop, without Kafka.

- Every task that is taken gets exactly one final report, and is done once that is acknowledged.
- What ends within 50 ms is reported once; what runs longer is announced first.
- A timeout ends the attempt as retryable; what the handler does afterwards is not recorded.
- What may not start, or may have been delivered before, is handed back with its reason.
- What cannot be read goes to dead letters, and the next task runs.
- The room of a task is free when its handler has ended and its report is acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.sdk.bench import Bench, File, of, working
from tests.unit.sdk.fakes import (
    NOW,
    FakeOutlet,
    task,
    until,
)

from symphainy import Context, Outcome, Realm
from symphainy.worker.admission import ANNOUNCE_MS, Entry, refusal
from symphainy.worker.ledger import Lease, Start
from symphainy_schemas import records
from symphainy_schemas.codec import encode
from symphainy_schemas.records import Checkpoint, ReportKind


async def test_a_short_handler_needs_one_report() -> None:
    async with working(Bench) as bench:
        bench.take(of("read"))
        report = await bench.last()
        assert report.kind is ReportKind.SUCCEEDED
        assert report.result == b'"a.pdf"'
        assert (report.token, report.attempt, report.delivery) == ("tok", 2, 3)
        assert (report.worker, report.dispatched_at, report.started_at) == ("w", 42, NOW)
        await asyncio.sleep(2 * ANNOUNCE_MS / 1000)
        assert bench.kinds() == [ReportKind.SUCCEEDED]


async def test_a_longer_handler_is_announced_first() -> None:
    async with working(Bench) as bench:
        bench.take(of("wait"))
        assert (await bench.last()).kind is ReportKind.STARTED
        bench.go_on.set()
        assert (await bench.last(2)).kind is ReportKind.SUCCEEDED


async def test_handlers_run_side_by_side() -> None:
    async with working(Bench) as bench:
        bench.take(*(of("wait") for _ in range(10)))
        await until(lambda: len(bench.calls) == 10)


async def test_what_finds_no_slot_waits_in_order_and_tells_how_long() -> None:
    async with working(Bench, concurrency=2) as bench:
        loop = asyncio.get_running_loop()
        bench.take(of("wait"), of("wait"), of("read", token="third"), of("read", token="fourth"))
        came = loop.time()
        await until(lambda: len(bench.kinds()) == 2)
        assert bench.kinds() == [ReportKind.STARTED] * 2
        assert bench.lease.ledger.open == 2, "what waits counts as unread"
        assert bench.flow.held == 4
        waited_ms = (loop.time() - came) * 1_000
        bench.go_on.set()
        await bench.last(6)
        ends = [r for r in bench.outlet.reports if r.kind is ReportKind.SUCCEEDED]
        tokens = [report.token for report in ends]
        assert tokens.index("third") < tokens.index("fourth")
        queued = {report.token: report.queued_ms for report in ends}
        assert queued["tok"] <= queued["third"], "it found a slot at once"
        assert queued["fourth"] >= queued["third"] >= int(waited_ms)


async def test_what_waits_is_handed_back_at_a_stop_and_dropped_at_a_revoke() -> None:
    async with working(Bench, concurrency=1) as bench:
        kept, lost = bench.lease, Lease(1, Start(0, 0, True))
        bench.take(of("wait"))
        bench.take(of("read", token="elsewhere"), lease=lost)
        bench.take(of("read", token="back"), lease=kept)
        lost.active = False
        bench.engine.stop()
        await until(lambda: bench.flow.held == 1)
        handed = [r.token for r in bench.outlet.reports if r.kind is ReportKind.HANDED_BACK]
        assert handed == ["back"]
        assert (lost.ledger.position, lost.ledger.open) == (0, 0)


async def test_a_task_that_waited_past_its_start_by_is_handed_back() -> None:
    async with working(Bench, concurrency=1) as bench:
        bench.take(of("wait"), of("read", start_by=NOW + 1_000))
        bench.clock.now += 2_000
        bench.go_on.set()
        await until(lambda: ReportKind.HANDED_BACK in bench.kinds())
        assert "a.pdf" not in bench.calls[1:]


async def test_suspect_tasks_wait_for_no_slot() -> None:
    async with working(Bench, concurrency=1) as bench:
        bench.take(of("wait"))
        suspect = Lease(1, Start(0, 100, False))
        bench.take(of("read"), lease=suspect)
        await until(lambda: ReportKind.HANDED_BACK in bench.kinds())


async def test_a_task_is_done_only_when_its_report_is_acknowledged() -> None:
    async with working(Bench, outlet=FakeOutlet(at_once=False)) as bench:
        bench.take(of("read"), of("read"))
        await bench.last(2)
        assert (bench.lease.ledger.position, bench.flow.held) == (0, 2)
        bench.outlet.waiting.pop(1)()
        assert (bench.lease.ledger.position, bench.flow.held) == (0, 1)
        bench.outlet.waiting.pop(0)()
        assert (bench.lease.ledger.position, bench.flow.held) == (2, 0)


async def test_a_checkpoint_is_acknowledged_before_the_handler_goes_on() -> None:
    async with working(Bench, outlet=FakeOutlet(at_once=False)) as bench:
        bench.take(of("steps"))
        assert (await bench.last(2)).name == "half"
        assert bench.kinds() == [ReportKind.STARTED, ReportKind.PROGRESS]
        bench.outlet.acknowledge_all()
        report = await bench.last(3)
        assert (report.kind, report.name, report.result) == (ReportKind.CHECKPOINT, "one", b"5")
        await asyncio.sleep(0.02)
        assert len(bench.outlet.reports) == 3
        bench.outlet.acknowledge_all()
        assert (await bench.last(4)).kind is ReportKind.SUCCEEDED


@pytest.mark.parametrize("timeout_ms", [20, 70])
async def test_a_timeout_cancels_and_may_be_retried(timeout_ms: int) -> None:
    async with working(Bench) as bench:
        bench.take(of("wait", timeout_ms=timeout_ms))
        await until(lambda: "cancelled" in bench.calls)
        report = bench.outlet.reports[-1]
        assert report.kind is ReportKind.FAILED
        assert report.error is not None
        assert (report.error.code, report.error.retryable) == ("timeout", True)


async def test_nothing_is_recorded_after_the_final_report() -> None:
    async with working(Bench) as bench:
        bench.take(of("stubborn", timeout_ms=20))
        await until(lambda: "went on" in bench.calls)
        await bench.settled()
        assert bench.kinds() == [ReportKind.FAILED]


async def test_a_blocked_thread_keeps_its_room_after_a_timeout() -> None:
    async with working(Bench) as bench:
        bench.take(of("block", timeout_ms=20))
        assert (await bench.last()).kind is ReportKind.FAILED
        await until(lambda: bench.lease.ledger.position == 1)
        assert bench.flow.held == 1
        bench.release.set()
        await bench.settled()
        assert bench.calls == ["delivery_ended"]
        assert bench.kinds() == [ReportKind.FAILED]


async def test_what_may_have_been_delivered_before_is_handed_back_unrun() -> None:
    async with working(Bench, lease=Lease(0, Start(0, 2, False))) as bench:
        bench.take(of("read"), of("read"), of("read"))
        await bench.last(3)
        assert [(r.kind, r.name) for r in bench.outlet.reports][:2] == [
            (ReportKind.HANDED_BACK, "redelivered_after_assignment")
        ] * 2
        assert len(bench.calls) == 1


async def test_what_still_runs_here_is_not_handed_back_when_its_partition_returns() -> None:
    async with working(Bench) as bench:
        bench.take(of("wait"))
        await bench.last()
        bench.lease.active = False
        again = Lease(0, Start(0, 1, False))
        bench.next_offset = 0
        bench.take(of("wait"), lease=again)
        bench.go_on.set()
        await bench.settled()
        assert bench.kinds() == [ReportKind.STARTED, ReportKind.SUCCEEDED]
        assert (again.ledger.position, len(bench.calls)) == (1, 1)
        bench.lease = again


async def test_tasks_of_a_revoked_partition_are_left_to_its_next_worker() -> None:
    async with working(Bench) as bench:
        bench.lease.active = False
        bench.take(of("read"))
        assert (bench.flow.held, bench.outlet.reports) == (0, [])


async def test_a_stopping_worker_hands_back_what_it_has_not_started() -> None:
    async with working(Bench) as bench:
        bench.engine.stop()
        bench.take(of("read"))
        report = await bench.last()
        assert (report.kind, report.name) == (ReportKind.HANDED_BACK, "worker_stopping")


async def test_a_drain_waits_for_handlers_and_hands_back_the_rest() -> None:
    async with working(Bench) as bench:
        bench.take(of("read"), of("wait"))
        bench.engine.stop()
        await bench.engine.drain(0.1)
        await until(lambda: "cancelled" in bench.calls)
        found = {report.kind: report for report in bench.outlet.reports}
        assert set(found) == {ReportKind.SUCCEEDED, ReportKind.STARTED, ReportKind.HANDED_BACK}
        assert found[ReportKind.HANDED_BACK].name == "worker_stopping"
        assert found[ReportKind.HANDED_BACK].started_at == NOW


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"garbage", "not_single_object"),
        (encode(task(partition=8)), "unknown_partition"),
    ],
)
async def test_what_cannot_be_read_is_buried_and_the_next_task_runs(
    content: bytes, reason: str
) -> None:
    async with working(Bench) as bench:
        bench.take(content, of("read"))
        assert (await bench.last()).kind is ReportKind.SUCCEEDED
        (letter,) = bench.outlet.letters
        assert (letter.topic, letter.partition, letter.offset) == ("tasks.content", 0, 0)
        assert (letter.reason, letter.role, letter.at) == (reason, "worker", NOW)
        assert (letter.key, letter.value) == (b"key", content)
        await until(lambda: bench.lease.ledger.position == 2)


async def test_a_claim_checked_payload_is_fetched_first() -> None:
    async with working(Bench) as bench:
        reference = await bench.store.put("acme", b'{"path":"large.pdf"}', "application/json")
        bench.take(of("read", payload=b"", payload_ref=reference))
        await bench.last()
        assert bench.calls == ["large.pdf"]


async def test_a_payload_of_another_tenant_is_not_fetched() -> None:
    """A direct producer may state any reference."""
    async with working(Bench) as bench:
        reference = await bench.store.put("rival", b'{"path":"secret.pdf"}', "application/json")
        bench.take(of("read", payload=b"", payload_ref=reference))
        report = await bench.last()
        assert report.error is not None
        assert (report.error.code, report.error.retryable) == ("foreign_artifact", False)
        assert bench.calls == []


async def test_a_payload_that_cannot_be_fetched_fails_the_attempt() -> None:
    async with working(Bench) as bench:
        reference = records.Reference("artifact://acme/" + "00" * 32, b"\0" * 32, 1, "text/plain")
        bench.take(of("read", payload=b"", payload_ref=reference))
        report = await bench.last()
        assert report.error is not None
        assert (report.kind, report.error.retryable) == (ReportKind.FAILED, True)


class BrokenOutlet(FakeOutlet):
    """An outlet with a bug."""

    def report(
        self, partition: int, key: str, value: bytes, acknowledged: Callable[[], None]
    ) -> None:
        """Fail."""
        raise ZeroDivisionError


@pytest.mark.parametrize("changes", [{}, {"start_by": 1}])
async def test_a_bug_stops_the_worker_instead_of_losing_the_task(changes: dict[str, Any]) -> None:
    bench = Bench(outlet=BrokenOutlet())
    bench.take(of("read", **changes))
    await until(lambda: bool(bench.faults))
    assert isinstance(bench.faults[0], ZeroDivisionError)
    assert bench.lease.ledger.position == 0


async def test_a_failing_handler_reports_its_error_and_wish() -> None:
    async with working(Bench) as bench:
        bench.take(of("read", payload=b"{}"))
        report = await bench.last()
        assert report.kind is ReportKind.FAILED
        assert report.error is not None
        assert report.error.code == "payload_invalid"
        assert report.retry_after_ms == -1


async def test_code_that_does_not_match_its_journal_fails_to_be_tried_again_later() -> None:
    async with working(Bench) as bench:
        bench.take(of("steps", checkpoints=(Checkpoint("older", b"1"),)))
        await until(lambda: bool(bench.kinds()) and bench.kinds()[-1] is ReportKind.FAILED)
        report = bench.outlet.reports[-1]
        assert report.error is not None
        assert (report.error.code, report.error.retryable) == ("journal_mismatch", True)
        assert "step 'older' is recorded" in report.error.message
        assert report.retry_after_ms == 60_000
        kept = [r.name for r in bench.outlet.reports if r.kind is ReportKind.CHECKPOINT]
        assert kept == ["journal:branched", "one"]


@pytest.mark.parametrize(
    ("changes", "now", "reason"),
    [
        ({}, NOW, ""),
        ({"capability_version": 3}, NOW, ""),
        ({"capability_version": 4}, NOW, "version_not_served"),
        ({"capability_version": 4, "handler": "other"}, NOW, "version_not_served"),
        ({"capability_version": 1}, NOW, ""),
        ({"handler": "other"}, NOW, "unknown_handler"),
        ({"intent_type": "content.other"}, NOW, "unknown_handler"),
        ({"start_by": NOW + ANNOUNCE_MS}, NOW, ""),
        ({"start_by": NOW + ANNOUNCE_MS}, NOW + 1, "past_start_by"),
        ({"start_by": NOW - 1}, NOW, "past_start_by"),
        ({"start_by": 0}, NOW, ""),
    ],
)
def test_a_task_starts_only_where_and_while_it_may(
    changes: dict[str, Any], now: int, reason: str
) -> None:
    @Realm("content").intent("content.read")
    async def read(ctx: Context, payload: File) -> Outcome:
        return Outcome()

    assert refusal(task(**changes), {"content.read": Entry(read, 3)}, now) == reason


@pytest.mark.parametrize(
    ("version", "reason"),
    [(1, "version_not_served"), (2, ""), (3, ""), (4, "version_not_served")],
)
@pytest.mark.parametrize("compensates", ["", "main"])
def test_a_worker_takes_the_versions_that_it_serves(
    version: int, reason: str, compensates: str
) -> None:
    @Realm("content").intent("content.read", serves=2)
    async def read(ctx: Context, payload: File) -> Outcome:
        return Outcome()

    one = task(capability_version=version, compensates=compensates)
    assert refusal(one, {"content.read": Entry(read, 3, oldest=2)}, NOW) == reason


def test_an_error_record_has_no_field_that_a_worker_cannot_fill() -> None:
    fields = {"code", "message", "field", "cure", "step", "retryable", "operator_action"}
    assert set(records.Error.__struct_fields__) == fields
