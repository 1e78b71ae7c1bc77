"""When a handler that waits gives up its worker.

- It is suspended with all that it waits for at once, and only while it does nothing else.
- Whoever waits in a thread is ended, too.
"""

from __future__ import annotations

import asyncio

import pytest

from symphainy.worker.suspension import Suspension
from symphainy_schemas.records import Wait

NAP, GRANT = Wait("sleep:1", 1), Wait("signal:grant:1", 0, "grant")


class Told:
    """What was suspended, and the event that tells it."""

    def __init__(self) -> None:
        self.waits: list[tuple[Wait, ...]] = []
        self._told = asyncio.Event()

    def suspend(self, waits: tuple[Wait, ...]) -> None:
        self.waits.append(waits)
        self._told.set()

    async def next(self) -> tuple[Wait, ...]:
        await asyncio.wait_for(self._told.wait(), 10)
        return self.waits[-1]


@pytest.fixture
async def told() -> Told:
    return Told()


@pytest.fixture
async def suspension(told: Told) -> Suspension:
    return Suspension(asyncio.get_running_loop(), told.suspend)


async def test_it_is_suspended_with_all_that_it_waits_for(
    told: Told, suspension: Suspension
) -> None:
    jobs = [asyncio.create_task(suspension.wait_for(wait)) for wait in (NAP, GRANT)]
    assert await told.next() == (NAP, GRANT)
    suspension.end()
    ended = await asyncio.gather(*jobs, return_exceptions=True)
    assert [type(one) for one in ended] == [asyncio.CancelledError] * 2


async def test_it_is_not_suspended_while_it_works(told: Told, suspension: Suspension) -> None:
    with suspension.at_work():
        job = asyncio.create_task(suspension.wait_for(NAP))
        loop = asyncio.get_running_loop()
        later = loop.create_future()
        loop.call_later(0.05, later.set_result, None)  # ten times what it takes to settle
        await later
        assert told.waits == []
    assert await told.next() == (NAP,)
    suspension.end()
    with pytest.raises(asyncio.CancelledError):
        await job


async def test_a_wait_that_was_left_is_not_told(told: Told, suspension: Suspension) -> None:
    left = asyncio.create_task(suspension.wait_for(NAP))
    await asyncio.sleep(0)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    job = asyncio.create_task(suspension.wait_for(GRANT))
    assert await told.next() == (GRANT,)
    suspension.end()
    with pytest.raises(asyncio.CancelledError):
        await job
