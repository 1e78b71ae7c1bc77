"""Load and its figures: one at a time, and a closed loop of n in flight."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

Run = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Figures:
    """What one measurement saw. Latencies in ms; CPU in ms per execution, by role."""

    in_flight: int
    executions: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: dict[str, float]

    @property
    def cpu_total_ms(self) -> float:
        """CPU of every role together."""
        return round(sum(self.cpu_ms.values()), 3)


def percentile(values: list[float], q: float) -> float:
    """The q-quantile, in ms, of latencies in seconds."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * q))] * 1e3, 2)


async def measure(
    run: Run, in_flight: int, seconds: float, cpu: Callable[[], dict[str, float]], tag: str
) -> Figures:
    """Keep `in_flight` executions going for `seconds`; every one must end well."""
    latencies: list[float] = []
    before = cpu()
    begin = time.perf_counter()
    end = begin + seconds
    counter = iter(range(10**9))

    async def user() -> None:
        while time.perf_counter() < end:
            run_id = f"{tag}-{next(counter):08d}"
            started = time.perf_counter()
            await run(run_id)
            latencies.append(time.perf_counter() - started)

    await asyncio.gather(*(user() for _ in range(in_flight)))
    took = time.perf_counter() - begin
    after = cpu()
    n = len(latencies)
    return Figures(
        in_flight,
        n,
        round(n / took, 1),
        percentile(latencies, 0.5),
        percentile(latencies, 0.99),
        {role: round((after[role] - before[role]) / n * 1e3, 3) for role in after},
    )
