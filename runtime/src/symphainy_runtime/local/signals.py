"""SIGTERM, SIGINT and SIGHUP end a block and run its stop path exactly once.

The first signal raises ``StopRequested`` in the main thread, wherever it is, so that even a slow
start is left at once; all later ones are ignored, so that nothing interrupts the stop path.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

# SIGHUP: the terminal was closed.
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopRequested(BaseException):
    """A signal asked the process to stop. Not an Exception, so that no handler swallows it."""


class GracefulSignals:
    """See ``graceful_signals``."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self.received: signal.Signals | None = None
        self._stop = stop
        self._armed = False
        self._requested = threading.Event()
        self._previous: dict[signal.Signals, Any] = {}

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until ``request`` is called (or a signal leaves the block); False on timeout."""
        return self._requested.wait(timeout_s)

    def request(self) -> None:
        """End ``wait`` from another thread, for instance because a child died."""
        self._requested.set()

    def __enter__(self) -> GracefulSignals:
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._handle)
        self._armed = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._armed = False
        try:
            self._stop()
        finally:
            for number, previous in self._previous.items():
                signal.signal(number, previous)
        return isinstance(error, StopRequested)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number)
        self._requested.set()
        # A signal can arrive on the doorstep of __exit__, before it disarms: the stop path is
        # about to run then, and raising there would skip it.
        leaving = frame is not None and frame.f_code is GracefulSignals.__exit__.__code__
        if self._armed and not leaving:
            self._armed = False
            raise StopRequested(self.received.name)


def graceful_signals(stop: Callable[[], None]) -> GracefulSignals:
    """A block whose end runs ``stop`` exactly once: by its last line, an error or a signal.

    Use it in the main thread::

        with graceful_signals(supervisor.stop_all) as signals:
            services.start()
            signals.wait()

    A signal's ``StopRequested`` ends with the block; ``received`` then names the signal. Any
    other error goes on after ``stop``.
    """
    return GracefulSignals(stop)
