"""Reading what is re-driven from Kafka: intents at their places, and dead letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from symphainy_cli.redriving import DEAD_LETTER, Old, Place, Within
from symphainy_processors.owner.kafka.ranges import RangeReader
from symphainy_schemas import ids
from symphainy_schemas.codec import decode
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.records import DeadLetter, Intent
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import DEAD_LETTERS, INTENTS, Topics

_NAME = "symphainy-redrive"
# Places no further apart than this are read in one go: as quick as another fetch.
_GAP = 500
Progress = Callable[[int], None]


class Reading:
    """Reads from one cluster; `close` disconnects."""

    def __init__(self, settings: TransportSettings) -> None:
        topics = Topics(settings.topic_prefix)
        self._intents = RangeReader(settings, _NAME, topics.name(INTENTS))
        self._letters = RangeReader(settings, f"{_NAME}-letters", topics.name(DEAD_LETTERS))

    def close(self) -> None:
        """Disconnect."""
        self._intents.close()
        self._letters.close()

    def with_intents(self, olds: Sequence[Old], progress: Progress) -> list[Old]:
        """Each with its intent, or why that cannot be read; by place. `progress` hears how many
        more are read.

        Raises:
            Unavailable: Kafka did not answer.
        """
        by_place = {old.place: old for old in olds}
        done: list[Old] = []
        for p in sorted({place.partition for place in by_place}):
            mine = sorted(place.offset for place in by_place if place.partition == p)
            low, high = (0, 0) if p < 0 else self._intents.bounds(p)
            gone = [offset for offset in mine if not low <= offset < high]
            for offset in gone:
                why = f"intents[{p}] keeps {low} to {high - 1}; {offset} is gone"
                done.append(by_place[Place(p, offset)]._replace(why=why))
            values = self._values(p, [offset for offset in mine if low <= offset < high])
            for offset in mine:
                if offset in values:
                    done.append(_with_intent(by_place[Place(p, offset)], values[offset]))
            progress(len(mine))
        return done

    def _values(self, p: int, offsets: Sequence[int]) -> dict[int, bytes]:
        wanted = frozenset(offsets)
        values: dict[int, bytes] = {}
        for first, last in _spans(offsets):
            for batch in self._intents.read(p, first, last + 1):
                for message in batch:
                    offset = message.offset()
                    if offset in wanted and offset is not None:
                        values[offset] = message.value() or b""
        return values

    def letters(self, tenant_id: str, intent_type: str, within: Within) -> list[Old]:
        """Intents that could not be read when it was their turn: those that can be by now, of the
        tenant; and with the reason those that cannot, whose tenant nobody knows.

        Raises:
            Unavailable: Kafka did not answer.
        """
        low, high = self._letters.bounds(0)
        found: dict[Place, DeadLetter] = {}
        for batch in self._letters.read(0, low, high):
            for message in batch:
                letter = decode(message.value() or b"", DeadLetter)
                place = Place(letter.partition, letter.offset)
                if letter.topic == INTENTS and within.has(place):
                    found[place] = letter
        olds = [Old("", "", DEAD_LETTER, letter.reason, place) for place, letter in found.items()]
        read = self.with_intents(olds, lambda _: None)
        return [
            old
            for old in read
            if old.intent is None
            or (old.intent.tenant_id == tenant_id and intent_type in ("", old.intent.intent_type))
        ]


def _with_intent(old: Old, value: bytes) -> Old:
    place = old.place
    try:
        intent = decode(value, Intent)
        execution = ids.execution_id(
            intent.tenant_id, intent.session_id, intent.intent_id, place.partition
        )
    except UnreadableRecord as error:
        why = f"intents[{place.partition}] at {place.offset} cannot be read: {error.message}"
        return old._replace(why=why)
    if old.execution_id not in ("", execution):
        return old._replace(
            why=f"at intents[{place.partition}] {place.offset} stands another execution's intent"
        )
    return old._replace(execution_id=execution, intent_type=intent.intent_type, intent=intent)


def _spans(offsets: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ascending offsets as (first, last) of what is read in one go."""
    first = last = -1
    for offset in offsets:
        if first >= 0 and offset - last > _GAP:
            yield first, last
            first = -1
        first = offset if first < 0 else first
        last = offset
    if first >= 0:
        yield first, last
