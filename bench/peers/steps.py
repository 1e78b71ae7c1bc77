"""What the user's own code does, the same for every peer. Knows no engine; standard library only.

A run's payload is a JSON object of about 300 bytes. The flows are:
  one    one step
  saga   three steps in sequence
  comp   three steps, the third fails for good, two compensations in reverse order
  slow   three steps of 50 ms, each ending in a side effect (a line in a file)
  timer  one durable sleep of 10 s
"""

import asyncio
import os
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench.peers.clock import wall_clock

Json = dict[str, Any]

STEP_SLEEP_S = 0.05
TIMER_SLEEP_S = 10.0


def payload(run_id: str) -> Json:
    """The body of a run: the same for the same id."""
    n = sum(run_id.encode())
    return {
        "run_id": run_id,
        "tenant": f"tenant-{n % 50:03d}",
        "session": f"session-{n % 1000:06d}",
        "intent": "order.create",
        "items": [{"sku": f"sku-{i:04d}", "qty": i, "price": 1999} for i in range(3)],
        "note": "x" * 60,
    }


def result(step: int) -> Json:
    """What step number ``step`` returns."""
    return {"ok": True, "step": step}


@dataclass(frozen=True, slots=True)
class Flow:
    """How it is told that a run has ended, and what of it is counted."""

    #: What a run returns; every peer is held to it before it is measured.
    answer: Json
    #: The effects of its steps, if they have any.
    steps: tuple[str, ...] = ()
    #: The effect after which its code does nothing more.
    last: str = ""


FLOWS = {
    "one": Flow(result(1)),
    "saga": Flow(result(3)),
    "comp": Flow({"ok": False, "compensated": 2}),
    "slow": Flow(result(3), ("1", "2", "3"), "done"),
    "timer": Flow(result(1), (), "wake"),
}


@cache
def _effects_file() -> int:
    return os.open(os.environ["BENCH_EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def effect(run_id: str, what: object) -> None:
    """A side effect that can be counted: one atomic append."""
    os.write(_effects_file(), f"{run_id} {what} {wall_clock():.6f}\n".encode())


async def slow_step(run_id: str, n: int) -> Json:
    """50 ms of waiting for somebody else, then the side effect."""
    await asyncio.sleep(STEP_SLEEP_S)
    effect(run_id, n)
    return result(n)
