"""Somebody with a hand on the broker's disk, found by `audit verify` (G12).

One journal for each way to tamper, on a broker of their own: written by the real writer, covered by
checkpoints; then the broker is stopped, segment files are edited with fitting CRCs, and it starts
again. Every faulty record is named, and nothing else is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import TopicPartition
from tests.support import segments
from tests.support.histories import chained_anew, history
from tests.support.segments import Batch
from typer.testing import CliRunner

from symphainy_cli.main import app
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import LocalServices
from symphainy_runtime.settings import RuntimeSettings
from symphainy_transport.clients import admin, producer
from symphainy_transport.topics import JOURNAL, Topics

PLAN = [1, 2, 3, 4, 5, 6, 0, 1, 2, 9, 3, 4, 0, 5, 6, 7, 8, 1, 2, 3]
VALUES = history(PLAN)
BATCH = 3
HALF = 12
STALE = 10
(
    UNTOUCHED,
    FLIPPED,
    CHAINED,
    BATCH_GONE,
    RECORD_GONE,
    EXCHANGED,
    INSERTED,
    DAMAGED,
    CUT,
    HEADLESS,
) = range(10)
Faults = dict[int, set[tuple[int, int, str]]]


class Tampered(NamedTuple):
    """What verifying said before and after."""

    before: dict[str, Any]
    exit_code: int
    after: dict[str, Any]
    exported: dict[str, Any]
    halted: dict[str, str]
    """Which partitions an auditor does not go on with, and why."""


def flip(batches: list[Batch]) -> list[Batch]:
    """One bit of record 4, in the middle of its bytes."""
    value = dict(segments.values_of(batches))[4]
    middle = len(value) // 2
    changed = value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :]
    return segments.with_values(batches, {4: changed})


def chain_anew(batches: list[Batch]) -> list[Batch]:
    """Record 4 is another one, and every later one is made to follow it."""
    values = [value for _, value in segments.values_of(batches)]
    values[4] = history([1, 2, 3, 7, *PLAN[4:]])[4]
    return segments.with_values(batches, dict(enumerate(chained_anew(values, 5))))


def remove_batch(batches: list[Batch]) -> list[Batch]:
    """The batch with records 6 to 8; no offset moves."""
    return [batch for batch in batches if batch.base != 6]


def remove_record(batches: list[Batch]) -> list[Batch]:
    """Record 7, within its batch; what follows in the batch moves up."""

    def without(batch: Batch) -> Batch:
        if 7 not in batch.offsets:
            return batch
        left = [record for record in batch.records if record[0] != 7]
        return batch.with_records([(batch.base + n, value) for n, (_, value) in enumerate(left)])

    return [without(batch) for batch in batches]


def exchange(batches: list[Batch]) -> list[Batch]:
    """Records 2 and 15 change places."""
    values = dict(segments.values_of(batches))
    return segments.with_values(batches, {2: values[15], 15: values[2]})


def insert(batches: list[Batch]) -> list[Batch]:
    """A record at offset 5; everything behind it moves down."""
    values = [value for _, value in segments.values_of(batches)]
    placed = list(enumerate([*values[:5], b"I was always here", *values[5:]]))
    return [batches[0].with_records(placed[at : at + BATCH]) for at in range(0, len(placed), BATCH)]


def cut(batches: list[Batch]) -> list[Batch]:
    """The end is gone."""
    return batches[:-1]


EDITS = {
    FLIPPED: flip,
    CHAINED: chain_anew,
    BATCH_GONE: remove_batch,
    RECORD_GONE: remove_record,
    EXCHANGED: exchange,
    INSERTED: insert,
    CUT: cut,
}


def damage(folder: Path) -> None:
    """A bit of record 4, and the CRC as it was."""
    (path,) = folder.glob("*.log")
    data = path.read_bytes()
    at = data.index(VALUES[4]) + 30
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def write_journals(settings: RuntimeSettings, values: list[bytes]) -> None:
    """The same records in each partition, three a batch."""
    topic = Topics(settings.topic_prefix).name(JOURNAL)
    out = producer(settings, "writer", linger_ms=1_000)
    for partition in range(settings.partitions):
        for n, value in enumerate(values):
            out.produce(topic, value, partition=partition)
            if n % BATCH == BATCH - 1:
                assert out.flush(30) == 0
        assert out.flush(30) == 0


def delete_head(settings: RuntimeSettings) -> None:
    """What `kafka-delete-records` does."""
    place = TopicPartition(Topics(settings.topic_prefix).name(JOURNAL), HEADLESS, 9)
    client = admin(settings)
    for done in client.delete_records([place]).values():
        done.result(timeout=30)


def environment(settings: RuntimeSettings) -> dict[str, str]:
    """What makes the command line find the broker and the evidence."""
    return {
        "SYMPHAINY_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "SYMPHAINY_TOPIC_PREFIX": settings.topic_prefix,
        "SYMPHAINY_PARTITIONS": str(settings.partitions),
        "SYMPHAINY_DATA_DIR": str(settings.data_dir),
    }


def run(settings: RuntimeSettings, *arguments: str) -> tuple[int, dict[str, Any]]:
    """A command's exit code, and what it says in JSON."""
    done = CliRunner().invoke(app, ["audit", *arguments, "--json"], env=environment(settings))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, json.loads(done.stdout)


@pytest.fixture(scope="module")
def tampered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tampered]:
    """Journals, checkpoints, and a hand on the disk."""
    folder = tmp_path_factory.mktemp("tampered")
    services = LocalServices(folder / "services", valkey=False)
    settings = RuntimeSettings(
        kafka_bootstrap_servers=services.start().bootstrap_servers,
        topic_prefix="tampered.",
        partitions=10,
        data_dir=folder / "data",
    )
    topics = Topics(settings.topic_prefix)
    (spec,) = (s for s in topics.specs(settings.partitions) if s.name == topics.name(JOURNAL))
    Cluster(settings).create([spec])
    assert run(settings, "key")[0] == 0
    for part in (VALUES[:HALF], VALUES[HALF:]):
        write_journals(settings, part)
        kept = {"checkpoints": settings.partitions, "halted": {}}
        assert run(settings, "checkpoint") == (0, kept)
    code, before = run(settings, "verify")
    assert code == 0, before
    delete_head(settings)
    assert services.kafka is not None
    services.kafka.stop()
    logs = folder / "services" / "kafka" / "data"
    for partition, change in EDITS.items():
        segments.edit(logs / f"{topics.name(JOURNAL)}-{partition}", change)
    damage(logs / f"{topics.name(JOURNAL)}-{DAMAGED}")
    settings = settings.model_copy(update={"kafka_bootstrap_servers": services.kafka.start()})
    code, after = run(settings, "verify")
    run(settings, "export", str(folder / "export"))
    export = ("verify", "--from-export", str(folder / "export"), "--processes", "2")
    _, exported = run(settings, *export)
    _, made = run(settings, "checkpoint")
    yield Tampered(before, code, after, exported, made["halted"])
    services.stop()


def faults(report: dict[str, Any], partition: int) -> set[tuple[str, int, int]]:
    """What is told of a partition: kind, first and last offset."""
    (found,) = (one for one in report["partitions"] if one["partition"] == partition)
    return {(fault["kind"], fault["first"], fault["last"]) for fault in found["faults"]}


LAST = len(VALUES) - 1
EXPECTED = {
    UNTOUCHED: set(),
    FLIPPED: {("changed", 4, 4)},
    CHAINED: {("changed", 4, 9), ("changed", 11, LAST)},
    BATCH_GONE: {("removed", 6, 8)},
    RECORD_GONE: {("removed", 7, 7), ("moved", 8, 8)},
    EXCHANGED: {("moved", 2, 2), ("moved", 15, 15)},
    INSERTED: {("inserted", 5, 5), ("moved", 5, LAST)},
    DAMAGED: {("damaged", 3, 3), ("changed", 4, 4)},
    CUT: {("removed", 18, LAST)},
    HEADLESS: {("deleted", 0, 8)},
}


def test_before_it_was_touched_everything_was_sound(tampered: Tampered) -> None:
    assert tampered.before["ok"]
    for one in tampered.before["partitions"]:
        assert one["checkpoints"] == 2
        assert one["records"] == one["anchored"] == len(VALUES)
        assert [(span["first"], span["last"]) for span in one["stale"]] == [(STALE, STALE)]


@pytest.mark.parametrize("partition", EXPECTED)
def test_every_record_that_was_touched_is_named(tampered: Tampered, partition: int) -> None:
    assert faults(tampered.after, partition) == EXPECTED[partition]


def test_faults_end_the_command_with_1(tampered: Tampered) -> None:
    assert tampered.exit_code == 1
    assert not tampered.after["ok"]


@pytest.mark.parametrize("partition", sorted(EXPECTED.keys() - {DAMAGED, HEADLESS}))
def test_an_export_shows_the_same(tampered: Tampered, partition: int) -> None:
    assert faults(tampered.exported, partition) == EXPECTED[partition]


def test_an_auditor_does_not_go_on_from_another_record_than_it_stood_on(
    tampered: Tampered,
) -> None:
    assert tampered.halted.keys() == {str(CHAINED), str(INSERTED), str(CUT)}
    assert "the last checkpoint covers it to 21" in tampered.halted[str(CUT)]
    assert "offset 20 is not the one" in tampered.halted[str(CHAINED)]
