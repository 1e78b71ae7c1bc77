"""The auditor: follows every journal and keeps checkpoints of them, signed, apart from the cluster.

It only reads: no owner waits for it, and while it is away nothing is lost but time. It goes on from
the last checkpoint that is kept, whose record must still stand where it stood. Two auditors may
run: a checkpoint has a number, and whoever comes second reads what the first has kept.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from confluent_kafka import KafkaError, Message, TopicPartition
from msgspec import Struct

from symphainy_runtime.audit.checkpoints import checkpoint_text, origin_of
from symphainy_runtime.audit.evidence import open_checkpoint
from symphainy_runtime.audit.notes import NoteRejected, SignerKey, VerifierKey
from symphainy_runtime.audit.reading import (
    BATCH,
    STALL_S,
    KafkaJournals,
    as_read,
    audit_consumer,
    raise_unless_passing,
)
from symphainy_runtime.audit.recording import PartitionRecorder
from symphainy_runtime.audit.store import AlreadyKept, Evidence, EvidenceUnavailable
from symphainy_runtime.journal.chain import JournalTampered
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import OperatorError, SymphainyError, Unavailable
from symphainy_transport.clock import Clock

log = logging.getLogger(__name__)
# Hashes of a partition that wait for the store: 100 MB. Above the most that make a checkpoint.
MAX_PENDING = 1_500_000
WAIT_S = 0.25  # of a step for its first record, and so how late a stop may be heard


class AuditKeys(Struct, frozen=True):
    """Who signs, and whose earlier checkpoints are gone on from."""

    signer: SignerKey
    trusted: tuple[VerifierKey, ...]


class AuditStanding(Struct, frozen=True):
    """How far one partition's audit is."""

    partition: int
    halted: bool
    pending: int = 0
    """Records that no checkpoint covers yet, as far as they are read."""
    pending_s: float = 0.0
    """How long the oldest of them has waited, in seconds."""


class _Watched:
    """A partition that is recorded."""

    def __init__(self, recorder: PartitionRecorder, since: float) -> None:
        self.recorder = recorder
        self.since = since
        """When the oldest record that no checkpoint covers was taken; monotonic seconds."""
        self.confirm_at = -1
        """The offset of the last checkpoint's standing, until it was read again."""


class Auditor:
    """Keeps checkpoints of all partitions, or some, in one thread."""

    def __init__(
        self,
        settings: RuntimeSettings,
        evidence: Evidence,
        keys: AuditKeys,
        clock: Clock,
        name: str = "symphainy-auditor",
    ) -> None:
        self._settings = settings
        self._evidence = evidence
        self._keys = keys
        self._clock = clock
        self._journals = KafkaJournals(settings, f"{name}-looks")
        self._consumer = audit_consumer(settings, name)
        self._identity = ""
        self._watched: dict[int, _Watched] = {}
        self.halted: dict[int, SymphainyError] = {}
        """The partitions that only an operator can set going again, and why."""
        self.made = 0
        """Checkpoints kept by this process."""
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End `run` soon; safe from a signal handler."""
        self._stopping.set()

    def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Audit until `stop`; a store that does not answer is tried again.

        Raises:
            OperatorError: Kafka has no journal, or the store does not answer at the start.
            Unavailable: Kafka does not answer at the start.
        """
        self.start()
        if on_ready is not None:
            on_ready()
        try:
            while not self._stopping.is_set():
                if self._full():
                    self._stopping.wait(WAIT_S)
                else:
                    self.step(WAIT_S)
                self.keep_due()
        finally:
            self.close()

    def start(self) -> None:
        """Stand behind the last checkpoint of each partition."""
        self._identity = self._journals.identity()
        for partition in self._journals.partitions():
            self._watch(partition)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()
        self._journals.close()

    def standings(self) -> list[AuditStanding]:
        """Of every partition, by number; may be asked from any thread."""
        now = self._clock.monotonic()
        found = [AuditStanding(p, halted=True) for p in list(self.halted)]
        for p, one in list(self._watched.items()):
            pending = one.recorder.pending
            waited = max(0.0, now - one.since) if pending else 0.0
            found.append(AuditStanding(p, halted=False, pending=pending, pending_s=waited))
        return sorted(found, key=lambda one: one.partition)

    def catch_up(self) -> None:
        """Read to the ends that the journals have now, and keep a checkpoint of each that has more
        than the last one covers.

        Raises:
            EvidenceUnavailable: the store did not take one.
            Unavailable: Kafka did not answer, or gave nothing for `STALL_S`.
        """
        ends = {p: self._journals.extent(p).end for p in self._watched}
        moved_at = self._clock.monotonic()
        while any(self._behind(p, end) for p, end in ends.items()):
            if self.step(WAIT_S):
                moved_at = self._clock.monotonic()
            elif self._clock.monotonic() - moved_at > STALL_S:
                raise Unavailable(f"Reading {self._journals.topic} stalled.")
            self._keep_those_over(self._settings.audit_records)
        self._keep_those_over(1)

    def step(self, wait_s: float) -> int:
        """Take what has come; how many records."""
        first = self._consumer.poll(wait_s)
        if first is None:
            return 0
        taken = 0
        for message in (first, *self._consumer.consume(BATCH, 0)):
            partition = message.partition()
            if partition is not None and partition in self._watched:
                taken += self._take(partition, message)
        return taken

    def keep_due(self) -> None:
        """Keep a checkpoint of each partition that is due; one that the store does not take stays
        due."""
        now = self._clock.monotonic()
        for partition, one in list(self._watched.items()):
            pending = one.recorder.pending
            if not pending:
                one.since = now
            elif (
                pending >= self._settings.audit_records
                or now - one.since >= self._settings.audit_interval_s
            ):
                try:
                    self._keep(partition)
                except (EvidenceUnavailable, Unavailable) as error:
                    log.warning("partition %d: %s", partition, error)
                    one.since = now  # not before the interval is over again

    def _keep_those_over(self, pending: int) -> None:
        for partition, one in list(self._watched.items()):
            if one.recorder.pending >= pending:
                self._keep(partition)

    def _full(self) -> bool:
        """Whether a store that takes nothing has let too much gather: then nothing more is read."""
        return any(one.recorder.pending >= MAX_PENDING for one in self._watched.values())

    def _behind(self, partition: int, end: int) -> bool:
        one = self._watched.get(partition)
        return one is not None and one.recorder.next < end

    def _take(self, partition: int, message: Message) -> int:
        """What is not as owners wrote it stops its partition; the others go on."""
        try:
            error = message.error()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    raise_unless_passing(error, message)
                return 0
            one = self._watched[partition]
            offset, value, appended_ms = as_read(message)
            if offset == one.confirm_at:
                one.recorder.confirm_standing(value)
                one.confirm_at = -1
            elif offset >= one.recorder.next:
                if not one.recorder.pending:
                    one.since = self._clock.monotonic()
                one.recorder.take(offset, value, appended_ms)
                return 1
        except SymphainyError as told:
            self._halt(partition, told)
        return 0

    def _watch(self, partition: int) -> None:
        """Begin behind the last checkpoint, with the record that it stands on."""
        extent = self._journals.extent(partition)
        recorder = PartitionRecorder(origin_of(self._identity, partition), partition, extent.start)
        one = _Watched(recorder, self._clock.monotonic())
        start = extent.start
        try:
            if self._resume(partition, recorder, extent.start):
                start = recorder.next
                stands = recorder.standing.offset
                if stands >= extent.start:
                    start = one.confirm_at = stands
            if recorder.next > extent.end:
                raise JournalTampered(
                    f"Journal partition {partition} ends at {extent.end}; the last checkpoint "
                    f"covers it to {recorder.next}.",
                    cure="See docs/operations.md, A broken chain.",
                )
        except OperatorError as error:
            if isinstance(error, EvidenceUnavailable):
                raise
            self._halt(partition, error)
            return
        self._watched[partition] = one
        place = TopicPartition(self._journals.topic, partition, start)
        self._consumer.incremental_assign([place])

    def _resume(self, partition: int, recorder: PartitionRecorder, log_start: int) -> bool:
        last = self._evidence.last(self._identity, partition)
        if last is None:
            return False
        try:
            checkpoint, _ = open_checkpoint(
                last.note, origin_of(self._identity, partition), self._keys.trusted
            )
        except NoteRejected as error:
            raise OperatorError(
                f"Checkpoint {last.number} of partition {partition} cannot be relied on: {error}.",
                code="evidence_rejected",
                cure="If an earlier key signed it, name that too: SYMPHAINY_AUDIT_VERIFIER_KEYS. "
                "Else somebody wrote to the store: restore it.",
            ) from error
        recorder.resume(checkpoint, last.note, log_start)
        return True

    def _keep(self, partition: int) -> None:
        """Make a checkpoint and keep it."""
        recorder = self._watched[partition].recorder
        log_start = self._journals.extent(partition).start
        proposal = recorder.propose(self._clock.now_ms(), log_start)
        checkpoint = proposal.checkpoint
        note = self._keys.signer.sign(checkpoint_text(checkpoint))
        try:
            self._evidence.keep(self._identity, partition, checkpoint.number, note, proposal.leaves)
        except AlreadyKept:
            log.info("partition %d: another auditor kept checkpoint %d", partition,
                     checkpoint.number)  # fmt: skip
            self._unwatch(partition)
            self._watch(partition)
            return
        recorder.kept(checkpoint, note)
        self._watched[partition].since = self._clock.monotonic()
        self.made += 1

    def _halt(self, partition: int, error: SymphainyError) -> None:
        log.error("partition %d is not audited any more: %s", partition, error)
        self.halted[partition] = error
        if partition in self._watched:
            self._unwatch(partition)

    def _unwatch(self, partition: int) -> None:
        del self._watched[partition]
        self._consumer.incremental_unassign([TopicPartition(self._journals.topic, partition)])
