"""Handlers and whole realms in a test, in memory: `from symphainy.testing import Harness`.

A door to the package `symphainy-testing`, which holds the runtime's own deciders and is needed by
nobody but tests: hence it is no dependency of the SDK. See docs/testing.md.
"""

from __future__ import annotations

try:
    from symphainy_testing import (
        Happened,
        Harness,
        Moment,
        Recording,
        Refused,
        Replay,
        Run,
        Until,
        replay,
    )
except ModuleNotFoundError as missing:
    if missing.name != "symphainy_testing":
        raise
    raise ImportError(
        "symphainy.testing needs a package of its own: pip install 'symphainy[testing]'."
    ) from missing

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
