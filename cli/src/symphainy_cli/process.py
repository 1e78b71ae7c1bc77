"""What every process that stays has in common: its log, and the line that says it is ready."""

from __future__ import annotations

import logging
import os
import sys


def log_to_stderr() -> None:
    """One line an entry: time, level, logger, message."""
    logging.basicConfig(
        stream=sys.stderr,
        level=os.environ.get("SYMPHAINY_LOG_LEVEL", "INFO").upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )


def say_ready(name: str, detail: str = "") -> None:
    """Supervisors wait for this line."""
    print(f"ready {name} {detail}".rstrip(), file=sys.stderr, flush=True)
