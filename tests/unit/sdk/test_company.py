"""Invariants of tasks that workers were lost with: each runs with nothing beside it.

- It starts when everything else has ended, and nothing starts before it, in any realm; and when
  Kafka knows that it starts.
- Nothing starts beside it.
- What is found after a rebalance, and what is handed back at a stop, waits for nobody.
"""

from __future__ import annotations

import asyncio

from tests.unit.sdk.bench import Bench, of, working
from tests.unit.sdk.fakes import until

from symphainy.worker.company import Company
from symphainy.worker.ledger import Lease, Start
from symphainy_schemas.records import REDELIVERED, ReportKind


def test_nothing_starts_before_what_waits_for_all_others_nor_beside_it() -> None:
    company = Company()
    told: list[str] = []
    company.enter(alone=False)
    company.enter(alone=False)
    assert not company.admits(alone=True)
    company.when_empty(lambda: told.append("empty"))
    assert not company.admits(alone=False), "it would never be empty"
    company.leave()
    assert told == []
    company.leave()
    assert told == ["empty"]
    assert company.admits(alone=True)
    company.enter(alone=True)
    assert not company.admits(alone=False)
    company.leave()
    assert company.admits(alone=False)


async def test_it_waits_for_what_runs_and_others_wait_for_it() -> None:
    async with working(Bench) as bench:
        bench.outlet.at_once = False
        bench.take(of("wait"))
        await until(lambda: len(bench.calls) == 1)
        bench.take(of("read", alone=True), of("read"))
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(bench.calls) == 1
        bench.go_on.set()
        reports = bench.outlet.reports  # on a slow machine it was announced before it ended
        await until(lambda: any(one.kind is ReportKind.SUCCEEDED for one in reports))
        so_far = len(reports)
        bench.outlet.acknowledge_all()
        announced = await bench.last(so_far + 1)
        assert (announced.kind, len(bench.calls)) == (ReportKind.STARTED, 1)
        bench.outlet.acknowledge_all()
        await until(lambda: len(bench.calls) == 2)
        await bench.last(so_far + 2)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(bench.calls) == 2, "its report is not acknowledged"
        bench.outlet.acknowledge_all()
        await until(lambda: len(bench.calls) == 3)
        await bench.last(so_far + 3)
        bench.outlet.acknowledge_all()


async def test_what_is_found_is_handed_back_at_once() -> None:
    async with working(Bench) as bench:
        bench.take(of("wait"))
        await until(lambda: len(bench.calls) == 1)
        found = Lease(1, Start(0, 1_000, False))
        bench.take(of("read", alone=True), lease=found)
        back = await bench.last()
        assert (back.kind, back.name) == (ReportKind.HANDED_BACK, REDELIVERED)


async def test_at_a_stop_it_is_handed_back() -> None:
    async with working(Bench) as bench:
        bench.take(of("wait"))
        await until(lambda: len(bench.calls) == 1)
        bench.take(of("read", alone=True))
        assert bench.kinds() == []
        bench.engine.stop()
        assert (await bench.last()).kind is ReportKind.HANDED_BACK
