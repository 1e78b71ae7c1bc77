"""Start, watch and end child processes by name. Synchronous, by threads; knows no service."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable

from symphainy_runtime.local.deadline import Deadline
from symphainy_runtime.local.errors import describe_exit
from symphainy_runtime.local.process import KILL_WAIT_S, Child, ChildSpec, Death

# Between two questions "are you ready?". Lower only burns the second core, on which the child
# starts; higher is added to every start, of which a test run has dozens.
_POLL_S = 0.03
_log = logging.getLogger(__name__)


def _log_death(death: Death) -> None:
    _log.error("%s; the end of its log (%s):\n%s", death, death.log_path, death.tail)


class Supervisor:
    """Runs children by name. Safe to use from several threads."""

    def __init__(self, on_death: Callable[[Death], None] = _log_death) -> None:
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
            child.end(signal.SIGKILL, KILL_WAIT_S)
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
            child.end(signal.SIGKILL, KILL_WAIT_S)
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
            child.end(signal.SIGKILL, KILL_WAIT_S)

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
