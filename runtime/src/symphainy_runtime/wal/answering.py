"""Asking the log: whoever has the rows answers, and nobody need know who that was.

    with Wal(settings) as wal:
        answer = wal.query(Query(tenant_id="acme", execution_id="exe-3-…"))
        for row in wal.rows(Query(tenant_id="acme", from_ms=…, to_ms=…)):
            ...

What names an execution or a session is answered by the read model's index, where it has all of it.
Anything else is read from Kafka, by time and offset; what Kafka no longer keeps, from the archive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from msgspec.structs import replace

from symphainy_runtime.audit.verifying import Extent
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.archive.files import Archive
from symphainy_runtime.wal.index import IndexSource
from symphainy_runtime.wal.kafka import SKEW_MS, KafkaSource
from symphainy_runtime.wal.paging import Page, copied, difference
from symphainy_runtime.wal.query import Answer, Query, Read, malformed
from symphainy_runtime.wal.rows import Row
from symphainy_schemas.errors import CallerError, SymphainyError, Unavailable
from symphainy_transport.topics import JOURNAL, Topics

if TYPE_CHECKING:
    from symphainy_runtime.wal.archive.reading import ArchiveSource

ROWS_AT_ONCE = 5_000


class Source(StrEnum):
    """Who answers; `auto`: whoever has it."""

    AUTO = "auto"
    INDEX = "index"
    KAFKA = "kafka"
    ARCHIVE = "archive"


class _Piece(NamedTuple):
    """A range of a partition, and who has it."""

    source: KafkaSource | ArchiveSource
    extent: Extent


class HistoryExpired(CallerError):
    """The range begins before what is kept."""

    code = "history_expired"


class Wal:
    """The log of a cluster, to be asked. For one thread at a time; a context manager."""

    def __init__(
        self,
        settings: RuntimeSettings,
        name: str = "symphainy-wal",
        *,
        source: Source = Source.AUTO,
        journal: str = "",
    ) -> None:
        """Connect lazily. `journal` names the archive's, where no Kafka tells and it has several.

        Raises:
            OperatorError: the settings name no Kafka, or no Redis where `source` is the index.
        """
        self._settings = settings
        self._source = source
        self._topic = Topics(settings.topic_prefix).name(JOURNAL)
        self._journal = journal
        self._index: IndexSource | None = None
        if source is Source.INDEX or (source is Source.AUTO and settings.redis_url):
            self._index = IndexSource(settings)
        self._kafka: KafkaSource | None = None
        if source in (Source.AUTO, Source.KAFKA):
            hint = self._index.intent_types if self._index is not None else lambda _: {}
            elsewhere = self._archived_types if source is Source.AUTO else lambda _: {}
            self._kafka = KafkaSource(settings, name, hint, elsewhere)
        self._archived: ArchiveSource | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect."""
        for one in (self._index, self._kafka):
            if one is not None:
                one.close()

    def rows(self, query: Query) -> Iterator[Row]:
        """Every row of a query, whatever its limit.

        Raises:
            SymphainyError: as `query`.
        """
        asked = replace(query, limit=ROWS_AT_ONCE)
        while True:
            answer = self.query(asked)
            yield from answer.rows
            if answer.cursor is None:
                return
            asked = replace(asked, cursor=answer.cursor)

    def query(self, query: Query, most_records: int | None = None) -> Answer:
        """One page of the rows. After `most_records` it ends with what was found until then.

        Raises:
            CallerError: `malformed_query`, `malformed_cursor`, `offset_out_of_range` or
                `history_expired`.
            Unavailable: a source did not answer.
            OperatorError: the journal or the archive cannot be read.
        """
        asked = query.checked()
        before = self._counted()
        page = Page(asked, most_records)
        for partition in self._partitions(asked):
            if page.after is not None and partition < page.after.partition:
                continue
            self._partition(page, partition)
            if page.full:
                break
        page.answer.read = difference(before, self._counted())
        return page.answer

    def _partition(self, page: Page, partition: int) -> None:
        if self._index is not None and self._asks_index(page.query):
            try:
                found = self._index.find(page.query, partition)
            except Unavailable as error:
                if self._source is Source.INDEX:
                    raise
                page.answer.notes.append(f"{error.message} Kafka was asked.")
                found = None
            if found is not None:
                page.answer.as_of[partition] = found.as_of
                page.take(found.rows)
                return
            if self._source is Source.INDEX:
                raise _not_indexed(partition)
        for piece in self._pieces(page, partition):
            for scanned in piece.source.scan(page.query, partition, piece.extent):
                page.take(scanned.rows)
                page.passed(scanned.place, scanned.records)
                if page.full or scanned.over:
                    return

    def _asks_index(self, query: Query) -> bool:
        named = bool(query.execution_id or query.session_id) and query.from_offset is None
        return named or self._source is Source.INDEX

    def _partitions(self, query: Query) -> Sequence[int]:
        if self._kafka is not None:
            known = self._kafka.journals.partitions()
        elif self._source is Source.ARCHIVE:
            known = self._archive().partitions()
        else:
            known = list(range(self._settings.partitions))
        if query.partition is None:
            return known
        if query.partition not in known:
            raise malformed(
                "partition",
                f"There is no partition {query.partition}.",
                f"They are {known[0]} to {known[-1]}." if known else "There are none.",
            )
        return (query.partition,)

    def _pieces(self, page: Page, partition: int) -> Iterator[_Piece]:
        """What is to be read of a partition, in order."""
        if self._kafka is None:
            yield from self._archived_pieces(page, partition, None)
            return
        query, kept = page.query, self._kafka.journals.extent(partition)
        page.answer.as_of[partition] = kept.end
        _require_in_log(query, partition, kept)
        start = page.start(partition, 0)
        if kept.start > start:
            if self._source is Source.AUTO:
                if not self._all_kept(query, partition, kept):
                    yield from self._archived_pieces(page, partition, kept)
            else:
                self._require_kept(query, partition, kept, kept.start)
        span = self._kafka.span(query, partition)
        end = span.end if query.to_offset is None else min(span.end, query.to_offset)
        start = max(start, span.start)
        if start < end:
            yield _Piece(self._kafka, Extent(start, end))

    def _all_kept(self, query: Query, partition: int, kept: Extent) -> bool:
        """Whether what Kafka keeps begins before a query's times do: then nobody else is asked."""
        if query.from_ms is None or self._kafka is None:
            return False
        began = self._kafka.appended_at(partition, kept.start)
        return began is not None and began + SKEW_MS < query.from_ms

    def _archived_pieces(self, page: Page, partition: int, kept: Extent | None) -> Iterator[_Piece]:
        """What the archive has of it, before what Kafka keeps if that is known."""
        query, source = page.query, self._archive()
        spans = source.kept(partition)
        first = min((span.start for span in spans), default=None)
        end = kept.start if kept is not None else max((one.end for one in spans), default=0)
        if kept is None:
            page.answer.as_of[partition] = end
            _require_in_log(query, partition, Extent(first or 0, end))
        else:
            self._require_kept(query, partition, kept, end if first is None else first)
        end = end if query.to_offset is None else min(end, query.to_offset)
        start = page.start(partition, first or 0)
        for span in spans:
            wanted = Extent(max(start, span.start), min(end, span.end))
            if wanted.start < wanted.end:
                if wanted.start > start and start >= spans[0].start:
                    page.answer.notes.append(_gap(partition, start, wanted.start))
                yield _Piece(source, wanted)
                start = wanted.end
        if spans and start < end and kept is not None:
            page.answer.notes.append(_gap(partition, start, end))

    def _archive(self) -> ArchiveSource:
        """The archive of this journal."""
        from symphainy_runtime.wal.archive.reading import ArchiveSource  # brings Arrow: 60 MB

        if self._archived is None:
            archive = Archive(self._settings.archive_location())
            if self._journal:
                journal = self._journal
            elif self._kafka is not None:
                journal = self._kafka.journals.identity()
            else:
                journal = archive.only_journal(self._topic)
            self._archived = ArchiveSource(archive, journal)
        return self._archived

    def _archived_types(self, executions: Collection[str]) -> Mapping[str, str]:
        """Intent types of what was received before Kafka's first record."""
        return self._archive().intent_types(executions)

    def _require_kept(self, query: Query, partition: int, kept: Extent, first: int) -> None:
        """Raises `HistoryExpired` if a range is named that begins before `first`, from where on
        there is history."""
        if query.from_offset is not None and query.from_offset < first:
            raise HistoryExpired(
                f"Offset {query.from_offset} of partition {partition} is no longer kept: history "
                f"begins at offset {first}.",
                field="offset",
                cure="State an offset from there on.",
            )
        if query.from_ms is None or first < kept.start or self._kafka is None:
            return
        began = self._kafka.appended_at(partition, kept.start)
        if began is not None and query.from_ms < began - SKEW_MS:
            raise HistoryExpired(
                f"What was journaled before {_utc(began)} in partition {partition} is no longer "
                f"kept: history begins at offset {kept.start}.",
                field="from",
                cure="State a later time, or none: then it begins where history does.",
            )

    def _counted(self) -> dict[str, Read]:
        sources = (self._index, self._kafka, self._archived)
        return {one.name: copied(one.read) for one in sources if one is not None}


def _require_in_log(query: Query, partition: int, kept: Extent) -> None:
    """`to_offset` may be beyond it: the log grows."""
    first = query.from_offset
    if first is not None and first > kept.end:
        raise CallerError(
            f"Offset {first} is beyond the log: partition {partition} ends before {kept.end}.",
            code="offset_out_of_range",
            field="offset",
            cure=f"State an offset up to {kept.end}.",
        )


def _not_indexed(partition: int) -> SymphainyError:
    return CallerError(
        f"The read model's index does not have all of it (partition {partition}): it keeps what an "
        "execution, a session or a tenant did, until its retention.",
        code="not_indexed",
        field="source",
        cure="Ask Kafka: --source kafka, or --source auto.",
    )


def _gap(partition: int, first: int, end: int) -> str:
    return f"Partition {partition}: offsets {first} to {end - 1} are neither in Kafka nor archived."


def _utc(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(timespec="seconds")
