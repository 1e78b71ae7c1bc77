"""Lag by role and partition: where each role stands, and how far that is from the log's end.

Each role keeps its position in another place, and `kept_in` names it: the journal itself (owners),
Redis, beside the documents (projectors), the evidence (auditors), or Kafka's consumer groups (realm
workers, and everybody else who reads our topics).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct
from redis import Redis
from redis.exceptions import RedisError

from symphainy_runtime.audit.checkpoints import parse_checkpoint
from symphainy_runtime.audit.evidence import Kept
from symphainy_runtime.audit.keys import verifier_keys
from symphainy_runtime.audit.notes import NoteRejected, open_note
from symphainy_runtime.audit.store import Evidence, open_store
from symphainy_runtime.offsets.places import Places
from symphainy_runtime.read_model.keys import Keys
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import OperatorError, Unavailable
from symphainy_transport.clients import admin
from symphainy_transport.identity import topic_identity
from symphainy_transport.topics import INTENTS, JOURNAL, STEPS, TASKS, Topics

OWNER: Final = "owner"
PROJECTOR: Final = "projector"
WORKER: Final = "worker"
AUDITOR: Final = "auditor"
GROUP: Final = "group"


class Lag(Struct, frozen=True, kw_only=True):
    """One role in one partition of a topic. `position` is the next offset that it reads, `lag` how
    many offsets are there from it on; None where it has no position yet. `state` is empty, or
    `expired` (what it would read next is gone) or `beyond` (the log ends before: made anew, or
    cut)."""

    role: str
    group: str
    """The realm of workers, the name of another consumer group; else empty."""
    topic: str
    partition: int
    position: int | None
    first_kept: int
    end: int
    kept_in: str

    @property
    def lag(self) -> int | None:
        """Offsets not read yet. Of an owner's journal: at most so many decisions have effects that
        Kafka may not have; each says so of those before it, so at rest a few are left."""
        if self.position is None:
            return None
        return max(0, self.end - max(self.position, self.first_kept))

    @property
    def state(self) -> str:
        """Whether the position can be read on from."""
        if self.position is None:
            return ""
        if self.position < self.first_kept:
            return "expired"
        return "beyond" if self.position > self.end else ""


class Lags:
    """Asks for all roles of one system."""

    def __init__(self, settings: RuntimeSettings, places: Places) -> None:
        self._settings = settings
        self._places = places
        self._topics = Topics(settings.topic_prefix)

    def of(self, role: str) -> Iterator[Lag]:
        """The lags of a role.

        Raises:
            Unavailable: Kafka, Redis or the evidence did not answer.
        """
        match role:
            case "owner":
                return self._owner()
            case "projector":
                return self._projector()
            case "worker":
                return self._workers()
            case "auditor":
                return self._auditor()
            case _:
                return self._groups()

    def _owner(self) -> Iterator[Lag]:
        for p in range(self._settings.partitions):
            told = self._places.written(self._topics.name(JOURNAL), p)
            reads = told and (told.intents_next, told.steps_next, told.acted_to + 1)
            for short, position in zip(
                (INTENTS, STEPS, JOURNAL), reads or (None,) * 3, strict=True
            ):
                yield self._lag(OWNER, "", self._topics.name(short), p, position, "the journal")

    def _projector(self) -> Iterator[Lag]:
        for p, position in self.projected().items():
            topic = self._topics.name(JOURNAL)
            yield self._lag(PROJECTOR, "", topic, p, position, "Redis")

    def projected(self) -> dict[int, int | None]:
        """The next journal offset of each partition's read model; None where it has none.

        Raises:
            Unavailable: Redis did not answer.
        """
        redis: Redis = Redis.from_url(self._settings.require_redis())
        try:
            pipe = redis.pipeline(transaction=False)
            for p in range(self._settings.partitions):
                pipe.hget(Keys(self._settings.redis_prefix, p).position, "offset")
            found: list[bytes | None] = pipe.execute()
        except RedisError as error:
            raise Unavailable(
                f"Redis did not tell where the read model stands: {error}",
                code="read_model_unavailable",
            ) from error
        finally:
            redis.close()
        # While a partition is being deleted its position says so, and is no number.
        return {p: int(one) + 1 if one and one.isdigit() else None for p, one in enumerate(found)}

    def _workers(self) -> Iterator[Lag]:
        prefix = self._topics.name(TASKS)
        for topic, count in sorted(self._places.topics(prefix).items()):
            realm = topic.removeprefix(prefix)
            group = self._topics.name(f"realm.{realm}")
            yield from self._group(WORKER, realm, group, {topic: count})

    def _groups(self) -> Iterator[Lag]:
        """Everybody else's: groups of any name that have committed something of our topics."""
        topics = self._places.topics(self._settings.topic_prefix)
        for group in self._places.groups(""):
            if not is_ours(self._settings, group):
                yield from self._group(GROUP, group, group, topics, only_committed=True)

    def _group(
        self,
        role: str,
        name: str,
        group: str,
        topics: dict[str, int],
        *,
        only_committed: bool = False,
    ) -> Iterator[Lag]:
        committed = self._places.committed(group)
        for topic, count in topics.items():
            for p in range(count):
                position = committed.get((topic, p))
                if position is not None or not only_committed:
                    yield self._lag(role, name, topic, p, position, f"group {group}")

    def _auditor(self) -> Iterator[Lag]:
        topic = self._topics.name(JOURNAL)
        evidence = Evidence(open_store(self._settings.audit_location()))
        identity = topic_identity(admin(self._settings, "symphainy-offsets"), topic, 10.0)
        for p in range(self._settings.partitions):
            kept = evidence.last(identity, p)
            position, where = (None, "the evidence") if kept is None else self._covered(kept)
            yield self._lag(AUDITOR, "", topic, p, position, where)

    def _covered(self, kept: Kept) -> tuple[int | None, str]:
        """Up to where the newest checkpoint goes, if its signature counts; else why not."""
        try:
            text, _ = open_note(kept.note, verifier_keys(self._settings))
            return parse_checkpoint(text).end, "the evidence"
        except (NoteRejected, OperatorError) as error:
            return None, f"the evidence, where it cannot be read: {error}"

    def _lag(
        self, role: str, group: str, topic: str, p: int, position: int | None, kept_in: str
    ) -> Lag:
        low, high = self._places.bounds(topic, p)
        return Lag(
            role=role,
            group=group,
            topic=topic,
            partition=p,
            position=position,
            first_kept=low,
            end=high,
            kept_in=kept_in,
        )


def is_ours(settings: RuntimeSettings, group: str) -> bool:
    """Whether a consumer group is one of the system's own."""
    topics = Topics(settings.topic_prefix)
    return group == settings.topic_prefix + settings.owner_group or group.startswith(
        topics.name("realm.")
    )
