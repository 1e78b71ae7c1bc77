"""Naming what differs between what stood in a journal and what stands there. Pure.

Records are told by their hashes, and practically no two are the same, since each holds the hash of
the one before. So one that stands elsewhere is recognised there, however far it was moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from symphainy_runtime.audit.evidence import Segment
from symphainy_runtime.audit.faults import Findings, Kind
from symphainy_runtime.audit.leaves import Leaves
from symphainy_runtime.audit.tree import HASH_BYTES

Batch = Sequence[tuple[int, bytes]]
"""Offsets, and the stored bytes there."""
Placed = tuple[int, bytes]
"""An offset, and the hash of the record there."""

_STALE = "it does not count, and did not when the checkpoint was made"
_CHANGED = "the record that the checkpoint names here is not the one that stands here"
_REMOVED = "the record that the checkpoint names here is gone"
_INSERTED = "the record was not there when the checkpoint was made"


class Compared:
    """A span with its list of hashes. Nothing is decoded: equal bytes at equal offsets count now if
    they counted then."""

    def __init__(self, segment: Segment, leaves: Leaves, start: int) -> None:
        self.start, self.end = start, segment.checkpoint.end
        self.segment = segment
        self._leaves = leaves
        self._hashes: list[bytes] = []
        self._irregular: list[Placed] | None = None

    def take(self, batch: Batch) -> None:
        """Offsets are as they came; in a sound journal each is the last and 1."""
        offsets = [offset for offset, _ in batch]
        digests = [sha256(value).digest() for _, value in batch]
        expected = self.start + len(self._hashes)
        if self._irregular is None and offsets == list(range(expected, expected + len(batch))):
            self._hashes += digests
            return
        if self._irregular is None:
            self._irregular = self._placed()
        self._irregular += zip(offsets, digests, strict=True)

    def differs(self) -> bool:
        """Whether anything is not as it was."""
        leaves = self._leaves
        if self._irregular is not None:
            return True
        return b"".join(self._hashes) != leaves.hashes[(self.start - leaves.start) * HASH_BYTES :]

    def observed(self) -> list[Placed]:
        """What stands there."""
        return self._placed() if self._irregular is None else self._irregular

    def expected(self) -> list[Placed]:
        """What stood there."""
        leaves = self._leaves
        return [(offset, leaves.hash_at(offset)) for offset in range(self.start, self.end)]

    def close(self, findings: Findings) -> None:
        """List what does not count."""
        leaves = self._leaves
        at = self.start
        for run in leaves.runs:
            for offset in range(at, min(run.offset, self.end)):
                findings.does_not_count(offset, _STALE)
            at = max(at, run.offset + run.count)
        for offset in range(at, self.end):
            findings.does_not_count(offset, _STALE)

    def _placed(self) -> list[Placed]:
        return [(self.start + n, digest) for n, digest in enumerate(self._hashes)]


def name_differences(
    expected: Sequence[Placed], observed: Sequence[Placed], findings: Findings
) -> None:
    """Add a fault for each record that is not what or where it was. Time and memory go with the
    number of records handed in."""
    lost = dict(expected)
    # What is where it was first: of copies of it the others are the strange ones.
    unmoved = {offset for offset, digest in observed if lost.get(offset) == digest}
    stood = _by_hash([one for one in expected if one[0] not in unmoved])
    moved: list[tuple[int, int]] = []
    strange: list[tuple[int, int]] = []
    shift = 0
    for offset, digest in observed:
        if offset in unmoved and lost.get(offset) == digest:
            del lost[offset]
            shift = 0
        elif places := stood.get(digest):
            at = min(places)
            places.discard(at)
            del lost[at]
            shift = offset - at
            moved.append((at, offset))
        else:
            strange.append((offset, offset - shift))
    found: list[tuple[int, Kind, str]] = [(at, Kind.MOVED, _moved(to - at)) for at, to in moved]
    for offset, before_shift in strange:
        if offset in lost:
            del lost[offset]
            found.append((offset, Kind.CHANGED, _CHANGED))
        elif before_shift in lost:
            del lost[before_shift]
            found.append((before_shift, Kind.CHANGED, f"{_CHANGED}, at {offset}"))
        else:
            found.append((offset, Kind.INSERTED, _INSERTED))
    found += [(offset, Kind.REMOVED, _REMOVED) for offset in lost]
    for offset, kind, detail in sorted(found):
        findings.fault(kind, detail, offset)


def _by_hash(expected: Sequence[Placed]) -> dict[bytes, set[int]]:
    stood: dict[bytes, set[int]] = {}
    for offset, digest in expected:
        stood.setdefault(digest, set()).add(offset)
    return stood


def _moved(distance: int) -> str:
    where = "later" if distance > 0 else "earlier"
    return f"the record that the checkpoint names here stands {abs(distance)} {where}"
