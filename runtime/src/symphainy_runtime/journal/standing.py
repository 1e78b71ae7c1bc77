"""Which records count for a reader that starts in the middle of a journal (rules 2 and 18). Pure.

A record's term is the offset of the OwnershipTaken that began it: read from there, what counts is
known. Where that is no longer kept, or stands too far back, the first record's own standing is
taken; a record of a higher term then proves that this was taken since.
"""

from __future__ import annotations

from symphainy_runtime.journal.validity import Stored, Validity, judge, takes_ownership
from symphainy_schemas.codec import decode
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import JournalRecord

LOOK_BACK = 200_000
"""Records that are read, and not compared, to learn what counts and what stood before: 2 to 4 s."""


def begin_at(first: bytes | None, start: int, low: int, facts: bool) -> int:
    """Where to begin to read, so that it is known what counts from `start` on.

    `first` is the record at `start`; `facts`: whether what stood before is asked, too.
    """
    if facts and start - low <= LOOK_BACK:
        return low
    record = None if first is None else _record(first)
    if record is None or takes_ownership(record):
        return start
    near = low <= record.term and start - record.term <= LOOK_BACK
    return record.term if near else start


class Standing:
    """Follows a journal from anywhere."""

    def __init__(self, validity: Validity | None = None) -> None:
        """Stand where a reader stood before, or nowhere yet."""
        self.assumed = False
        """Whether the standing was ever taken from a record that is no OwnershipTaken."""
        self._known = validity is not None
        self._validity = validity or Validity()

    @property
    def validity(self) -> Validity:
        """Where the reader stands now."""
        return self._validity

    def judge(self, value: bytes, offset: int) -> Stored:
        """The record, and whether it counts.

        Raises:
            JournalTooNew: its schema is unknown here.
        """
        stored = judge(value, offset, self._validity)
        record = stored.record
        if not self._known and record is not None:
            if takes_ownership(record):
                self._known = True
            elif record.term > self._validity.term:
                self.assumed = True
                stored = judge(value, offset, Validity(record.term, record.seq - 1))
        self._validity = stored.standing
        return stored


def _record(value: bytes) -> JournalRecord | None:
    try:
        return decode(value, JournalRecord)
    except UnreadableRecord:
        return None
