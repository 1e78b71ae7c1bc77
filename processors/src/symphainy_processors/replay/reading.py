"""Reading of the journal what a replay needs: known places, or ranges that are looked through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing

import msgspec
from confluent_kafka import Message
from redis import Redis
from redis.exceptions import RedisError

from symphainy_processors.owner.kafka.ranges import BOUNDS_TIMEOUT_S, RangeReader
from symphainy_processors.replay.history import Kept
from symphainy_runtime.journal.standing import LOOK_BACK, Standing
from symphainy_runtime.read_model.keys import Keys
from symphainy_schemas import ids
from symphainy_schemas.codec import decode
from symphainy_schemas.errors import CallerError, UnreadableRecord
from symphainy_schemas.events import JournalRecord
from symphainy_transport.clients import consumer, first_at
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import JOURNAL, Topics

CLIENT = "symphainy-replay"
NEAR = 500
"""Places that are no further apart are read in one go: about what one fetch brings anyway."""
REDIS_TIMEOUT_S = 2.0
Progress = Callable[[int], None]


class JournalReader:
    """Reads one journal. Owns its consumers."""

    def __init__(self, settings: TransportSettings) -> None:
        """Connect lazily."""
        self._settings = settings
        self._topic = Topics(settings.topic_prefix).name(JOURNAL)
        self._ranges = RangeReader(settings, CLIENT, self._topic)

    def bounds(self, partition: int) -> tuple[int, int]:
        """(first offset kept, offset after the last).

        Raises:
            Unavailable: Kafka did not answer.
        """
        return self._ranges.bounds(partition)

    def at(self, partition: int, offsets: Sequence[int]) -> list[Kept]:
        """The records at known places; those that Kafka keeps no more are left out.

        Raises:
            Unavailable: Kafka did not go on.
        """
        low, high = self.bounds(partition)
        wanted = sorted(offset for offset in set(offsets) if low <= offset < high)
        found = []
        for group in _near(wanted):
            known = set(group)
            for offset, value in self._values(partition, group[0], group[-1] + 1):
                if offset in known and (record := _read(value)) is not None:
                    found.append(Kept(offset, value, record))
        return found

    def scan(
        self,
        partition: int,
        start: int,
        end: int,
        wanted: Callable[[JournalRecord], bool],
        progress: Progress = lambda _: None,
    ) -> Iterator[Kept]:
        """The valid records of [start, end) that are wanted.

        What counts is known from the beginning of the journal, or of the term in which `start`
        stands; where neither is near, the first record's own standing is taken.

        Raises:
            Unavailable: Kafka did not go on.
            JournalTooNew: the records are newer than this process.
        """
        if start >= end:
            return
        low, _ = self.bounds(partition)
        begin = low if start - low <= LOOK_BACK else self._term_of(partition, start, low)
        standing = Standing()
        done = 0
        for offset, value in self._values(partition, begin, end):
            stored = standing.judge(value, offset)
            if offset < start:
                continue
            done += 1
            if done % 2_000 == 0:
                progress(2_000)
            if stored.valid and stored.record is not None and wanted(stored.record):
                yield Kept(offset, value, stored.record)
        progress(done % 2_000)

    def at_time(self, partition: int, time_ms: int) -> int:
        """The first offset that Kafka appended at that time or later; the end if there is none.

        Raises:
            Unavailable: Kafka did not answer.
        """
        asking = consumer(self._settings, CLIENT)
        try:
            found = first_at(asking, self._topic, partition, time_ms, BOUNDS_TIMEOUT_S)
        finally:
            asking.close()
        return self.bounds(partition)[1] if found is None else found

    def close(self) -> None:
        """Disconnect."""
        self._ranges.close()

    def _term_of(self, partition: int, start: int, low: int) -> int:
        first = next(iter(self._values(partition, start, start + 1)), None)
        record = None if first is None else _read(first[1])
        near = record is not None and low <= record.term and start - record.term <= LOOK_BACK
        return record.term if near and record is not None else start

    def _values(self, partition: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        with closing(self._ranges.read(partition, start, end)) as batches:
            for batch in batches:
                yield from map(_placed, batch)


def _placed(message: Message) -> tuple[int, bytes]:
    offset = message.offset()
    assert offset is not None
    return offset, message.value() or b""


def _read(value: bytes) -> JournalRecord | None:
    try:
        return decode(value, JournalRecord)
    except UnreadableRecord:
        return None


def _near(offsets: Sequence[int]) -> Iterator[list[int]]:
    group: list[int] = []
    for offset in offsets:
        if group and offset - group[-1] > NEAR:
            yield group
            group = []
        group.append(offset)
    if group:
        yield group


def places(redis_url: str, prefix: str, execution_id: str) -> tuple[int, ...]:
    """The offsets of an execution's records, as far as the read model knows them; empty where it
    does not, or does not answer: then they are looked for in the journal."""
    if not redis_url:
        return ()
    client = Redis.from_url(
        redis_url, socket_timeout=REDIS_TIMEOUT_S, socket_connect_timeout=REDIS_TIMEOUT_S
    )
    key = Keys(prefix, ids.partition_of(execution_id)).events(execution_id)
    try:
        told: Iterable[bytes] = client.lrange(key, 0, -1)  # type: ignore[assignment]
        return tuple(dict.fromkeys(int(msgspec.json.decode(one)["offset"]) for one in told))
    except RedisError:
        return ()
    finally:
        client.close()


def in_journal(
    partition: int,
    place: tuple[int, int],
    bounds: tuple[int, int],
    fields: tuple[str, str] = ("--from-offset", "--to-offset"),
) -> None:
    """Raises `CallerError` (`range_not_kept`, `empty_range`) unless `place`, a range of offsets, is
    within `bounds`; `fields` are the names of its ends."""
    (start, end), (low, high) = place, bounds
    kept = f"journal[{partition}] keeps the offsets {low} to {high - 1}."
    if high <= low:
        kept = f"journal[{partition}] keeps nothing."
    for field, value, most in zip(fields, place, (high - 1, high), strict=True):
        if not low <= value <= most:
            raise CallerError(
                f"Offset {value} is not in the journal. {kept}",
                code="range_not_kept",
                field=field,
                cure="State offsets that are kept.",
            )
    if start >= end:
        raise CallerError(
            f"No offset is from {start} on and below {end}. {kept}",
            code="empty_range",
            field=fields[1],
            cure="The end is the first offset that is not looked at: state a higher one.",
        )
