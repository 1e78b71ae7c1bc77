"""What a cluster must be like for the guarantees to hold. Pure: it judges what others have read.

Source of each rule: docs/journal-protocol.md, "The broker's part".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from symphainy_runtime.cluster_brokers import access_findings, broker_findings
from symphainy_runtime.cluster_state import (
    INTERNAL,
    WANTED_IN_SYNC,
    ClusterState,
    Finding,
    TopicState,
    alter,
)
from symphainy_transport.topics import (
    CO_PARTITIONED,
    INTENTS,
    JOURNAL,
    STEPS,
    Topics,
    TopicSpec,
)


def judge(state: ClusterState, specs: Sequence[TopicSpec], topics: Topics) -> list[Finding]:
    """Everything that is not as it must be, the fatal ones first."""
    findings = [
        *broker_findings(state),
        *(found for spec in specs for found in _topic(state, spec, fatal=True)),
        *(found for spec in _tasks(state, topics) for found in _topic(state, spec, fatal=False)),
        *_retention_order(state, topics),
        *_internal(state),
        *access_findings(state, topics),
    ]
    return sorted(findings, key=lambda found: (not found.fatal, found.topic, found.setting))


def uneven(counts: Mapping[str, int], wanted: int, topics: Topics) -> list[Finding]:
    """The co-partitioned topics that are missing or do not have `wanted` partitions each.

    `counts` are the partitions of the topics that there are.
    """
    names = [topics.name(short) for short in CO_PARTITIONED]
    return [
        _missing(name) if name not in counts else _miscounted(name, wanted, counts[name])
        for name in names
        if counts.get(name) != wanted
    ]


# --- topics ---------------------------------------------------------------------------------------


def _tasks(state: ClusterState, topics: Topics) -> Iterator[TopicSpec]:
    """The realms' task topics that there are. A task that is lost is delivered anew, so whatever
    is wrong with them only limits."""
    beginning = topics.tasks("")
    for name in state.topics:
        if name.startswith(beginning):
            yield topics.realm_spec(name.removeprefix(beginning), state.topics[name].partitions)


def _topic(state: ClusterState, spec: TopicSpec, fatal: bool) -> Iterator[Finding]:
    found = state.topics.get(spec.name)
    if found is None:
        yield _missing(spec.name)
        return
    if found.partitions != spec.partitions:
        yield _miscounted(spec.name, spec.partitions, found.partitions)
    if found.config is None:
        fix = "Allow this principal DescribeConfigs on the topic, and run it again."
        yield Finding(spec.name, "settings", "readable", "not allowed to ask", False, fix)
        return
    yield from _settings(state, spec, found.config, fatal)
    if len(state.brokers) > 1:
        yield from _replication(state, spec.name, found.replicas, found.config)


def _settings(
    state: ClusterState, spec: TopicSpec, config: Mapping[str, str], fatal: bool
) -> Iterator[Finding]:
    for name, value in spec.settings.items():
        actual = config.get(name, "")
        if actual != value:
            yield _setting(state, spec.name, name, (value, value, actual), fatal)
    for least, breaks in ((spec.floors, fatal), (spec.at_least, False)):
        for name, floor in least.items():
            actual = config.get(name, "0")
            if 0 <= int(actual) < floor:
                told = (str(floor), f">= {floor}", actual)
                yield _setting(state, spec.name, name, told, breaks)


def _missing(name: str) -> Finding:
    return Finding(name, "topic", "present", "missing", True, "symphainy topics create")


def _miscounted(name: str, wanted: int, actual: int) -> Finding:
    fix = (
        "Set SYMPHAINY_PARTITIONS to what the cluster was created with; the count is chosen once "
        "(docs/operations.md, Partition counts)."
    )
    return Finding(name, "partitions", str(wanted), str(actual), True, fix)


def _setting(
    state: ClusterState, topic: str, name: str, told: tuple[str, str, str], fatal: bool
) -> Finding:
    """`told`: the value to set, what is expected in words, the actual value."""
    value, expected, actual = told
    entity = f"--entity-type topics --entity-name {topic}"
    return Finding(topic, name, expected, actual, fatal, alter(state, entity, f"{name}={value}"))


def _replication(
    state: ClusterState, name: str, replicas: int, config: Mapping[str, str]
) -> Iterator[Finding]:
    """Enough copies that an acknowledged record survives a broker, and one may be down."""
    in_sync = int(config.get("min.insync.replicas", "1"))
    if in_sync < WANTED_IN_SYNC:
        told = (str(WANTED_IN_SYNC), f">= {WANTED_IN_SYNC}", str(in_sync))
        yield _setting(state, name, "min.insync.replicas", told, fatal=False)
    wanted = max(in_sync, WANTED_IN_SYNC) + 1
    if replicas < wanted:
        brokers = len(state.brokers)
        yield Finding(
            name,
            "replicas",
            f">= {wanted}, min.insync.replicas + 1",
            str(replicas),
            False,
            _reassign(state) if brokers >= wanted else f"Run {wanted} brokers (now {brokers}).",
        )


def _reassign(state: ClusterState) -> str:
    return (
        f"kafka-reassign-partitions --bootstrap-server {state.bootstrap_servers} --execute "
        "--reassignment-json-file FILE, with one more replica of each partition in FILE"
    )


def _retention_order(state: ClusterState, topics: Topics) -> Iterator[Finding]:
    """Whoever still finds an input finds its decision too."""
    journal = state.topics.get(topics.name(JOURNAL))
    kept = _kept_ms(journal)
    for short in (INTENTS, STEPS):
        needed = _kept_ms(state.topics.get(topics.name(short)))
        if journal is None or needed is None or kept is None or kept >= needed:
            continue
        value = "-1" if needed == float("inf") else str(int(needed))
        told = (value, f">= that of {topics.name(short)}, {value}", str(int(kept)))
        yield _setting(state, topics.name(JOURNAL), "retention.ms", told, fatal=False)


def _kept_ms(topic: TopicState | None) -> float | None:
    if topic is None or topic.config is None or "retention.ms" not in topic.config:
        return None
    kept = int(topic.config["retention.ms"])
    return float("inf") if kept < 0 else kept


def _internal(state: ClusterState) -> Iterator[Finding]:
    """Kafka's own topics, which its settings shape only when they are made."""
    for name in INTERNAL if len(state.brokers) > 1 else ():
        found = state.topics.get(name)
        if found is not None and found.config is not None:
            yield from _replication(state, name, found.replicas, found.config)
