"""Start, watch and end child processes. Synchronous, by threads; knows no service.

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

from symphainy_runtime.local.deadline import Deadline
from symphainy_runtime.local.errors import ChildFailed, describe_exit

_WRAPPER = Path(__file__).with_name("child.py")
TAIL_LINES = 30
_TAIL_BYTES = 64 * 1024  # 30 lines of 2 KiB: longer than any line worth reading
# Between two questions "are you ready?". Lower only burns the second core, on which the child
# starts; higher is added to every start, of which a test run has dozens.
_POLL_S = 0.03
# After SIGKILL only the kernel has work left: a child that is still there hangs in a system call.
_KILL_WAIT_S = 5.0


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
            self.wait(_KILL_WAIT_S)

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


class Supervisor:
    """Runs children by name. Safe to use from several threads."""

    def __init__(self, on_death: Callable[[Death], None] = lambda death: None) -> None:
        """``on_death`` hears in a watcher's thread of a child that died unasked; it may restart."""
        self._on_death = on_death
        self._children: dict[str, Child] = {}  # in order of first start
        self._lock = threading.Lock()

    @property
    def pids(self) -> dict[str, int]:
        """The living children's process ids by name, in order of their first start."""
        with self._lock:
            return {
                name: child.pid
                for name, child in self._children.items()
                if child.pid and child.alive
            }

    def start(self, spec: ChildSpec) -> Child:
        """Start ``spec`` and wait until it is ready.

        Raises ChildFailed if it dies before or is not ready in time (it is killed then), and
        ValueError if a child of that name runs.
        """
        child = self._register(spec)
        try:
            child.spawn()
            self._await_ready(child)
        except BaseException:
            child.end(signal.SIGKILL, _KILL_WAIT_S)
            raise
        return child

    def run(self, spec: ChildSpec) -> None:
        """Run ``spec`` to its end, within its ``ready_timeout_s``.

        Raises ChildFailed unless it exits with code 0, and ValueError as ``start`` does.
        """
        child = self._register(spec)
        try:
            child.spawn()
            if not child.wait(spec.ready_timeout_s):
                raise child.failure(f"did not finish within {spec.ready_timeout_s:g} s")
        except BaseException:
            child.end(signal.SIGKILL, _KILL_WAIT_S)
            raise
        if child.exit_code:
            raise child.failure(describe_exit(child.exit_code))

    def _register(self, spec: ChildSpec) -> Child:
        child = Child(spec, self._on_death)
        with self._lock:
            old = self._children.get(spec.name)
            if old is not None and old.alive:
                raise ValueError(f"{spec.name} runs already, as pid {old.pid}")
            self._children[spec.name] = child
        return child

    def _await_ready(self, child: Child) -> None:
        spec, deadline = child.spec, Deadline.after(child.spec.ready_timeout_s)
        while child.alive and spec.ready is not None and not spec.ready():
            if deadline.passed:
                raise child.failure(f"was not ready within {spec.ready_timeout_s:g} s")
            child.wait(_POLL_S)
        if not child.adopt():
            code = child.exit_code
            assert code is not None, "adopt refuses only the dead"
            raise child.failure(f"{describe_exit(code)} before it was ready")

    def stop(self, name: str) -> None:
        """End the child by its stop signal, then by SIGKILL. Nothing if it does not run."""
        child = self._find(name)
        if child is not None:
            child.end(child.spec.stop_signal, child.spec.stop_timeout_s)

    def kill(self, name: str) -> None:
        """SIGKILL to the child and all it started, and wait until it is gone."""
        child = self._find(name)
        if child is not None:
            child.end(signal.SIGKILL, _KILL_WAIT_S)

    def restart(self, name: str) -> Child:
        """Stop the child if it runs, and start the same spec; errors as of ``start``."""
        self.stop(name)
        child = self._find(name)
        if child is None:
            raise ValueError(f"{name} was never started")
        return self.start(child.spec)

    def stop_all(self, deadline_s: float = 10.0) -> None:
        """End all children, the last started first, within one shared ``deadline_s``.

        A child gets its own ``stop_timeout_s`` at most, so that one that hangs leaves time to
        the others; when the budget is spent, the rest is killed.
        """
        deadline = Deadline.after(deadline_s)
        with self._lock:
            children = list(self._children.values())
        for child in reversed(children):
            child.end(child.spec.stop_signal, min(child.spec.stop_timeout_s, deadline.left))

    def _find(self, name: str) -> Child | None:
        with self._lock:
            return self._children.get(name)
