"""Handlers and whole realms in a test, in memory: what `symphainy.testing` gives realm authors."""

from symphainy_testing.faults import Moment
from symphainy_testing.harness import Harness, Refused
from symphainy_testing.journal import Happened
from symphainy_testing.recording import Recording
from symphainy_testing.replaying import Replay, replay
from symphainy_testing.run import Run
from symphainy_testing.telling import Until

__all__ = [
    "Happened",
    "Harness",
    "Moment",
    "Recording",
    "Refused",
    "Replay",
    "Run",
    "Until",
    "replay",
]
