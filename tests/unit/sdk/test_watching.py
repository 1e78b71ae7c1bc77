"""Invariants of the watch over a worker's event loop.

- A loop that a handler blocks is told of while it stands still, once, with the place.
- When it goes on, that is told too; a loop that turns is no news.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from symphainy.worker.watching import LoopWatch

BLOCKED_S, LOOK_EVERY_S, PATIENCE_S = 0.05, 0.01, 30.0


class Heard(logging.Handler):
    """What was logged, and when there was something."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.news = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.lines.append(record.getMessage())
        self.news.set()


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler = Heard()
    logger = logging.getLogger("symphainy.worker")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def a_handler_that_blocks(heard: Heard) -> None:
    assert heard.news.wait(PATIENCE_S)
    heard.news.clear()


def test_a_blocked_loop_is_told_of_with_the_place(heard: Heard) -> None:
    async def work() -> None:
        watch = LoopWatch(BLOCKED_S, LOOK_EVERY_S)
        watch.start()
        await asyncio.sleep(0)
        a_handler_that_blocks(heard)
        await asyncio.to_thread(heard.news.wait, PATIENCE_S)
        watch.stop()

    asyncio.run(work())
    told, goes_on = heard.lines
    assert "test_watching.py:" in told
    assert "(in a_handler_that_blocks)" in told
    assert "goes on after" in goes_on


def test_a_loop_that_turns_is_no_news(heard: Heard) -> None:
    async def work() -> None:
        watch = LoopWatch(PATIENCE_S, LOOK_EVERY_S)
        watch.start()
        for _ in range(5):
            await asyncio.sleep(LOOK_EVERY_S)
        watch.stop()

    asyncio.run(work())
    assert heard.lines == []
