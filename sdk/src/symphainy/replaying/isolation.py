"""Nothing leaves a replay but its scratch folder: what Python reports of it is refused.

The interpreter's audit events (PEP 578) tell of connections, of files that are opened for writing,
made, moved or removed, and of processes that are started. In the process of a replay they are
refused while handlers run, and remembered: a handler that swallows the refusal has reached outside
all the same. Code that is not Python's own, as of a compiled client, is outside of its sight; it
reaches nothing that is not handed to it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_NETWORK = frozenset(
    {
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyaddr",
        "socket.gethostbyname",
        "socket.sendmsg",
        "socket.sendto",
        "urllib.Request",
    }
)
_PROCESSES = frozenset(
    {
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.kill",
        "os.killpg",
        "os.posix_spawn",
        "os.spawn",
        "os.startfile",
        "os.system",
        "pty.spawn",
        "signal.pthread_kill",
        "subprocess.Popen",
    }
)
# How many of its first arguments are paths.
_DISK = {
    "os.chflags": 1,
    "os.chmod": 1,
    "os.chown": 1,
    "os.link": 2,
    "os.mkdir": 1,
    "os.remove": 1,
    "os.removexattr": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.setxattr": 1,
    "os.symlink": 2,
    "os.truncate": 1,
    "os.utime": 1,
    "shutil.rmtree": 1,
    "sqlite3.connect": 1,
    "tempfile.mkdtemp": 1,
    "tempfile.mkstemp": 1,
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_SHOWN = 200


class ReachedOutside(PermissionError):
    """A handler that is run again reaches outside of its scratch folder."""


class Isolation:
    """Refuses what leaves, in this process, from when it is made; there is no way back but to end
    the process, so that nothing that runs here can lift it."""

    def __init__(self, scratch: Path) -> None:
        """`scratch` is what may be written."""
        self._scratch = str(scratch.resolve())
        self._guarding = False
        self.reached: list[str] = []
        """What was refused since the guard was last raised, in words."""
        sys.addaudithook(self._hear)

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """While handlers run."""
        self.reached = []
        self._guarding = True
        try:
            yield
        finally:
            self._guarding = False

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._guarding and self._leaves(event, arguments):
            shown = ", ".join(repr(one) for one in arguments[:3])[:_SHOWN]
            self.reached.append(f"{event}({shown})")
            raise ReachedOutside(
                f"A replay reaches outside: {event}({shown}). What a handler does outside belongs "
                "into ctx.step, whose result is recorded."
            )

    def _leaves(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "open":
            return self._writes(arguments)
        if event in _DISK:
            paths = arguments[: _DISK[event]]
            return not all(self._is_scratch(path) for path in paths)
        return event in _NETWORK or event in _PROCESSES

    def _writes(self, arguments: tuple[Any, ...]) -> bool:
        path, mode, flags = arguments
        writing = any(one in mode for one in "wax+") if isinstance(mode, str) else False
        if not writing and not (isinstance(flags, int) and flags & _WRITING):
            return False
        return path != os.devnull and not self._is_scratch(path)

    def _is_scratch(self, path: Any) -> bool:
        if isinstance(path, int):  # a descriptor, which somebody opened before
            return True
        try:
            whole = os.path.realpath(os.fsdecode(path))
        except (TypeError, ValueError):
            return False
        return whole == self._scratch or whole.startswith(self._scratch + os.sep)
