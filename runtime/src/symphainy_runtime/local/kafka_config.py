"""What a single local Kafka node is told: its settings, its log lines, its JVM. Pure text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from symphainy_runtime.local.ports import HOST

NODE_ID = 1

# One node has one replica of everything; the rest keeps a laptop's disk and start-up small.
_SINGLE_NODE = {
    "auto.create.topics.enable": "false",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "unclean.leader.election.enable": "false",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    # 50 by default, all of them files to create at the first use and to load at each start.
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.num.partitions": "8",
    "share.coordinator.state.topic.num.partitions": "8",
    # 128 MiB by default, allocated at start from a heap of 512.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    # A broker that was killed may register again only when the session of its former life is
    # over: 9 s by default, which every restart after a kill would wait. Lower than 2 s, a machine
    # busy with tests could starve the heartbeats of a healthy broker, which then loses its leaders.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
}

LOG4J = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %m (%c{1})%n%rEx{3}
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """How the local Kafka runs.

    ``full_jit`` lets the JVM compile with C2 too, for benchmarks: slower to start, faster after
    a minute. ``overrides`` are lines of ``server.properties``, stronger than ours.
    ``ready_timeout_s`` is 30 times the usual start, for a machine that is busy with tests.
    """

    heap_mb: int = 512
    full_jit: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict)
    ready_timeout_s: float = 60.0


def server_properties(
    log_dir: Path, port: int, controller_port: int, overrides: Mapping[str, str]
) -> str:
    """The text of ``server.properties``. The folder keeps no port, so that they may change."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": str(NODE_ID),
        "controller.quorum.voters": f"{NODE_ID}@{HOST}:{controller_port}",
        "listeners": f"CLIENT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"CLIENT://{HOST}:{port}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "CLIENT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(log_dir),
        **_SINGLE_NODE,
        **overrides,
    }
    return "".join(f"{key}={_escaped(value)}\n" for key, value in settings.items())


def jvm_arguments(options: KafkaOptions, log4j: Path) -> tuple[str, ...]:
    """The JVM's flags: little memory and a quick start, in that order."""
    return (
        f"-Xmx{options.heap_mb}m",
        "-XX:+UseSerialGC",
        *(() if options.full_jit else ("-XX:TieredStopAtLevel=1",)),
        "-XX:-UsePerfData",  # no files in the machine's temporary folder
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={log4j}",
    )


def _escaped(value: str) -> str:
    """A value for java.util.Properties, which reads Latin-1 and takes backslashes for escapes."""
    return "".join(
        c if c.isascii() else "".join(f"\\u{unit:04x}" for unit in _utf16(c))
        for c in value.replace("\\", "\\\\")
    )


def _utf16(character: str) -> list[int]:
    raw = character.encode("utf-16-be")
    return [int.from_bytes(raw[i : i + 2], "big") for i in range(0, len(raw), 2)]
