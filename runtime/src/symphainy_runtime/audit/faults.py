"""What is found: faults, and what is told besides, in runs of neighbouring offsets."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """What is wrong with a record, or with the evidence."""

    CHANGED = "changed"
    """Another record stands where this one stood."""
    REMOVED = "removed"
    """The record is gone."""
    INSERTED = "inserted"
    """The record was not there when the checkpoint was made."""
    MOVED = "moved"
    """The record stands at another offset."""
    DELETED = "deleted"
    """The journal's head is gone before its retention was over."""
    DIFFERENT = "different"
    """These records are not what they were; the list that would name which is missing."""
    CHAIN = "chain"
    """The record was not written on top of what stands before it."""
    DAMAGED = "damaged"
    """The batch that begins here does not have the CRC that it states."""
    HOLE = "hole"
    """Kafka has no record at the offset."""
    TOO_NEW = "too_new"
    """This version cannot tell whether the record counts."""
    REPLACED = "replaced"
    """Checkpoints are there of a journal that is not."""
    EVIDENCE = "evidence"
    """A checkpoint, or the list beside it, is missing or not what it was."""


class Span(Struct, frozen=True, kw_only=True):
    """Neighbouring offsets of which the same is told. Without offsets: -1."""

    partition: int
    first: int
    last: int
    detail: str

    @property
    def count(self) -> int:
        """How many offsets; 1 without any."""
        return self.last - self.first + 1


class Fault(Span, frozen=True, kw_only=True):
    """Something that must not be."""

    kind: Kind

    def __str__(self) -> str:
        if self.partition < 0:
            where = "the journal"
        elif self.first < 0:
            where = f"partition {self.partition}"
        elif self.first == self.last:
            where = f"partition {self.partition}, offset {self.first}"
        else:
            where = f"partition {self.partition}, offsets {self.first} to {self.last}"
        return f"{where}: {self.kind}: {self.detail}"


class Findings:
    """Faults, and records that do not count, of one partition."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.faults: list[Fault] = []
        self.stale: list[Span] = []

    def fault(self, kind: Kind, detail: str, first: int = -1, last: int | None = None) -> None:
        """Add a fault; one that continues the last one makes that longer."""
        end = first if last is None else last
        one = Fault(partition=self.partition, first=first, last=end, detail=detail, kind=kind)
        before = self.faults[-1] if self.faults else None
        if before is not None and before.kind is kind and _continues(before, one):
            self.faults[-1] = Fault(
                partition=self.partition, first=before.first, last=end, detail=detail, kind=kind
            )
        else:
            self.faults.append(one)

    def does_not_count(self, offset: int, why: str) -> None:
        """List a record that no reader takes."""
        one = Span(partition=self.partition, first=offset, last=offset, detail=why)
        if self.stale and _continues(self.stale[-1], one):
            first = self.stale[-1].first
            one = Span(partition=self.partition, first=first, last=offset, detail=why)
            self.stale[-1] = one
        else:
            self.stale.append(one)

    def spoiled(self, offset: int) -> bool:
        """Whether a fault names this offset."""
        return any(one.first <= offset <= one.last for one in self.faults)


def _continues(before: Span, one: Span) -> bool:
    return before.detail == one.detail and one.first >= 0 and before.last + 1 == one.first
