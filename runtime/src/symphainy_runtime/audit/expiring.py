"""What is gone from a journal's head: by retention, or by somebody's hand. Pure."""

from __future__ import annotations

from msgspec import Struct

from symphainy_runtime.audit.evidence import Segment
from symphainy_runtime.audit.faults import Findings, Kind, Span


class Retention(Struct, frozen=True):
    """When Kafka may remove a record: `retention_ms` after it was appended (-1: never)."""

    retention_ms: int
    now_ms: int


class Head:
    """Told of each checkpoint in order, says what became of what Kafka no longer keeps: what
    retention removed is answered; what went before its time is a fault.

    Each checkpoint states when Kafka appended its first and its last record. Kafka removes whole
    files, whose newest record is older than the retention: so what is gone and is younger was
    deleted by hand, or under a retention that was shorter for a while.
    """

    def __init__(
        self, partition: int, log_start: int, findings: Findings, retention: Retention | None
    ) -> None:
        """`log_start`: the first offset that Kafka keeps. `retention`: None if nobody knows it."""
        self._partition = partition
        self._log_start = log_start
        self._findings = findings
        self._retention = retention
        self.expired: list[Span] = []

    def take(self, segment: Segment) -> None:
        """The next checkpoint."""
        checkpoint = segment.checkpoint
        last = min(checkpoint.end, self._log_start) - 1
        if last < checkpoint.start:
            return
        whole = checkpoint.end <= self._log_start
        # Of one that is gone in part, no record that is gone is older than its first.
        if self._early(checkpoint.appended_ms if whole else checkpoint.first_appended_ms):
            assert self._retention is not None
            self._findings.fault(
                Kind.DELETED,
                "gone from the head of the journal before the topic's retention.ms of "
                f"{self._retention.retention_ms} was over",
                checkpoint.start,
                last,
            )
        else:
            self._expired(checkpoint.start, last)

    def _expired(self, first: int, last: int) -> None:
        if self.expired and self.expired[-1].last + 1 == first:
            first = self.expired.pop().first
        detail = "gone from the head of the journal by retention"
        self.expired.append(Span(partition=self._partition, first=first, last=last, detail=detail))

    def _early(self, appended_ms: int) -> bool:
        """Whether a record that was appended then, or later, should still be there."""
        told = self._retention
        if told is None or appended_ms < 0:
            return False
        return told.retention_ms < 0 or told.now_ms < appended_ms + told.retention_ms
