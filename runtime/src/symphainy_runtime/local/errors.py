"""What can go wrong with local services. Stdlib only; knows no service.

Every error here is for an operator: its message ends with what to do.
"""

from __future__ import annotations

import signal
from pathlib import Path


class LocalError(Exception):
    """A local service cannot be had. Operator action: what the message says."""


class JavaMissing(LocalError):
    """No usable Java was found. Operator action: install Java 17 or newer."""


class JarsUnavailable(LocalError):
    """Kafka's jars cannot be had. Operator action: reach a Maven repository once."""


class NoBroker(LocalError):
    """None of the ways to a Kafka broker works here. Operator action: provide one of them."""


class DataFolderBusy(LocalError):
    """Another process holds the data folder. Operator action: end it, or choose another folder."""


class DataFolderUnusable(LocalError):
    """The data folder is damaged or is not ours. Operator action: move it aside."""


class ChildFailed(LocalError):
    """A child process died, or was not ready in time.

    ``exit_code`` is the child's own, negative for a signal (as in ``subprocess``), None if it
    was alive but not ready; ``tail`` is the end of what it wrote in this run.
    """

    def __init__(
        self,
        name: str,
        reason: str,
        *,
        exit_code: int | None,
        tail: str,
        log_path: Path,
        cure: str = "",
    ) -> None:
        lines = [f"{name} {reason}.", f"The end of its log ({log_path}):"]
        lines += [f"  | {line}" for line in tail.splitlines()] or ["  | (it wrote nothing)"]
        super().__init__("\n".join(lines + ([cure] if cure else [])))
        self.name = name
        self.reason = reason
        self.exit_code = exit_code
        self.tail = tail
        self.log_path = log_path


def describe_exit(exit_code: int) -> str:
    """An exit code in words: ``exited with code 3``, ``was ended by SIGKILL``."""
    if exit_code >= 0:
        return f"exited with code {exit_code}"
    try:
        return f"was ended by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was ended by signal {-exit_code}"
