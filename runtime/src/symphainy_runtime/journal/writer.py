"""Writing the journal: one owner's term on one partition, as a value that counts.

Sans-IO: it makes records and bytes; who sends them is the shell's business.
"""

from __future__ import annotations

from msgspec import Struct

from symphainy_runtime.journal.validity import Validity, record_hash
from symphainy_schemas.codec import encode
from symphainy_schemas.errors import CallerError
from symphainy_schemas.events import Event, JournalRecord, OwnershipTaken, Position, Predecessor

FEATURE_LEVEL = 1
# Below the topic's max.message.bytes (1,048,588) with room for batch and record headers.
MAX_RECORD_BYTES = 1_000_000


class DecisionTooLarge(CallerError):
    """A decision does not fit one record (rule 7)."""

    code = "decision_too_large"


class Heading(Struct, frozen=True, gc=False, kw_only=True):
    """Whose decision it is and what caused it."""

    cause: Position | None = None
    parent: int = -1
    tenant_id: str = ""
    session_id: str = ""
    execution_id: str = ""
    correlation_id: str = ""


class Positions(Struct):
    """The next input offsets of the partition; moves as inputs are decided (rule 6)."""

    intents_next: int = 0
    steps_next: int = 0


class JournalWriter:
    """Numbers, chains and encodes the records of one term."""

    def __init__(self, term: Validity, before: Validity) -> None:
        """Write under `term`, the standing after our OwnershipTaken.

        `before` is the standing right before it: the first record names that predecessor, since
        records of the last owner may have landed after the OwnershipTaken was made (rule 18).
        """
        self.term = term.offset
        self.seq = 0
        self._prev_hash = term.hash
        self._previous: Predecessor | None = Predecessor(before.term, before.offset, before.hash)
        self._before: tuple[int, bytes, Predecessor | None] = (
            self.seq,
            self._prev_hash,
            self._previous,
        )

    def standing(self, offset: int) -> Validity:
        """A reader's standing after the last record written, if that stands at `offset`."""
        return Validity(self.term, self.seq, offset, self._prev_hash)

    def write(
        self,
        at: int,
        heading: Heading,
        events: tuple[Event, ...],
        positions: Positions,
        acted_to: int,
    ) -> tuple[JournalRecord, bytes]:
        """The next record and its bytes.

        Raises:
            DecisionTooLarge: nothing was counted; decide something smaller.
        """
        record = JournalRecord(
            term=self.term,
            seq=self.seq + 1,
            at=at,
            cause=heading.cause,
            parent=heading.parent,
            intents_next=positions.intents_next,
            steps_next=positions.steps_next,
            acted_to=acted_to,
            prev_hash=self._prev_hash,
            previous=self._previous,
            tenant_id=heading.tenant_id,
            session_id=heading.session_id,
            execution_id=heading.execution_id,
            correlation_id=heading.correlation_id,
            events=events,
        )
        value = encode(record)
        if len(value) > MAX_RECORD_BYTES:
            raise DecisionTooLarge(
                f"The decision takes {len(value)} bytes; a record holds {MAX_RECORD_BYTES}.",
                cure="Return references to artifacts instead of data.",
            )
        self._before = (self.seq, self._prev_hash, self._previous)
        self.seq += 1
        self._prev_hash = record_hash(value)
        self._previous = None
        return record, value

    def take_back(self) -> None:
        """The last record written was not sent: its number is free again."""
        self.seq, self._prev_hash, self._previous = self._before


def ownership_taken(
    owner: str, at: int, last: Validity, positions: Positions, acted_to: int
) -> bytes:
    """A new owner's first record; its offset will be the term (rule 1)."""
    return encode(
        JournalRecord(
            term=-1,
            seq=0,
            at=at,
            intents_next=positions.intents_next,
            steps_next=positions.steps_next,
            acted_to=acted_to,
            prev_hash=last.hash,
            previous=Predecessor(last.term, last.offset) if last.offset >= 0 else None,
            events=(OwnershipTaken(owner=owner, feature_level=FEATURE_LEVEL),),
        )
    )
