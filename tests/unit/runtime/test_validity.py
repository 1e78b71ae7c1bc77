"""Invariants of the one filter (rule 2), driven by every short journal of two owners.

- Taken records of a term have seq 1, 2, 3, … without a gap.
- A term's records are taken only until the next ownership.
- A reader that stops and resumes with its standing takes what one that never stopped takes.
"""

from __future__ import annotations

from itertools import product

from symphainy_runtime.journal.validity import Validity, judge
from symphainy_schemas.codec import encode
from symphainy_schemas.events import JournalRecord, OwnershipTaken

TAKEN = JournalRecord(
    term=-1,
    seq=0,
    at=0,
    intents_next=0,
    steps_next=0,
    acted_to=-1,
    prev_hash=b"",
    events=(OwnershipTaken(owner="o", feature_level=1),),
)
OWNERSHIP = encode(TAKEN)


def decision(term: int, seq: int) -> bytes:
    """A position-only record."""
    return encode(
        JournalRecord(
            term=term, seq=seq, at=0, intents_next=0, steps_next=0, acted_to=-1, prev_hash=b""
        )
    )


RECORDS = [None, *((term, seq) for term in (0, 1, 2) for seq in (1, 2, 3))]
VALUES = {one: OWNERSHIP if one is None else decision(*one) for one in RECORDS}


def test_every_journal_of_five_records_is_read_by_the_rule() -> None:
    count = 0
    for journal in product(RECORDS, repeat=4):
        full = (None, *journal)
        standing, term, seq = Validity(), -1, 0
        resumed = Validity()
        for offset, one in enumerate(full):
            stored = judge(VALUES[one], offset, standing)
            again = judge(VALUES[one], offset, Validity(*_tuple(resumed)))
            assert (stored.valid, stored.standing) == (again.valid, again.standing)
            standing = resumed = stored.standing
            if one is None:
                assert stored.valid
                term, seq = offset, 0
            else:
                expected = one[0] == term and one[1] == seq + 1
                assert stored.valid == expected, (full, offset)
                if expected:
                    seq += 1
                elif one[0] == term and one[1] > seq + 1:
                    seq = 10  # a gap: nothing more of this term
            count += 1
    assert count == 5 * len(RECORDS) ** 4


def _tuple(standing: Validity) -> tuple[int, int, int, bytes]:
    """What a resumable reader stores (rule 18)."""
    return standing.term, standing.seq, standing.offset, standing.hash


def test_what_no_owner_can_have_written_does_not_count() -> None:
    stored = judge(b"garbage", 0, Validity())
    assert not stored.valid
    assert stored.record is None
