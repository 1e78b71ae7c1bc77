"""What a worker writes before it works: its realm's task topic, and what it can do.

A capability is written only if its contract differs from the newest version in `config`;
versions stay, so that an execution can name the one that was in force. Which of them it serves a
worker writes too: that counts while it is a member of its realm's group.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.cimpl import NewTopic

from symphainy.realm import Realm
from symphainy.worker.capabilities import (
    Registration,
    capabilities,
    check_plans,
    tell_of_moves,
)
from symphainy.worker.versions import forgotten, old, registered, served, successor
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.errors import OperatorError, SymphainyError, Unavailable, UnreadableRecord
from symphainy_schemas.records import Capability, Serving
from symphainy_transport import clients
from symphainy_transport.groups import members
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import CONFIG, Topics, TopicSpec

_log = logging.getLogger("symphainy.worker")
_ANSWER_S = 10.0
# Partitions of a task topic bound how many workers of a realm share the work; beyond this many,
# each more costs every worker's fetches and every owner's producer without use.
_MOST_PARTITIONS = 64
_NOT_THERE = frozenset(
    {
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
_SILENT = frozenset({KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})


@dataclass(frozen=True, slots=True)
class _Known:
    """What `config` holds of what is looked for."""

    newest: dict[str, Capability] = field(default_factory=dict)
    versions: dict[str, list[Capability]] = field(default_factory=dict)
    serving: dict[bytes, Serving] = field(default_factory=dict)

    def add(self, entry: Capability) -> None:
        self.versions.setdefault(entry.name, []).append(entry)
        known = self.newest.get(entry.name)
        if known is None or entry.version >= known.version:
            self.newest[entry.name] = entry


def register(realm: Realm, registration: Registration) -> Serving:
    """Create the realm's topic and register what it declares; what this worker serves. Blocks.

    Raises:
        DeclarationError: a plan cannot be carried out with what other realms have registered, or a
            handler serves only versions that are newer than its own.
        OperatorError: the cluster is not set up, or refuses; or a worker that only drains has code
            that was never registered.
        Unavailable: Kafka did not answer.
    """
    try:
        _ensure_topic(realm.name, registration.settings)
        ours = {one.name: one for one in capabilities(realm, 0, registration)}
        needed = {step.intent_type for plan in realm.plans for step in plan.steps}
        known = _known(realm.name, frozenset(ours), frozenset(needed - ours.keys()), registration)
        if registration.draining:
            wanted = {n: registered(one, known.versions.get(n, ())) for n, one in ours.items()}
        else:
            wanted = {n: successor(one, known.newest.get(n)) for n, one in ours.items()}
            check_plans(realm, {**known.newest, **wanted})
            tell_of_moves(wanted, known.newest)
        serving = Serving(
            worker_id=registration.worker_id,
            realm=realm.name,
            versions=served(realm, {name: one.version for name, one in wanted.items()}),
            registered_at=registration.now,
        )
        new = [one for n, one in wanted.items() if one not in known.versions.get(n, ())]
        gone = _gone(realm.name, known, registration)
        _write([*map(_record, new), _record(serving), *((key, None) for key in gone)], registration)
    except KafkaException as error:
        raise _translated(error) from error
    return serving


def announce(serving: Serving, registration: Registration) -> None:
    """Say again what this worker serves. Blocks.

    Raises:
        OperatorError, Unavailable: as of `register`.
    """
    try:
        _write([_record(serving)], registration)
    except KafkaException as error:
        raise _translated(error) from error


def withdraw(serving: Iterable[Serving], registration: Registration, patience_s: float) -> None:
    """Remove what a worker that stops has said that it serves. Blocks, not for longer than told.

    Raises:
        OperatorError, Unavailable: as of `register`; it is of no matter once the groups know.
    """
    try:
        _write([(_key(one), None) for one in serving], registration, patience_s)
    except KafkaException as error:
        raise _translated(error) from error


def _gone(realm: str, known: _Known, registration: Registration) -> tuple[bytes, ...]:
    """The keys of what killed workers of the realm have left in `config`."""
    if not old(known.serving, registration.now):
        return ()
    group = Topics(registration.settings.topic_prefix).name(f"realm.{realm}")
    try:
        living = members(registration.settings, registration.worker_id, group)
    except Unavailable as error:  # whoever registers next may know
        _log.warning("what workers that are gone have served is not removed: %s", error)
        return ()
    return forgotten(known.serving, living, registration.now)


def _ensure_topic(realm: str, settings: TransportSettings) -> None:
    spec = Topics(settings.topic_prefix).realm_spec(
        realm, min(settings.partitions, _MOST_PARTITIONS)
    )
    admin = clients.admin(settings)
    known = admin.list_topics(timeout=_ANSWER_S).topics
    if spec.name in known:
        return
    created = admin.create_topics([_new_topic(spec, settings)], request_timeout=_ANSWER_S)
    try:
        created[spec.name].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise


def _new_topic(spec: TopicSpec, settings: TransportSettings) -> NewTopic:
    floors = {key: str(value) for key, value in spec.at_least.items()}
    return NewTopic(
        spec.name,
        num_partitions=spec.partitions,
        replication_factor=settings.replication_factor or -1,  # the cluster's default
        config={**spec.settings, **floors},
    )


def _known(
    realm: str, ours: frozenset[str], others: frozenset[str], registration: Registration
) -> _Known:
    """What is looked for in `config`, read to its end as of now: the versions of capabilities,
    of those of other realms as far as this worker can read them, and what workers serve."""
    topic = Topics(registration.settings.topic_prefix).name(CONFIG)
    known = _Known()
    consumer = clients.consumer(
        registration.settings, registration.worker_id, enable_partition_eof=True
    )
    try:
        place = TopicPartition(topic, 0)
        low, _ = clients.bounds(consumer, place, _ANSWER_S)
        consumer.assign([TopicPartition(topic, 0, low)])
        while (message := consumer.poll(_ANSWER_S)) is not None:
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                return known
            if error is not None:
                raise KafkaException(error)
            entry = _entry(message, ours, others)
            if entry is not None:
                known.add(entry)
            _take_serving(message, realm, known.serving)
    finally:
        consumer.close()
    raise Unavailable(f"Kafka did not give {topic} to its end within {_ANSWER_S:g} s of silence.")


def _entry(message: Message, ours: frozenset[str], others: frozenset[str]) -> Capability | None:
    """The capability in a record of `config`, if it is one that is looked for."""
    kind, _, rest = (message.key() or b"").decode("utf-8", "replace").partition("/")
    name = rest.rpartition("/")[0]
    if kind != "capability" or name not in ours | others or not message.value():
        return None
    try:
        return decode(message.value(), Capability)
    except UnreadableRecord as error:
        if name not in ours:
            _log.warning("a step's capability %s cannot be read here: %s", rest, error.message)
            return None
        raise OperatorError(
            f"config holds a version of {rest} that this worker cannot read: {error.message}",
            code="capability_unreadable",
            cure="Upgrade this worker's SDK to that of the newest worker of the realm.",
        ) from error


def _take_serving(message: Message, realm: str, serving: dict[bytes, Serving]) -> None:
    """Keep what another worker of the realm says that it serves, as far as it can be read."""
    key = message.key() or b""
    if not key.startswith(f"worker/{realm}/".encode()):
        return
    serving.pop(key, None)
    if message.value():
        try:
            serving[key] = decode(message.value(), Serving)
        except UnreadableRecord as error:  # whoever can read it removes it
            _log.warning("what %r serves cannot be read here: %s", key, error.message)


def _key(record: Capability | Serving) -> bytes:
    if isinstance(record, Serving):
        return f"worker/{record.realm}/{record.worker_id}".encode()
    return f"capability/{record.name}/{record.version}".encode()


def _record(one: Capability | Serving) -> tuple[bytes, bytes | None]:
    return _key(one), encode(one)


def _write(
    records: Iterable[tuple[bytes, bytes | None]],
    registration: Registration,
    patience_s: float = _ANSWER_S,
) -> None:
    settings = registration.settings
    topic = Topics(settings.topic_prefix).name(CONFIG)
    producer = clients.producer(settings, registration.worker_id)
    refused: list[KafkaError] = []
    unplaced = False

    def delivered(error: KafkaError | None, message: Message) -> None:
        nonlocal unplaced
        if error is not None:
            refused.append(error)
        elif message.offset() is None:  # it may not be in the log
            unplaced = True

    for key, value in records:
        producer.produce(topic, value, key, 0, on_delivery=delivered)
    missing = producer.flush(patience_s)
    if refused:
        raise KafkaException(refused[0])
    if missing or unplaced:
        raise Unavailable("Kafka did not acknowledge what was registered.", cure="Start again.")


def _translated(error: KafkaException) -> SymphainyError:
    cause: KafkaError = error.args[0]
    text = f"The worker cannot register: {cause.name()}: {cause.str()}."
    if cause.code() in _NOT_THERE:
        return OperatorError(text, code="topic_missing", cure="Run `symphainy topics create`.")
    if cause.retriable() or cause.code() in _SILENT:
        return Unavailable(text, cure="Start the worker again when Kafka answers.")
    return OperatorError(
        text,
        code="registration_refused",
        cure="Check the worker's rights to create its task topic and to read and write config.",
    )
