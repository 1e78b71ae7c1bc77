"""The topics of a cluster: creating them as the guarantees need them, and checking that they are.

Source of each rule: docs/journal-protocol.md, "The broker's part".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported by the package
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from symphainy_schemas.errors import MisconfiguredCluster, Unavailable
from symphainy_transport.clients import admin
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import Topics, TopicSpec

TIMEOUT_S = 15.0
WANTED_REPLICATION = 3
WANTED_IN_SYNC = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that breaks, or limits, a guarantee. `fatal` ones must be mended."""

    topic: str
    setting: str
    expected: str
    actual: str
    fatal: bool
    fix: str


class Cluster:
    """The cluster behind the settings."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._topics = Topics(settings.topic_prefix)
        self._admin: AdminClient = admin(settings)

    def specs(self) -> tuple[TopicSpec, ...]:
        """Every topic that must be there."""
        return self._topics.specs(self._settings.partitions)

    def create(
        self, specs: Sequence[TopicSpec] | None = None, extra: Mapping[str, str] | None = None
    ) -> list[str]:
        """Create what is missing; the names of what was created. `extra` settings go to all.

        Raises:
            Unavailable: Kafka did not answer, or refused.
        """
        brokers, present = self._metadata()
        missing = [
            spec for spec in (self.specs() if specs is None else specs) if spec.name not in present
        ]
        if not missing:
            return []
        replication = self._replication(brokers)
        futures: Mapping[str, Future[None]] = self._admin.create_topics(
            [_new_topic(spec, replication, extra or {}) for spec in missing],
            operation_timeout=TIMEOUT_S,
        )
        created = []
        for name, future in futures.items():
            try:
                future.result(TIMEOUT_S)
                created.append(name)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise Unavailable(f"Topic {name} could not be created: {error}") from error
        return sorted(created)

    def check(self) -> list[Finding]:
        """What is not as it must be, the fatal ones first.

        Raises:
            Unavailable: Kafka did not answer.
        """
        brokers, present = self._metadata()
        findings = [_missing(spec) for spec in self.specs() if spec.name not in present]
        there = [spec for spec in self.specs() if spec.name in present]
        configs = self._configs([spec.name for spec in there])
        for spec in there:
            findings += _partitions(spec, present[spec.name])
            findings += _settings(spec, configs[spec.name])
            findings += _replicas(spec, present[spec.name], configs[spec.name], brokers)
        return sorted(findings, key=lambda finding: (not finding.fatal, finding.topic))

    def require(self) -> list[Finding]:
        """Refuse a cluster that would break a guarantee; what only limits one.

        Raises:
            MisconfiguredCluster: with every fatal finding.
        """
        findings = self.check()
        fatal = [finding for finding in findings if finding.fatal]
        if fatal:
            told = "; ".join(
                f"{f.topic} {f.setting} is {f.actual}, must be {f.expected}" for f in fatal
            )
            raise MisconfiguredCluster(
                f"The cluster's topics are not as they must be: {told}.",
                cure="See `symphainy topics check`; `symphainy topics create` makes missing ones.",
            )
        return findings

    def _replication(self, brokers: int) -> int:
        return self._settings.replication_factor or min(WANTED_REPLICATION, brokers)

    def _metadata(self) -> tuple[int, dict[str, Any]]:
        try:
            metadata = self._admin.list_topics(timeout=TIMEOUT_S)
        except KafkaException as error:
            raise Unavailable(
                f"Kafka did not answer at {self._settings.kafka_bootstrap_servers}: {error}",
                cure="Check SYMPHAINY_KAFKA_BOOTSTRAP_SERVERS and that the brokers run.",
            ) from error
        return len(metadata.brokers), dict(metadata.topics)

    def _configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        answers = self._admin.describe_configs(resources, request_timeout=TIMEOUT_S)
        found = {}
        for resource, future in answers.items():
            entries = future.result(TIMEOUT_S)
            found[resource.name] = {name: str(entry.value) for name, entry in entries.items()}
        return found


def _new_topic(spec: TopicSpec, replication: int, extra: Mapping[str, str]) -> NewTopic:
    config = {**spec.settings, **{name: str(value) for name, value in spec.at_least.items()}}
    if replication >= WANTED_REPLICATION:
        config["min.insync.replicas"] = str(WANTED_IN_SYNC)
    return NewTopic(
        spec.name,
        num_partitions=spec.partitions,
        replication_factor=replication,
        config=config | dict(extra),
    )


def _missing(spec: TopicSpec) -> Finding:
    return Finding(spec.name, "topic", "present", "missing", True, "symphainy topics create")


def _partitions(spec: TopicSpec, found: Any) -> list[Finding]:
    if len(found.partitions) == spec.partitions:
        return []
    return [
        Finding(
            spec.name,
            "partitions",
            str(spec.partitions),
            str(len(found.partitions)),
            True,
            "Set SYMPHAINY_PARTITIONS to what the cluster was created with; "
            "the count is chosen once.",
        )
    ]


def _settings(spec: TopicSpec, config: Mapping[str, str]) -> list[Finding]:
    findings = [
        Finding(spec.name, name, value, config.get(name, ""), True, _alter(spec, name, value))
        for name, value in spec.settings.items()
        if config.get(name) != value
    ]
    for name, floor in spec.at_least.items():
        actual = int(config.get(name, "0"))
        if actual != -1 and actual < floor:
            findings.append(
                Finding(
                    spec.name,
                    name,
                    f">= {floor}",
                    str(actual),
                    False,
                    _alter(spec, name, str(floor)),
                )
            )
    return findings


def _alter(spec: TopicSpec, name: str, value: str) -> str:
    return f"kafka-configs --alter --topic {spec.name} --add-config {name}={value}"


def _replicas(
    spec: TopicSpec, found: Any, config: Mapping[str, str], brokers: int
) -> list[Finding]:
    replicas = min((len(p.replicas) for p in found.partitions.values()), default=0)
    in_sync = int(config.get("min.insync.replicas", "1"))
    findings = []
    if in_sync < WANTED_IN_SYNC or replicas < in_sync + 1:
        one = "; an acknowledgement is one copy in the page cache" if replicas == 1 else ""
        findings.append(
            Finding(
                spec.name,
                "replication",
                f">= {WANTED_IN_SYNC + 1} replicas, min.insync.replicas >= {WANTED_IN_SYNC}",
                f"{replicas} replicas, min.insync.replicas {in_sync}{one}",
                False,
                f"Run at least {WANTED_REPLICATION} brokers (now {brokers}) and raise both.",
            )
        )
    return findings
