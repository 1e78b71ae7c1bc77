"""The processes of a stack by role: start, kill, and what they cost. Knows no engine.

A role is one process with all its descendants. Its CPU time is user + system time of the living
ones, of the children they have waited for, and of those that were killed from here.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

_TICK = os.sysconf("SC_CLK_TCK")
_LOG_TAIL = 1500  # characters of a dead role's log that an error message shows


class RoleEnded(Exception):
    """A role's process ended by itself. Operator action: read its log, of which this is the end."""


class Processes:
    """The running roles of one stack, with one log file each in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._spent: dict[str, float] = {}  # CPU seconds of what was killed, by role

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that were started and not killed since, in order of their start."""
        return tuple(self._running)

    def spawn(self, role: str, argv: Sequence[str], env: Mapping[str, str]) -> None:
        """Start a role in a session of its own, so that a Ctrl-C reaches the harness alone."""
        with (self._folder / f"{role}.log").open("ab") as log:
            self._running[role] = subprocess.Popen(
                argv,
                env={**os.environ, **env},
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def check(self, *roles: str) -> None:
        """Raise RoleEnded if one of ``roles`` (default: any) has ended by itself."""
        for role in roles or self.roles:
            code = self._running[role].poll()
            if code is not None:
                text = (self._folder / f"{role}.log").read_text(errors="replace")
                raise RoleEnded(f"{role} ended with code {code}:\n{text[-_LOG_TAIL:]}")

    def tree(self, role: str) -> list[psutil.Process]:
        """The role's living processes, its first one first."""
        try:
            root = psutil.Process(self._running[role].pid)
            return [root, *root.children(recursive=True)]
        except (KeyError, psutil.NoSuchProcess):
            return []

    def kill(self, role: str) -> None:
        """kill -9 of the role's whole process tree, at once."""
        tree = self.tree(role)
        self._spent[role] = self._spent.get(role, 0.0) + sum(_cpu_s(p.pid) for p in tree)
        for process in tree:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self._running.pop(role).wait()
        psutil.wait_procs(tree, timeout=10)  # a lock file may name a pid until it is reaped

    def restart_child(self, role: str, program: str) -> None:
        """kill -9 of the role's child that runs ``program``; it is started again as it was, as a
        role of its own."""
        (child,) = (one for one in self.tree(role)[1:] if Path(one.exe()).name == program)
        argv, env = child.cmdline(), child.environ()
        child.send_signal(signal.SIGKILL)
        psutil.wait_procs([child], timeout=10)  # its ports and locks are free when it is reaped
        self.spawn(program, argv, env)

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds by role since the first start, those of killed processes included."""
        roles = {**self._spent, **dict.fromkeys(self._running, 0.0)}
        return {
            role: self._spent.get(role, 0.0) + sum(_cpu_s(p.pid) for p in self.tree(role))
            for role in roles
        }

    def pss_mib(self) -> dict[str, float]:
        """Memory by role, shared pages divided among those who share them (PSS)."""
        return {role: round(sum(map(_pss, self.tree(role))) / 2**20, 1) for role in self._running}


def _cpu_s(pid: int) -> float:
    """User + system seconds of a process and of the children it has waited for (proc(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(ticks) for ticks in fields[11:15]) / _TICK


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0
