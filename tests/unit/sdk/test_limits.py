"""Invariants of the limits under which a worker runs a handler.

- The timeout ends it whatever it says; the heartbeat ends it when it says nothing for so long.
- A sign counts from when it was sent, once Kafka has it; one older than another adds nothing.
- Without limits nothing is awaited; nothing happens after the end.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from tests.samples import TASK

from symphainy.invocation import Failed
from symphainy.worker.limits import Limits, shortest_ms


class Loop:
    """Time under the test's hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None], /) -> Loop:
        self.calls.append((when, callback))
        return self

    def cancel(self) -> None:
        self.calls.clear()

    def go_to(self, after_s: float) -> None:
        """Everything that is due by then happens."""
        end = 100.0 + after_s
        while self.calls and self.calls[0][0] <= end:
            self.now, callback = self.calls.pop(0)
            callback()
        self.now = end


@pytest.fixture
def loop() -> Loop:
    return Loop()


def limits(loop: Loop, timeout_ms: int, heartbeat_ms: int) -> tuple[Limits, list[str]]:
    """Limits that are watched, and by what the handler was ended."""
    ended: list[str] = []

    def expired(end: Failed) -> None:
        ended.append(end.error.code)

    task = replace(TASK, timeout_ms=timeout_ms, heartbeat_ms=heartbeat_ms)
    made = Limits(loop, task, loop.time(), expired)
    made.watch()
    made.watch()
    return made, ended


def test_the_timeout_ends_whatever_shows_signs(loop: Loop) -> None:
    made, ended = limits(loop, 1_000, 300)
    for tenth in range(1, 10):
        loop.go_to(tenth / 10)
        made.sign(loop.time())
    assert ended == []
    loop.go_to(2.0)
    assert ended == ["timeout"]


def test_silence_ends_it(loop: Loop) -> None:
    _, ended = limits(loop, 0, 300)
    loop.go_to(0.29)
    assert ended == []
    loop.go_to(0.31)
    assert ended == ["heartbeat_timeout"]


def test_a_sign_counts_from_when_it_was_sent(loop: Loop) -> None:
    made, ended = limits(loop, 0, 300)
    loop.go_to(0.25)
    made.sign(100.1)
    made.sign(100.0)
    loop.go_to(0.39)
    assert ended == []
    loop.go_to(0.41)
    assert ended == ["heartbeat_timeout"]


def test_without_limits_nothing_is_awaited(loop: Loop) -> None:
    limits(loop, 0, 0)
    assert loop.calls == []


def test_nothing_happens_after_the_end(loop: Loop) -> None:
    made, ended = limits(loop, 200, 100)
    made.stop()
    loop.go_to(1.0)
    assert ended == []


@pytest.mark.parametrize(
    ("timeout_ms", "heartbeat_ms", "first"), [(0, 0, 0), (5, 0, 5), (0, 7, 7), (5, 7, 5), (9, 7, 7)]
)
def test_the_first_of_them(timeout_ms: int, heartbeat_ms: int, first: int) -> None:
    assert shortest_ms(replace(TASK, timeout_ms=timeout_ms, heartbeat_ms=heartbeat_ms)) == first
