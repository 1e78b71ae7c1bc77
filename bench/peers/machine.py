"""On what a run was measured. No names of machines, users or folders."""

import os
import platform
from pathlib import Path

from bench.peers.steps import Json


def machine() -> Json:
    """Processor, memory, kernel and Python."""
    cpu = _field(Path("/proc/cpuinfo"), "model name") or platform.machine()
    total_kib = _field(Path("/proc/meminfo"), "MemTotal").split()[0]
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(total_kib) / 2**20, 1),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
    }


def _field(path: Path, name: str) -> str:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
