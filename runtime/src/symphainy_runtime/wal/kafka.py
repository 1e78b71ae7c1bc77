"""Rows from Kafka: a range of a partition is read, from where it is known what counts in it.

What counts is known behind an OwnershipTaken (rule 2 of docs/journal-protocol.md), and behind the
record up to which the first one's writer knew its effects acknowledged, a few records before it.
Where neither is near, as when effects are held up for long, reading begins `MARGIN` records before
the range: more than an owner has in flight, so that what it still wrote behind a gap has ended
there.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import chain
from operator import itemgetter

from msgspec import Struct

from symphainy_runtime.audit.reading import A_RANGE, ONE_RECORD, Fetching, KafkaJournals
from symphainy_runtime.audit.reading import Read as Stored
from symphainy_runtime.audit.verifying import Extent
from symphainy_runtime.journal.shown import TAKES_OWNERSHIP, ShownRecord, read_shown
from symphainy_runtime.journal.standing import Standing, is_of, sure_from
from symphainy_runtime.journal.validity import Validity, takes_ownership
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.intent_types import Hint, IntentTypes
from symphainy_runtime.wal.query import Query, Read, Scanned
from symphainy_runtime.wal.rows import Place, Row, rows_of, with_type
from symphainy_schemas.codec import decode
from symphainy_schemas.errors import OperatorError, UnreadableRecord
from symphainy_schemas.events import JournalRecord

MARGIN = 25_000  # above an owner's max_in_flight, 20,000, and one batch
AT_ONCE = 250
"""Records that are read at once: what is made of them stays in a core's cache until it is used."""
SKEW_MS = 60_000
"""Owners' and brokers' clocks, by which a time is found, differ by less."""
STANDINGS = 1_000
"""Of a partition, that are remembered: a page that follows another begins where that one ended."""


class Judged(Struct, frozen=True):
    """Of `seen` records up to `reached` those that count; what their executions' intents ask."""

    reached: int
    seen: int
    counting: list[tuple[int, ShownRecord]]
    types: IntentTypes


class KafkaSource:
    """The journal as Kafka keeps it. For one thread at a time."""

    name = "kafka"

    def __init__(
        self,
        settings: RuntimeSettings,
        client_id: str,
        hint: Hint = lambda _: {},
        elsewhere: Hint = lambda _: {},
        fetching: Fetching = A_RANGE,
    ) -> None:
        """Connect lazily. `hint` may know the intent types of executions, and is asked first;
        `elsewhere` those of what Kafka no longer keeps, and is asked last."""
        self.journals = KafkaJournals(settings, client_id, fetching)
        self._settings, self._client_id = settings, client_id
        self._looks: KafkaJournals | None = None
        self._hint, self._elsewhere = hint, elsewhere
        self._standings: dict[int, list[tuple[int, Validity]]] = {}
        self._types: dict[int, tuple[int, IntentTypes]] = {}
        self.read = Read()
        """What was read since it was made."""

    def close(self) -> None:
        """Disconnect."""
        self.journals.close()
        if self._looks is not None:
            self._looks.close()

    @property
    def _looking(self) -> KafkaJournals:
        """To read elsewhere while a range is read; few queries need it."""
        if self._looks is None:
            self._looks = KafkaJournals(self._settings, f"{self._client_id}-back", ONE_RECORD)
        return self._looks

    def span(self, query: Query, partition: int) -> Extent:
        """Which offsets a query's times can concern, of what is kept.

        Raises:
            Unavailable: Kafka did not answer.
        """
        kept = self.journals.extent(partition)
        start = kept.start
        if query.from_ms is not None:
            found = self.journals.offset_at(partition, query.from_ms - SKEW_MS)
            start = kept.end if found is None else max(start, found)
        return Extent(start, kept.end)

    def scan(self, query: Query, partition: int, wanted: Extent) -> Iterator[Scanned]:
        """The rows of `wanted`, a stretch after the other.

        Raises:
            Unavailable: Kafka does not go on.
            JournalDamaged: a batch does not have the CRC that it states.
            JournalTooNew: a record is of a newer version.
        """
        low = self.journals.extent(partition).start
        for batch in self.judged(partition, wanted, low):
            yield self._scanned(query, partition, batch, low)

    def judged(self, partition: int, wanted: Extent, low: int) -> Iterator[Judged]:
        """The records of `wanted` that count."""
        standing, begin = self._begin(partition, wanted.start, low)
        types = self._types_from(partition, begin)
        extent = Extent(begin, wanted.end)
        with closing(self.journals.read(partition, extent, _refuse_damage)) as batches:
            for batch in chain.from_iterable(map(_parts, batches)):
                self.read.records += len(batch)
                self.read.bytes += sum(len(value) for _, value, _ in batch)
                counting = standing.counting(batch, read_shown, TAKES_OWNERSHIP)
                types.note(counting)
                reached = batch[-1][0] + 1
                self._remember(partition, reached, standing)
                self._types[partition] = (reached, types)
                seen = len(batch)
                if batch[0][0] < wanted.start:
                    seen -= bisect_left(batch, wanted.start, key=itemgetter(0))
                    del counting[: bisect_left(counting, wanted.start, key=itemgetter(0))]
                if seen:
                    yield Judged(reached, seen, counting, types)

    def _types_from(self, partition: int, begin: int) -> IntentTypes:
        """Those that were met so far, where reading goes on from there."""
        reached, types = self._types.get(partition, (-1, None))
        if types is not None and reached == begin:
            return types
        stretch = partial(self._stretch, partition)
        return IntentTypes(begin, stretch, self._hint, self._elsewhere)

    def standing(self, partition: int, reached: int) -> Validity:
        """A reader's behind what was read up to `reached`."""
        known = self._standings.get(partition, [])
        at = bisect_right(known, reached, key=lambda one: one[0]) - 1
        return known[at][1] if at >= 0 else Validity()

    def stand(self, partition: int, reached: int, validity: Validity) -> None:
        """Take over what a reader knew that has read up to `reached`."""
        self._remember(partition, reached, Standing(validity))

    def value(self, partition: int, offset: int) -> bytes | None:
        """The stored bytes at an offset; None if nothing stands there."""
        return next(
            (v for at, v in self._values(partition, offset, offset + 1) if at == offset), None
        )

    def appended_at(self, partition: int, offset: int) -> int | None:
        """When Kafka appended the record at an offset, ms since the epoch; None: there is none."""
        extent = Extent(offset, offset + 1)
        with closing(self._looking.read(partition, extent, _refuse_damage)) as batches:
            return next((at for batch in batches for _, _, at in batch), None)

    def _scanned(self, query: Query, partition: int, batch: Judged, low: int) -> Scanned:
        rows: list[Row] = []
        over = False
        for offset, record in batch.counting:
            over = query.to_ms is not None and record.at > query.to_ms
            if over:
                break
            if _may_match(query, record):
                rows += filter(query.matches_untyped, rows_of(record, partition, offset))
        types = batch.types.of({row.execution_id for row in rows}, low, batch.reached)
        typed = [with_type(row, types.get(row.execution_id)) for row in rows]
        found = [row for row in typed if query.intent_type in ("", row.intent_type)]
        return Scanned(Place(partition, batch.reached, -1), found, batch.seen, over)

    def _begin(self, partition: int, start: int, low: int) -> tuple[Standing, int]:
        """How to judge what stands from `start` on, and where reading begins for that."""
        known = self._standings.get(partition, [])
        at = bisect_right(known, start, key=lambda one: one[0]) - 1
        reached, validity = known[at] if at >= 0 else (-1, Validity())
        if reached == start:
            return Standing(validity), start
        if start <= low:
            return Standing(), low
        begin = max(low, start - MARGIN, min(start, self._sure_from(partition, start)))
        return (Standing(validity), reached) if reached >= begin else (Standing(), begin)

    def _sure_from(self, partition: int, start: int) -> int:
        """From where on it is known what counts at `start`, as the record there says; -1: it is not
        said, or not near."""
        first = next(self._stretch(partition, start, start + 1), None)
        begin = -1 if first is None else sure_from(first, start)
        if first is None or begin == start or start - begin > MARGIN:
            return begin if first is not None and takes_ownership(first) else -1
        named = next(self._stretch(partition, begin, begin + 1), None)
        return begin if named is not None and is_of(named, begin, first.term) else first.term

    def _remember(self, partition: int, reached: int, standing: Standing) -> None:
        known = self._standings.setdefault(partition, [])
        at = bisect_right(known, reached, key=lambda one: one[0])
        if at and known[at - 1][0] == reached:
            return
        known.insert(at, (reached, standing.validity))
        if len(known) > STANDINGS:
            del known[0]

    def _values(self, partition: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        extent = Extent(start, end)
        with closing(self._looking.read(partition, extent, _refuse_damage)) as batches:
            for batch in batches:
                for offset, value, _ in batch:
                    self.read.records += 1
                    self.read.bytes += len(value)
                    yield offset, value

    def _stretch(self, partition: int, start: int, end: int) -> Iterator[JournalRecord]:
        for _, value in self._values(partition, start, end):
            try:
                yield decode(value, JournalRecord)
            except UnreadableRecord:
                continue


def _parts(batch: list[Stored]) -> Iterator[list[Stored]]:
    for start in range(0, len(batch), AT_ONCE):
        yield batch[start : start + AT_ONCE]


def _may_match(query: Query, record: ShownRecord) -> bool:
    """What a record's heading says already, before rows are made of it."""
    return (
        (query.tenant_id is None or record.tenant_id == query.tenant_id)
        and query.execution_id in ("", record.execution_id)
        and query.session_id in ("", record.session_id)
        and query.correlation_id in ("", record.correlation_id)
        and (query.from_ms is None or record.at >= query.from_ms)
    )


def _refuse_damage(offset: int) -> None:
    raise OperatorError(
        f"A batch of the journal at offset {offset} does not have the CRC that it states.",
        code="journal_damaged",
        cure="Compare the partition's replicas; `symphainy audit verify` names the record.",
    )
