"""Looking for a tenant's or an execution's records while a journal is verified. Pure."""

from __future__ import annotations

from msgspec import Struct

from symphainy_runtime.audit.comparing import Batch
from symphainy_runtime.audit.evidence import Segment
from symphainy_runtime.audit.faults import Findings
from symphainy_runtime.audit.proofs import Proof, prove
from symphainy_schemas.codec import decode
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import JournalRecord


class Found(Struct, kw_only=True):
    """How many records of what is sought there are, by what can be said of them."""

    proven: int = 0
    """Included in the tree of a checkpoint, byte for byte."""
    unanchored: int = 0
    """Behind the last checkpoint: outside G12."""
    spoiled: int = 0
    """Named by a fault."""
    stale: int = 0
    """They do not count."""


class Seeker:
    """Keeps the places of the records that are of a tenant and of an execution."""

    def __init__(self, tenant_id: str, execution_id: str) -> None:
        """Either may be empty: any."""
        self._tenant_id, self._execution_id = tenant_id, execution_id
        # Avro writes a text's bytes as they are: most records are passed over without decoding.
        self._needle = (execution_id or tenant_id).encode()
        self._places: list[tuple[Segment | None, int]] = []

    def look(self, batch: Batch, segment: Segment | None) -> None:
        """Keep what is sought."""
        needle = self._needle
        self._places += [
            (segment, offset)
            for offset, value in batch
            if needle in value and self._is_sought(value)
        ]

    def _is_sought(self, value: bytes) -> bool:
        try:
            record = decode(value, JournalRecord)
        except UnreadableRecord:
            return False
        return (not self._tenant_id or record.tenant_id == self._tenant_id) and (
            not self._execution_id or record.execution_id == self._execution_id
        )

    def count(self, findings: Findings, found: Found) -> list[tuple[Segment, int]]:
        """Count what was found in one partition, and forget it; the proven ones' places."""
        proven: list[tuple[Segment, int]] = []
        for segment, offset in self._places:
            if findings.spoiled(offset):
                found.spoiled += 1
            elif any(one.first <= offset <= one.last for one in findings.stale):
                found.stale += 1
            elif segment is None:
                found.unanchored += 1
            else:
                found.proven += 1
                proven.append((segment, offset))
        self._places = []
        return proven

    def proof(self, partition: int, proven: list[tuple[Segment, int]]) -> Proof:
        """The proof of an execution's records.

        Raises:
            LookupError: a checkpoint lacks what leads to its root.
        """
        return prove(partition, self._execution_id, proven)
