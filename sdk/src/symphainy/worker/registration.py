"""What a worker writes before it works: its realm's task topic, and what it can do.

A capability is written only if its contract differs from the newest version in `config`;
versions stay, so that an execution can name the one that was in force.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.cimpl import NewTopic

from symphainy.realm import Realm
from symphainy.worker.capabilities import (
    Registration,
    capabilities,
    check_plans,
    successor,
    tell_of_moves,
)
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.errors import OperatorError, SymphainyError, Unavailable, UnreadableRecord
from symphainy_schemas.records import Capability
from symphainy_transport import clients
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


def register(realm: Realm, registration: Registration) -> dict[str, int]:
    """Create the realm's topic and register what it declares; the versions by intent type. Blocks.

    Raises:
        DeclarationError: a plan cannot be carried out with what other realms have registered.
        OperatorError: the cluster is not set up, or refuses.
        Unavailable: Kafka did not answer.
    """
    try:
        _ensure_topic(realm.name, registration.settings)
        ours = {one.name: one for one in capabilities(realm, 0, registration)}
        needed = {step.intent_type for plan in realm.plans for step in plan.steps}
        newest = _newest(frozenset(ours), frozenset(needed - ours.keys()), registration)
        wanted = {name: successor(one, newest.get(name)) for name, one in ours.items()}
        check_plans(realm, {**newest, **wanted})
        tell_of_moves(wanted, newest)
        _write((c for c in wanted.values() if c is not newest.get(c.name)), registration)
    except KafkaException as error:
        raise _translated(error) from error
    return {name: entry.version for name, entry in wanted.items()}


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


def _newest(
    ours: frozenset[str], others: frozenset[str], registration: Registration
) -> dict[str, Capability]:
    """The newest version of each capability, from `config` read to its end as of now; of those of
    other realms as far as this worker can read them."""
    topic = Topics(registration.settings.topic_prefix).name(CONFIG)
    newest: dict[str, Capability] = {}
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
                return newest
            if error is not None:
                raise KafkaException(error)
            entry = _entry(message, ours, others)
            known = newest.get(entry.name) if entry is not None else None
            if entry is not None and (known is None or entry.version >= known.version):
                newest[entry.name] = entry
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


def _write(entries: Iterable[Capability], registration: Registration) -> None:
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

    for entry in entries:
        key = f"capability/{entry.name}/{entry.version}"
        producer.produce(topic, encode(entry), key, 0, on_delivery=delivered)
    missing = producer.flush(_ANSWER_S)
    if refused:
        raise KafkaException(refused[0])
    if missing or unplaced:
        raise Unavailable("Kafka did not acknowledge the capabilities.", cure="Start again.")


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
