"""The projector on Kafka and Redis: reads the journal through the one filter, writes batches.

A batch and the position that it leads to are one script (rule 19), so a repeat changes nothing and
two projectors cannot write the same record twice: whose position is not the expected one reads it
anew. A Redis that lost everything is filled again from the start of the journal; a deletion of the
read model that somebody began and did not end is ended first (`clearing`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from importlib import resources

import msgspec
from confluent_kafka import Consumer, KafkaError, TopicPartition
from redis import Redis
from redis.exceptions import RedisError

from symphainy_processors.projection.clearing import Clearing, deleted_by
from symphainy_processors.projection.project import Command, Projection
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_runtime.read_model.keys import Keys
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import JournalTooNew, OperatorError
from symphainy_schemas.events import JournalRecord
from symphainy_transport.clients import bounds, consumer
from symphainy_transport.topics import DAY_MS, JOURNAL, Topics

log = logging.getLogger(__name__)
BATCH = 500
IDLE_WAIT_S = 0.25
REDIS_RETRY_S = 0.5
# A Redis that lost everything is noticed when a batch does not fit; where nothing is decided none
# comes, so one look at the positions every few seconds, in which a reader misses what was lost.
LOOK_S = 5.0
_msgpack = msgspec.msgpack.Encoder()


class PartitionProjector:
    """One partition's standing and its batch in the making."""

    def __init__(self, keys: Keys, retention_ms: int) -> None:
        self.keys = keys
        self._projection = Projection(keys, retention_ms)
        self.written = Validity()
        self._standing = Validity()
        self._expected = ""
        self._reached = -1
        # Of the last valid record, intents_next and time.
        self._decided: tuple[int, int] | None = None
        self._commands: list[Command] = []
        self._changes: dict[str, tuple[str, str, str]] = {}

    def load(self, position: dict[bytes, bytes]) -> int:
        """Start from what Redis says; the next journal offset to read (0: from the start)."""
        self._commands, self._changes = [], {}
        self._standing, self._expected, self._reached = Validity(), "", -1
        self._decided = None
        if position:
            self._expected = position[b"offset"].decode()
            self._reached = int(self._expected)
            term, seq = int(position[b"term"]), int(position[b"seq"])
            self._standing = Validity(term, seq, self._reached, position[b"hash"])
            self._decided = _decided(position)
        return self._reached + 1

    def take(self, offset: int, value: bytes) -> None:
        """Project one record into the batch."""
        if offset <= self._reached:
            return
        stored = judge(value, offset, self._standing)
        self._standing, self._reached = stored.standing, offset
        if stored.valid and stored.record is not None:
            self._decided = self._decided_by(stored.record)
            projected = self._projection.project(stored.record, offset)
            self._commands += projected.commands
            if projected.change is not None:
                # The latest change of an execution tells of the earlier ones of the batch.
                self._changes[projected.change[0]] = projected.change

    def _decided_by(self, record: JournalRecord) -> tuple[int, int]:
        """A new owner's first record may name less than its predecessor's last did."""
        before = 0 if self._decided is None else self._decided[0]
        return max(before, record.intents_next), record.at

    @property
    def dirty(self) -> bool:
        """Whether there is something to write."""
        return str(self._reached) != self._expected and self._reached >= 0

    def stands_at(self, offset: bytes | None) -> bool:
        """Whether that is the position that the next batch expects."""
        return (offset or b"").decode() == self._expected

    def arguments(self) -> list[str | bytes | int]:
        """The script's arguments for the batch."""
        standing = self._standing
        return [
            self._expected,
            self._reached,
            standing.term,
            standing.seq,
            standing.hash,
            *(self._decided or ("", "")),
            self.keys.channel,
            _msgpack.encode(tuple(self._changes.values())),
            _msgpack.encode([*self._commands, *self._trim()]),
        ]

    def _trim(self) -> list[Command]:
        return [] if self._decided is None else [self._projection.trim(self._decided[1])]

    def applied(self) -> None:
        """The batch is in Redis."""
        self._expected = str(self._reached)
        self._commands, self._changes = [], {}


class Projector:
    """Projects all partitions, or some, in one thread."""

    def __init__(
        self,
        settings: RuntimeSettings,
        name: str,
        partitions: frozenset[int] | None = None,
    ) -> None:
        """Project `partitions`; all of them by default."""
        self._settings = settings
        self._topic = Topics(settings.topic_prefix).name(JOURNAL)
        self._redis = Redis.from_url(settings.require_redis())
        script = resources.files(__package__) / "apply.lua"
        self._script = self._redis.register_script(script.read_text())
        self._consumer: Consumer = consumer(settings, name, fetch_wait_max_ms=100)
        count = self._count()
        retention_ms = int(settings.read_model_retention_days * DAY_MS)
        self._partitions = {
            p: PartitionProjector(Keys(settings.redis_prefix, p), retention_ms)
            for p in (partitions if partitions is not None else range(count))
        }
        self.halted: dict[int, OperatorError] = {}
        """The partitions that only an operator can set going again, and why."""
        self._stopping = threading.Event()
        self._looked_at = time.monotonic()

    def _count(self) -> int:
        found = self._consumer.list_topics(self._topic, timeout=10.0).topics[self._topic]
        if found.error is not None:
            raise OperatorError(
                f"Kafka does not have topic {self._topic}.",
                code="topic_missing",
                cure="Run `symphainy topics create`.",
            )
        return len(found.partitions)

    def stop(self) -> None:
        """End `run` soon; safe from a signal handler."""
        self._stopping.set()

    def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Project until `stop`; Redis may come and go."""
        self.start()
        if on_ready is not None:
            on_ready()
        try:
            while not self._stopping.is_set():
                self.step(IDLE_WAIT_S)
        finally:
            self.close()

    def start(self) -> None:
        """Stand where Redis says that the read model stands."""
        self._seek(self._partitions)

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()
        self._redis.close()

    def ends(self) -> dict[int, tuple[int, int]]:
        """(first offset kept, offset after the last) of every partition's journal."""
        return {p: self._bounds(p) for p in self._partitions}

    def behind(self, ends: dict[int, tuple[int, int]]) -> int:
        """How many records below `ends` the read model does not have yet, whoever writes it."""
        left = 0
        for p, (low, high) in ends.items():
            position = self._position(self._partitions[p].keys)
            unknown = not position or deleted_by(position) is not None
            reached = low if unknown else int(position[b"offset"]) + 1
            left += max(0, high - max(reached, low))
        return left

    def _bounds(self, p: int) -> tuple[int, int]:
        return bounds(self._consumer, TopicPartition(self._topic, p))

    def step(self, wait_s: float) -> int:
        """Read what has come, write it; how many records."""
        first = self._consumer.poll(wait_s)
        if first is None:
            self._look()
            return 0
        taken = 0
        for message in (first, *self._consumer.consume(BATCH, 0)):
            error = message.error()
            if error is not None:
                _check(error)
                continue
            partition, offset, value = message.partition(), message.offset(), message.value()
            assert partition is not None
            assert offset is not None
            if value is not None and partition not in self.halted:
                taken += self._take(partition, offset, value)
        self._write()
        return taken

    def _look(self) -> None:
        """Whether the read model still stands where it was left; what does not is read anew."""
        if time.monotonic() - self._looked_at < LOOK_S:
            return
        pipe = self._redis.pipeline(transaction=False)
        for one in self._partitions.values():
            pipe.hget(one.keys.position, "offset")
        try:
            stand: list[bytes | None] = pipe.execute()
        except RedisError as error:
            log.warning("waiting for Redis: %s", error)
            return
        self._looked_at = time.monotonic()
        pairs = zip(self._partitions.items(), stand, strict=True)
        moved = {p: one for (p, one), at in pairs if not one.stands_at(at)}
        if moved:
            log.warning("the read model moved in partitions %s, reading them anew", sorted(moved))
            self._seek(moved)

    def _take(self, partition: int, offset: int, value: bytes) -> int:
        """What this version cannot read stops its partition; the others go on."""
        try:
            self._partitions[partition].take(offset, value)
        except JournalTooNew as error:
            log.error("partition %d is stopped: %s", partition, error)
            self.halted[partition] = error
            self._consumer.incremental_unassign([TopicPartition(self._topic, partition)])
            return 0
        return 1

    def _write(self) -> None:
        moved: dict[int, PartitionProjector] = {}
        for p, one in self._partitions.items():
            if not one.dirty:
                continue
            try:
                applied = self._script(keys=[one.keys.position], args=one.arguments())
            except RedisError as error:
                log.warning("Redis did not take a batch, reading it anew: %s", error)
                moved[p] = one
                continue
            if applied:
                one.applied()
            else:
                log.warning("partition %d: the read model's position moved, reading it anew", p)
                moved[p] = one
        if moved:
            self._seek(moved)

    def _seek(self, some: dict[int, PartitionProjector]) -> None:
        """Read on from where Redis says that it stands, once it answers."""
        places = []
        for p, one in some.items():
            if p in self.halted:
                continue
            start = one.load(self._settled(one.keys))
            low, _ = self._bounds(p)
            if 0 < start < low:
                raise OperatorError(
                    f"The journal of partition {p} begins at {low}; the read model stands at "
                    f"{start}.",
                    code="position_out_of_range",
                    cure="Rebuild the read model: `symphainy read-model rebuild`.",
                )
            places.append(TopicPartition(self._topic, p, max(start, low)))
        assigned = {place.partition for place in self._consumer.assignment()}
        self._consumer.incremental_unassign(
            [place for place in places if place.partition in assigned]
        )
        self._consumer.incremental_assign(places)

    def _settled(self, keys: Keys) -> dict[bytes, bytes]:
        """The position, once nothing of the partition is being deleted any more."""
        while (mark := deleted_by(position := self._position(keys))) is not None:
            if self._stopping.is_set():
                return {}
            log.info("partition %d: ending a deletion of the read model", keys.partition)
            try:
                Clearing(self._redis, self._settings.redis_prefix, {keys.partition: mark}).run()
            except RedisError as error:
                log.warning("waiting for Redis: %s", error)
                self._stopping.wait(REDIS_RETRY_S)
        return position

    def _position(self, keys: Keys) -> dict[bytes, bytes]:
        while True:
            try:
                found: dict[bytes, bytes] = self._redis.hgetall(keys.position)  # type: ignore[assignment]
                return found
            except RedisError as error:
                log.warning("waiting for Redis: %s", error)
                if self._stopping.wait(REDIS_RETRY_S):
                    return {}


def _decided(position: dict[bytes, bytes]) -> tuple[int, int] | None:
    """As written before; a projector of an older release wrote neither."""
    intents_next, at = position.get(b"intents_next"), position.get(b"at")
    return (int(intents_next), int(at)) if intents_next and at else None


def _check(error: KafkaError) -> None:
    if error.code() in (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET):
        raise OperatorError(
            f"The journal no longer holds the read model's position: {error.str()}",
            code="position_out_of_range",
            cure="Rebuild the read model: `symphainy read-model rebuild`.",
        )
    log.warning("journal: %s", error.str())
