"""What `topics check` and `doctor` say of a real Kafka.

- Topics made by `topics create` break nothing; one node is told plainly.
- A setting that somebody altered is found, with its value, what is wanted and the command that
  mends it; that command's setting, applied, removes the finding.
- A realm's task topic is looked at too, and never breaks anything.
- An owner's start refuses partitions that do not correspond; the question is cheap enough to be
  asked again.
- Settings of the broker and its access rules are found.
- Nobody there is an answer, not a traceback; nor is a broker that stops answering in between.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from tests.integration.cluster.conftest import SPOILT, Spoiler
from tests.support.system import eventually, isolated

from symphainy_runtime.cluster import Cluster, Finding
from symphainy_runtime.local import LocalServices
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import MisconfiguredCluster, Unavailable
from symphainy_transport.topics import Topics

DEV_LIMITS = {("(cluster)", "authorizer.class.name"), ("(cluster)", "brokers")}
WRONG = [
    ("journal", "cleanup.policy", "compact", True),
    ("journal", "message.timestamp.type", "CreateTime", True),
    ("intents", "unclean.leader.election.enable", "true", True),
    ("steps", "retention.bytes", "1000000", True),
    ("journal", "max.message.bytes", "500000", True),
    ("state", "cleanup.policy", "delete", True),
    ("intents", "retention.ms", "3600000", False),
    ("state", "min.compaction.lag.ms", "0", False),
    ("state", "delete.retention.ms", "1000", False),
    ("intents", "retention.ms", "-1", False),
]


def _news(settings: RuntimeSettings) -> list[Finding]:
    """What is found beside what every single node is told."""
    found = Cluster(settings).check()
    assert {(f.topic, f.setting) for f in found} >= DEV_LIMITS
    return [f for f in found if (f.topic, f.setting) not in DEV_LIMITS]


def test_created_topics_break_nothing_and_one_node_is_told(settings: RuntimeSettings) -> None:
    assert _news(settings) == []
    limits = Cluster(settings).require()
    assert "one copy in its page cache" in next(f.actual for f in limits if f.setting == "brokers")


@pytest.mark.parametrize(("topic", "setting", "value", "fatal"), WRONG)
def test_an_altered_setting_is_found_and_its_fix_mends_it(
    mended: RuntimeSettings, topic: str, setting: str, value: str, fatal: bool
) -> None:
    spoiler = Spoiler(mended)
    name = spoiler.alter(topic, setting, value)
    (found,) = _news(mended)
    endless = value == "-1"  # then it is the journal that is kept too short
    spoilt = name if not endless else name.replace("intents", "journal")
    assert (found.topic, found.fatal) == (spoilt, fatal)
    assert found.setting == setting
    assert found.actual == (value if not endless else str(365 * 86_400_000))
    fix = re.fullmatch(
        rf"kafka-configs --bootstrap-server {mended.kafka_bootstrap_servers} --alter "
        rf"--entity-type topics --entity-name {spoilt} --add-config ([a-z.]+)=(\S+)",
        found.fix,
    )
    assert fix is not None, found.fix
    short = Topics(mended.topic_prefix).short(spoilt)
    spoiler.alter(short, fix[1], fix[2])
    assert _news(mended) == []


def test_a_broken_setting_refuses_an_owner(settings: RuntimeSettings, spoiler: Spoiler) -> None:
    name = spoiler.alter("journal", "cleanup.policy", "compact")
    with pytest.raises(MisconfiguredCluster, match=f"{name} cleanup.policy is compact"):
        Cluster(settings).require()


def test_a_realms_task_topic_is_looked_at_and_breaks_nothing(
    settings: RuntimeSettings, spoiler: Spoiler
) -> None:
    Cluster(settings).create([Topics(settings.topic_prefix).realm_spec("work", 3)])
    assert _news(settings) == []
    name = spoiler.alter("tasks.work", "message.timestamp.type", "CreateTime")
    (found,) = _news(settings)
    assert (found.topic, found.setting, found.fatal) == (name, "message.timestamp.type", False)
    Cluster(settings).require()


def test_partitions_that_do_not_correspond_are_refused(
    settings: RuntimeSettings, spoiler: Spoiler
) -> None:
    cluster = Cluster(settings)
    cluster.check_partitions()
    name = spoiler.grow("steps", settings.partitions + 2)
    with pytest.raises(MisconfiguredCluster, match=f"{name} partitions is 6, must be 4"):
        cluster.check_partitions()
    with pytest.raises(MisconfiguredCluster, match=f"{name} partitions is 6, must be 4"):
        cluster.require()


def test_another_count_than_the_clusters_is_refused(settings: RuntimeSettings) -> None:
    other = settings.model_copy(update={"partitions": 8})
    with pytest.raises(MisconfiguredCluster, match="must be 8"):
        Cluster(other).check_partitions()


def test_topics_that_are_missing_are_refused(settings: RuntimeSettings) -> None:
    nowhere = settings.model_copy(update={"topic_prefix": f"{settings.topic_prefix}not."})
    with pytest.raises(MisconfiguredCluster, match="journal topic is missing"):
        Cluster(nowhere).check_partitions()
    missing = {f.topic for f in Cluster(nowhere).check() if f.fatal}
    assert missing == {spec.name for spec in Topics(nowhere.topic_prefix).specs(nowhere.partitions)}
    assert {f.fix for f in Cluster(nowhere).check() if f.fatal} == {"symphainy topics create"}


def test_a_brokers_settings_and_access_rules_are_found(spoilt: RuntimeSettings) -> None:
    journal = Spoiler(spoilt).allow_anybody("journal")
    found: dict[tuple[str, str], Finding] = {}

    def known() -> bool:
        found.update({(f.topic, f.setting): f for f in Cluster(spoilt).check()})
        return (journal, "write access") in found

    eventually(known, "the broker knows the new access rule")
    assert set(found) == {
        ("(broker 1)", "auto.create.topics.enable"),
        ("(broker 1)", "group.min.session.timeout.ms"),
        ("(broker 1)", "offsets.retention.minutes"),
        ("(broker 1)", "transaction.max.timeout.ms"),
        ("(broker 1)", "unclean.leader.election.enable"),
        ("(cluster)", "brokers"),
        (journal, "write access"),
    }
    assert {setting for (_, setting), f in found.items() if f.fatal} == {
        "group.min.session.timeout.ms",
        "transaction.max.timeout.ms",
    }
    assert all(
        f.actual == SPOILT[setting] for (_, setting), f in found.items() if setting in SPOILT
    )


def test_nobody_there_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symphainy_runtime.cluster.TIMEOUT_S", 1.0)
    nobody = RuntimeSettings(kafka_bootstrap_servers="127.0.0.1:1", data_dir=tmp_path)
    for ask in (Cluster(nobody).check, Cluster(nobody).check_partitions, Cluster(nobody).identity):
        with pytest.raises(Unavailable, match="did not answer"):
            ask()


def test_topics_are_asked_for_again_while_the_controller_is_away(
    settings: RuntimeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings.model_copy(update={"topic_prefix": f"{settings.topic_prefix}again."})
    cluster = Cluster(wanted)
    create, away = cluster._create, [KafkaException(KafkaError(KafkaError._TIMED_OUT))]

    def at_first_away(topics: Any, created: set[str]) -> KafkaException | None:
        return away.pop() if away else create(topics, created)

    monkeypatch.setattr(cluster, "_create", at_first_away)
    made = cluster.create()
    assert made == sorted(spec.name for spec in cluster.specs())
    assert not [f for f in cluster.check() if f.fatal]


def test_a_refusal_for_good_is_told_at_once(settings: RuntimeSettings) -> None:
    wanted = settings.model_copy(
        update={"topic_prefix": f"{settings.topic_prefix}many.", "replication_factor": 7}
    )
    with pytest.raises(Unavailable, match="replication factor"):
        Cluster(wanted).create()


def test_a_broker_that_stops_answering_in_between_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("symphainy_runtime.cluster.TIMEOUT_S", 1.0)
    monkeypatch.setattr("symphainy_runtime.cluster.CREATE_S", 1.0)
    services = LocalServices(tmp_path / "data", valkey=False)
    with services as endpoints:
        cluster = Cluster(isolated(endpoints, tmp_path))
        known = cluster._metadata()
        monkeypatch.setattr(cluster, "_metadata", lambda: known)
        assert services.kafka is not None
        assert services.kafka.pid is not None
        os.kill(services.kafka.pid, signal.SIGSTOP)
        try:
            for ask in (cluster.create, cluster.check):
                with pytest.raises(Unavailable, match="imed out"):
                    ask()
        finally:
            os.kill(services.kafka.pid, signal.SIGCONT)
