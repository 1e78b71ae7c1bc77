"""The one place that reads the wall clock.

Only the wall clock is common to the processes of a stack and the harness: a handler writes when
it ran, the harness when it was answered, and a delay is their difference. Durations within one
process are taken from the monotonic clock, not from here.
"""

import datetime
import time


def wall_clock() -> float:
    """Seconds since the epoch."""
    # The peers' environment has no symphainy_transport.clock, and must not need one.
    return time.time()  # noqa: TID251


def utc() -> datetime.datetime:
    """The time of day, UTC, to the second."""
    return datetime.datetime.fromtimestamp(int(wall_clock()), datetime.UTC)
