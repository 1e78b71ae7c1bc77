"""The processes that are measured: the system's own roles, and the bare pipeline's."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil

from bench.bare import PREFIX, TOPICS
from symphainy_cli.keys import create_key
from symphainy_processors.projection.projector import Projector
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.configuration import ConfigReader
from symphainy_runtime.local import ChildSpec, KafkaOptions, LocalServices, ServicesOptions
from symphainy_runtime.local.ports import free_ports
from symphainy_runtime.settings import RuntimeSettings
from symphainy_transport.topics import TopicSpec

TENANT = "bench"
_TICK = os.sysconf("SC_CLK_TCK")


class Stack:
    """Kafka and Valkey in a scratch folder, and roles beside them. A context manager."""

    def __init__(self, flush_each_message: bool = False, **settings: Any) -> None:
        """`settings` are further settings of every role."""
        self._extra = {"flush.messages": "1"} if flush_each_message else {}
        self._more = settings
        self._undo = ExitStack()
        self._folder = Path()
        self.settings = RuntimeSettings()
        self.key = ""

    def __enter__(self) -> Self:
        self._folder = Path(self._undo.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        # Long-lived brokers run with the full JIT; a quick start is for development.
        options = ServicesOptions(kafka=KafkaOptions(heap_mb=1024, full_jit=True))
        self._services = LocalServices(self._folder, options=options)
        self.supervisor = self._services.supervisor
        self._undo.callback(self._services.stop)
        self._undo.callback(self.supervisor.stop_all)
        endpoints = self._services.start()
        self.settings = RuntimeSettings(
            kafka_bootstrap_servers=endpoints.bootstrap_servers,
            redis_url=endpoints.redis_url,
            data_dir=self._folder,
            gateway_port=free_ports(1)[0],
            **self._more,
        )
        Cluster(self.settings).create(extra=self._extra)
        self.key = create_key(self.settings, TENANT, "bench")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._undo.close()

    @property
    def gateway(self) -> str:
        """The gateway's base URL."""
        return f"http://127.0.0.1:{self.settings.gateway_port}"

    def start_system(self, http: bool) -> None:
        """Owner and worker; with `http` also projector and gateway."""
        self.role("owner", "ready owner", "up", "owner", "--name", "bench-owner")
        if http:
            self.role("projector", "ready projector", "up", "projector")
            self._await_projection()
            self.role("gateway", self._gateway_answers, "up", "gateway")
        self.role("worker", "ready worker", "worker", "bench.realm:realm")
        reader = ConfigReader(self.settings, "bench-config")
        while "bench.one" not in reader.configuration.capabilities:
            reader.poll(0.1)
        reader.close()

    def start_bare(self) -> None:
        """The bare pipeline's roles."""
        partitions = self.settings.partitions
        specs = [TopicSpec(PREFIX + name, partitions, {}) for name in TOPICS]
        Cluster(self.settings).create(specs, self._extra)
        for role in ("owner", "worker"):
            self._child(f"bare-{role}", "", [sys.executable, "-m", "bench.bare", role])

    def role(
        self,
        name: str,
        ready: str | Callable[[], bool],
        *arguments: str,
        ready_timeout_s: float = 30.0,
    ) -> None:
        """Start `symphainy …` as process `name`; `ready` as in `_child`."""
        argv = [sys.executable, "-m", "symphainy_cli", *arguments]
        self._child(name, ready, argv, ready_timeout_s)

    def log(self, name: str) -> Path:
        """What a process wrote."""
        return self._folder / "logs" / f"{name}.log"

    def stop(self, *names: str) -> None:
        """Stop roles."""
        for name in names:
            self.supervisor.stop(name)

    def cpu(self, *names: str) -> dict[str, float]:
        """CPU seconds so far, by role; `client` is this process."""
        pids = self.supervisor.pids
        spent = {name: _tree_cpu(pids[name]) for name in names}
        mine = os.times()
        return {**spent, "client": mine.user + mine.system}

    def _await_projection(self) -> None:
        """What the pipelines before left in the journal is not this one's work."""
        lag = Projector(self.settings, "bench-lag")
        ends = lag.ends()
        while lag.behind(ends):
            time.sleep(0.05)
        lag.close()

    def _gateway_answers(self) -> bool:
        try:
            return httpx.get(f"{self.gateway}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def _child(
        self,
        name: str,
        ready: str | Callable[[], bool],
        argv: list[str],
        ready_timeout_s: float = 30.0,
    ) -> None:
        """`ready` is a text to wait for in the log (empty: nothing), or a question to ask."""
        log = self.log(name)
        log.unlink(missing_ok=True)  # an earlier process of the name said that it was ready
        told = ready if callable(ready) else lambda: ready in log.read_text()
        self.supervisor.start(
            ChildSpec(
                name=name,
                argv=argv,
                env={**os.environ, **self.environment()},
                log_path=log,
                ready=told if ready else None,
                ready_timeout_s=ready_timeout_s,
            )
        )

    def environment(self) -> dict[str, str]:
        """The settings, as a process of the system reads them."""
        told = self.settings.model_dump(mode="json", exclude_defaults=True)
        return {f"SYMPHAINY_{name.upper()}": str(value) for name, value in told.items()}


def _tree_cpu(pid: int) -> float:
    """User and system seconds of a process and its children."""
    total = 0.0
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total
