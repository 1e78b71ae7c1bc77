"""The simulated Kafka: topics as lists of records, with the broker's time of append.

What is acknowledged is never lost. Retention takes records from the front; transactions of others
leave offsets that hold no record. The checkers read everything that ever stood there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import NamedTuple

from symphainy_simulation.checking.history import Written
from symphainy_simulation.world.events import Events

Key = tuple[str, int]


class Stored(NamedTuple):
    """A record as it stands."""

    key: bytes | None
    value: bytes | None
    at_ms: int


class Log:
    """One partition of a topic."""

    def __init__(self, topic: str, partition: int, events: Events, trace: Trace) -> None:
        self.topic = topic
        self.partition = partition
        self.records: list[Stored | None] = []
        """By offset; None holds no record."""
        self.start = 0
        """The first offset that retention has left."""
        self.listeners: list[Callable[[], None]] = []
        self._events = events
        self._trace = trace

    @property
    def end(self) -> int:
        """The offset after the last."""
        return len(self.records)

    @property
    def behind_last(self) -> int:
        """The offset after the last that holds a record: what a reader can come to."""
        end = len(self.records)
        while end and self.records[end - 1] is None:
            end -= 1
        return end

    def append(self, key: bytes | None, value: bytes | None) -> int:
        """The offset of a new record; its time is the broker's."""
        at_ms = self._events.now_ms
        self.records.append(Stored(key, value, at_ms))
        self._trace.note(self.topic, self.partition, at_ms, value or b"")
        for listener in self.listeners:
            listener()
        return len(self.records) - 1

    def skip(self) -> None:
        """An offset without a record: the marker of somebody's transaction."""
        self.records.append(None)

    def read(self, start: int, end: int) -> Iterator[tuple[int, Stored]]:
        """The records in [start, end) that are kept."""
        for offset in range(max(start, self.start), min(end, len(self.records))):
            stored = self.records[offset]
            if stored is not None:
                yield offset, stored

    def everything(self) -> list[Written]:
        """All that ever stood there, for the checkers."""
        return [
            Written(self.partition, offset, stored.key, stored.value, stored.at_ms)
            for offset, stored in enumerate(self.records)
            if stored is not None
        ]


class Trace:
    """A hash of everything that was written, in order: two equal runs have one."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)

    def note(self, topic: str, partition: int, number: int, value: bytes) -> None:
        """Something happened."""
        self._hash.update(f"{topic}/{partition}/{number}/{len(value)}/".encode())
        self._hash.update(value)

    def digest(self) -> str:
        """All so far."""
        return self._hash.hexdigest()


class Broker:
    """All logs."""

    def __init__(self, events: Events) -> None:
        self.trace = Trace()
        self._events = events
        self._logs: dict[Key, Log] = {}

    def log(self, topic: str, partition: int) -> Log:
        """The log of a partition; topics exist once they are asked for."""
        found = self._logs.get((topic, partition))
        if found is None:
            found = Log(topic, partition, self._events, self.trace)
            self._logs[topic, partition] = found
        return found

    def named(self, prefix: str) -> list[Log]:
        """Every log whose topic begins with `prefix`, in order."""
        found = sorted(key for key in self._logs if key[0].startswith(prefix))
        return [self._logs[key] for key in found]
