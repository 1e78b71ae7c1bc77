"""Evidence under fire: any journal, any checkpoints, any tampering (G12).

- A journal that nobody touched is found sound, and what does not count is listed, not a fault.
- A record of it that was changed, removed, inserted or exchanged with another is named, wherever
  it stood, also if the chain of hashes was made to fit again afterwards.
- Faults do not hide each other.
- Without its lists of hashes a checkpoint still shows that something was changed, and between which
  offsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.support.histories import chained_anew, evidence_of, history, numbered, verified

from symphainy_runtime.audit.faults import Kind
from symphainy_runtime.audit.verifying import Extent, PartitionReport
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import JournalRecord

NAMED_HERE = {Kind.CHANGED, Kind.REMOVED, Kind.MOVED}


@dataclass
class Story:
    """A journal, and where its checkpoints end. The last ends with the journal."""

    values: list[bytes]
    ends: list[int]


@st.composite
def stories(draw: Any) -> Story:
    values = history(draw(st.lists(st.integers(0, 9), min_size=3, max_size=40)))
    ends = draw(st.sets(st.integers(1, len(values)), max_size=5))
    return Story(values, sorted({*ends, len(values)}))


def named(report: PartitionReport, *kinds: Kind) -> set[int]:
    """The offsets that faults of these kinds name."""
    wanted = kinds or tuple(Kind)
    return {
        offset
        for fault in report.faults
        if fault.kind in wanted
        for offset in range(fault.first, fault.last + 1)
    }


def flipped(value: bytes, at: int) -> bytes:
    """The bytes with one bit changed."""
    at %= len(value)
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


def rewritten(value: bytes) -> bytes:
    """The record, decided otherwise; or other bytes if it is none."""
    try:
        return encode(replace(decode(value, JournalRecord), tenant_id="mallory"))
    except UnreadableRecord:
        return value + b"."


def counts(values: list[bytes]) -> set[int]:
    """Which records count."""
    standing, found = Validity(), set()
    for offset, value in enumerate(values):
        stored = judge(value, offset, standing)
        standing = stored.standing
        if stored.valid:
            found.add(offset)
    return found


@settings(deadline=None)  # other tests share the cores
@given(story=stories(), batch=st.integers(1, 50))
def test_what_nobody_touched_is_sound(story: Story, batch: int) -> None:
    placed = numbered(story.values)
    report = verified(placed, evidence_of(placed, story.ends), batch=batch)
    assert report.faults == []
    assert report.anchored == report.records == len(story.values)
    stale = {n for span in report.stale for n in range(span.first, span.last + 1)}
    assert stale == set(range(len(story.values))) - counts(story.values)


@settings(deadline=None)  # other tests share the cores
@given(story=stories(), end=st.integers(1, 40))
def test_what_stands_behind_the_last_checkpoint_is_told_apart(story: Story, end: int) -> None:
    end = min(end, len(story.values) - 1)
    placed = numbered(story.values)
    report = verified(placed, evidence_of(placed, [end]))
    assert report.faults == []
    (span,) = report.unanchored
    assert (span.first, span.last) == (end, len(story.values) - 1)


@settings(deadline=None)  # other tests share the cores
@given(story=stories(), where=st.integers(0, 40), bit=st.integers(0, 500), anew=st.booleans())
def test_a_changed_record_is_named(story: Story, where: int, bit: int, anew: bool) -> None:
    kept = evidence_of(numbered(story.values), story.ends)
    where %= len(story.values)
    values = list(story.values)
    values[where] = rewritten(values[where]) if anew else flipped(values[where], bit)
    if anew:
        values = chained_anew(values, where + 1)
    report = verified(numbered(values), kept)
    found = named(report, Kind.CHANGED)
    assert found == {n for n, value in enumerate(values) if value != story.values[n]}
    assert where in found
    assert {fault.kind for fault in report.faults} == {Kind.CHANGED}


@settings(deadline=None)  # other tests share the cores
@given(story=stories(), where=st.integers(0, 40), count=st.integers(1, 3), shifts=st.booleans())
def test_removed_records_are_named(story: Story, where: int, count: int, shifts: bool) -> None:
    placed = numbered(story.values)
    kept = evidence_of(placed, story.ends)
    gone = set(range(where % len(placed), min(where % len(placed) + count, len(placed))))
    left = [one for one in placed if one[0] not in gone]
    if shifts:
        left = numbered([value for _, value in left])
    extent = Extent(0, left[-1][0] + 1 if left else 0)
    report = verified(left, kept, extent=extent)
    assert named(report, Kind.REMOVED) == gone
    moved = set(range(min(gone), len(placed))) - gone if shifts else set()
    assert named(report, Kind.MOVED) == moved
    assert {fault.kind for fault in report.faults} <= {Kind.REMOVED, Kind.MOVED}


@settings(deadline=None)  # other tests share the cores
@given(story=stories(), where=st.integers(0, 40), count=st.integers(1, 3))
def test_inserted_records_are_named(story: Story, where: int, count: int) -> None:
    kept = evidence_of(numbered(story.values), story.ends)
    where %= len(story.values) + 1
    strange = [b"strange" * (n + 1) for n in range(count)]
    values = [*story.values[:where], *strange, *story.values[where:]]
    report = verified(numbered(values), kept)
    if where < len(story.values):
        covered = set(range(where, min(where + count, len(story.values))))
        assert named(report, Kind.INSERTED) == covered
        assert named(report, Kind.MOVED) == set(range(where, len(story.values)))
    else:
        assert report.faults == []  # behind the last checkpoint: told apart
        assert report.unanchored[0].first == where


@settings(deadline=None)  # other tests share the cores
@given(story=stories(), where=st.integers(0, 40), of=st.integers(0, 40))
def test_a_copy_of_a_record_is_not_passed_over(story: Story, where: int, of: int) -> None:
    kept = evidence_of(numbered(story.values), story.ends)
    where, of = where % len(story.values), of % len(story.values)
    values = [*story.values[:where], story.values[of], *story.values[where:]]
    report = verified(numbered(values), kept)
    behind = where == of == len(story.values) - 1  # it stands after the last checkpoint
    assert len(named(report, Kind.INSERTED)) == (0 if behind else 1)
    replaced = [*story.values[:where], story.values[of], *story.values[where + 1 :]]
    report = verified(numbered(replaced), kept)
    assert named(report) == ({where} if replaced != story.values else set())


@settings(deadline=None)  # other tests share the cores
@given(story=stories(), gone=st.integers(0, 40), other=st.integers(0, 40))
def test_a_change_behind_a_removal_is_told_as_one(story: Story, gone: int, other: int) -> None:
    kept = evidence_of(numbered(story.values), story.ends)
    gone = gone % (len(story.values) - 2)
    other = gone + 2 + other % (len(story.values) - gone - 2)
    values = list(story.values)
    values[other] = flipped(values[other], 5)
    del values[gone]
    report = verified(numbered(values), kept)
    assert named(report, Kind.REMOVED) == {gone}
    assert named(report, Kind.CHANGED) == {other}


@settings(deadline=None)  # other tests share the cores
@given(story=stories(), one=st.integers(0, 40), other=st.integers(0, 40))
def test_exchanged_records_are_named(story: Story, one: int, other: int) -> None:
    kept = evidence_of(numbered(story.values), story.ends)
    one, other = one % len(story.values), other % len(story.values)
    values = list(story.values)
    values[one], values[other] = values[other], values[one]
    report = verified(numbered(values), kept)
    assert named(report) == named(report, Kind.MOVED) == ({one, other} if one != other else set())


@settings(deadline=None)  # other tests share the cores
@given(story=stories(), data=st.data())
def test_faults_do_not_hide_each_other(story: Story, data: st.DataObject) -> None:
    placed = numbered(story.values)
    kept = evidence_of(placed, story.ends)
    offsets = st.sets(st.integers(0, len(placed) - 1), max_size=4)
    changed, gone = data.draw(offsets), data.draw(offsets)
    left = [
        (offset, flipped(value, 3) if offset in changed else value)
        for offset, value in placed
        if offset not in gone
    ]
    report = verified(left, kept, extent=Extent(0, len(placed)))
    assert named(report, Kind.REMOVED) == gone
    assert named(report, Kind.CHANGED) == changed - gone


@settings(deadline=None)  # other tests share the cores
@given(story=stories(), where=st.integers(0, 40))
def test_without_the_hashes_a_root_still_shows_a_change(story: Story, where: int) -> None:
    kept = evidence_of(numbered(story.values), story.ends)
    counting = sorted(counts(story.values))
    where = counting[where % len(counting)]
    values = list(story.values)
    values[where] = rewritten(values[where])
    values = chained_anew(values, where + 1)
    bare = [type(one)(one.number, one.note, None) for one in kept]
    sound = verified(numbered(story.values), bare)
    assert {fault.kind for fault in sound.faults} == {Kind.EVIDENCE}
    spoilt = verified(numbered(values), bare)
    assert where in named(spoilt, Kind.DIFFERENT)
