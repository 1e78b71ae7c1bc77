"""May this worker start this task now? Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from symphainy.handlers import Handler
from symphainy_schemas.records import Task

# A `started` report is sent so long after the start, so that short handlers need only one report.
# The owner counts a delivery as not started once `start_by` is past: hence nothing is started
# whose `started` report could come later than that.
ANNOUNCE_MS = 50

PAST_START_BY = "past_start_by"
UNKNOWN_HANDLER = "unknown_handler"
VERSION_NOT_SERVED = "version_not_served"
STOPPING = "worker_stopping"
CANCELLED = "cancelled"


class Entry(Struct, frozen=True):
    """A handler, the version of its capability that this worker's code is, and the oldest that it
    goes on with."""

    handler: Handler[Any, Any]
    version: int
    oldest: int = 1

    def in_thread(self, task: Task) -> bool:
        """Whether what runs for the task runs in a thread, where nothing can be raised."""
        compensation = self.handler.compensation
        if task.compensates and compensation is not None:
            return not compensation.is_async
        return not self.handler.is_async


def refusal(task: Task, entries: Mapping[str, Entry], now: int) -> str:
    """Why the task is handed back instead of started; empty if it may start at `now` (ms).

    A task of a newer version than this worker's is for a newer worker; an older one is ours, as far
    as the handler says so. A compensation that is not what this worker has is not handed back:
    nobody may have it any more, and it has to fail for somebody to see that.
    """
    entry = entries.get(task.intent_type)
    if entry is None:
        return UNKNOWN_HANDLER
    if not entry.oldest <= task.capability_version <= entry.version:
        return VERSION_NOT_SERVED
    if entry.handler.name != task.handler and not task.compensates:
        return UNKNOWN_HANDLER
    if task.start_by and now + ANNOUNCE_MS > task.start_by:
        return PAST_START_BY
    return ""
