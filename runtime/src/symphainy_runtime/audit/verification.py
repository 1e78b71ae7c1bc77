"""`audit verify`: whole journals, from Kafka or an export, against the evidence that is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct, field

from symphainy_runtime.audit.checkpoints import origin_of
from symphainy_runtime.audit.evidence import Segment, read_segments
from symphainy_runtime.audit.expiring import Retention
from symphainy_runtime.audit.faults import Fault, Findings, Kind
from symphainy_runtime.audit.notes import VerifierKey
from symphainy_runtime.audit.proofs import Proof
from symphainy_runtime.audit.reading import Read
from symphainy_runtime.audit.seeking import Found, Seeker
from symphainy_runtime.audit.store import Evidence
from symphainy_runtime.audit.verifying import Extent, PartitionReport, PartitionVerifier
from symphainy_schemas.errors import CallerError, OperatorError

Progress = Callable[[int], None]
"""Told how many more records were checked."""


class Journals(Protocol):
    """Where journals are read: Kafka, or an export."""

    def identity(self) -> str:
        """`<cluster id>/<topic>/<topic id>`."""
        ...

    def partitions(self) -> list[int]:
        """Those that are there."""
        ...

    def extent(self, partition: int) -> Extent:
        """What there is of one."""
        ...

    def retention_ms(self) -> int | None:
        """After which Kafka removes records; -1: never; None: nobody knows."""
        ...

    def read(
        self, partition: int, extent: Extent, on_damage: Callable[[int], None]
    ) -> Iterator[list[Read]]:
        """Its records, in batches."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


class Wanted(Struct, frozen=True, kw_only=True):
    """What to verify. Empty: everything."""

    partition: int | None = None
    tenant_id: str = ""
    execution_id: str = ""


class Report(Struct, kw_only=True):
    """What was found."""

    identity: str
    partitions: list[PartitionReport] = field(default_factory=list)
    found: Found | None = None
    """The records of the tenant or execution that was named."""
    proof: Proof | None = None
    """Of the execution that was named."""
    replaced: list[Fault] = field(default_factory=list)

    @property
    def faults(self) -> list[Fault]:
        """All of them."""
        return [*self.replaced, *(fault for one in self.partitions for fault in one.faults)]


class Verification:
    """One run over the journals."""

    def __init__(
        self, journals: Journals, evidence: Evidence | None, keys: Sequence[VerifierKey]
    ) -> None:
        """`evidence`: None to follow the chains of hashes alone."""
        self._journals = journals
        self._evidence = evidence
        self._keys = keys

    def partitions(self, wanted: Wanted) -> dict[int, Extent]:
        """What is to be read of each partition.

        Raises:
            CallerError: there is no such partition.
        """
        known = self._journals.partitions()
        asked = known if wanted.partition is None else [wanted.partition]
        if not set(asked) <= set(known):
            raise CallerError(
                f"The journal has no partition {wanted.partition}.",
                code="no_such_partition",
                field="partition",
                cure=f"Its partitions are {known[0]} to {known[-1]}.",
            )
        return {partition: self._journals.extent(partition) for partition in asked}

    def run(
        self, wanted: Wanted, extents: dict[int, Extent], now_ms: int, progress: Progress
    ) -> Report:
        """Verify; faults are in the report, not raised.

        Raises:
            OperatorError: no checkpoint of the journal is kept, so nothing can be verified.
            Unavailable: Kafka did not answer, or nothing came for long.
        """
        identity = self._journals.identity()
        report = Report(identity=identity)
        report.replaced = self.replaced()
        retention_ms = self._journals.retention_ms()
        retention = None if retention_ms is None else Retention(retention_ms, now_ms)
        seeker = None
        if wanted.tenant_id or wanted.execution_id:
            seeker = Seeker(wanted.tenant_id, wanted.execution_id)
            report.found = Found()
        for partition, extent in extents.items():
            findings = Findings(partition)
            segments = self._segments(identity, partition, findings)
            verifier = PartitionVerifier(partition, segments, extent, findings, retention, seeker)
            self._feed(verifier, partition, extent, findings, progress)
            report.partitions.append(verifier.finish())
            if seeker is not None and report.found is not None:
                proven = seeker.count(findings, report.found)
                if wanted.execution_id and proven:
                    report.proof = seeker.proof(partition, proven)
        return report

    def _feed(
        self,
        verifier: PartitionVerifier,
        partition: int,
        extent: Extent,
        findings: Findings,
        progress: Progress,
    ) -> None:
        def on_damage(offset: int) -> None:
            what = "the batch that begins here does not have the CRC that it states"
            findings.fault(Kind.DAMAGED, what, offset)

        for batch in self._journals.read(partition, extent, on_damage):
            verifier.take([(offset, value) for offset, value, _ in batch])
            progress(len(batch))

    def _segments(self, identity: str, partition: int, findings: Findings) -> Iterator[Segment]:
        if self._evidence is None:
            return iter(())
        kept = self._evidence.kept(identity, partition)
        return read_segments(kept, origin_of(identity, partition), self._keys, findings)

    def replaced(self) -> list[Fault]:
        """A journal that was deleted and made anew has another topic id; its checkpoints remain.

        Raises:
            OperatorError: no checkpoint of the journal is kept, so nothing can be verified.
        """
        if self._evidence is None:
            return []
        identity = self._journals.identity()
        ids = self._evidence.topic_ids(identity)
        name, _, own = identity.rpartition("/")
        if not ids:
            raise OperatorError(
                f"No checkpoint of {identity} is kept here: nothing can be verified.",
                code="no_evidence",
                field="audit_url",
                cure="Name where the auditor keeps them (SYMPHAINY_AUDIT_URL), make the first with "
                "`symphainy audit checkpoint`, or follow the chain alone with --chain-only.",
            )
        detail = "checkpoints are kept of {}/{}, which is not there any more"
        return [
            Fault(
                partition=-1,
                first=-1,
                last=-1,
                kind=Kind.REPLACED,
                detail=detail.format(name, other),
            )
            for other in sorted(ids - {own})
        ]
