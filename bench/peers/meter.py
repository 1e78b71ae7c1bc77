"""Accounting: percentiles, and the CPU of a stack, of this client and of everything else."""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from bench.peers.peer import Peer
from bench.peers.steps import Json

_TICK = os.sysconf("SC_CLK_TCK")


def percentile(values: Iterable[float], q: float) -> float:
    """The value below which a share ``q`` of the values lies; not a number if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * q))] if ordered else float("nan")


def percentiles_ms(seconds: Iterable[float], *qs: float, prefix: str = "") -> dict[str, float]:
    """Percentiles of durations, in milliseconds: ``{"p50_ms": …}``."""
    known = list(seconds)
    return {
        f"{prefix}p{round(q * 100)}_ms": round(percentile(known, q) * 1e3, 2) for q in qs if known
    }


class _Reading(NamedTuple):
    at: float
    roles: Mapping[str, float]
    client: float
    machine: float


class Meter:
    """What was spent since the meter was made.

    ``other_cores`` is what neither the stack nor this client used: the kernel's work on behalf of
    others, and whatever else ran. A measurement with much of it should be repeated.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._load = os.getloadavg()[0]
        self._first = self._now()

    def elapsed_s(self) -> float:
        """Seconds since the meter was made."""
        return time.monotonic() - self._first.at

    def _now(self) -> _Reading:
        line = Path("/proc/stat").read_text().split("\n", 1)[0]
        ticks = [int(x) for x in line.split()[1:9]]
        busy = sum(ticks) - ticks[3] - ticks[4]  # without idle and iowait (proc(5))
        roles = self._peer.processes.cpu_s()
        return _Reading(time.monotonic(), roles, time.process_time(), busy / _TICK)

    def read(self, n: int) -> Json:
        """The account of ``n`` runs."""
        first, last = self._first, self._now()
        wall = last.at - first.at
        roles = {role: spent - first.roles.get(role, 0.0) for role, spent in last.roles.items()}
        stack, client = sum(roles.values()), last.client - first.client
        return {
            "n": n,
            "wall_s": round(wall, 2),
            "stack_cpu_s": round(stack, 2),
            "cpu_s_per_1k": round(stack / n * 1e3, 3) if n else None,
            "stack_cores": round(stack / wall, 2),
            "by_role": {role: round(spent / wall, 2) for role, spent in roles.items()},
            "client_cores": round(client / wall, 2),
            # Below zero is rounding: roles are counted in ticks, the machine by another clock.
            "other_cores": round(max(0.0, last.machine - first.machine - stack - client) / wall, 2),
            "load_before": round(self._load, 2),
        }
