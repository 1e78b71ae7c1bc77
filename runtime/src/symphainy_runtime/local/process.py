"""One child process: what to run, its one thread, its end. Knows no service.

Each child has one thread, which forks it, waits for it and reports its death. That is on purpose:
Linux sends the parent-death signal (see ``child.py``) when the *thread* that forked ends, so the
thread must live as long as the child, and here it does by construction. Each child leads its own
session: a terminal's Ctrl-C reaches the parent only, which then ends its children in order, and
what a child started itself is ended with it. (If the parent is killed with SIGKILL, the kernel
ends the children but not the children's own children: a role that forks must watch its parent.)
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from symphainy_runtime.local.errors import ChildFailed, describe_exit

_WRAPPER = Path(__file__).with_name("child.py")
TAIL_LINES = 30
_TAIL_BYTES = 64 * 1024  # 30 lines of 2 KiB: longer than any line worth reading
# After SIGKILL only the kernel has work left: a child that is still there hangs in a system call.
KILL_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run, how to know that it is ready, and how to end it.

    ``env`` is the child's whole environment. ``ready`` is asked again and again, in the thread
    that called ``start``; None means ready at once. ``stop_signal`` goes to the child alone,
    the SIGKILL after ``stop_timeout_s`` to all its process group. ``cure`` closes the message
    of a failure: what an operator can do about it.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log_path: Path
    cwd: Path | None = None
    ready: Callable[[], bool] | None = None
    ready_timeout_s: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 5.0
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Death:
    """A child died unasked: its code (negative for a signal) and the end of what it wrote."""

    name: str
    pid: int
    exit_code: int
    tail: str
    log_path: Path

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid}) {describe_exit(self.exit_code)}"


class Child:
    """One run of one spec. Its thread starts it, waits for it and reaps it."""

    def __init__(self, spec: ChildSpec, died_unasked: Callable[[Death], None]) -> None:
        self.spec = spec
        self.pid = 0
        self.exit_code: int | None = None
        self._died_unasked = died_unasked
        self._wanted_dead = True  # until it is ready, its starter reports its death
        self._lock = threading.Lock()  # guards: no signal after the reaping, when the pid is free
        self._spawned = threading.Event()
        self._died = threading.Event()
        self._spawn_error: BaseException | None = None
        self._log_start = 0

    @property
    def alive(self) -> bool:
        """Whether it runs, or is about to."""
        return not self._died.is_set()

    def spawn(self) -> None:
        """Start the process; return when it has a pid. Raises OSError if that is impossible."""
        self.spec.log_path.parent.mkdir(parents=True, exist_ok=True)
        threading.Thread(target=self._live, name=f"child-{self.spec.name}", daemon=True).start()
        self._spawned.wait()
        if self._spawn_error is not None:
            raise self._spawn_error

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is dead and reaped; False if it still lives after ``timeout_s``."""
        return self._died.wait(timeout_s)

    def adopt(self) -> bool:
        """From now on its death is unasked. False if it is dead already."""
        with self._lock:
            self._wanted_dead = False
            return self.exit_code is None

    def end(self, with_signal: signal.Signals, timeout_s: float) -> None:
        """Ask it to end; after ``timeout_s`` kill its whole process group."""
        self._spawned.wait()  # an interrupted starter may ask before there is a pid
        self._signal(with_signal)
        if not self.wait(timeout_s):
            self._signal(signal.SIGKILL)
            self.wait(KILL_WAIT_S)

    def tail(self) -> str:
        """The last lines that it wrote in this run."""
        with suppress(OSError), self.spec.log_path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - _TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
            return "\n".join(lines[-TAIL_LINES:])
        return ""

    def failure(self, reason: str) -> ChildFailed:
        """The error which tells that this run failed, and how it ended."""
        return ChildFailed(
            self.spec.name,
            reason,
            exit_code=self.exit_code,
            tail=self.tail(),
            log_path=self.spec.log_path,
            cure=self.spec.cure,
        )

    def _signal(self, number: signal.Signals) -> None:
        with self._lock, suppress(ProcessLookupError):
            self._wanted_dead = True
            if not self.alive or self.exit_code is not None:
                return
            if number == signal.SIGKILL:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)

    def _live(self) -> None:
        try:
            process = self._fork()
        except BaseException as error:  # raised again in the starter's thread
            self._spawn_error = error
            self._died.set()
            return
        finally:
            self._spawned.set()
        if sys.platform == "linux":  # wait without reaping: until then the pid is nobody else's
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        else:
            process.wait()
        with self._lock:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # what it started and left behind
            self.exit_code = process.wait()
            unasked = not self._wanted_dead
        self._died.set()
        if unasked:
            spec = self.spec
            self._died_unasked(
                Death(spec.name, self.pid, self.exit_code, self.tail(), spec.log_path)
            )

    def _fork(self) -> subprocess.Popen[bytes]:
        spec = self.spec
        wrapped = [sys.executable, "-I", "-S", str(_WRAPPER), str(os.getpid()), *spec.argv]
        with spec.log_path.open("ab") as log:
            self._log_start = log.tell()
            process = subprocess.Popen(
                wrapped,
                env=dict(spec.env),
                cwd=spec.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = process.pid
        return process
