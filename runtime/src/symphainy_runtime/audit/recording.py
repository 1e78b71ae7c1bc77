"""Recording one partition's journal, as an auditor reads it, into checkpoints. Pure."""

from __future__ import annotations

from hashlib import sha256

from msgspec import Struct

from symphainy_runtime.audit.checkpoints import Checkpoint, note_hash
from symphainy_runtime.audit.leaves import Leaves, Run, encode_leaves, leaf_data
from symphainy_runtime.audit.tree import GrowingTree, leaf_hash
from symphainy_runtime.journal.chain import Chain, JournalTampered
from symphainy_runtime.journal.validity import Validity, judge, record_hash

_CURE = "See docs/operations.md, A broken chain; `symphainy audit verify` names every fault."


class Proposal(Struct, frozen=True):
    """A checkpoint that is not kept yet, and the list of hashes to keep beside it."""

    checkpoint: Checkpoint
    leaves: bytes


class PartitionRecorder:
    """Takes every record of a journal in order, and states what stands there.

    Nothing is proposed across a broken chain or a hole: an auditor never signs what is not what
    owners wrote.
    """

    def __init__(self, origin: str, partition: int, log_start: int) -> None:
        """Begin with the first record that Kafka keeps. Readers know what counts from a takeover
        on: without one before, records that stand before the first are kept but do not count."""
        self._origin = origin
        self._partition = partition
        self._begin(log_start)

    def _begin(self, start: int) -> None:
        self._last: Checkpoint | None = None
        self._last_note = b""
        self.next = self._start = start
        self._tree = GrowingTree()
        self._standing = Validity()
        self._chain = Chain(self._partition)
        self._first_appended_ms = self._appended_ms = -1
        self._hashes: list[bytes] = []
        self._runs: list[Run] = []

    def resume(self, last: Checkpoint, note: bytes, log_start: int) -> None:
        """Go on behind a checkpoint that is kept as `note`. What Kafka removed meanwhile without
        having been recorded is left out; the gap shows in the offsets that the next one states."""
        self._begin(max(last.end, log_start))
        self._last, self._last_note = last, note
        self._tree = GrowingTree(last.size, last.peaks)
        if log_start <= last.end:
            self._standing = last.standing

    def confirm_standing(self, value: bytes) -> None:
        """Compare the record at the last checkpoint's standing with what was recorded.

        Raises:
            JournalTampered: another record stands there.
        """
        standing = self._standing
        if record_hash(value) != standing.hash:
            raise JournalTampered(
                f"Journal partition {self._partition}: the record at offset {standing.offset} is "
                "not the one that the last checkpoint names.",
                cure=_CURE,
            )

    @property
    def standing(self) -> Validity:
        """Of a reader after the last record taken."""
        return self._standing

    @property
    def pending(self) -> int:
        """Records taken since the last checkpoint."""
        return len(self._hashes)

    def take(self, offset: int, value: bytes, appended_ms: int) -> None:
        """Take the next record.

        Raises:
            JournalTampered: it does not follow what was taken before.
            JournalTooNew: this version cannot tell whether it counts.
        """
        if offset != self.next:
            raise JournalTampered(
                f"Journal partition {self._partition}: Kafka has no record at offset {self.next}; "
                f"the next one stands at {offset}.",
                cure=_CURE,
            )
        if not self.pending:
            self._first_appended_ms = appended_ms
        stored = judge(value, offset, self._standing)
        if stored.valid and stored.record is not None:
            self._chain.follow(stored.record, offset, self._standing)
            place = stored.standing
            self._hashes.append(place.hash)
            data = leaf_data(self._partition, offset, place.term, place.seq, place.hash)
            self._tree.add(leaf_hash(data))
            self._runs = _extended(self._runs, place)
        else:
            self._hashes.append(record_hash(value))
        self._standing = stored.standing
        self._appended_ms = appended_ms
        self.next = offset + 1

    def propose(self, now_ms: int, log_start: int) -> Proposal:
        """What stands there now."""
        last = self._last
        leaves = encode_leaves(
            Leaves(self._start, self.next, tuple(self._runs), b"".join(self._hashes))
        )
        checkpoint = Checkpoint(
            origin=self._origin,
            number=0 if last is None else last.number + 1,
            start=self._start,
            end=self.next,
            size=self._tree.size,
            peaks=self._tree.peaks,
            standing=self._standing,
            leaves=sha256(leaves).digest(),
            previous=b"" if last is None else note_hash(self._last_note),
            log_start=log_start,
            first_appended_ms=self._first_appended_ms,
            appended_ms=self._appended_ms,
            at_ms=now_ms,
        )
        return Proposal(checkpoint, leaves)

    def kept(self, checkpoint: Checkpoint, note: bytes) -> None:
        """The proposal is kept, as `note`; nothing was taken since it was made."""
        self._last, self._last_note = checkpoint, note
        self._start = self.next
        self._hashes, self._runs = [], []


def _extended(runs: list[Run], place: Validity) -> list[Run]:
    """The runs with one more valid record. Changes the list."""
    if runs:
        last = runs[-1]
        behind = (last.offset + last.count, last.term, last.seq + last.count)
        if behind == (place.offset, place.term, place.seq):
            runs[-1] = Run(last.offset, last.term, last.seq, last.count + 1)
            return runs
    runs.append(Run(place.offset, place.term, place.seq, 1))
    return runs
