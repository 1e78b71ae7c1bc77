"""How a failed attempt stands in the worker's log."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

from symphainy.invocation import Failed
from symphainy_schemas.records import Task

_log = logging.getLogger("symphainy.worker")


def log_failure(task: Task, end: Failed) -> None:
    """One line on a failed attempt: which, why and where, but nothing that may hold payload."""
    error, cause = end.error, end.cause
    _log.warning(
        "%s%s of execution %s failed in attempt %d: %s%s (%s)",
        "the compensation of " if task.compensates else "",
        task.intent_type,
        task.execution_id,
        task.attempt,
        error.code,
        "" if cause is None else f", {type(cause).__name__}{_place(cause)}",
        "may be retried" if error.retryable else "terminal",
    )
    if cause is not None and _log.isEnabledFor(logging.DEBUG):
        _log.debug("execution %s", task.execution_id, exc_info=cause)


def _place(cause: BaseException) -> str:
    frames = traceback.extract_tb(cause.__traceback__)
    return f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
