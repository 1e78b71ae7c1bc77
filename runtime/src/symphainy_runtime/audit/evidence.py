"""A journal's checkpoints as they are kept, checked against each other. Pure.

Each checkpoint is signed, names the one before by its hash, and signs the list of hashes beside it,
whose leaves must lead from the last tree to its own. What fails one of these is a fault of the
evidence, and is not relied on; the rest is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from msgspec import Struct

from symphainy_runtime.audit.checkpoints import Checkpoint, note_hash, parse_checkpoint
from symphainy_runtime.audit.faults import Findings, Kind
from symphainy_runtime.audit.leaves import Leaves, LeavesUnreadable, decode_leaves
from symphainy_runtime.audit.notes import NoteRejected, VerifierKey, open_note
from symphainy_runtime.audit.tree import GrowingTree


class Kept(Struct, frozen=True):
    """A checkpoint and its list of hashes as a store holds them. `leaves` is None if it is gone."""

    number: int
    note: bytes
    leaves: bytes | None


class Segment(Struct, frozen=True):
    """What one checkpoint adds. `leaves` is None if the list is gone or not what was signed."""

    checkpoint: Checkpoint
    note: bytes
    key: str
    """Whose signature it bears: name and id."""
    leaves: Leaves | None
    before: Checkpoint | None
    """The checkpoint before it; None for the first, and where that one cannot be relied on."""


def read_segments(
    kept: Iterable[Kept], origin: str, keys: Sequence[VerifierKey], findings: Findings
) -> Iterator[Segment]:
    """What can be relied on, in order; what cannot goes to `findings` as it is met."""
    before: Checkpoint | None = None
    before_note = b""
    expected = 0
    for one in kept:
        if one.number != expected:
            findings.fault(Kind.EVIDENCE, _missing(expected, one.number - 1))
            before = None
        expected = one.number + 1
        segment = _segment(one, origin, keys, findings, before, before_note)
        before = None if segment is None else segment.checkpoint
        before_note = one.note
        if segment is not None:
            yield segment


def open_checkpoint(
    note: bytes, origin: str, keys: Sequence[VerifierKey]
) -> tuple[Checkpoint, VerifierKey]:
    """The checkpoint in a note.

    Raises:
        NoteRejected: it is none, nobody whom we know has signed it, or it is another journal's.
    """
    text, key = open_note(note, keys)
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin != origin:
        raise NoteRejected(f"it is of {checkpoint.origin}")
    return checkpoint, key


def _segment(
    one: Kept,
    origin: str,
    keys: Sequence[VerifierKey],
    findings: Findings,
    before: Checkpoint | None,
    before_note: bytes,
) -> Segment | None:
    name = f"checkpoint {one.number}"
    try:
        checkpoint, key = open_checkpoint(one.note, origin, keys)
        if checkpoint.number != one.number:
            raise NoteRejected(f"it is checkpoint {checkpoint.number}")
        if not checkpoint.start <= checkpoint.end:
            raise NoteRejected("its lines contradict each other")
    except NoteRejected as error:
        findings.fault(Kind.EVIDENCE, f"{name} cannot be relied on: {error}")
        return None
    if before is not None:
        if checkpoint.previous != note_hash(before_note):
            findings.fault(Kind.EVIDENCE, f"{name} was made after another one before it")
        if checkpoint.start < before.end:
            findings.fault(Kind.EVIDENCE, f"{name} begins before the one before it ends")
            return None
    elif one.number == 0 and checkpoint.previous:
        findings.fault(Kind.EVIDENCE, f"{name} names one before it")
    leaves = _leaves(one, checkpoint, name, findings)
    if leaves is not None and (before is not None or one.number == 0):
        leaves = leaves if _grows(leaves, before, checkpoint) else None
        if leaves is None:
            findings.fault(Kind.EVIDENCE, f"the hashes beside {name} do not lead to its root")
    key_name = f"{key.name}+{key.id.hex()}"
    return Segment(checkpoint, one.note, key_name, leaves, before)


def _leaves(one: Kept, checkpoint: Checkpoint, name: str, findings: Findings) -> Leaves | None:
    """The list of hashes, if it is the one that was signed."""
    if one.leaves is None:
        findings.fault(Kind.EVIDENCE, f"the list of hashes of {name} is gone")
        return None
    try:
        if sha256(one.leaves).digest() != checkpoint.leaves:
            raise LeavesUnreadable("it is not the one that was signed")
        leaves = decode_leaves(one.leaves)
        if (leaves.start, leaves.end) != (checkpoint.start, checkpoint.end):
            raise LeavesUnreadable("it is of other offsets")
    except LeavesUnreadable as error:
        findings.fault(Kind.EVIDENCE, f"the list of hashes of {name} cannot be used: {error}")
        return None
    return leaves


def _grows(leaves: Leaves, before: Checkpoint | None, checkpoint: Checkpoint) -> bool:
    """Whether the tree of the checkpoint before and the leaves that this one adds are its tree."""
    tree = GrowingTree() if before is None else GrowingTree(before.size, before.peaks)
    tree.extend(leaves.leaf_hashes(checkpoint.partition))
    return (tree.size, tree.peaks) == (checkpoint.size, checkpoint.peaks)


def _missing(first: int, last: int) -> str:
    if first == last:
        return f"checkpoint {first} is missing"
    return f"checkpoints {first} to {last} are missing"
