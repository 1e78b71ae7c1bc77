"""What is said of records that no checkpoint covers: their chain, no more.

- They are followed from where the last checkpoint stood: what counts is not taken for stale.
- Each break of the chain is named, and so is each hole; one does not end the walk.
- What this version cannot read is said, and nothing of what stands behind it.
"""

from __future__ import annotations

from tests.support.histories import evidence_of, history, numbered, verified

from symphainy_runtime.audit.faults import Kind
from symphainy_runtime.audit.verifying import Extent, PartitionReport

VALUES = history([1, 2, 3, 0, 9, 4, 5, 6, 7, 8])
KEPT = evidence_of(numbered(VALUES), [3])
UNKNOWN = b"\xc3\x01" + b"\x01\x02\x03\x04\x05\x06\x07\x08" + b"from a later release"


def faults(report: PartitionReport) -> list[tuple[Kind, int, int]]:
    return [(fault.kind, fault.first, fault.last) for fault in report.faults]


def longer(at: int) -> bytes:
    """The record there, of the same term and seq, with another correlation id."""
    return VALUES[at].replace(b"x" * 40, b"y" * 40, 1)


def test_they_are_followed_from_the_last_checkpoint_on() -> None:
    report = verified(numbered(VALUES), KEPT)
    assert faults(report) == []
    assert [(span.first, span.last) for span in report.stale] == [(5, 5)]


def test_each_break_of_the_chain_is_named() -> None:
    values = list(VALUES)
    values[6], values[9] = longer(6), longer(9)
    assert faults(verified(numbered(values), KEPT)) == [(Kind.CHAIN, 7, 7), (Kind.CHAIN, 10, 10)]


def test_the_first_record_behind_a_checkpoint_must_follow_it() -> None:
    other = history([1, 8, 3, 0])
    report = verified([*numbered(VALUES)[:3], (3, other[3])], KEPT)
    assert faults(report) == [(Kind.CHAIN, 3, 3)]


def test_holes_and_a_missing_end_are_named() -> None:
    left = [one for one in numbered(VALUES) if one[0] not in (5, 9, 10)]
    report = verified(left, KEPT, extent=Extent(0, len(VALUES)))
    assert faults(report) == [(Kind.HOLE, 5, 5), (Kind.HOLE, 9, 10)]


def test_two_records_at_one_offset_are_named() -> None:
    placed = numbered(VALUES)
    report = verified([*placed[:7], placed[6], *placed[7:]], KEPT, extent=Extent(0, len(VALUES)))
    assert faults(report) == [(Kind.INSERTED, 6, 6)]


def test_what_cannot_be_read_is_said() -> None:
    values = [*VALUES[:6], UNKNOWN, *VALUES[7:]]
    assert faults(verified(numbered(values), KEPT)) == [(Kind.TOO_NEW, 6, 6)]
