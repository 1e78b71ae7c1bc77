"""Archiving: once to the ends that the journals have now, or all the time.

It only reads Kafka, joins no group, and keeps its position in the archive itself: the next file
begins behind the last one that is committed, with the standing that this one states (rule 18). So
it may be killed at any time, and be run twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection
from typing import Protocol

from msgspec import Struct, field

from symphainy_runtime.audit.reading import A_STREAM
from symphainy_runtime.audit.verifying import Extent
from symphainy_runtime.journal.chain import JournalTampered
from symphainy_runtime.journal.validity import record_hash
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.archive.files import Archive, Commit, RangeTaken
from symphainy_runtime.wal.archive.writing import written
from symphainy_runtime.wal.kafka import KafkaSource
from symphainy_schemas.errors import CallerError, OperatorError, SymphainyError, Unavailable
from symphainy_transport.clock import Clock

log = logging.getLogger(__name__)
LOOK_S = 1.0
"""Between two looks at the journals' ends."""
Progress = Callable[[int], None]


class Stopping(Protocol):
    """An event, of threads or of processes."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...

    def set(self) -> None:
        """Say so."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for it to be said."""
        ...


class Exported(Struct, kw_only=True):
    """What was done: files, records and rows written, and offsets that Kafka no longer had."""

    files: int = 0
    records: int = 0
    rows: int = 0
    bytes: int = 0
    lost: list[tuple[int, int, int]] = field(default_factory=list)
    """(partition, first, last): they expired before they were archived."""

    def add(self, other: Exported) -> None:
        """Count what another did, too."""
        self.files += other.files
        self.records += other.records
        self.rows += other.rows
        self.bytes += other.bytes
        self.lost += other.lost


class PartitionArchiver:
    """One partition's way into the archive."""

    def __init__(self, source: KafkaSource, archive: Archive, journal: str, partition: int) -> None:
        """Nothing is read yet."""
        self._source, self._archive = source, archive
        self._journal, self.partition = journal, partition
        self.next = -1
        """The first offset that is not archived; -1 before `resume`."""

    def resume(self, exported: Exported) -> None:
        """Stand behind what is archived; what Kafka removed before it was is told.

        Raises:
            JournalTampered: the journal is not the one that was archived, or ends before that.
            Unavailable: Kafka did not answer.
            ArchiveUnavailable: the store did not answer.
        """
        kept = self._source.journals.extent(self.partition)
        last = self._archive.last(self._journal, self.partition)
        self.next = kept.start if last is None else last.last + 1
        if last is not None:
            self._confirm(last, kept)
        if self.next < kept.start:
            exported.lost.append((self.partition, self.next, kept.start - 1))
            log.error(
                "partition %d: offsets %d to %d expired before they were archived",
                self.partition, self.next, kept.start - 1,
            )  # fmt: skip
            self.next = kept.start

    def write(self, end: int, now_ms: int, progress: Progress = lambda _: None) -> Exported:
        """Archive what stands before `end` in one file.

        Raises:
            RangeTaken: another archiver did, or a part of it; `resume` again.
            SymphainyError: as `written` and `Archive.keep`.
        """
        made = written(self._source, self.partition, Extent(self.next, end), now_ms, progress)
        self._archive.keep(self._journal, self.partition, made.content, made.commit)
        self.next = end
        commit = made.commit
        return Exported(files=1, records=commit.records, rows=commit.rows, bytes=len(made.content))

    def end(self) -> int:
        """The offset behind the last that Kafka has.

        Raises:
            Unavailable: Kafka did not answer.
        """
        return self._source.journals.extent(self.partition).end

    def _confirm(self, last: Commit, kept: Extent) -> None:
        """The record on which the last file's standing is must stand where it stood."""
        where = f"Journal partition {self.partition}"
        if kept.end < self.next:
            raise JournalTampered(
                f"{where} ends at {kept.end}; the archive has it to {self.next}.",
                cure="See docs/operations.md, A broken chain.",
            )
        standing = last.standing
        if standing.offset >= kept.start:
            value = self._source.value(self.partition, standing.offset)
            if value is None or record_hash(value) != standing.hash:
                raise JournalTampered(
                    f"{where} has another record at offset {standing.offset} than was archived.",
                    cure="See docs/operations.md, A broken chain.",
                )
        self._source.stand(self.partition, self.next, standing)


class Archiver:
    """Archives all partitions of a journal, or some, in one thread."""

    def __init__(
        self,
        settings: RuntimeSettings,
        archive: Archive,
        clock: Clock,
        name: str,
        stopping: Stopping | None = None,
    ) -> None:
        """Connect lazily. Between two files it stops if `stopping` is set."""
        self._settings = settings
        self._clock = clock
        self._archive = archive
        self.source = KafkaSource(settings, name, fetching=A_STREAM)
        self._partitions: list[PartitionArchiver] = []
        self._since: dict[int, float] = {}
        self.halted: dict[int, SymphainyError] = {}
        """The partitions that only an operator can set going again, and why."""
        self.exported = Exported()
        self._stopping: Stopping = stopping or threading.Event()

    def start(self, partitions: Collection[int] | None = None) -> None:
        """Stand behind what is archived of these partitions, or of all.

        Raises:
            CallerError: there is no such partition.
            SymphainyError: Kafka or the store did not answer.
        """
        journal = self.source.journals.identity()
        known = self.source.journals.partitions()
        for unknown in set(partitions or ()) - set(known):
            raise CallerError(
                f"There is no partition {unknown}.",
                code="malformed_option",
                field="--partition",
                cure=f"They are 0 to {len(known) - 1}.",
            )
        for number in known if partitions is None else sorted(partitions):
            one = PartitionArchiver(self.source, self._archive, journal, number)
            try:
                one.resume(self.exported)
            except JournalTampered as error:
                self._halt(one, error)
                continue
            self._partitions.append(one)
            self._since[number] = self._clock.monotonic()

    def left(self) -> dict[int, int]:
        """For each partition, how many records there are now that are not archived.

        Raises:
            Unavailable: Kafka did not answer.
        """
        return {one.partition: max(0, one.end() - one.next) for one in self._partitions}

    def catch_up(self, progress: Progress = lambda _: None) -> None:
        """Archive to the ends that the journals have now.

        Raises:
            SymphainyError: Kafka or the store do not go on; what is committed stays.
        """
        for one in self._partitions:
            end = one.end()
            while one.next < end and not self._stopping.is_set():
                self._write(one, min(end, one.next + self._settings.archive_records), progress)

    def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Archive until `stop`; Kafka and the store may come and go.

        Raises:
            SymphainyError: they do not answer at the start.
        """
        self.start()
        if on_ready is not None:
            on_ready()
        try:
            while not self._stopping.is_set():
                self.write_due()
                self._stopping.wait(LOOK_S)
        finally:
            self.close()

    def write_due(self) -> None:
        """Write a file of each partition that has enough, or has waited for long enough."""
        for one in list(self._partitions):
            try:
                self._write_those_due(one)
            except JournalTampered as error:
                self._halt(one, error)
            except (OperatorError, Unavailable) as error:
                log.warning("partition %d: %s", one.partition, error)

    def _write_those_due(self, one: PartitionArchiver) -> None:
        while not self._stopping.is_set():
            now = self._clock.monotonic()
            waiting = one.end() - one.next
            if waiting <= 0:
                self._since[one.partition] = now
                return
            late = now - self._since[one.partition] >= self._settings.archive_interval_s
            if waiting < self._settings.archive_records and not late:
                return
            self._write(one, one.next + min(waiting, self._settings.archive_records))
            self._since[one.partition] = now

    def stop(self) -> None:
        """End `run` soon; safe from a signal handler."""
        self._stopping.set()

    def close(self) -> None:
        """Disconnect."""
        self.source.close()

    def _write(self, one: PartitionArchiver, end: int, progress: Progress = lambda _: None) -> None:
        try:
            self.exported.add(one.write(end, self._clock.now_ms(), progress))
        except RangeTaken:
            log.info("partition %d: another archiver was first", one.partition)
            one.resume(self.exported)

    def _halt(self, one: PartitionArchiver, error: SymphainyError) -> None:
        log.error("partition %d is not archived any more: %s", one.partition, error)
        self.halted[one.partition] = error
        if one in self._partitions:
            self._partitions.remove(one)
