"""Waiting and reading.

- What is wanted in one tick is read in one round trip a tenant; what comes meanwhile, in the next.
- A waiter wakes when its condition holds, and takes what is known when its time is over.
- No failure leaves a reader waiting, and a read model that is away is waited for.
"""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.unit.gateway.fakes import FakeBackend, unavailable

from symphainy_gateway.waiters import Waiters, at_rest, decided, ended
from symphainy_runtime.read_model.reader import Document
from symphainy_schemas.errors import Unavailable
from symphainy_schemas.state import ExecutionStatus


def _document(execution_id: str, status: str = "running", tenant_id: str = "acme") -> Document:
    return {"execution_id": execution_id, "status": status, "tenant_id": tenant_id}


def _backend(*documents: Document) -> FakeBackend:
    backend = FakeBackend()
    backend.read_model.documents = {it["execution_id"]: it for it in documents}
    return backend


async def test_one_tick_is_one_round_trip() -> None:
    backend = _backend(*(_document(f"e{n}") for n in range(5)))
    waiters = Waiters(backend)
    found = await asyncio.gather(*(waiters.read("acme", f"e{n % 5}") for n in range(10)))
    assert [it and it["execution_id"] for it in found] == [f"e{n % 5}" for n in range(10)]
    assert backend.read_model.reads == [["e0", "e1", "e2", "e3", "e4"]]


async def test_each_tenant_is_read_for_itself() -> None:
    backend = _backend(_document("mine"), _document("theirs", tenant_id="rival"))
    waiters = Waiters(backend)
    found = await asyncio.gather(
        waiters.read("acme", "mine"),
        waiters.read("acme", "theirs"),
        waiters.read("rival", "theirs"),
    )
    assert [it and it["execution_id"] for it in found] == ["mine", None, "theirs"]
    assert sorted(backend.read_model.reads) == [["mine", "theirs"], ["theirs"]]


async def test_what_is_wanted_during_a_read_is_read_next() -> None:
    backend = _backend(_document("a"), _document("b"))
    waiters = Waiters(backend)
    first = asyncio.create_task(waiters.read("acme", "a"))
    await backend.read_model.asked.wait()
    second = await waiters.read("acme", "b")
    assert second is not None
    assert (await first) is not None
    assert backend.read_model.reads == [["a"], ["b"]]


async def test_a_failure_reaches_every_reader_and_is_not_kept() -> None:
    backend = _backend(_document("a"))
    waiters = Waiters(backend)
    backend.read_model.failure = unavailable()
    failed = await asyncio.gather(
        waiters.read("acme", "a"), waiters.read("rival", "b"), return_exceptions=True
    )
    assert all(isinstance(it, Unavailable) for it in failed)
    backend.read_model.failure = None
    assert await waiters.read("acme", "a") is not None


async def test_a_reader_that_leaves_disturbs_nobody() -> None:
    waiters = Waiters(_backend(_document("a")))
    leaving = asyncio.create_task(waiters.read("acme", "a"))
    staying = asyncio.create_task(waiters.read("acme", "a"))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying is not None


async def test_a_waiter_wakes_when_its_condition_holds() -> None:
    backend = _backend(_document("a"))
    waiters = Waiters(backend)
    async with backend.notifier.watch("a") as watch:
        waiting = asyncio.create_task(waiters.until(watch, "acme", "a", at_rest, 60))
        backend.notifier.tell("a")
        await backend.read_model.asked.wait()
        backend.read_model.documents["a"] = _document("a", "failed")
        backend.notifier.tell("a")
        document = await waiting
    assert document is not None
    assert document["status"] == "failed"


@pytest.mark.parametrize(("tenant_id", "reads"), [("acme", 0), ("rival", 1)])
async def test_an_end_that_is_told_is_not_read_but_by_another_tenant(
    tenant_id: str, reads: int
) -> None:
    head = msgspec.json.encode({"execution_id": "a", "tenant_id": "acme", "started_at": 1})
    told = {b"head": head, b"status": b"succeeded", b"ended_at": b"3"}
    backend = _backend()
    async with backend.notifier.watch("a") as watch:
        backend.notifier.tell("a", told)
        document = await Waiters(backend).until(watch, tenant_id, "a", at_rest, 0.01)
    assert (document is not None) == (tenant_id == "acme")
    assert document is None or document["execution_time_ms"] == 2
    assert min(len(backend.read_model.reads), 1) == reads


async def test_changes_before_the_end_are_not_read() -> None:
    backend = _backend(_document("a"))
    async with backend.notifier.watch("a") as watch:
        waiting = asyncio.create_task(Waiters(backend).until(watch, "acme", "a", at_rest, 60))
        for _ in range(5):
            await asyncio.sleep(0)
            backend.notifier.tell("a")
        head = msgspec.json.encode({"execution_id": "a", "tenant_id": "acme", "started_at": 1})
        backend.notifier.tell("a", {b"head": head, b"status": b"failed"})
        document = await waiting
    assert document is not None
    assert document["status"] == "failed"
    assert backend.read_model.reads == []


async def test_changes_without_end_do_not_outlast_the_wait() -> None:
    backend = _backend(_document("a"))

    async def change_for_ever() -> None:
        while True:
            backend.notifier.tell("a")
            await asyncio.sleep(0)

    async with backend.notifier.watch("a") as watch:
        changing = asyncio.create_task(change_for_ever())
        document = await Waiters(backend).until(watch, "acme", "a", at_rest, 0.02)
        changing.cancel()
    assert document == _document("a")
    assert len(backend.read_model.reads) == 1


async def test_a_decision_is_read_at_once() -> None:
    backend = _backend(_document("a", "running"))
    async with backend.notifier.watch("a") as watch:
        backend.notifier.tell("a")
        document = await Waiters(backend).until(watch, "acme", "a", decided, 60)
    assert document == _document("a", "running")


async def test_a_waiter_whose_time_is_over_takes_what_is_known() -> None:
    backend = _backend(_document("a"))
    async with backend.notifier.watch("a") as watch:
        document = await Waiters(backend).until(watch, "acme", "a", at_rest, 0.01)
    assert document == _document("a")


async def test_a_read_model_that_is_away_is_waited_for() -> None:
    backend = _backend(_document("a", "succeeded"))
    waiters = Waiters(backend)
    backend.read_model.failure = unavailable()
    async with backend.notifier.watch("a") as watch:
        waiting = asyncio.create_task(waiters.until(watch, "acme", "a", at_rest, 60))
        backend.notifier.tell("a")
        await backend.read_model.asked.wait()
        backend.read_model.failure = None
        backend.notifier.tell("a")
        assert await waiting == _document("a", "succeeded")


async def test_stopping_lets_every_waiter_go() -> None:
    backend = _backend(_document("a"))
    waiters = Waiters(backend)
    async with backend.notifier.watch("a") as watch:
        waiting = asyncio.create_task(waiters.until(watch, "acme", "a", at_rest, 300))
        await asyncio.sleep(0)
        waiters.stop()
        assert await waiting == _document("a")
        assert await waiters.until(watch, "acme", "a", at_rest, 300) == _document("a")


@pytest.mark.parametrize(
    "status", [it for it in ExecutionStatus if it is not ExecutionStatus.UNKNOWN]
)
def test_an_end_is_a_decision(status: ExecutionStatus) -> None:
    document = _document("a", status.value)
    assert ended(document) == status.ended
    assert at_rest(document) == (status.ended or status is ExecutionStatus.STUCK)
    assert decided(document) == (status is not ExecutionStatus.ACCEPTED)
