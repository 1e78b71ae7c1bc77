"""Which journal records count: the one filter that every reader applies (rule 2).

A record counts only if its term is the newest taken and its seq is the last taken + 1; after a
gap nothing more of that term counts. Offsets alone would not do: a pipelined record whose
predecessor timed out lands at last + 1 under a current term.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from symphainy_schemas.codec import decode
from symphainy_schemas.errors import JournalTooNew, UnreadableRecord
from symphainy_schemas.events import JournalRecord, OwnershipTaken

_GAP = -2  # no seq follows it, since seq counts from 0


class Numbered(Protocol):
    """A record's place in its term."""

    @property
    def term(self) -> int:
        """Of which owner."""
        ...

    @property
    def seq(self) -> int:
        """Its number there."""
        ...


class Validity(Struct, frozen=True, gc=False):
    """Where a reader stands: the newest term, the last valid seq in it, and that record's place.

    A resumable reader stores exactly this (rule 18).
    """

    term: int = -1
    seq: int = _GAP
    offset: int = -1
    hash: bytes = b""

    def accept(self, record: JournalRecord, offset: int, value: bytes) -> Validity | None:
        """The reader's next standing if the record counts, else None."""
        if takes_ownership(record):
            return Validity(offset, 0, offset, record_hash(value))
        if not self.counts(record):
            return None
        return Validity(self.term, record.seq, offset, record_hash(value))

    def counts(self, record: Numbered) -> bool:
        """Whether a record that takes no ownership counts."""
        return record.term == self.term and record.seq == self.seq + 1

    def after(self, record: Numbered) -> Validity:
        """The standing after a record that does not count: a gap ends its term."""
        if record.term == self.term and record.seq > self.seq + 1:
            return replace(self, seq=_GAP)
        return self


class Stored(Struct, frozen=True, gc=False):
    """A journal record as it stands. `record` is None if no owner can have written those bytes."""

    offset: int
    value: bytes
    record: JournalRecord | None
    valid: bool
    standing: Validity


def judge(value: bytes, offset: int, standing: Validity) -> Stored:
    """Read one stored record and say whether it counts.

    Raises:
        JournalTooNew: its schema is unknown here, so it may count for a newer reader: stop.
    """
    try:
        record = decode(value, JournalRecord)
    except UnreadableRecord as error:
        refuse_newer(error, offset)
        return Stored(offset, value, None, False, standing)
    accepted = standing.accept(record, offset, value)
    if accepted is None:
        return Stored(offset, value, record, False, standing.after(record))
    return Stored(offset, value, record, True, accepted)


def refuse_newer(error: UnreadableRecord, offset: int) -> None:
    """Nothing, if no owner can have written those bytes.

    Raises:
        JournalTooNew: a newer one can have.
    """
    if error.code == "unknown_schema":
        raise JournalTooNew(
            f"Journal offset {offset}: {error.message}",
            cure="Upgrade this process; nothing was touched.",
        ) from error


def takes_ownership(record: JournalRecord) -> bool:
    """Whether the record is a new owner's first."""
    events = record.events
    return bool(events) and type(events[0]) is OwnershipTaken


def record_hash(value: bytes) -> bytes:
    """SHA-256 of a record's stored bytes (rule 21)."""
    return sha256(value).digest()
