"""The hash chain of a journal's valid records: what was changed, removed or cut shows (rule 21).

Every record holds the hash of the valid record before it. An OwnershipTaken is written before its
writer knows the last owner's very last records, so it may name an earlier one; the first record
under it then names exactly what stood before.
"""

from __future__ import annotations

from symphainy_runtime.journal.validity import Validity, takes_ownership
from symphainy_schemas.errors import OperatorError
from symphainy_schemas.events import JournalRecord


class JournalTampered(OperatorError):
    """The journal is not what its owners wrote: changed, or cut.

    Operator action: find out who wrote to it, or which broker lost acknowledged records; restore
    it, or accept it as it stands (docs/operations.md, "A broken chain").
    """

    code = "journal_tampered"


class Chain:
    """Follows a journal's valid records and says where the chain breaks."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._before_term: Validity | None = None

    def follow(self, record: JournalRecord, at: int, last: Validity) -> None:
        """`record`, valid at offset `at`, follows `last`.

        Raises:
            JournalTampered: it was written on top of something else.
        """
        if last.offset < 0:
            return
        if takes_ownership(record):
            self._follow_takeover(record, at, last)
        elif record.prev_hash != last.hash:
            raise self._broken(at, f"does not follow the record at {last.offset}")
        elif record.seq == 1 and self._before_term is not None and record.previous is not None:
            named, stood = record.previous, self._before_term
            if (named.offset, named.hash) != (stood.offset, stood.hash):
                raise self._broken(
                    at, f"was written after offset {named.offset}, but {stood.offset} stands there"
                )

    def _follow_takeover(self, record: JournalRecord, at: int, last: Validity) -> None:
        self._before_term = last
        named = record.previous
        if named is None:
            return
        if named.offset > last.offset:
            raise self._broken(
                at,
                f"was written after offset {named.offset}; what stood behind {last.offset} is gone",
            )
        if named.offset == last.offset and record.prev_hash != last.hash:
            raise self._broken(at, f"was written after another record at {last.offset}")

    def _broken(self, at: int, what: str) -> JournalTampered:
        return JournalTampered(
            f"Journal partition {self._partition}: the record at offset {at} {what}.",
            cure="See docs/operations.md, A broken chain.",
        )
