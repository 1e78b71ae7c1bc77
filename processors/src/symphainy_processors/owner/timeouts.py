"""Timeouts are decided only after everything reported before them has been read (rule 14).

The owner writes a marker to its steps partition after the due time; when it reads the marker back,
what workers had reported by then has been decided, and what is still open has timed out.
"""

from __future__ import annotations

from symphainy_schemas.records import ReportKind, StepReport
from symphainy_schemas.state import StepState


class Timeouts:
    """The due steps that wait for a marker, under one term."""

    def __init__(self, owner: str, term: int, again_ms: int) -> None:
        """A marker that has not come back after `again_ms` was lost; another one does no harm."""
        self._owner = owner
        self._again_ms = again_ms
        self._term = term
        self._waiting: list[tuple[str, str]] = []
        self._marked: list[tuple[str, str]] = []
        self._written_at: int | None = None
        self._number = 0

    def add(self, execution_id: str, step: StepState) -> None:
        """The step's time has come; decide it after the next marker."""
        self._waiting.append((execution_id, step.step))

    def marker(self, now: int) -> StepReport | None:
        """The marker to write now, if one is needed."""
        lost = self._written_at is not None and now - self._written_at > self._again_ms
        if not lost and (self._written_at is not None or not self._waiting):
            return None
        self._marked += self._waiting
        self._waiting = []
        self._written_at = now
        self._number += 1
        return StepReport(
            kind=ReportKind.MARKER,
            execution_id="",
            session_id="",
            tenant_id="",
            step="",
            attempt=self._number,
            delivery=0,
            token="",
            dispatched_at=self._term,
            worker=self._owner,
            at=now,
        )

    def read(self, marker: StepReport) -> list[tuple[str, str]]:
        """What the marker settles; nothing if it is another owner's or an old one."""
        if (marker.worker, marker.dispatched_at, marker.attempt) != (
            self._owner,
            self._term,
            self._number,
        ):
            return []
        settled, self._marked, self._written_at = self._marked, [], None
        return settled
