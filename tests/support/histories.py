"""Journals made by the real writer, with takeovers and records that do not count, and the evidence
that an auditor keeps of them. In memory: what is tampered with, and how, is the tests' business."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from symphainy_runtime.audit.checkpoints import checkpoint_text, origin_of
from symphainy_runtime.audit.evidence import Kept, Segment, read_segments
from symphainy_runtime.audit.expiring import Retention
from symphainy_runtime.audit.faults import Findings
from symphainy_runtime.audit.notes import SignerKey
from symphainy_runtime.audit.recording import PartitionRecorder
from symphainy_runtime.audit.verifying import Extent, PartitionReport, PartitionVerifier
from symphainy_runtime.journal.validity import Validity, judge, record_hash
from symphainy_runtime.journal.writer import Heading, JournalWriter, Positions, ownership_taken
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import JournalRecord

IDENTITY = "cluster/t.journal/topic-id"
PARTITION = 3
SIGNER = SignerKey("auditor.test", bytes(range(32)))
APPENDED_MS = 1_000_000


def history(plan: Sequence[int]) -> list[bytes]:
    """A journal's records, one for each number: 0 is a takeover, 1 to 8 a decision of that size,
    9 a record of the term before, which does not count. It begins with a takeover."""
    values: list[bytes] = []
    standing = Validity()
    writer = former = _take_over(values, standing)
    standing = writer.standing(0)
    for step in plan:
        at = len(values)
        if step == 0:
            former, before = writer, standing
            values.append(ownership_taken("owner", at, before, Positions(), -1))
            standing = Validity(at, 0, at, record_hash(values[-1]))
            writer = JournalWriter(standing, before)
        elif step == 9 and former is not writer:
            _, value = former.write(at, Heading(tenant_id="late"), (), Positions(), at)
            values.append(value)
        else:
            heading = Heading(tenant_id=f"tenant-{step % 3}", correlation_id="x" * 40 * step)
            _, value = writer.write(at, heading, (), Positions(), at)
            values.append(value)
            standing = writer.standing(at)
    return values


def _take_over(values: list[bytes], standing: Validity) -> JournalWriter:
    values.append(ownership_taken("owner", 0, standing, Positions(), -1))
    return JournalWriter(Validity(0, 0, 0, record_hash(values[0])), standing)


def numbered(values: Sequence[bytes], first: int = 0) -> list[tuple[int, bytes]]:
    """The records with their offsets."""
    return list(enumerate(values, first))


def evidence_of(
    placed: Sequence[tuple[int, bytes]], ends: Sequence[int], signer: SignerKey = SIGNER
) -> list[Kept]:
    """The checkpoints of an auditor who makes one whenever he has read to one of `ends`."""
    origin = origin_of(IDENTITY, PARTITION)
    recorder = PartitionRecorder(origin, PARTITION, placed[0][0])
    kept: list[Kept] = []
    for offset, value in placed:
        recorder.take(offset, value, APPENDED_MS + offset)
        if offset + 1 in ends:
            proposal = recorder.propose(APPENDED_MS + offset + 1, placed[0][0])
            note = signer.sign(checkpoint_text(proposal.checkpoint))
            kept.append(Kept(proposal.checkpoint.number, note, proposal.leaves))
            recorder.kept(proposal.checkpoint, note)
    return kept


def segments_of(kept: Sequence[Kept], findings: Findings | None = None) -> Iterator[Segment]:
    """What of it can be relied on."""
    found = Findings(PARTITION) if findings is None else findings
    return read_segments(kept, origin_of(IDENTITY, PARTITION), [SIGNER.verifier], found)


def verified(
    placed: Sequence[tuple[int, bytes]],
    kept: Sequence[Kept],
    *,
    extent: Extent | None = None,
    retention: Retention | None = None,
    batch: int = 7,
) -> PartitionReport:
    """What verifying these records against this evidence finds."""
    if extent is None:
        extent = Extent(placed[0][0], placed[-1][0] + 1) if placed else Extent(0, 0)
    findings = Findings(PARTITION)
    verifier = PartitionVerifier(
        PARTITION, segments_of(kept, findings), extent, findings, retention
    )
    for at in range(0, len(placed), batch):
        verifier.take(placed[at : at + batch])
    return verifier.finish()


def chained_anew(values: Sequence[bytes], first: int) -> list[bytes]:
    """The journal with its chain of hashes made to fit again from record `first` on: what somebody
    does who knows of the chain."""
    out: list[bytes] = []
    standing = Validity()
    before = Validity()
    for offset, value in enumerate(values):
        fitted = _fitted(value, standing, before) if offset >= first else value
        stored = judge(fitted, offset, standing)
        if stored.valid and stored.standing.seq == 0:
            before = standing
        standing = stored.standing
        out.append(fitted)
    return out


def _fitted(value: bytes, standing: Validity, before: Validity) -> bytes:
    try:
        record = decode(value, JournalRecord)
    except UnreadableRecord:
        return value
    if record.seq == 0:
        return encode(replace(record, prev_hash=standing.hash))
    if record.term != standing.term:
        return value
    record = replace(record, prev_hash=standing.hash)
    if record.previous is not None and record.previous.hash is not None:
        record = replace(record, previous=replace(record.previous, hash=before.hash))
    return encode(record)
