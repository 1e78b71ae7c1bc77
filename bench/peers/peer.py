"""A peer: a stack of processes that the harness starts, kills and accounts for, and a client.

Subclass `Peer`, list the class in `drivers/__init__.py`, and it runs beside the others.
"""

import asyncio
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import ClassVar, TypeVar

from bench.peers.processes import Processes
from bench.peers.steps import Json

REPO = Path(__file__).resolve().parents[2]  # also what PYTHONPATH must name
HOME = Path(os.environ.get("PEERS_HOME", REPO / ".peers")).resolve()
_READY_S = 90.0  # the slowest start here takes 10 s on two cores

T = TypeVar("T")


class Peer(ABC):
    """One engine with one configuration."""

    name: ClassVar[str]
    #: One line: when an acknowledged run is on the disk.
    durability: ClassVar[str]
    #: What a reader of its figures must know, if anything: printed with them.
    note: ClassVar[str] = ""
    #: Started in this order; each can be killed and started again.
    roles: ClassVar[tuple[str, ...]] = ("server", "worker")
    #: What can be killed in the middle of runs -> its role. ``engine`` decides what comes next,
    #: ``worker`` runs the user's code, ``store`` keeps what the engine decided. Where one process
    #: is two of them, it stands under the first, and ``whole`` says so.
    parts: ClassVar[Mapping[str, str]] = {"engine": "server", "worker": "worker"}
    #: Part -> why it cannot be killed by itself.
    whole: ClassVar[Mapping[str, str]] = {
        "store": "the server keeps it: it is killed as the engine"
    }
    #: Flow -> why this engine cannot run it yet. Such a workload is reported, not measured.
    unsupported: ClassVar[Mapping[str, str]] = {}

    def __init__(self, work: Path) -> None:
        """``work`` is an empty folder for this stack's data and logs."""
        self.work = work
        self.effects = work / "effects"
        self.processes = Processes(work)

    # --- what a peer must give ---------------------------------------------------------------
    @abstractmethod
    def command(self, role: str) -> tuple[list[str], dict[str, str]]:
        """The command line of a role and what it adds to the environment."""

    @classmethod
    @abstractmethod
    def versions(cls) -> dict[str, str]:
        """What is measured, by name."""

    @abstractmethod
    async def run(self, flow: str, run_id: str, body: Json) -> Json:
        """Submit a run and await its result."""

    @abstractmethod
    async def submit(self, flow: str, run_id: str, body: Json) -> None:
        """Submit a run; return when it is durable. Safe to repeat with one run id."""

    @abstractmethod
    async def result(self, flow: str, run_id: str, body: Json) -> Json:
        """The result of a submitted run, once the engine has it on record."""

    async def ready(self, role: str) -> None:
        """Return when the role answers; by default at once."""
        return

    async def connect(self) -> None:
        """Connect the client; by default nothing."""
        return

    async def disconnect(self) -> None:
        """Disconnect the client; by default nothing."""
        return

    # --- what every peer has -----------------------------------------------------------------
    def spawn(self, role: str) -> None:
        """Start the role's process."""
        argv, env = self.command(role)
        self.processes.spawn(role, argv, {"BENCH_EFFECTS": str(self.effects), **env})

    async def start(self) -> None:
        """Start all roles, each when the one before it answers, and connect."""
        for role in self.roles:
            self.spawn(role)
            await self.ready(role)
        await self.connect()

    async def restart(self, role: str) -> None:
        """kill -9, and start again at once."""
        self.processes.kill(role)
        self.spawn(role)

    async def stop(self) -> None:
        """Kill everything; the data is not needed any more."""
        try:
            await self.disconnect()
        finally:
            for role in reversed(self.processes.roles):
                self.processes.kill(role)

    async def until(self, role: str, check: Callable[[], Awaitable[T]]) -> T:
        """What ``check`` returns, once it does not raise any more.

        Raises RoleEnded if the role's process has ended, and ``check``'s error after 90 s.
        """
        end = time.monotonic() + _READY_S
        while True:
            try:
                return await check()
            except Exception:
                self.processes.check(role)
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(0.02)


def python(*args: str) -> list[str]:
    """A command line for the interpreter that runs the harness."""
    return [sys.executable, *args]


def source_env() -> dict[str, str]:
    """Environment in which a child finds this package."""
    return {"PYTHONPATH": str(REPO)}
