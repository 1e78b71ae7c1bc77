"""Threads for blocking work.

- A call's value or exception comes back, with the caller's context variables around it.
- Idle threads are used again; there are never more than the limit.
- A hanging call keeps no process alive.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextvars import ContextVar

import pytest

from symphainy.worker.threads import Threads

_tenant: ContextVar[str] = ContextVar("tenant")


async def test_values_exceptions_and_context_cross() -> None:
    threads = Threads("test", 2)
    _tenant.set("acme")
    assert await threads.run(_tenant.get) == "acme"
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await threads.run(lambda: next(iter(())))
    threads.close()


async def test_threads_are_used_again_up_to_the_limit() -> None:
    threads = Threads("test", 3)
    names = set()
    for _ in range(10):
        names.add(await threads.run(lambda: threading.current_thread().name))
    assert names == {"test-1"}
    barrier = threading.Barrier(3, timeout=10.0)
    await asyncio.gather(*(threads.run(barrier.wait) for _ in range(9)))
    assert sum(t.name.startswith("test-") for t in threading.enumerate()) == 3
    threads.close()


async def test_a_cancelled_caller_drops_the_value() -> None:
    threads = Threads("test", 1)
    release = threading.Event()
    call = asyncio.create_task(threads.run(lambda: release.wait(10.0)))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    release.set()
    assert await threads.run(lambda: 7) == 7
    threads.close()


def test_a_hanging_call_keeps_no_process_alive() -> None:
    program = """
import asyncio, threading
from symphainy.worker.threads import Threads

async def main():
    started = asyncio.Event()
    loop = asyncio.get_running_loop()
    def hang():
        loop.call_soon_threadsafe(started.set)
        threading.Event().wait()
    call = asyncio.create_task(Threads("test", 1).run(hang))
    await started.wait()

asyncio.run(main())
"""
    ended = subprocess.run([sys.executable, "-c", program], timeout=30, capture_output=True)
    assert (ended.returncode, ended.stderr) == (0, b"")
