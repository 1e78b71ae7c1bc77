"""The system under chaos: its own Kafka and Valkey, several of each role, each by name."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.starts import FILE
from tests.support.system import System

from symphainy_runtime.local import ChildFailed, Death, KafkaOptions, LocalServices, ServicesOptions
from symphainy_runtime.local.ports import free_ports
from symphainy_runtime.settings import RuntimeSettings

REALM = "tests.chaos.realm:realm"
PARTITIONS = 4
REVIVAL_S = 120.0  # a role that does not start again within this is broken
_AGAIN_S = 0.5
_DAY_S = 86_400


@dataclass(frozen=True)
class Size:
    """How many of each, and how long an intent id is remembered."""

    owners: int = 2
    workers: int = 2
    dedupe_window_s: float = 120.0


@dataclass
class Deaths:
    """Processes that ended by themselves, and what they said last."""

    count: Counter[str] = field(default_factory=Counter)
    tails: list[str] = field(default_factory=list)


class Stuck(RuntimeError):
    """A role does not start again."""


class ChaosCluster:
    """Everything, each part of which may be broken and made whole again."""

    def __init__(self, folder: Path, size: Size, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.size = size
        self.deaths = Deaths()
        self.starts = folder / "starts.jsonl"
        self._say = say
        self._locks: dict[str, threading.Lock] = {}
        self._paused: set[str] = set()
        self._over = threading.Event()
        self.services = LocalServices(
            folder / "services", options=ServicesOptions(kafka=KafkaOptions())
        )
        self.system: System

    # --- from start to stop ---------------------------------------------------------------------

    def start(self) -> None:
        """Start services and roles."""
        endpoints = self.services.start()
        settings = RuntimeSettings(
            kafka_bootstrap_servers=endpoints.bootstrap_servers,
            redis_url=endpoints.redis_url,
            topic_prefix="chaos.",
            redis_prefix="chaos:",
            partitions=PARTITIONS,
            data_dir=self.folder / "data",
            gateway_port=free_ports(1)[0],
            dedupe_window_days=self.size.dedupe_window_s / _DAY_S,
        )
        self.system = System(settings, on_death=self._died, extra={FILE: str(self.starts)})
        for name in self.owners:
            self.system.up("owner", name)
        self.system.up("projector")
        self.system.up("gateway")
        for name in self.workers:
            self.system.worker(REALM, name, named=True)
        self._locks = {name: threading.Lock() for name in (*self.roles, "kafka", "valkey")}

    def stop(self) -> None:
        """Stop everything."""
        self._over.set()
        if hasattr(self, "system"):
            for name in tuple(self._paused):
                self.resume(name)
            self.system.stop()
        self.services.stop()

    @property
    def outsider(self) -> RuntimeSettings:
        """Settings of clients that only look on: that the broker is away is no news to them."""
        return self.system.settings.model_copy(update={"kafka_extra": {"log_level": "0"}})

    @property
    def owners(self) -> list[str]:
        """The owners' names."""
        return [f"owner{number}" for number in range(self.size.owners)]

    @property
    def workers(self) -> list[str]:
        """The workers' names."""
        return [f"worker{number}" for number in range(self.size.workers)]

    @property
    def roles(self) -> list[str]:
        """Every process of the product."""
        return [*self.owners, *self.workers, "projector", "gateway"]

    # --- breaking -------------------------------------------------------------------------------

    def claim(self, name: str) -> bool:
        """Whether the caller may break it now; `release` ends that."""
        return self._locks[name].acquire(blocking=False)

    def release(self, name: str) -> None:
        """Others may break it."""
        self._locks[name].release()

    def wait(self, seconds: float) -> None:
        """Let it be broken for so long, or until the end."""
        self._over.wait(seconds)

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.system.supervisor.kill(name)

    def revive(self, name: str) -> None:
        """Start it again until that works: what it needs may be away, too.

        Raises:
            Stuck: it never does.
        """
        deadline = time.monotonic() + REVIVAL_S
        while not self._over.is_set():
            try:
                self.system.again(name)
            except ChildFailed as failed:
                self.deaths.count[f"{name} while starting"] += 1
                if time.monotonic() > deadline:
                    raise Stuck(f"{name} does not start again: {failed}") from failed
                self._over.wait(_AGAIN_S)
            else:
                return

    def renew(self, name: str) -> None:
        """A clean restart."""
        self.system.supervisor.stop(name)
        self.revive(name)

    def pause(self, name: str) -> bool:
        """SIGSTOP; False if it does not run."""
        pid = self.system.supervisor.pids.get(name)
        if pid is None:
            return False
        self._paused.add(name)
        os.kill(pid, signal.SIGSTOP)
        return True

    def resume(self, name: str) -> None:
        """SIGCONT."""
        self._paused.discard(name)
        pid = self.system.supervisor.pids.get(name)
        if pid is not None:
            os.kill(pid, signal.SIGCONT)

    def state_folder(self, owner: str) -> Path:
        """Where an owner keeps its local state."""
        return self.system.settings.data_dir / "state" / f"{owner}-1"

    def forget_disk(self, owner: str) -> bool:
        """Remove the local state of an owner that is down; False if there is none."""
        folder = self.state_folder(owner)
        if not folder.exists():
            return False
        shutil.rmtree(folder)
        return True

    def keep_disk(self, owner: str) -> bool:
        """Keep a copy of the local state of an owner that is down."""
        folder, copy = self.state_folder(owner), self._copy(owner)
        if not folder.exists():
            return False
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        return True

    def roll_disk_back(self, owner: str) -> bool:
        """Put the older copy in place of the local state of an owner that is down."""
        folder, copy = self.state_folder(owner), self._copy(owner)
        if not copy.exists():
            return False
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(copy, folder)
        return True

    def _copy(self, owner: str) -> Path:
        return self.folder / "older-disks" / owner

    def crash_kafka(self, away_s: float) -> None:
        """Kill the broker; start it again on the same data and port."""
        assert self.services.kafka is not None
        self.services.kafka.kill()
        self._over.wait(away_s)
        self.services.kafka.restart()

    def crash_valkey(self, away_s: float) -> None:
        """Kill Valkey, which loses what it has not saved; start it again on the same port."""
        assert self.services.valkey is not None
        self.services.valkey.kill()
        self._over.wait(away_s)
        self.services.valkey.restart()

    # --- what nobody asked for ------------------------------------------------------------------

    def _died(self, death: Death) -> None:
        """A process ended by itself: note it, and start it again as an orchestrator would."""
        if self._over.is_set() or death.name not in self._locks:
            return
        self.deaths.count[death.name] += 1
        self.deaths.tails.append(f"{death}\n{death.tail}")
        self._say(f"  {death}; its last words:\n{_last_lines(death.tail)}")
        threading.Thread(target=self._start_again, args=(death.name,), daemon=True).start()

    def _start_again(self, name: str) -> None:
        with self._locks[name]:
            if name not in self.system.supervisor.pids:
                self.revive(name)

    def whole(self) -> bool:
        """Whether every role runs."""
        return set(self.roles) <= self.system.supervisor.pids.keys()


def _last_lines(text: str, count: int = 4) -> str:
    return "\n".join(f"    {line[:200]}" for line in text.splitlines()[-count:])
