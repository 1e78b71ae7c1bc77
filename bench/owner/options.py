"""How large the benchmarks are; the defaults are the sizes that the targets name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Counts, rates and seconds of all benchmarks."""

    seconds: float = 20.0  # of one measurement
    fold_executions: int = 20_000
    live: int = 100_000  # executions at a takeover
    repeat: int = 3  # takeovers of a kind
    waiting: int = 1_000_000
    waiting_few: int = 1_000
    timers: int = 100_000
    timers_over_s: float = 60.0
    timers_at_once: int = 5_000
    timers_burst_s: float = 2.0  # so long does it take clients to start as many sleeps
    planted_a_s: int = 1_500  # sleepers written and folded a second: what the timers plan with
    flow_rate: float = 50.0  # intents a second beside the timers
    flood_factor: float = 10.0  # of the realm's capacity
    asleep_every: int = 4  # of those that wait, one in so many sleeps; the others are ready
