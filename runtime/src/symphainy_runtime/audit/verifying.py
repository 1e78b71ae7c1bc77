"""Verifying one partition's journal, record by record, against what can be relied on. Pure.

A journal is cut into spans: what a checkpoint adds is compared with its list of hashes; where that
list is gone, the tree is made anew from the records and compared with the checkpoint's; what no
checkpoint covers is followed by its chain of hashes alone. A fault ends nothing: each is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Protocol

from msgspec import Struct, field

from symphainy_runtime.audit.comparing import Batch, Compared, Placed, name_differences
from symphainy_runtime.audit.evidence import Segment
from symphainy_runtime.audit.expiring import Head, Retention
from symphainy_runtime.audit.faults import Fault, Findings, Span
from symphainy_runtime.audit.walking import Recomputed, Walked
from symphainy_runtime.journal.validity import Validity

_Span = Compared | Recomputed | Walked


class Sought(Protocol):
    """Looks for records while they pass."""

    def look(self, batch: Batch, segment: Segment | None) -> None:
        """Records, and the segment that they stand in if its list of hashes is there."""
        ...


class Extent(Struct, frozen=True):
    """What there is of a journal: the first offset kept, and the offset after the last."""

    start: int
    end: int


class PartitionReport(Struct, kw_only=True):
    """What was found in one partition."""

    partition: int
    start: int
    """The first offset that Kafka keeps."""
    end: int
    """The offset after the last."""
    records: int = 0
    """Read and checked."""
    anchored: int = 0
    """Offsets, of those that Kafka keeps or should, that a checkpoint covers."""
    checkpoints: int = 0
    anchored_to: int = -1
    """The offset after the last one that a checkpoint covers; -1 if there is none."""
    last_checkpoint_ms: int = -1
    """When that was made."""
    expired: list[Span] = field(default_factory=list)
    """What retention removed."""
    unanchored: list[Span] = field(default_factory=list)
    """What no checkpoint covers: outside G12."""
    stale: list[Span] = field(default_factory=list)
    """Records that do not count (rule 21: listed, no fault)."""
    faults: list[Fault] = field(default_factory=list)


class PartitionVerifier:
    """Takes a journal's records in the order in which they stand, and says what is wrong.

    `segments` are read as the records come, so that of a sound journal only one list of hashes is
    in memory at a time. Of what differs all is kept until the end.
    """

    def __init__(
        self,
        partition: int,
        segments: Iterable[Segment],
        extent: Extent,
        findings: Findings,
        retention: Retention | None = None,
        sought: Sought | None = None,
    ) -> None:
        """`findings`: to which reading the segments adds faults of the evidence. `retention`: None
        where nobody can say what should still be there, as for an export. `sought`: is shown every
        record."""
        self._findings = findings
        self._head = Head(partition, extent.start, findings, retention)
        self._sought = sought
        self.report = PartitionReport(partition=partition, start=extent.start, end=extent.end)
        self._tail = False
        self._spans = self._cut(partition, segments, extent)
        self._span = next(self._spans)
        self._differing: list[Compared] = []
        self._behind: list[Placed] = []

    def take(self, batch: Batch) -> None:
        """Take the next records."""
        self.report.records += len(batch)
        while batch:
            span = self._span
            if self._tail or batch[-1][0] < span.end:
                self._take(span, batch)
                return
            behind = next(n for n, (offset, _) in enumerate(batch) if offset >= span.end)
            self._take(span, batch[:behind])
            batch = batch[behind:]
            self._close(span)
            self._span = next(self._spans)

    def finish(self) -> PartitionReport:
        """All records were taken."""
        self._close(self._span)
        for span in self._spans:
            self._close(span)
        if self._differing:
            expected = [one for span in self._differing for one in span.expected()]
            observed = [one for span in self._differing for one in span.observed()]
            named = {digest for _, digest in expected}
            observed += [one for one in self._behind if one[1] in named]
            name_differences(expected, observed, self._findings)
        self.report.faults = self._findings.faults
        self.report.stale = self._findings.stale
        self.report.expired = self._head.expired
        return self.report

    def _take(self, span: _Span, batch: Batch) -> None:
        span.take(batch)
        if self._sought is not None:
            self._sought.look(batch, span.segment if isinstance(span, Compared) else None)
        if self._differing and not isinstance(span, Compared):
            # What was pushed out of its place may stand behind what checkpoints cover.
            self._behind += [(offset, sha256(value).digest()) for offset, value in batch]

    def _close(self, span: _Span) -> None:
        if isinstance(span, Compared) and span.differs():
            self._differing.append(span)
        else:
            span.close(self._findings)

    def _cut(self, partition: int, segments: Iterable[Segment], extent: Extent) -> Iterator[_Span]:
        """The spans, in order; together they cover every offset from the first kept on."""
        at, standing = extent.start, Validity()
        for segment in segments:
            checkpoint = segment.checkpoint
            self._head.take(segment)
            self.report.checkpoints += 1
            self.report.anchored_to = checkpoint.end
            self.report.last_checkpoint_ms = checkpoint.at_ms
            if checkpoint.end > at:
                if checkpoint.start > at:
                    yield self._walked(partition, at, checkpoint.start, standing)
                    at = checkpoint.start
                self.report.anchored += checkpoint.end - at
                if segment.leaves is not None:
                    yield Compared(segment, segment.leaves, at)
                else:
                    yield Recomputed(partition, segment, at)
                at = checkpoint.end
            standing = checkpoint.standing
        self._tail = True
        yield self._walked(partition, at, max(at, extent.end), standing)

    def _walked(self, partition: int, start: int, end: int, standing: Validity) -> Walked:
        if start < end:
            self.report.unanchored.append(
                Span(partition=partition, first=start, last=end - 1, detail="no checkpoint covers")
            )
        return Walked(partition, start, end, standing)
