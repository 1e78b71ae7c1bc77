"""What of the evidence can be relied on.

- A checkpoint's text is read back, and has one spelling.
- Each way to alter what is kept is a fault of the evidence, named; the rest is still relied on.
- What checkpoints that cannot be relied on covered is outside of them, not sound.
"""

from __future__ import annotations

import pytest
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

from symphainy_runtime.audit.checkpoints import (
    Checkpoint,
    checkpoint_text,
    origin_of,
    parse_checkpoint,
)
from symphainy_runtime.audit.evidence import Kept
from symphainy_runtime.audit.faults import Findings, Kind
from symphainy_runtime.audit.leaves import LeavesUnreadable, decode_leaves, encode_leaves
from symphainy_runtime.audit.notes import NoteRejected, SignerKey, open_note

VALUES = history([1, 2, 3, 0, 9, 4, 5, 6, 7, 8, 1, 2])
PLACED = numbered(VALUES)
ENDS = [4, 8, len(VALUES)]
KEPT = evidence_of(PLACED, ENDS)
FORGER = SignerKey("auditor.test", b"forger" + bytes(26))


def checkpoint(number: int) -> Checkpoint:
    """As it was kept."""
    return parse_checkpoint(open_note(KEPT[number].note, [SIGNER.verifier])[0])


def signed(which: int, signer: SignerKey = SIGNER, **changes: object) -> Kept:
    """A checkpoint that says something else."""
    said = {name: getattr(checkpoint(which), name) for name in Checkpoint.__struct_fields__}
    text = checkpoint_text(Checkpoint(**{**said, **changes}))
    return Kept(which, signer.sign(text), KEPT[which].leaves)


def test_a_checkpoints_text_is_read_back() -> None:
    text = checkpoint_text(checkpoint(1))
    assert parse_checkpoint(text) == checkpoint(1)
    first, size, root, *rest = text.splitlines()
    assert first == f"symphainy/{IDENTITY}/{PARTITION}"
    assert size == "7"  # of eight records one does not count
    assert len(root) == 44
    assert [line.split()[0] for line in rest] == [
        "number", "offsets", "standing", "peaks", "leaves", "previous", "log-start", "appended",
        "time",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("number 1", "number 01"),
        ("number 1", "number 1 "),
        ("\n7\n", "\n8\n"),
        ("number 1\n", ""),
        ("time", "extra 1\ntime"),
        ("peaks ", "peaks AAAA "),
        (f"/{PARTITION}\n", "/p\n"),
        ("leaves ", "leaves 00"),
    ],
)
def test_a_checkpoint_has_one_spelling(old: str, new: str) -> None:
    text = checkpoint_text(checkpoint(1))
    assert old in text
    with pytest.raises(NoteRejected):
        parse_checkpoint(text.replace(old, new, 1))


def bare(number: int) -> Kept:
    """A checkpoint whose list of hashes is gone."""
    return Kept(number, KEPT[number].note, None)


def other_leaves(number: int) -> Kept:
    """A checkpoint beside another's list."""
    return Kept(number, KEPT[number].note, KEPT[number - 1].leaves)


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ([KEPT[0], KEPT[2]], ["checkpoint 1 is missing"]),
        ([KEPT[2]], ["checkpoints 0 to 1 are missing"]),
        ([KEPT[0], bare(1), KEPT[2]], ["hashes of checkpoint 1 is gone"]),
        (
            [KEPT[0], other_leaves(1), KEPT[2]],
            ["of checkpoint 1 cannot be used: it is not the one"],
        ),
        ([KEPT[0], signed(1, FORGER), KEPT[2]], ["checkpoint 1 cannot be relied on: no known key"]),
        (
            [KEPT[0], signed(1, origin=origin_of(IDENTITY, 4)), KEPT[2]],
            [f"it is of symphainy/{IDENTITY}/4"],
        ),
        ([KEPT[0], signed(1, at_ms=7), KEPT[2]], ["checkpoint 2 was made after another one"]),
        ([KEPT[0], signed(1, start=3), KEPT[2]], ["checkpoint 1 begins before"]),
        ([KEPT[0], signed(1, number=2), KEPT[2]], ["checkpoint 1 cannot be relied on: it is"]),
        ([signed(0, previous=b"p" * 32), KEPT[1]], ["checkpoint 0 names one before"]),
        (
            [KEPT[0], signed(1, peaks=checkpoint(2).peaks, size=checkpoint(2).size), KEPT[2]],
            ["the hashes beside checkpoint 1 do not lead to its root"],
        ),
    ],
)
def test_each_alteration_of_evidence_is_named(kept: list[Kept], told: list[str]) -> None:
    findings = Findings(PARTITION)
    list(segments_of(kept, findings))
    assert {fault.kind for fault in findings.faults} == {Kind.EVIDENCE}
    said = "; ".join(fault.detail for fault in findings.faults)
    assert told[0] in said


def test_what_an_unreliable_checkpoint_covered_is_not_sound() -> None:
    report = verified(PLACED, [KEPT[0], signed(1, FORGER), KEPT[2]])
    assert [(span.first, span.last) for span in report.unanchored] == [(4, 7)]
    assert report.anchored == len(VALUES) - 4


def test_a_fault_is_found_on_either_side_of_missing_evidence() -> None:
    values = list(VALUES)
    values[2], values[9] = b"two", b"nine"
    report = verified(numbered(values), [KEPT[0], KEPT[2]])
    changed = {fault.first for fault in report.faults if fault.kind is Kind.CHANGED}
    assert changed == {2, 9}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}\n",
        b'{"start":0,"end":1,"runs":[]}',
        b'{"start":0,"end":1,"runs":[]}\nshort',
        b'{"start":0,"end":1,"runs":[[0,0,0,2]]}\n' + bytes(32),
        b'{"start":1,"end":2,"runs":[[0,0,0,1]]}\n' + bytes(32),
        b'{"start":0,"end":1,"runs":[[0,0,0,0]]}\n' + bytes(32),
        b'{"start":2,"end":1,"runs":[]}\n',
    ],
)
def test_what_is_no_list_of_hashes_is_refused(content: bytes) -> None:
    with pytest.raises(LeavesUnreadable):
        decode_leaves(content)


def test_a_list_of_hashes_is_read_back() -> None:
    for one in KEPT:
        assert one.leaves is not None
        assert encode_leaves(decode_leaves(one.leaves)) == one.leaves
    leaves = decode_leaves(KEPT[1].leaves or b"")
    assert [leaves.counted(offset) for offset in range(4, 8)] == [True, False, True, True]
