"""Following a journal by its own chain of hashes, where no list of hashes says what stood there."""

from __future__ import annotations

from collections.abc import Sequence

from symphainy_runtime.audit.evidence import Segment
from symphainy_runtime.audit.faults import Findings, Kind
from symphainy_runtime.audit.leaves import leaf_data
from symphainy_runtime.audit.tree import GrowingTree, leaf_hash
from symphainy_runtime.journal.chain import Chain, JournalTampered
from symphainy_runtime.journal.validity import Stored, Validity, judge
from symphainy_schemas.errors import JournalTooNew

_STALE = "its term was over, or a record before it is missing: no reader takes it"
_UNREADABLE = "no owner can have written it: no reader takes it"


class Walked:
    """A span that no checkpoint covers: the chain alone says something of it."""

    def __init__(self, partition: int, start: int, end: int, standing: Validity) -> None:
        """`standing`: a reader's before `start`, as far as known."""
        self.start, self.end = start, end
        self.standing = standing
        self._next = start
        self._chain = Chain(partition)
        self._found = Findings(partition)
        self._blind = False

    def take(self, batch: Sequence[tuple[int, bytes]]) -> None:
        """Follow the next records."""
        for offset, value in batch:
            if offset > self._next:
                self._found.fault(
                    Kind.HOLE, "Kafka has no record here, and owners leave no gap", self._next,
                    offset - 1,
                )  # fmt: skip
            elif offset < self._next:
                self._found.fault(Kind.INSERTED, "another record stands at the same offset", offset)
            self._next = max(self._next, offset + 1)
            if not self._blind:
                self._follow(offset, value)

    def counted(self, stored: Stored) -> None:
        """A record counts."""

    def close(self, findings: Findings) -> None:
        """Hand over what was found."""
        if self._next < self.end:
            self._found.fault(Kind.HOLE, "Kafka did not give this record", self._next, self.end - 1)
        for one in self._found.faults:
            findings.fault(one.kind, one.detail, one.first, one.last)
        findings.stale += self._found.stale

    def _follow(self, offset: int, value: bytes) -> None:
        try:
            stored = judge(value, offset, self.standing)
        except JournalTooNew as error:
            self._found.fault(Kind.TOO_NEW, error.message, offset)
            self._blind = True  # what counts behind it, only a newer version can tell
            return
        if not stored.valid or stored.record is None:
            why = _UNREADABLE if stored.record is None else _STALE
            self._found.does_not_count(offset, why)
        else:
            try:
                self._chain.follow(stored.record, offset, self.standing)
            except JournalTampered as error:
                self._found.fault(Kind.CHAIN, error.message, offset)
            self.counted(stored)
        self.standing = stored.standing


class Recomputed(Walked):
    """A span whose checkpoint is there and whose list of hashes is not: the tree is made anew."""

    def __init__(self, partition: int, segment: Segment, start: int) -> None:
        """`start`: the first offset of it that Kafka keeps."""
        before = segment.before
        standing = Validity() if before is None else before.standing
        super().__init__(partition, start, segment.checkpoint.end, standing)
        self._partition = partition
        self._segment = segment
        self._tree = GrowingTree() if before is None else GrowingTree(before.size, before.peaks)

    def counted(self, stored: Stored) -> None:
        """Add its leaf."""
        place = stored.standing
        data = leaf_data(self._partition, place.offset, place.term, place.seq, place.hash)
        self._tree.add(leaf_hash(data))

    def close(self, findings: Findings) -> None:
        """Compare the trees."""
        super().close(findings)
        checkpoint = self._segment.checkpoint
        name = f"checkpoint {checkpoint.number}"
        if (self._segment.before is None and checkpoint.number) or self.start > checkpoint.start:
            findings.fault(
                Kind.EVIDENCE,
                f"{name} cannot be compared: the list of hashes beside it is missing, and with it "
                "what stood before these records",
                self.start,
                self.end - 1,
            )
        elif (self._tree.size, self._tree.peaks) != (checkpoint.size, checkpoint.peaks):
            findings.fault(
                Kind.DIFFERENT,
                f"these records do not lead to the root of {name}",
                self.start,
                self.end - 1,
            )
