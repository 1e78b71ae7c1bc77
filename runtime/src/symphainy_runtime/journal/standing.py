"""Which records count for a reader that starts in the middle of a journal (rules 2 and 18). Pure.

A record's term is the offset of the OwnershipTaken that began it: read from there, what counts is
known. Where that is no longer kept, or stands too far back, the first record's own standing is
taken; a record of a higher term then proves that this was taken since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from symphainy_runtime.journal.validity import (
    Numbered,
    Stored,
    Validity,
    judge,
    record_hash,
    refuse_newer,
    takes_ownership,
)
from symphainy_schemas.codec import decode
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import JournalRecord

R = TypeVar("R", bound="Told")
LOOK_BACK = 200_000
"""Records that are read, and not compared, to learn what counts and what stood before: 2 to 4 s."""


class Told(Numbered, Protocol):
    """What a reader makes of a record."""

    @property
    def events(self) -> Sequence[object]:
        """What it makes of its events."""
        ...


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


def sure_from(record: JournalRecord, at: int) -> int:
    """The offset from which on a reader knows what counts at `at`, where `record` stands, whether
    or not that counts itself; if what stands there `is_of` the same term.

    It is that of the OwnershipTaken that began the record's term or, if that is later, the last one
    whose effects its writer knew to be acknowledged. An owner acts on the contiguous acknowledged
    prefix of its term and on nothing else (rules 3 and 11), so a record of its term that stands
    there counts. A writer that keeps no rule may name anything, but nothing behind its record.
    """
    return at if takes_ownership(record) else min(at, max(record.term, record.acted_to))


def is_of(record: JournalRecord, at: int, term: int) -> bool:
    """Whether what stands at `at` is a record of that term; its OwnershipTaken is one."""
    return at == term if takes_ownership(record) else record.term == term


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

    def counting(
        self, batch: Iterable[tuple[int, bytes, int]], read: Callable[[bytes], R], taking: type
    ) -> list[tuple[int, R]]:
        """Of records that follow each other (offset, stored bytes, time) those that count, with
        their offsets, as `judge` says.

        `read` makes of a record's bytes what is told of it, and refuses what `decode` refuses;
        `taking` is the class of its first event where that is OwnershipTaken. Of a stretch that
        counts only the last is hashed: no more of it is known of a standing.

        Raises:
            JournalTooNew: a record's schema is unknown here.
        """
        found: list[tuple[int, R]] = []
        term, seq = self._validity.term, self._validity.seq
        last: tuple[int, bytes] | None = None
        for offset, value, _ in batch:
            try:
                record = read(value)
            except UnreadableRecord as error:
                refuse_newer(error, offset)
                continue
            # What `Validity.counts` asks; nearly all records pass.
            if record.seq == seq + 1 and record.term == term and not _begins(record, taking):
                seq, last = record.seq, (offset, value)
                found.append((offset, record))
                continue
            self._stand(seq, last)
            if self.judge(value, offset).valid:
                found.append((offset, record))
            term, seq, last = self._validity.term, self._validity.seq, None
        self._stand(seq, last)
        return found

    def _stand(self, seq: int, last: tuple[int, bytes] | None) -> None:
        """Stand behind the last of a stretch that counts."""
        if last is not None:
            offset, value = last
            self._validity = Validity(self._validity.term, seq, offset, record_hash(value))


def _begins(record: Told, taking: type) -> bool:
    events = record.events
    return bool(events) and type(events[0]) is taking


def _record(value: bytes) -> JournalRecord | None:
    try:
        return decode(value, JournalRecord)
    except UnreadableRecord:
        return None
