"""Notices an event loop that stands still, and says where: a handler blocks it.

Nothing is lost then, since the consumers live in threads of their own and stay in their groups; but
no handler goes on, no report leaves, and no limit ends anything.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from pathlib import Path

_log = logging.getLogger("symphainy.worker")
BLOCKED_S = 1.0  # far above what a loop under load needs for one turn
LOOK_EVERY_S = 0.25


class LoopWatch:
    """Watches the loop in which it is started, from a thread of its own."""

    def __init__(self, blocked_s: float = BLOCKED_S, look_every_s: float = LOOK_EVERY_S) -> None:
        """To stand still for `blocked_s` is worth a warning."""
        self._blocked_s = blocked_s
        self._look_every_s = look_every_s
        self._turned_at = time.monotonic()
        self._closing = threading.Event()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch the running loop."""
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._turn()
        threading.Thread(target=self._watch, name="loop-watch", daemon=True).start()

    def stop(self) -> None:
        """Watch no more; called in the loop."""
        self._closing.set()
        if self._timer is not None:
            self._timer.cancel()

    def _turn(self) -> None:
        self._turned_at = time.monotonic()
        self._timer = self._loop.call_later(self._look_every_s, self._turn)

    def _watch(self) -> None:
        blocked_at: float | None = None
        while not self._closing.wait(self._look_every_s):
            turned_at = self._turned_at
            if blocked_at is not None and turned_at > blocked_at:
                _log.warning("The event loop goes on after %.1f s.", turned_at - blocked_at)
                blocked_at = None
            stood_s = time.monotonic() - turned_at
            if blocked_at is None and stood_s > self._blocked_s + self._look_every_s:
                blocked_at = turned_at
                _log.warning(
                    "The event loop stands still for %.1f s at %s: no handler of this worker goes "
                    "on meanwhile. Await what takes long, or declare the handler as a plain "
                    "function: those run in threads.",
                    stood_s,
                    self._place(),
                )

    def _place(self) -> str:
        """Where the loop's thread is now: the innermost frame, and the last of the realm's own."""
        frame = sys._current_frames().get(self._loop_thread)
        if frame is None:
            return "an unknown place"
        stack = [f for f in traceback.extract_stack(frame) if not _is_librarys(f.filename)]
        innermost = stack[-1] if stack else traceback.extract_stack(frame)[-1]
        return f"{Path(innermost.filename).name}:{innermost.lineno} (in {innermost.name})"


def _is_librarys(filename: str) -> bool:
    path = Path(filename)
    return "site-packages" in path.parts or path.is_relative_to(Path(asyncio.__file__).parents[1])
