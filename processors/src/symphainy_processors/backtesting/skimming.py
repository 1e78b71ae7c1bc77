"""What a backtest reads of a journal: whole only what tells of an intent's admission. Pure."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from symphainy_runtime.journal.standing import Standing
from symphainy_runtime.journal.validity import Validity, record_hash, refuse_newer
from symphainy_schemas.codec import decode, glancing
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import IntentReceived, JournalRecord, OwnershipTaken


class Glance(Struct, frozen=True, gc=False, kw_only=True):
    """What must be known of each record; `events` is the class of its first event."""

    of: ClassVar[type] = JournalRecord

    term: int
    seq: int
    intents_next: int
    prev_hash: bytes
    events: type | None


class Skimming(Standing):
    """Follows a journal from anywhere, and reads whole only what tells of an intent's admission.

    Of the others, the beginning is read, and the next record vouches for the rest: it holds the
    hash of the one that its writer knew before it (rule 21). Where it does not, the record is read
    whole after all, and if no owner can have written it, it has not counted.
    """

    def __init__(self) -> None:
        """Stand nowhere yet."""
        super().__init__()
        self._glance = glancing(Glance)
        self._unread: tuple[bytes, Validity] | None = None

    def skim(self, value: bytes, offset: int) -> JournalRecord | Glance | None:
        """The record, if it counts; whole, if it tells of an admission.

        Raises:
            JournalTooNew: its schema is unknown here.
        """
        try:
            seen = self._glance(value)
        except UnreadableRecord as error:
            refuse_newer(error, offset)
            return None
        if self._unread is not None and record_hash(self._unread[0]) != seen.prev_hash:
            self.settle()
        self._unread = None
        before = self._validity
        if seen.events is OwnershipTaken or not before.counts(seen):
            stored = self.judge(value, offset)
            return stored.record if stored.valid else None
        record: JournalRecord | Glance | None = seen
        if seen.events is IntentReceived:
            record = _read(value)
            if record is None:
                return None
        else:
            self._unread = value, before
        self._validity = Validity(before.term, seen.seq, offset)
        return record

    def settle(self) -> bool:
        """Read the last record whole, if nothing has vouched for it: whether it still counts."""
        unread, self._unread = self._unread, None
        if unread is not None and _read(unread[0]) is None:
            self._validity = unread[1]
            return False
        return True


def _read(value: bytes) -> JournalRecord | None:
    try:
        return decode(value, JournalRecord)
    except UnreadableRecord:
        return None
