"""Recording a journal.

- Whoever goes on from a checkpoint makes the same ones as who never stopped.
- Nothing is proposed across a hole, a broken chain, or another record than it stood on.
- What retention removed before it was recorded shows as a gap; what follows is still a line.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.histories import (
    IDENTITY,
    PARTITION,
    SIGNER,
    evidence_of,
    history,
    numbered,
    segments_of,
    verified,
)

from symphainy_runtime.audit.checkpoints import Checkpoint, checkpoint_text, origin_of
from symphainy_runtime.audit.recording import PartitionRecorder
from symphainy_runtime.journal.chain import JournalTampered

PLAN = [1, 2, 3, 0, 9, 4, 5, 0, 0, 9, 6, 7, 8, 1, 2]
VALUES = history(PLAN)
ORIGIN = origin_of(IDENTITY, PARTITION)


def fresh(log_start: int = 0) -> PartitionRecorder:
    return PartitionRecorder(ORIGIN, PARTITION, log_start)


def keep(recorder: PartitionRecorder, log_start: int = 0) -> tuple[Checkpoint, bytes]:
    """Make a checkpoint and keep it."""
    checkpoint = recorder.propose(7, log_start).checkpoint
    note = SIGNER.sign(checkpoint_text(checkpoint))
    recorder.kept(checkpoint, note)
    return checkpoint, note


@settings(deadline=None)  # other tests share the cores
@given(st.sets(st.integers(1, len(VALUES) - 1)))
def test_whoever_resumes_makes_the_same_checkpoints(ends: set[int]) -> None:
    steady, made, resumed = fresh(), [], []
    other = fresh()
    for offset, value in enumerate(VALUES):
        steady.take(offset, value, offset)
        other.take(offset, value, offset)
        if offset + 1 in ends or offset + 1 == len(VALUES):
            made.append(keep(steady))
            resumed.append(keep(other))
            other = fresh()
            other.resume(*resumed[-1], 0)
            other.confirm_standing(VALUES[other.standing.offset])
    assert made == resumed


def test_a_hole_is_not_recorded() -> None:
    recorder = fresh()
    recorder.take(0, VALUES[0], 0)
    with pytest.raises(JournalTampered, match="no record at offset 1"):
        recorder.take(2, VALUES[2], 0)


def test_a_broken_chain_is_not_recorded() -> None:
    recorder = fresh()
    other = history([8, 2, 3])
    recorder.take(0, other[0], 0)
    recorder.take(1, other[1], 0)
    with pytest.raises(JournalTampered, match="does not follow the record at 1"):
        recorder.take(2, VALUES[2], 0)


def test_nobody_goes_on_from_another_record() -> None:
    recorder = fresh()
    recorder.take(0, VALUES[0], 0)
    other = fresh()
    other.resume(*keep(recorder), 0)
    with pytest.raises(JournalTampered, match="offset 0 is not the one"):
        other.confirm_standing(VALUES[1])


def test_what_expired_unrecorded_shows_as_a_gap() -> None:
    takeover = PLAN.index(0, 5) + 1  # the first record from which a reader knows what counts
    recorder = fresh()
    for offset in range(3):
        recorder.take(offset, VALUES[offset], 0)
    last = keep(recorder)
    other = fresh(5)
    other.resume(*last, 5)
    for offset in range(5, len(VALUES)):
        other.take(offset, VALUES[offset], 0)
    checkpoint, _ = keep(other, 5)
    assert (checkpoint.start, checkpoint.end, checkpoint.number) == (5, len(VALUES), 1)
    assert checkpoint.size == 3 + len(VALUES) - takeover - 1  # one behind it does not count


def test_a_journal_whose_head_expired_is_verified_from_there() -> None:
    kept = evidence_of(numbered(VALUES), [4, 8, len(VALUES)])
    report = verified(numbered(VALUES)[6:], kept)
    assert report.faults == []
    assert [(span.first, span.last) for span in report.expired] == [(0, 5)]
    assert report.anchored == report.records == len(VALUES) - 6
    assert len(list(segments_of(kept))) == report.checkpoints == 3
