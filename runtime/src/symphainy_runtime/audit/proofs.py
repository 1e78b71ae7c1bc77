"""Proofs that a record stands in a journal: checked without Kafka, store or private key. Pure.

A proof is the checkpoint that covers the record, the hash of the record's stored bytes with its
place, and the audit path from its leaf to the checkpoint's root (RFC 9162 section 2.1.3).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from symphainy_runtime.audit.checkpoints import Checkpoint, parse_checkpoint
from symphainy_runtime.audit.evidence import Segment
from symphainy_runtime.audit.leaves import leaf_data
from symphainy_runtime.audit.notes import NoteRejected, VerifierKey, open_note
from symphainy_runtime.audit.tree import audit_path, leaf_hash, root_by_path, spans
from symphainy_schemas.errors import CallerError

FORMAT = "symphainy-inclusion-1"


class ProofRefused(CallerError):
    """The proof does not prove what it states."""

    code = "proof_refused"


class Included(Struct, frozen=True, kw_only=True):
    """One record's place and its way to the root. Hashes are in hex."""

    checkpoint: int
    """Which of the proof's checkpoints."""
    offset: int
    term: int
    seq: int
    sha256: str
    """Of the record's stored bytes."""
    index: int
    """Which leaf of the tree it is."""
    path: list[str]
    """Hashes beside the way, lowest first."""


class Proof(Struct, frozen=True, kw_only=True):
    """That records of an execution stand where they are said to."""

    format: str = FORMAT
    execution_id: str = ""
    partition: int
    checkpoints: list[str]
    """Signed notes."""
    records: list[Included]


def prove(partition: int, execution_id: str, placed: Sequence[tuple[Segment, int]]) -> Proof:
    """The proof of the records at these offsets, each within its segment.

    Raises:
        LookupError: one does not count, or its segment lacks what leads to its root.
    """
    notes: list[str] = []
    paths: dict[int, _Paths] = {}
    records: list[Included] = []
    for segment, offset in placed:
        note = segment.note.decode()
        if note not in notes:
            notes.append(note)
            paths[notes.index(note)] = _Paths(segment)
        records.append(paths[notes.index(note)].included(notes.index(note), offset))
    return Proof(execution_id=execution_id, partition=partition, checkpoints=notes, records=records)


def check_proof(content: bytes, keys: Sequence[VerifierKey]) -> Proof:
    """The proof in these bytes, if it holds.

    Raises:
        ProofRefused: it is none, nobody whom we know signed it, or a path leads elsewhere.
    """
    try:
        proof = msgspec.json.decode(content, type=Proof)
        if proof.format != FORMAT:
            raise ProofRefused(f"The format {proof.format!r} is not {FORMAT}.", field="format")
        checkpoints = [
            parse_checkpoint(open_note(note.encode(), keys)[0]) for note in proof.checkpoints
        ]
        for record in proof.records:
            _check(proof.partition, record, checkpoints[record.checkpoint])
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ProofRefused(f"This is no proof: {error}") from error
    except NoteRejected as error:
        raise ProofRefused(
            f"A checkpoint of the proof cannot be relied on: {error}.",
            cure="Name the auditor's verifier key: --verifier-key.",
        ) from error
    except (ValueError, IndexError, OverflowError) as error:
        raise ProofRefused(f"The proof names what it does not hold: {error}") from error
    return proof


def _check(partition: int, record: Included, checkpoint: Checkpoint) -> None:
    digest = bytes.fromhex(record.sha256)
    try:
        data = leaf_data(partition, record.offset, record.term, record.seq, digest)
    except Exception as error:  # struct has its own
        raise ProofRefused(f"The place of offset {record.offset} is none: {error}") from error
    path = [bytes.fromhex(beside) for beside in record.path]
    root = root_by_path(record.index, checkpoint.size, leaf_hash(data), path)
    if checkpoint.partition != partition or root != checkpoint.root:
        raise ProofRefused(
            f"The record at partition {partition}, offset {record.offset} is not proven: its path "
            "does not lead to the checkpoint's root.",
            field="records",
        )


class _Paths:
    """The hashes that one checkpoint's tree is made of, as far as paths to its leaves need them:
    the peaks before it, and its own leaves. What stands left of such a path is a peak, or is made
    of leaves and peaks."""

    def __init__(self, segment: Segment) -> None:
        checkpoint, leaves, before = segment.checkpoint, segment.leaves, segment.before
        if leaves is None or (before is None and checkpoint.number):
            raise LookupError(
                f"what leads to the root of checkpoint {checkpoint.number} is missing"
            )
        self._segment, self._leaves = segment, leaves
        self._first = 0 if before is None else before.size
        self._hashes = leaves.leaf_hashes(checkpoint.partition)
        self._peaks = (
            {} if before is None else dict(zip(spans(before.size), before.peaks, strict=True))
        )

    def included(self, checkpoint: int, offset: int) -> Included:
        """The record at an offset."""
        n, run = self._leaves.index_of(offset)
        index = self._first + n
        path = audit_path(index, self._segment.checkpoint.size, self._known)
        return Included(
            checkpoint=checkpoint,
            offset=offset,
            term=run.term,
            seq=run.seq + offset - run.offset,
            sha256=self._leaves.hash_at(offset).hex(),
            index=index,
            path=[beside.hex() for beside in path],
        )

    def _known(self, low: int, high: int) -> bytes | None:
        if high - low == 1 and low >= self._first:
            return self._hashes[low - self._first]
        return self._peaks.get((low, high))
