"""Invariants of a worker that was stopped for longer than others wait for it.

- After a turn that came late nothing is started before the group has said that we are a member.
- If it says that we are none, what was not started is let go, for whoever has it now.
- An answer counts from the question on: who is stopped again in between asks again.
- While it says nothing, nothing is started, and it is asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from tests.unit.sdk.bench import Bench
from tests.unit.sdk.fakes import FakeClock, task, until

from symphainy.worker.flow import Flow
from symphainy.worker.ledger import Lease, Start
from symphainy.worker.pump import Pump, PumpOptions
from symphainy.worker.standing import STOPPED_S, Standing
from symphainy_transport import clients
from symphainy_transport.settings import TransportSettings

LONG_MS = int(STOPPED_S * 1_000) + 1


class FakeConsumer:
    """A consumer whose commits the test answers."""

    def __init__(self) -> None:
        self.answer: KafkaError | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        self.asked = 0

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition]:
        """As the real one."""
        assert not asynchronous
        self.asked += 1
        self.meanwhile()
        if self.answer is not None:
            raise KafkaException(self.answer)
        return offsets


class Pumped:
    """A pump over such a consumer, with one lease."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.consumer, self.clock = FakeConsumer(), FakeClock()
        monkeypatch.setattr(clients, "consumer", lambda *_, **__: self.consumer)
        self.standing = Standing(self.clock.monotonic)
        self.lease = Lease(0, Start(0, 0, True))

        def nothing(_: Any) -> None:
            raise AssertionError("nothing is handed over here")

        options = PumpOptions(
            topic="tasks.content",
            group_id="g",
            client_id="w",
            name="",
            settings=TransportSettings(),
            clock=self.clock,
            standing=self.standing,
            take=nothing,
            joined=nothing,
            lost=nothing,
            broken=nothing,
        )
        self.pump = Pump(options, Flow(16, 1_000_000))
        self.pump._leases[0] = self.lease

    def turn(self) -> None:
        """What a turn begins with."""
        self.pump._make_sure()


async def test_a_turn_in_time_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Pumped(monkeypatch)
    for _ in range(3):
        one.clock.now += LONG_MS // 2
        one.turn()
        assert one.standing.sure
    assert one.consumer.asked == 0


async def test_who_is_a_member_still_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Pumped(monkeypatch)
    one.clock.now += LONG_MS
    assert not one.standing.sure
    one.turn()
    assert (one.standing.sure, one.lease.active, one.consumer.asked) == (True, True, 1)


@pytest.mark.parametrize("answer", [KafkaError.UNKNOWN_MEMBER_ID, KafkaError.FENCED_INSTANCE_ID])
async def test_who_is_none_lets_go(monkeypatch: pytest.MonkeyPatch, answer: int) -> None:
    """The second is told to who was replaced by another process of its name."""
    one = Pumped(monkeypatch)
    one.consumer.answer = KafkaError(answer)
    one.clock.now += LONG_MS
    one.turn()
    assert (one.standing.sure, one.lease.active) == (True, False)


async def test_while_nobody_says_it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Pumped(monkeypatch)
    one.consumer.answer = KafkaError(KafkaError._TIMED_OUT)
    one.clock.now += LONG_MS
    for asked in (1, 2):
        one.turn()
        assert (one.standing.sure, one.lease.active, one.consumer.asked) == (False, True, asked)
    one.consumer.answer = None
    one.turn()
    assert one.standing.sure


async def test_an_answer_counts_from_the_question_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was stopped once more before it heard it."""
    one = Pumped(monkeypatch)

    def stopped() -> None:
        one.clock.now += LONG_MS

    one.clock.now += LONG_MS
    one.consumer.meanwhile = stopped
    one.turn()
    assert not one.standing.sure
    one.consumer.meanwhile = lambda: None
    one.turn()
    assert (one.standing.sure, one.consumer.asked) == (True, 2)


async def test_nothing_is_started_in_doubt_and_goes_on_after_it() -> None:
    bench = Bench()
    bench.clock.now += LONG_MS
    bench.take(task())
    await asyncio.sleep(0)
    assert bench.calls == []
    bench.standing.confirm(bench.standing.asked())
    await until(lambda: bench.calls != [])


async def test_what_others_have_is_not_started_after_it() -> None:
    bench = Bench()
    bench.clock.now += LONG_MS
    bench.take(task())
    bench.lease.active = False
    bench.standing.confirm(bench.standing.asked())
    await until(lambda: not bench.engine._waiting)
    assert bench.calls == []
