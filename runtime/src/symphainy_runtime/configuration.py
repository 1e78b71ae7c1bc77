"""The configuration in force: capabilities, tenants and API keys from the compacted topic `config`.

Records are keyed kind/name/version and versions are never compacted away (rule 8 of the journal
protocol). Only what workers say that they serve has no versions, and goes with them.
`Configuration` is a value container that knows no Kafka; `ConfigReader` feeds it.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TypeVar

from confluent_kafka import KafkaError, Message, TopicPartition

from symphainy_schemas.codec import decode, encode
from symphainy_schemas.errors import Unavailable, UnreadableRecord
from symphainy_schemas.records import ApiKey, Capability, PolicySet, Serving, Tenant
from symphainy_transport.clients import bounds, consumer, producer
from symphainy_transport.settings import TransportSettings
from symphainy_transport.topics import CONFIG, Topics

log = logging.getLogger(__name__)
ConfigRecord = Capability | Tenant | ApiKey | PolicySet
V = TypeVar("V", Capability, Tenant, ApiKey)
KINDS: dict[str, type[ConfigRecord] | type[Serving]] = {
    "capability": Capability,
    "tenant": Tenant,
    "key": ApiKey,
    "policy": PolicySet,
    "worker": Serving,
}
CONNECT_TIMEOUT_S = 10.0


@dataclass(slots=True)
class Configuration:
    """The newest version of every capability, tenant and key, and all versions of capabilities."""

    capabilities: dict[str, Capability] = field(default_factory=dict)
    versions: dict[tuple[str, int], Capability] = field(default_factory=dict)
    tenants: dict[str, Tenant] = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)
    policies: dict[tuple[str, int], PolicySet] = field(default_factory=dict)
    """Every version of a scope's policies; of two that were written at once, the first."""
    serving: dict[bytes, Serving] = field(default_factory=dict)
    """What workers have said that they serve, by key; whether they live, their groups know."""
    next_offset: int = 0

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record of the topic; only a higher version replaces what is in force.

        Raises:
            UnreadableRecord: key or value is not what the topic holds.
        """
        kind = (key or b"").split(b"/", 1)[0].decode(errors="replace")
        if kind not in KINDS:
            raise UnreadableRecord(f"Config key {key!r} names no known kind.", code="unknown_kind")
        if value is None:
            self.serving.pop(key or b"", None)  # versions stay, whatever a tombstone says
            return
        record = decode(value, KINDS[kind])
        if isinstance(record, Capability):
            self.versions.setdefault((record.name, record.version), record)
            _newer(self.capabilities, record.name, record)
        elif isinstance(record, Tenant):
            _newer(self.tenants, record.tenant_id, record)
        elif isinstance(record, ApiKey):
            _newer(self.keys, record.key_id, record)
        elif isinstance(record, PolicySet):
            self.policies.setdefault((record.scope, record.version), record)
        else:
            self.serving[key or b""] = record


def _newer(table: dict[str, V], name: str, record: V) -> None:
    known = table.get(name)
    if known is None or record.version > known.version:
        table[name] = record


def config_key(record: ConfigRecord) -> bytes:
    """The record's key in the topic: kind/name/version."""
    if isinstance(record, Capability):
        return f"capability/{record.name}/{record.version}".encode()
    if isinstance(record, Tenant):
        return f"tenant/{record.tenant_id}/{record.version}".encode()
    if isinstance(record, PolicySet):  # two that are written at once both stay
        digest = record.sha256.hex()[:16]
        return f"policy/{record.scope}/{record.version}/{digest}".encode()
    return f"key/{record.key_id}/{record.version}".encode()


def write_config(settings: TransportSettings, *records: ConfigRecord) -> None:
    """Write records and return when Kafka has acknowledged them.

    Raises:
        Unavailable: Kafka did not.
    """
    failures: list[str] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        # librdkafka has reported success without a place for records that the log does not hold.
        if error is not None or message.offset() is None:
            failures.append(str(error or "no offset was told"))

    out = producer(settings, "symphainy-config", message_timeout_ms=10_000)
    topic = Topics(settings.topic_prefix).name(CONFIG)
    for record in records:
        out.produce(
            topic,
            encode(record),
            key=config_key(record),
            partition=0,
            on_delivery=delivered,
        )
    if out.flush(CONNECT_TIMEOUT_S + 2) or failures:
        raise Unavailable(f"Kafka did not take the configuration: {failures or 'time-out'}")


class ConfigReader:
    """Feeds a `Configuration` from Kafka. Not thread-safe: one thread polls."""

    def __init__(self, settings: TransportSettings, client_id: str) -> None:
        self.configuration = Configuration()
        self._partition = TopicPartition(Topics(settings.topic_prefix).name(CONFIG), 0, 0)
        self._consumer = consumer(settings, client_id, auto_offset_reset="earliest")
        self._consumer.assign([self._partition])
        # On a connection of its own: behind a fetch that waits for records, each answer takes as
        # long as that waits, and an owner looks once more while everything else stands still.
        self._asking = consumer(settings, f"{client_id}-asking")

    def catch_up(self, timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        """Read to what is now the end of the topic.

        Raises:
            Unavailable: Kafka did not answer, or the topic is not there.
        """
        deadline = time.monotonic() + timeout_s
        _, end = bounds(self._asking, self._partition, timeout_s)
        while self.configuration.next_offset < end:
            if time.monotonic() > deadline:
                raise Unavailable(f"The configuration up to {end} did not come in {timeout_s:g} s.")
            self.poll(0.1)
            # Compaction leaves holes: the position, not the last record, tells the end.
            position = self._consumer.position([self._partition])[0].offset
            if position >= 0:
                self.configuration.next_offset = max(self.configuration.next_offset, position)

    def poll(self, timeout_s: float = 0.0) -> bool:
        """Take what has come; True if something did."""
        first = self._consumer.poll(timeout_s)
        if first is None:
            return False
        for message in (first, *self._consumer.consume(500, 0)):
            error = message.error()
            if error is not None:
                log.warning("config: %s", error.str())
                continue
            offset = message.offset()
            assert offset is not None
            try:
                self.configuration.apply(message.key(), message.value())
            except UnreadableRecord as unreadable:
                log.warning("config offset %d is unreadable: %s", offset, unreadable)
            self.configuration.next_offset = offset + 1
        return True

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()
        self._asking.close()


def read_configuration(settings: TransportSettings, client_id: str) -> Configuration:
    """The configuration as it is now.

    Raises:
        Unavailable: Kafka did not answer, or the topic is not there.
    """
    reader = ConfigReader(settings, client_id)
    try:
        reader.catch_up()
    finally:
        reader.close()
    return reader.configuration


class ConfigFollower:
    """Keeps a `Configuration` current from a thread of its own, for asyncio processes."""

    def __init__(self, settings: TransportSettings, client_id: str) -> None:
        self._reader = ConfigReader(settings, client_id)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="config-follower", daemon=True)

    @property
    def configuration(self) -> Configuration:
        """What is in force now; replaced values only, safe to read from any thread."""
        return self._reader.configuration

    def start(self) -> None:
        """Read to the end once, then follow."""
        self._reader.catch_up()
        self._thread.start()

    def stop(self) -> None:
        """Stop following, and disconnect."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self._reader.close()

    def _follow(self) -> None:
        while not self._stopping.is_set():
            self._reader.poll(0.25)
