"""One partition's part of a backtest: read, compare, look back once for what was missing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing

import msgspec
from confluent_kafka import Message
from msgspec import Struct
from msgspec.structs import replace

from symphainy_processors.backtesting.earlier import facts_before
from symphainy_processors.backtesting.range import Span
from symphainy_processors.backtesting.skimming import Skimming
from symphainy_processors.owner.kafka.ranges import RangeReader
from symphainy_runtime.journal.standing import begin_at
from symphainy_runtime.policy.backtest import (
    Candidate,
    Change,
    Comparing,
    Prepared,
    Tally,
    as_json,
)
from symphainy_runtime.policy.recorded import Judged, Memory, Reads, Refused, Unknown, read
from symphainy_schemas.errors import OperatorError, Unavailable
from symphainy_schemas.events import JournalRecord
from symphainy_schemas.records import Tenant
from symphainy_transport.privacy.content import Content
from symphainy_transport.privacy.errors import ContentCorrupt, ContentShredded
from symphainy_transport.privacy.marking import is_sealed
from symphainy_transport.privacy.records import opened_intent
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import JOURNAL, Topics

TOLD_EVERY_S = 0.2
MOST_PUT_OFF = 50_000
MOST_PUT_OFF_BYTES = 64 * 1024 * 1024
"""Intents of a partition that wait until what stood before is looked up; more are undetermined."""
CHANGES_AT_ONCE = 500
_CLIENT = "symphainy-backtest"


class Job(Struct, frozen=True, kw_only=True):
    """What one partition is asked. `window_ms`: how long owners remember what has ended."""

    settings: TransportSettings
    span: Span
    candidate: Candidate
    reads: Reads
    tenants: Mapping[str, Tenant]
    examples: int
    lines: bool
    window_ms: int


class Progress(Struct, frozen=True, gc=False):
    """How many records, and intents among them, were read since it was last told."""

    records: int
    intents: int


class Lines(Struct, frozen=True, gc=False):
    """Changes, a JSON document each."""

    lines: list[bytes]


class Found(Struct, frozen=True, gc=False):
    """A partition is done."""

    partition: int
    tally: Tally
    notes: tuple[str, ...]


Told = Progress | Lines | Found
Tell = Callable[[Told], None]


def run(job: Job, tell: Tell, prepared: Prepared | None = None) -> None:
    """Read and compare, and tell of it. `prepared`: the job's candidate, if it served before.

    Raises:
        Unavailable: Kafka did not go on.
        OperatorError: the records are newer than this process, or were deleted meanwhile; or they
            are sealed, and there is no key service here.
        BadPolicy: a text cannot be used.
    """
    _Partition(job, tell, prepared or Prepared(job.candidate)).run()


class _Partition:
    def __init__(self, job: Job, tell: Tell, prepared: Prepared) -> None:
        self._job, self._span, self._tell = job, job.span, tell
        self._journal = RangeReader(
            job.settings, _CLIENT, Topics(job.settings.topic_prefix).name(JOURNAL)
        )
        self._content = Content.from_settings(job.settings)
        self._prepared = prepared
        self._tally = Tally()
        self._notes: list[str] = []
        self._lines: list[bytes] = []
        self._put_off: list[tuple[Judged, str]] = []
        self._put_off_bytes = 0
        self._records = self._intents = 0  # since it was last told
        self._standing = Skimming()

    def run(self) -> None:
        span = self._span
        prepared = self._prepared
        facts = prepared.sessions or prepared.targets
        begin = begin_at(self._first(), span.start, span.low, facts)
        self._memory = Memory(
            sessions=prepared.sessions,
            targets=prepared.targets,
            window_ms=self._job.window_ms,
            whole=begin == 0,
        )
        self._comparing = Comparing(
            span.partition,
            prepared,
            self._memory,
            self._job.reads,
            self._job.tenants.get,
        )
        self._read(begin)
        self._settle()
        if self._standing.assumed:
            self._notes.append(
                f"Partition {span.partition}: what counts was taken from the first record, at "
                f"offset {begin}; its owner's first record is not kept, or far back."
            )
        self._tell_lines()
        self._tell(Found(span.partition, self._tally, tuple(self._notes)))
        self._journal.close()

    def _first(self) -> bytes | None:
        span = self._span
        batches = self._batches(span.start, span.start + 1)
        return next((message.value() for batch in batches for message in batch), None)

    def _batches(self, start: int, end: int) -> Iterator[list[Message]]:
        try:
            with closing(self._journal.read(self._span.partition, start, end)) as batches:
                yield from batches
        except Unavailable as error:
            if self._journal.bounds(self._span.partition)[0] <= start:
                raise
            raise OperatorError(
                f"Partition {self._span.partition}: Kafka deleted records of the range meanwhile.",
                code="range_not_kept",
                cure="State a range that begins later; the topic's retention.ms says what is kept.",
            ) from error

    def _read(self, begin: int) -> None:
        told_at = time.monotonic()
        for batch in self._batches(begin, self._span.end):
            if self._take(batch):
                break  # all that were wanted are decided
            if (now := time.monotonic()) - told_at >= TOLD_EVERY_S:
                self._tell_progress()
                told_at = now
        self._tell_progress()

    def _take(self, batch: list[Message]) -> bool:
        """Judge what stands in a batch; whether all intents of the range are behind it."""
        start, last = self._span.start, self._span.last
        skim = self._standing.skim
        for message in batch:
            offset, value = message.offset(), message.value()
            if offset is None or value is None:
                continue
            record = skim(value, offset)
            self._records += offset >= start
            if record is None:
                continue
            if isinstance(record, JournalRecord):
                if offset >= start:
                    self._intents += self._judge(read(record, offset))
                self._memory.take(record, offset)
            if 0 <= last <= record.intents_next and self._standing.settle():
                return True
        return False

    def _tell_progress(self) -> None:
        self._tell(Progress(self._records, self._intents))
        self._records = self._intents = 0

    def _judge(self, found: Judged | Refused | None) -> bool:
        """Compare what a record says; whether it was an intent of the range."""
        if found is None:
            return False
        span, tally, candidate = self._span, self._tally, self._job.candidate
        if span.last >= 0 and not span.first <= found.intents_offset < span.last:
            return False
        tenant_id, intent_type = found.tenant_id, found.intent_type
        if not candidate.judges(tenant_id, intent_type):
            return True
        if isinstance(found, Refused):
            tally.refused += 1
            return True
        tally.looked_at += 1
        tally.assumed += found.decision is None
        opened = self._opened(found)
        if opened is None:
            tally.undetermined += 1
            return True
        found = opened
        try:
            self._compared(self._comparing.compare(found))
        except Unknown as unknown:
            self._later(found, unknown.name)
        return True

    def _opened(self, judged: Judged) -> Judged | None:
        """With the intent as policy saw it; None where its content was shredded."""
        if not is_sealed(judged.intent.payload):
            return judged
        opener = self._content.of(judged.tenant_id)
        try:
            return replace(judged, intent=opened_intent(opener, judged.intent))
        except (ContentShredded, ContentCorrupt):
            return None

    def _compared(self, change: Change | None) -> None:
        if change is None:
            self._tally.unchanged += 1
            return
        self._tally.count(change, self._job.examples)
        if self._job.lines:
            self._lines.append(msgspec.json.encode(as_json(change)))
            if len(self._lines) >= CHANGES_AT_ONCE:
                self._tell_lines()

    def _tell_lines(self) -> None:
        if self._lines:
            self._tell(Lines(self._lines))
            self._lines = []

    def _later(self, judged: Judged, name: str) -> None:
        size = len(judged.intent.payload) + len(judged.intent.metadata)
        full = self._put_off_bytes + size > MOST_PUT_OFF_BYTES
        if full or len(self._put_off) >= MOST_PUT_OFF:
            self._tally.undetermined += 1
            return
        self._put_off_bytes += size
        self._put_off.append((judged, name))

    def _settle(self) -> None:
        """Compare what asked for facts from before the range."""
        if not self._put_off:
            return
        names = {name for _, name in self._put_off}
        self._memory.look_back(facts_before(self._job.settings, self._span.partition, names))
        for judged, _ in self._put_off:
            try:
                self._compared(self._comparing.compare(judged))
            except Unknown:
                self._tally.undetermined += 1
