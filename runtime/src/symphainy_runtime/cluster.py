"""The topics of a cluster: creating them as the guarantees need them, and checking that they are.

What is checked, and why, stands in `cluster_rules`; here it is read from Kafka.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported by the package
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from symphainy_runtime.cluster_rules import judge, uneven
from symphainy_runtime.cluster_state import (
    INTERNAL,
    WANTED_IN_SYNC,
    WANTED_REPLICATION,
    ClusterState,
    Finding,
    TopicState,
)
from symphainy_schemas.errors import MisconfiguredCluster, Unavailable
from symphainy_transport.clients import admin
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import JOURNAL, STATE, Topics, TopicSpec

TIMEOUT_S = 15.0
CREATE_S = 60.0
"""In all: a controller that just came back lets its brokers register first."""
ASK_AGAIN_S = 0.05
_PASSING = (
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._TRANSPORT,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.NOT_CONTROLLER,
)
_NOT_ALLOWED = (
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
)
_WRITING = (AclOperation.WRITE, AclOperation.ALL)

__all__ = ["Cluster", "Finding"]


class Cluster:
    """The cluster behind the settings."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._topics = Topics(settings.topic_prefix)
        self._admin: AdminClient = admin(settings)

    def specs(self) -> tuple[TopicSpec, ...]:
        """Every topic that must be there."""
        return self._topics.specs(self._settings.partitions)

    def identity(self) -> str:
        """How many brokers there are, and the cluster's id, in words.

        Raises:
            Unavailable: Kafka did not answer.
        """
        found = self._metadata()
        return f"{len(found.brokers)} broker(s), cluster {found.cluster_id}"

    def create(
        self, specs: Sequence[TopicSpec] | None = None, extra: Mapping[str, str] | None = None
    ) -> list[str]:
        """Create what is missing; the names of what was created. `extra` settings go to all.

        Raises:
            Unavailable: Kafka did not answer, or refused.
        """
        wanted = self.specs() if specs is None else specs
        deadline = time.monotonic() + CREATE_S
        created: set[str] = set()
        while True:
            # Asked anew each time: a controller that was away is found by nobody who asked then.
            found = self._metadata()
            missing = [spec for spec in wanted if spec.name not in found.topics]
            if not missing:
                break
            topics = [
                _new_topic(s, self._replication(len(found.brokers)), extra or {}) for s in missing
            ]
            refused = self._create(topics, created)
            if refused is None:
                break
            passes = _passes(refused) or not found.brokers
            if not passes or time.monotonic() >= deadline:
                raise Unavailable(f"Topics could not be created: {refused}") from refused
            time.sleep(ASK_AGAIN_S)
        self._await(created)
        return sorted(created)

    def _create(self, topics: list[NewTopic], created: set[str]) -> KafkaException | None:
        """Create topics, and add their names; why the last of those was refused that were."""
        futures: Mapping[str, Future[None]] = self._admin.create_topics(
            topics, operation_timeout=TIMEOUT_S, request_timeout=TIMEOUT_S
        )
        refused = None
        for name, future in futures.items():
            try:
                future.result()  # the request has its own limit, and says what it waited for
                created.add(name)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    refused = error
        return refused

    def check(self) -> list[Finding]:
        """What is not as it must be, the fatal ones first.

        Raises:
            Unavailable: Kafka did not answer.
        """
        return judge(self._state(), self.specs(), self._topics)

    def require(self) -> list[Finding]:
        """Refuse a cluster that would break a guarantee; what only limits one.

        Raises:
            MisconfiguredCluster: with every fatal finding.
            Unavailable: Kafka did not answer.
        """
        findings = self.check()
        _refuse([finding for finding in findings if finding.fatal])
        return findings

    def check_partitions(self) -> None:
        """Refuse co-partitioned topics whose partitions do not correspond. One request, so it may
        be asked again while running.

        Raises:
            MisconfiguredCluster: one is missing, or has another number of partitions than set.
            Unavailable: Kafka did not answer.
        """
        counts = {name: len(topic.partitions) for name, topic in self._metadata().topics.items()}
        _refuse(uneven(counts, self._settings.partitions, self._topics))

    def _replication(self, brokers: int) -> int:
        return self._settings.replication_factor or max(1, min(WANTED_REPLICATION, brokers))

    def _await(self, names: Iterable[str]) -> None:
        """Wait until brokers know what the controller has created: milliseconds, or more under
        load; whoever starts right after would find topics missing."""
        deadline = time.monotonic() + TIMEOUT_S
        while not self._metadata().topics.keys() >= set(names):
            if time.monotonic() >= deadline:
                raise Unavailable("Kafka has created topics that its brokers do not know yet.")
            time.sleep(ASK_AGAIN_S)

    # --- reading --------------------------------------------------------------------------------

    def _state(self) -> ClusterState:
        found = self._metadata()
        prefix = self._settings.topic_prefix
        names = [name for name in found.topics if name.startswith(prefix) or name in INTERNAL]
        configs = self._configs(ResourceType.TOPIC, names)
        brokers = self._configs(ResourceType.BROKER, [str(broker) for broker in found.brokers])
        return ClusterState(
            bootstrap_servers=self._settings.kafka_bootstrap_servers,
            brokers={int(name): config for name, config in brokers.items()},
            topics={name: _topic_state(found.topics[name], configs[name]) for name in names},
            writers=self._writers(),
        )

    def _metadata(self) -> Any:
        try:
            return self._admin.list_topics(timeout=TIMEOUT_S)
        except KafkaException as error:
            raise self._unavailable(error) from error

    def _configs(
        self, kind: ResourceType, names: Sequence[str]
    ) -> dict[str, dict[str, str] | None]:
        """The settings of each; None of what we may not ask about."""
        if not names:
            return {}
        answers = self._admin.describe_configs(
            [ConfigResource(kind, name) for name in names], request_timeout=TIMEOUT_S
        )
        found: dict[str, dict[str, str] | None] = {}
        for resource, future in answers.items():
            try:
                entries = future.result()
            except KafkaException as error:
                if error.args[0].code() not in _NOT_ALLOWED:
                    raise self._unavailable(error) from error
                found[resource.name] = None
            else:
                found[resource.name] = {
                    name: "" if entry.value is None else str(entry.value)
                    for name, entry in entries.items()
                }
        return found

    def _writers(self) -> dict[str, frozenset[str]] | None:
        """Who may write `journal` and `state` by the access rules; None if we may not ask."""
        found = {}
        for short in (JOURNAL, STATE):
            name = self._topics.name(short)
            wanted = AclBindingFilter(
                ResourceType.TOPIC,
                name,
                ResourcePatternType.MATCH,
                None,  # type: ignore[arg-type]  # any principal
                None,  # type: ignore[arg-type]  # any host
                AclOperation.ANY,
                AclPermissionType.ALLOW,
            )
            asked = self._admin.describe_acls(wanted, request_timeout=TIMEOUT_S)
            try:
                rules = asked.result()
            except KafkaException as error:
                if error.args[0].code() in (*_NOT_ALLOWED, KafkaError.SECURITY_DISABLED):
                    return None
                raise self._unavailable(error) from error
            found[name] = frozenset(rule.principal for rule in rules if rule.operation in _WRITING)
        return found

    def _unavailable(self, error: KafkaException) -> Unavailable:
        return Unavailable(
            f"Kafka did not answer at {self._settings.kafka_bootstrap_servers}: {error}",
            cure="Check SYMPHAINY_KAFKA_BOOTSTRAP_SERVERS and that the brokers run.",
        )


def _passes(error: KafkaException) -> bool:
    """Whether it may go another time: somebody is away, or there is no broker just now."""
    cause: KafkaError = error.args[0]
    return cause.retriable() or cause.code() in _PASSING


def _new_topic(spec: TopicSpec, replication: int, extra: Mapping[str, str]) -> NewTopic:
    config = spec.config
    if replication >= WANTED_REPLICATION:
        config["min.insync.replicas"] = str(WANTED_IN_SYNC)
    return NewTopic(
        spec.name,
        num_partitions=spec.partitions,
        replication_factor=replication,
        config=config | dict(extra),
    )


def _topic_state(found: Any, config: Mapping[str, str] | None) -> TopicState:
    partitions = found.partitions.values()
    replicas = min((len(partition.replicas) for partition in partitions), default=0)
    return TopicState(len(partitions), replicas, config)


def _refuse(fatal: Sequence[Finding]) -> None:
    if not fatal:
        return
    told = "; ".join(f"{f.topic} {f.setting} is {f.actual}, must be {f.expected}" for f in fatal)
    raise MisconfiguredCluster(
        f"The cluster is not as it must be: {told}.",
        cure="See `symphainy topics check`; `symphainy topics create` makes missing topics.",
    )
