"""The system as real processes, each of which a test may kill and start again."""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import httpx

from symphainy_cli.keys import create_key
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import ChildSpec, Death, Endpoints, Supervisor
from symphainy_runtime.local.ports import free_ports
from symphainy_runtime.settings import RuntimeSettings

TENANT = "acme"
PATIENCE_S = 60.0
TOLD_LINES = 40


def eventually(
    condition: Callable[[], bool], sentence: str, patience_s: float = PATIENCE_S
) -> None:
    """Ask again until the condition holds, or fail by the sentence that was to become true."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, f"never came true: {sentence}"
        time.sleep(0.02)


def isolated(endpoints: Endpoints, folder: Path) -> RuntimeSettings:
    """Settings with topics, keys and artifacts of their own on shared services."""
    unique = uuid.uuid1().hex[:12]
    return RuntimeSettings(
        kafka_bootstrap_servers=endpoints.bootstrap_servers,
        redis_url=endpoints.redis_url,
        topic_prefix=f"t{unique}.",
        redis_prefix=f"t{unique}:",
        partitions=4,
        data_dir=folder,
        gateway_port=free_ports(1)[0],
    )


class System:
    """Topics, a key, and the roles that a test asks for."""

    alive: ClassVar[weakref.WeakSet[System]] = weakref.WeakSet()
    """Those that were not stopped, for the report of a test that fails."""

    def __init__(
        self,
        settings: RuntimeSettings,
        *,
        on_death: Callable[[Death], None] | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        """`on_death` hears of a process that ends by itself; `extra` is added to all their
        environments."""
        self.alive.add(self)
        self.settings = settings
        self.supervisor = Supervisor() if on_death is None else Supervisor(on_death)
        self._extra = dict(extra or {})
        self._started: dict[str, tuple[list[str], Callable[[], bool]]] = {}
        Cluster(settings).create()
        self.key = create_key(settings, TENANT, "ann")
        self.url = f"http://{settings.gateway_host}:{settings.gateway_port}"
        self.http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=PATIENCE_S
        )

    def log(self, name: str) -> Path:
        """A role's log."""
        return self.settings.data_dir / "logs" / f"{name}.log"

    def told(self) -> list[tuple[str, str]]:
        """Each log's name and its last lines."""
        logs = sorted((self.settings.data_dir / "logs").glob("*.log"))
        ends = [(log, log.read_text(errors="replace").splitlines()[-TOLD_LINES:]) for log in logs]
        return [(f"the end of {log.name}", "\n".join(lines)) for log, lines in ends if lines]

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process find this system."""
        told = self.settings.model_dump(mode="json", exclude_defaults=True)
        named = {
            f"SYMPHAINY_{k.upper()}": v if isinstance(v, str) else json.dumps(v)
            for k, v in told.items()
        }
        return {**os.environ, **named, **self._extra}

    def up(self, role: str, name: str = "") -> None:
        """Start owner, projector or gateway and wait until it is ready."""
        name = name or role
        if role == "gateway":
            ready = self._gateway_answers
        else:

            def ready() -> bool:
                return "ready " in self.log(name).read_text()

        self._child(name, ["up", role, "--name", f"{name}-1"], ready)

    def worker(self, realm: str, name: str = "worker", *options: str, named: bool = False) -> None:
        """Start a worker and wait until it is registered and has its partitions; `named`, in its
        group too, where its place is kept for it."""
        stable = ["--name", f"{name}-1"] if named else []
        self._child(
            name,
            ["worker", realm, *stable, *options],
            lambda: "ready worker" in self.log(name).read_text(),
        )

    def again(self, name: str, ready: Callable[[], bool] | None = None) -> None:
        """Start a process that has ended as it was started first, and wait until it is ready as
        it was then, or as told; its log so far is kept."""
        log = self.log(name)
        if log.exists():
            earlier = len(list(log.parent.glob(f"{name}.*.log")))
            log.rename(log.with_name(f"{name}.{earlier}.log"))
        arguments, ready_at_first = self._started[name]
        self._start(name, arguments, ready or ready_at_first)

    def start(self, realm: str) -> None:
        """Everything."""
        for role in ("owner", "projector", "gateway"):
            self.up(role)
        self.worker(realm)

    def stop(self) -> None:
        """Stop every process."""
        self.alive.discard(self)
        self.http.close()
        self.supervisor.stop_all()

    def open_session(self) -> str:
        """A new session's id."""
        answer = self.http.post("/v1/sessions", json={})
        assert answer.status_code == 201, answer.text
        session: str = answer.json()["session_id"]
        return session

    def _gateway_answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def _child(self, name: str, arguments: list[str], ready: Callable[[], bool]) -> None:
        self._started[name] = (arguments, ready)
        self._start(name, arguments, ready)

    def _start(self, name: str, arguments: list[str], ready: Callable[[], bool]) -> None:
        log = self.log(name)
        log.unlink(missing_ok=True)
        self.supervisor.start(
            ChildSpec(
                name=name,
                argv=[sys.executable, "-m", "symphainy_cli", *arguments],
                env=self.environment,
                log_path=log,
                ready=ready,
                ready_timeout_s=PATIENCE_S,
            )
        )
