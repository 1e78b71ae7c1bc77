"""What the benchmarks on real processes begin with: the stack, capabilities, one owner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil

from bench.stack import Stack
from symphainy import Realm
from symphainy.worker.capabilities import Registration
from symphainy.worker.registration import register
from symphainy_runtime.configuration import ConfigReader
from symphainy_schemas.records import Capability
from symphainy_transport.clock import SystemClock

OWNER = "bench-owner"
READY_S = 1_800.0  # an owner that folds a million executions from the journal takes minutes
MIB = 1 << 20


class Scene(Stack):
    """A stack with one owner, which can be killed and started again."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.clock = SystemClock()

    @property
    def state_folder(self) -> Path:
        """The owner's local state."""
        return self.settings.data_dir / "state" / OWNER

    def know(self, realm: Realm) -> dict[str, Capability]:
        """Register a realm as its worker would, and start none; its capabilities by name."""
        register(realm, Registration(self.settings, "bench", self.clock.now_ms()))
        reader = ConfigReader(self.settings, "bench-config")
        reader.catch_up()
        known = dict(reader.configuration.capabilities)
        reader.close()
        return {handler.intent_type: known[handler.intent_type] for handler in realm}

    def work_for(self, realm: str, concurrency: int = 256) -> None:
        """Start a worker."""
        name = f"bench.owner.realms:{realm}"
        self.role("worker", "ready worker", "worker", name, "--concurrency", str(concurrency))

    def own(self) -> None:
        """Start the owner, and wait until it owns every partition."""
        everything = f"ready owner partitions {list(range(self.settings.partitions))}"
        arguments = ("up", "owner", "--name", OWNER)
        self.role("owner", everything, *arguments, ready_timeout_s=READY_S)

    def kill_owner(self) -> int:
        """SIGKILL; the time when it was sent, ms since the epoch."""
        at = self.clock.now_ms()
        self.supervisor.kill("owner")
        return at

    def owner_memory(self) -> dict[str, float]:
        """MiB of the owner process: resident now, and the most that ever was."""
        pid = self.supervisor.pids["owner"]
        status = Path(f"/proc/{pid}/status").read_text()
        peak_kib = next(x for x in status.splitlines() if x.startswith("VmHWM")).split()[1]
        return {
            "rss_mib": round(psutil.Process(pid).memory_info().rss / MIB, 1),
            "peak_mib": round(int(peak_kib) / 1024, 1),
        }
