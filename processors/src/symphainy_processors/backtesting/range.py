"""Which records of the journal a backtest reads: from times, or offsets of the write-ahead log."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime

from msgspec import Struct

from symphainy_processors.owner.kafka.ranges import BOUNDS_TIMEOUT_S, RangeReader
from symphainy_schemas.errors import CallerError
from symphainy_transport.clients import consumer, first_at
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import INTENTS, JOURNAL, Topics

SKEW_MS = 60_000
"""A decision stands behind its intent; brokers' clocks, by which both are found, differ by less."""
_CLIENT = "symphainy-backtest"


class Wanted(Struct, frozen=True, kw_only=True):
    """What the user asks for. Times are ms since the epoch, of the broker's append time; offsets
    are of the write-ahead log of the one partition named. `until` and `to_offset` are exclusive."""

    since: int | None = None
    until: int | None = None
    partitions: tuple[int, ...]
    from_offset: int | None = None
    to_offset: int | None = None


class Span(Struct, frozen=True, kw_only=True):
    """Journal records [start, end) of a partition that keeps them from `low`; of those, decisions
    of intents at [first, last), where these are given."""

    partition: int
    low: int
    start: int
    end: int
    first: int = -1
    last: int = -1


def spans(settings: TransportSettings, wanted: Wanted) -> list[Span]:
    """The ranges to read, none of them empty.

    Raises:
        CallerError: `range_not_kept` or `empty_range`; what is kept is said.
        Unavailable: Kafka did not answer.
    """
    finder = _Finder(settings)
    try:
        if wanted.from_offset is not None or wanted.to_offset is not None:
            return [finder.by_offsets(wanted.partitions[0], wanted)]
        found = [finder.by_time(p, wanted) for p in wanted.partitions]
        chosen = [span for span in found if span.start < span.end]
        if not chosen:
            raise CallerError(
                f"No decision stands in that range. {finder.kept(wanted.partitions)}",
                code="empty_range",
                field="since",
                cure="State another range: since, until.",
            )
        return chosen
    finally:
        finder.close()


class _Finder:
    def __init__(self, settings: TransportSettings) -> None:
        topics = Topics(settings.topic_prefix)
        self._journal, self._intents = topics.name(JOURNAL), topics.name(INTENTS)
        self._ranges = RangeReader(settings, _CLIENT, self._journal)
        self._wal = RangeReader(settings, _CLIENT, self._intents)
        self._times = consumer(settings, _CLIENT)

    def close(self) -> None:
        self._ranges.close()
        self._wal.close()
        self._times.close()

    def by_time(self, p: int, wanted: Wanted) -> Span:
        low, high = self._ranges.bounds(p)
        start = low if wanted.since is None else self._at(p, wanted.since, high)
        end = high if wanted.until is None else self._at(p, wanted.until, high)
        return Span(partition=p, low=low, start=max(low, start), end=min(end, high))

    def by_offsets(self, p: int, wanted: Wanted) -> Span:
        low, high = self._wal.bounds(p)
        first = low if wanted.from_offset is None else wanted.from_offset
        last = high if wanted.to_offset is None else wanted.to_offset
        kept = f"intents[{p}] keeps the offsets {low} to {high - 1}." if high > low else ""
        kept = kept or f"intents[{p}] keeps nothing."
        outside = [
            (name, value)
            for name, value, most in (("from_offset", first, high - 1), ("to_offset", last, high))
            if not low <= value <= most
        ]
        if outside:
            name, value = outside[0]
            raise CallerError(
                f"Offset {value} is not in the log. {kept}",
                code="range_not_kept",
                field=name,
                cure="State offsets that are kept.",
            )
        if first >= last:
            raise CallerError(
                f"No offset is from {first} on and below {last}. {kept}",
                code="empty_range",
                field="to_offset",
                cure="It is the first that is not looked at: state a higher one.",
            )
        journal_low, journal_high = self._ranges.bounds(p)
        start = self._at(p, self._appended(p, first) - SKEW_MS, journal_high)
        if start >= journal_high:
            raise CallerError(
                f"Nothing in that range is decided yet. {self.kept((p,))}",
                code="empty_range",
                field="from_offset",
                cure="Start an owner, or wait for it.",
            )
        return Span(
            partition=p,
            low=journal_low,
            start=max(journal_low, start),
            end=journal_high,
            first=first,
            last=last,
        )

    def kept(self, partitions: Sequence[int]) -> str:
        """What the journal keeps, in words."""
        times = []
        for p in partitions:
            low, high = self._ranges.bounds(p)
            if low < high:
                times += [self._time(p, low), self._time(p, high - 1)]
        if not times:
            return "The journal keeps nothing."
        return f"The journal keeps what was decided from {_utc(min(times))} to {_utc(max(times))}."

    def _time(self, p: int, offset: int) -> int:
        with closing(self._ranges.read(p, offset, offset + 1)) as batches:
            return next((m.timestamp()[1] for batch in batches for m in batch), 0)

    def _appended(self, p: int, offset: int) -> int:
        high = self._wal.bounds(p)[1]
        with closing(self._wal.read(p, offset, high)) as batches:
            return next((m.timestamp()[1] for batch in batches for m in batch), 0)

    def _at(self, p: int, time_ms: int, high: int) -> int:
        """The first offset appended at `time_ms` or later."""
        found = first_at(self._times, self._journal, p, time_ms, BOUNDS_TIMEOUT_S)
        return high if found is None else found


def _utc(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(timespec="seconds")
