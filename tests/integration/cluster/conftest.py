"""A cluster whose settings a test may spoil: its own topics, or a broker of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported by the package
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourcePatternType,
    ResourceType,
)
from tests.support.system import eventually, isolated

from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import Endpoints, KafkaOptions, LocalServices, ServicesOptions
from symphainy_runtime.settings import RuntimeSettings

PATIENCE_S = 30.0
SPOILT = {
    "auto.create.topics.enable": "true",
    "unclean.leader.election.enable": "true",
    "offsets.retention.minutes": "60",
    "transaction.max.timeout.ms": "60000",
    "group.min.session.timeout.ms": "9000",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}


class Spoiler:
    """Changes what an operator might change, and waits until brokers know of it."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self._prefix = settings.topic_prefix
        self._admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap_servers})

    def alter(self, short: str, setting: str, value: str) -> str:
        """Set a topic's setting; its full name."""
        name = self._prefix + short
        entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
        for future in self._admin.incremental_alter_configs([resource]).values():
            future.result(PATIENCE_S)
        eventually(lambda: self._setting(name, setting) == value, f"{name} has {setting}={value}")
        return name

    def grow(self, short: str, partitions: int) -> str:
        """Add partitions to a topic; its full name."""
        name = self._prefix + short
        for future in self._admin.create_partitions([NewPartitions(name, partitions)]).values():
            future.result(PATIENCE_S)
        eventually(lambda: self._partitions(name) == partitions, f"{name} has {partitions}")
        return name

    def allow_anybody(self, short: str) -> str:
        """Let everybody write a topic; its full name."""
        name = self._prefix + short
        rule = AclBinding(
            ResourceType.TOPIC,
            name,
            ResourcePatternType.LITERAL,
            "User:*",
            "*",
            AclOperation.WRITE,
            AclPermissionType.ALLOW,
        )
        for future in self._admin.create_acls([rule]).values():
            future.result(PATIENCE_S)
        return name

    def _setting(self, name: str, setting: str) -> str | None:
        answers = self._admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)])
        (future,) = answers.values()
        value: str | None = future.result(PATIENCE_S)[setting].value
        return value

    def _partitions(self, name: str) -> int:
        return len(self._admin.list_topics(timeout=PATIENCE_S).topics[name].partitions)


@pytest.fixture
def settings(running: Endpoints, tmp_path: Path) -> RuntimeSettings:
    """Topics of the test's own, created as they must be."""
    found = isolated(running, tmp_path)
    Cluster(found).create()
    return found


@pytest.fixture(scope="module")
def mended(running: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> RuntimeSettings:
    """Topics as they must be; a test that alters one mends it."""
    found = isolated(running, tmp_path_factory.mktemp("mended"))
    Cluster(found).create()
    return found


@pytest.fixture
def spoiler(settings: RuntimeSettings) -> Spoiler:
    """Spoils the test's own topics."""
    return Spoiler(settings)


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RuntimeSettings]:
    """A broker of its own, whose settings are as nobody should have them."""
    folder = tmp_path_factory.mktemp("spoilt")
    options = ServicesOptions(kafka=KafkaOptions(overrides=SPOILT))
    with LocalServices(folder / "data", valkey=False, options=options) as endpoints:
        settings = isolated(endpoints, folder)
        Cluster(settings).create()
        yield settings
