"""What is found wrong with a cluster, judged from its description alone.

- A cluster that is as it must be gives no finding; one node is told plainly, once.
- Every requirement that is missed is found, with the value, what is wanted, and a command or a
  sentence that mends it; what breaks a guarantee is told apart from what limits one.
- Brokers with the same wrong value are named together; what we may not ask is said, not guessed.
- Partition counts of co-partitioned topics are judged from counts alone.
- What the rules allow is what the owners' clients ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from symphainy_processors.owner.kafka import membership, state_writer
from symphainy_runtime import cluster_brokers
from symphainy_runtime.cluster_rules import judge, uneven
from symphainy_runtime.cluster_state import ClusterState, Finding, TopicState
from symphainy_transport.topics import JOURNAL, Topics

TOPICS = Topics("t.")
SPECS = TOPICS.specs(8)
BROKER = {
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
    "log.cleaner.enable": "true",
    "offsets.retention.minutes": "10080",
    "fetch.max.bytes": "57671680",
    "socket.request.max.bytes": "104857600",
    "transaction.max.timeout.ms": "900000",
    "group.min.session.timeout.ms": "6000",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
}
KEPT = {"min.insync.replicas": "2"}
GOOD = ClusterState(
    bootstrap_servers="kafka:9092",
    brokers={1: BROKER, 2: BROKER, 3: BROKER},
    topics={
        **{spec.name: TopicState(spec.partitions, 3, spec.config | KEPT) for spec in SPECS},
        "t.tasks.work": TopicState(4, 3, TOPICS.realm_spec("work", 4).config | KEPT),
        "__consumer_offsets": TopicState(50, 3, KEPT),
        "__transaction_state": TopicState(50, 3, KEPT),
    },
    writers={"t.journal": frozenset({"User:owner"}), "t.state": frozenset({"User:owner"})},
)
ALTER = "kafka-configs --bootstrap-server kafka:9092 --alter --entity-type topics --entity-name "


def _judged(state: ClusterState) -> list[Finding]:
    return judge(state, SPECS, TOPICS)


def _only(state: ClusterState) -> Finding:
    """The one thing that is found."""
    (found,) = _judged(state)
    return found


def _with_config(name: str, **changed: str) -> ClusterState:
    topic = GOOD.topics[name]
    config = dict(topic.config or {}) | {k.replace("_", "."): v for k, v in changed.items()}
    return replace(GOOD, topics={**GOOD.topics, name: replace(topic, config=config)})


def _with_topic(name: str, topic: TopicState) -> ClusterState:
    return replace(GOOD, topics={**GOOD.topics, name: topic})


def _with_brokers(*brokers: Mapping[str, str] | None) -> ClusterState:
    return replace(GOOD, brokers=dict(enumerate(brokers, start=1)))


def test_a_cluster_as_it_must_be_gives_no_finding() -> None:
    assert _judged(GOOD) == []


def test_one_node_is_told_once_and_plainly() -> None:
    one = replace(
        GOOD,
        brokers={1: BROKER | {"transaction.state.log.min.isr": "1"}},
        topics={name: replace(topic, replicas=1) for name, topic in GOOD.topics.items()},
    )
    found = _only(one)
    assert (found.topic, found.setting, found.fatal) == ("(cluster)", "brokers", False)
    assert found.actual == "1: an acknowledgement is one copy in its page cache"


@pytest.mark.parametrize(
    ("topic", "setting", "value", "wanted"),
    [
        ("t.journal", "cleanup.policy", "compact", "delete"),
        ("t.journal", "cleanup.policy", "compact,delete", "delete"),
        ("t.state", "cleanup.policy", "delete", "compact"),
        ("t.config", "cleanup.policy", "compact,delete", "compact"),
        ("t.intents", "message.timestamp.type", "CreateTime", "LogAppendTime"),
        ("t.steps", "unclean.leader.election.enable", "true", "false"),
        ("t.intents", "retention.bytes", "1000000", "-1"),
        ("t.journal", "max.message.bytes", "1000000", "1048588"),
    ],
)
def test_a_topics_setting_that_breaks_is_found(
    topic: str, setting: str, value: str, wanted: str
) -> None:
    found = _only(_with_config(topic, **{setting.replace(".", "_"): value}))
    assert (found.topic, found.setting, found.actual, found.fatal) == (topic, setting, value, True)
    assert wanted in found.expected
    assert found.fix == f"{ALTER}{topic} --add-config {setting}={wanted}"


@pytest.mark.parametrize(
    ("topic", "setting", "value", "wanted"),
    [
        ("t.intents", "retention.ms", "3600000", str(30 * 86_400_000)),
        ("t.steps", "retention.ms", "3600000", str(7 * 86_400_000)),
        ("t.state", "min.compaction.lag.ms", "0", "3600000"),
        ("t.state", "delete.retention.ms", "86400000", str(7 * 86_400_000)),
        ("t.journal", "min.insync.replicas", "1", "2"),
        ("__transaction_state", "min.insync.replicas", "1", "2"),
        ("t.tasks.work", "message.timestamp.type", "CreateTime", "LogAppendTime"),
        ("t.tasks.work", "max.message.bytes", "1000000", "1048588"),
    ],
)
def test_a_topics_setting_that_limits_is_found(
    topic: str, setting: str, value: str, wanted: str
) -> None:
    found = _only(_with_config(topic, **{setting.replace(".", "_"): value}))
    assert (found.topic, found.setting, found.actual, found.fatal) == (topic, setting, value, False)
    assert found.fix == f"{ALTER}{topic} --add-config {setting}={wanted}"


def test_endless_retention_is_enough_for_everything() -> None:
    every = {
        name: replace(topic, config={**(topic.config or {}), "retention.ms": "-1"})
        for name, topic in GOOD.topics.items()
    }
    assert _judged(replace(GOOD, topics=every)) == []


def test_a_journal_kept_shorter_than_an_input_is_found() -> None:
    year = str(366 * 86_400_000)
    found = _only(_with_config("t.intents", retention_ms=year))
    assert (found.topic, found.setting, found.fatal) == ("t.journal", "retention.ms", False)
    assert found.fix.endswith(f"retention.ms={year}")
    endless = _only(_with_config("t.steps", retention_ms="-1"))
    assert endless.expected == ">= that of t.steps, -1"


@pytest.mark.parametrize("topic", ["t.journal", "__consumer_offsets", "t.tasks.work"])
def test_too_few_replicas_are_found(topic: str) -> None:
    found = _only(_with_topic(topic, replace(GOOD.topics[topic], replicas=2)))
    assert (found.topic, found.setting, found.actual, found.fatal) == (
        topic,
        "replicas",
        "2",
        False,
    )
    assert "kafka-reassign-partitions" in found.fix


def test_replicas_must_outnumber_those_in_sync() -> None:
    found = _only(_with_config("t.journal", min_insync_replicas="3"))
    assert (found.setting, found.expected) == ("replicas", ">= 4, min.insync.replicas + 1")
    assert found.fix == "Run 4 brokers (now 3)."


def test_another_partition_count_is_found() -> None:
    found = _only(_with_topic("t.steps", replace(GOOD.topics["t.steps"], partitions=6)))
    assert (found.setting, found.expected, found.actual, found.fatal) == (
        "partitions",
        "8",
        "6",
        True,
    )


def test_a_missing_topic_is_found() -> None:
    there = {name: topic for name, topic in GOOD.topics.items() if name != "t.journal"}
    found = _only(replace(GOOD, topics=there))
    assert (found.topic, found.actual, found.fix) == (
        "t.journal",
        "missing",
        "symphainy topics create",
    )


@pytest.mark.parametrize(
    ("setting", "value", "fatal"),
    [
        ("auto.create.topics.enable", "true", False),
        ("unclean.leader.election.enable", "true", False),
        ("log.cleaner.enable", "false", False),
        ("offsets.retention.minutes", "1440", False),
        ("fetch.max.bytes", "1000000", False),
        ("socket.request.max.bytes", "1000000", True),
        ("transaction.max.timeout.ms", "60000", True),
        ("group.min.session.timeout.ms", "10000", True),
        ("offsets.topic.replication.factor", "1", False),
        ("transaction.state.log.replication.factor", "1", False),
        ("transaction.state.log.min.isr", "1", False),
    ],
)
def test_a_brokers_setting_is_found_with_its_brokers(setting: str, value: str, fatal: bool) -> None:
    wrong = BROKER | {setting: value}
    found = _only(_with_brokers(wrong, BROKER, wrong))
    assert (found.topic, found.setting, found.actual, found.fatal) == (
        "(brokers 1, 3)",
        setting,
        value,
        fatal,
    )
    assert setting in found.fix


def test_a_dynamic_broker_setting_is_mended_by_a_command() -> None:
    wrong = BROKER | {"unclean.leader.election.enable": "true"}
    assert _only(_with_brokers(BROKER, wrong, BROKER)).fix == (
        "kafka-configs --bootstrap-server kafka:9092 --alter --entity-type brokers "
        "--entity-default --add-config unclean.leader.election.enable=false"
    )


def test_a_cluster_without_access_rules_is_found() -> None:
    found = _only(_with_brokers(*[BROKER | {"authorizer.class.name": ""}] * 3))
    assert (found.setting, found.fatal) == ("authorizer.class.name", False)


def test_a_journal_that_anybody_may_write_is_found() -> None:
    open_ = replace(GOOD, writers={"t.journal": frozenset({"User:*"}), "t.state": frozenset()})
    found = _only(open_)
    assert (found.topic, found.setting, found.actual) == ("t.journal", "write access", "User:*")
    assert "kafka-acls" in found.fix


def test_what_may_not_be_asked_is_said() -> None:
    assert _only(_with_brokers(BROKER, None, BROKER)).topic == "(broker 2)"
    assert _only(replace(GOOD, writers=None)).setting == "access rules"
    silent = replace(GOOD.topics["t.steps"], config=None)
    assert _only(_with_topic("t.steps", silent)).actual == "not allowed to ask"


def test_what_breaks_comes_first() -> None:
    several = replace(
        _with_config("t.state", cleanup_policy="delete"),
        writers=None,
    )
    assert [found.fatal for found in _judged(several)] == [True, False]


def test_co_partitioned_topics_are_counted() -> None:
    even = {TOPICS.name(short): 8 for short in ("intents", "steps", "journal", "state")}
    assert uneven(even, 8, TOPICS) == []
    assert [found.topic for found in uneven(even | {"t.steps": 6}, 8, TOPICS)] == ["t.steps"]
    assert len(uneven(even, 6, TOPICS)) == 4
    missing = {name: count for name, count in even.items() if name != TOPICS.name(JOURNAL)}
    assert [found.actual for found in uneven(missing, 8, TOPICS)] == ["missing"]


def test_the_rules_allow_what_the_owners_clients_ask_for() -> None:
    assert cluster_brokers.SESSION_TIMEOUT_MS == membership.SESSION_TIMEOUT_MS
    assert cluster_brokers.TRANSACTION_TIMEOUT_MS == state_writer.TRANSACTION_TIMEOUT_MS
