"""Verifying several partitions at once, each in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from symphainy_runtime.audit.exporting import ExportedJournals
from symphainy_runtime.audit.notes import VerifierKey
from symphainy_runtime.audit.reading import KafkaJournals
from symphainy_runtime.audit.seeking import Found
from symphainy_runtime.audit.store import Evidence, open_store
from symphainy_runtime.audit.verification import (
    Journals,
    Progress,
    Report,
    Verification,
    Wanted,
)
from symphainy_runtime.audit.verifying import Extent
from symphainy_runtime.settings import RuntimeSettings

# A process is ready to verify after about a second, in which one core verifies so many.
WORTH_A_PROCESS = 100_000


class Sources(Struct, frozen=True, kw_only=True):
    """Where journals and evidence are read, so that another process can open them too."""

    settings: RuntimeSettings
    export: Path | None
    """An export's folder or file; None: Kafka."""
    verifier_keys: tuple[str, ...]
    chain_only: bool

    def journals(self) -> Journals:
        """Open the journals.

        Raises:
            ExportUnreadable: there is no export.
        """
        if self.export is not None:
            return ExportedJournals(self.export)
        return KafkaJournals(self.settings, "symphainy-verify")

    def verification(self, journals: Journals) -> Verification:
        """A run over them.

        Raises:
            EvidenceUnavailable: there is no such store.
        """
        evidence = None
        if not self.chain_only:
            evidence = Evidence(open_store(self.settings.audit_location()))
        return Verification(journals, evidence, [VerifierKey.parse(k) for k in self.verifier_keys])


def processes_for(extents: dict[int, Extent]) -> int:
    """How many processes are worth it: of the cores, so many as there is work for."""
    worth = sum(extent.end - extent.start for extent in extents.values()) // WORTH_A_PROCESS
    return max(1, min(os.cpu_count() or 1, len(extents), worth))


def verify_in_processes(
    sources: Sources,
    wanted: Wanted,
    extents: dict[int, Extent],
    now_ms: int,
    progress: Progress,
    processes: int,
) -> Report:
    """As `Verification.run`, a partition at a time in each of several processes. `progress` is told
    of whole partitions.

    Raises:
        SymphainyError: as `Verification.run`.
    """
    # Kafka's client does not survive a fork.
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        running = {
            pool.submit(_verify, sources, wanted, partition, extent, now_ms): extent
            for partition, extent in extents.items()
        }
        reports = []
        for done in as_completed(running):
            reports.append(done.result())
            progress(running[done].end - running[done].start)
    return joined(reports)


def joined(reports: Iterable[Report]) -> Report:
    """One report of several partitions' own."""
    first, *rest = sorted(reports, key=lambda one: one.partitions[0].partition)
    whole = replace(first, partitions=list(first.partitions))
    for one in rest:
        whole.partitions += one.partitions
        whole.proof = whole.proof or one.proof
        if whole.found is not None and one.found is not None:
            whole.found = _sum(whole.found, one.found)
    return whole


def _sum(one: Found, other: Found) -> Found:
    return Found(
        proven=one.proven + other.proven,
        unanchored=one.unanchored + other.unanchored,
        spoiled=one.spoiled + other.spoiled,
        stale=one.stale + other.stale,
    )


def _verify(
    sources: Sources, wanted: Wanted, partition: int, extent: Extent, now_ms: int
) -> Report:
    journals = sources.journals()
    try:
        run = sources.verification(journals)
        return run.run(wanted, {partition: extent}, now_ms, lambda _: None)
    finally:
        journals.close()
