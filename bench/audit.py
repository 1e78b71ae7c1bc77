"""`python -m bench.audit`: how fast a journal is verified, beside bare SHA-256 over the same bytes.

The journal is one that the real deciders wrote (`bench.owner.recorded`), in every partition of a
real Kafka. Rates are records a second of CPU time, the client's threads included, which is what one
core has; the least time of several passes, since whatever else a machine does only adds to it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from bench.owner.figures import Figure, Report, keep, table
from bench.owner.recorded import Recorder
from symphainy_cli.roles.auditor import auditor_of
from symphainy_runtime.audit.exporting import Exported, ExportedJournals, export_file, write_export
from symphainy_runtime.audit.keys import create_key, verifier_keys
from symphainy_runtime.audit.reading import KafkaJournals
from symphainy_runtime.audit.store import Evidence, open_store
from symphainy_runtime.audit.verification import Journals, Verification, Wanted
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import KafkaOptions, LocalServices, ServicesOptions
from symphainy_runtime.settings import RuntimeSettings
from symphainy_transport.clients import producer
from symphainy_transport.topics import JOURNAL, Topics

RESULTS = Path(__file__).parent / "results"
PASSES = 5
PARTITIONS = 4
TARGET = 100_000
console = Console(width=140)


class Spent(NamedTuple):
    """Seconds of one pass."""

    cpu: float
    wall: float


def main() -> None:
    """Parse, measure, show, keep."""
    parser = argparse.ArgumentParser(prog="bench.audit", description=__doc__)
    parser.add_argument("--executions", type=int, default=20_000, help="of each partition")
    parser.add_argument("--out", type=Path, help="where to keep the figures")
    told = parser.parse_args()
    load = os.getloadavg()[0]
    values = Recorder().record(told.executions)
    report = measure(values)
    console.print(table("Verifying a journal", report))
    keep(report, load, told.out or RESULTS / "local" / "audit.json")


def measure(values: list[bytes]) -> Report:
    """Write the journals, audit them, verify them."""
    with tempfile.TemporaryDirectory(prefix="bench-audit-") as scratch:
        folder = Path(scratch)
        options = ServicesOptions(kafka=KafkaOptions(heap_mb=1024, full_jit=True))
        with LocalServices(folder / "services", valkey=False, options=options) as endpoints:
            settings = RuntimeSettings(
                kafka_bootstrap_servers=endpoints.bootstrap_servers,
                partitions=PARTITIONS,
                data_dir=folder / "data",
            )
            Cluster(settings).create()
            _write(settings, values)
            create_key(settings.audit_key_path(), "bench")
            audited = _spent(lambda: _audit(settings))
            return _report(settings, values, audited, folder / "export")


def _report(settings: RuntimeSettings, values: list[bytes], audited: Spent, export: Path) -> Report:
    journals = KafkaJournals(settings, "bench")
    _export(journals, export)
    count = len(values) * PARTITIONS
    bare, kafka, exported, read, chain = _alternating(
        lambda: _hash_all(values),
        lambda: _verify(journals, settings),
        lambda: _verify(ExportedJournals(export), settings),
        lambda: _read(journals),
        lambda: _verify(journals, settings, chain_only=True),
    )
    journals.close()
    hashed = round(count / bare.cpu)
    kept = sum(path.stat().st_size for path in (settings.data_dir / "evidence").rglob("*.*"))

    def figure(what: str, spent: Spent, target: int | None = None) -> Figure:
        rate = round(count / spent.cpu)
        return Figure(what, rate, "/s", None, target, hashed, "bare SHA-256")

    return Report(
        [
            figure("verified, from Kafka", kafka, TARGET),
            figure("verified, from an export", exported),
            figure("read from Kafka only", read),
            figure("followed by their chain alone, from Kafka", chain),
            figure("audited, from Kafka", audited),
            Figure("evidence a record", round(kept / count, 1), "bytes"),
        ],
        {
            "records": count,
            "bytes": sum(map(len, values)) * PARTITIONS,
            "wall_rate": {
                "verified, from Kafka": round(count / kafka.wall),
                "verified, from an export": round(count / exported.wall),
                "bare SHA-256": round(count / bare.wall),
            },
        },
    )


def _alternating(*works: Callable[[], object]) -> list[Spent]:
    """The least time of each; taken in turns, so that a busy minute falls on all alike."""
    rounds = [[_spent(work) for work in works] for _ in range(PASSES)]
    return [
        Spent(min(one.cpu for one in spent), min(one.wall for one in spent))
        for spent in zip(*rounds, strict=True)
    ]


def _spent(work: Callable[[], object]) -> Spent:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Spent(time.process_time() - cpu, time.perf_counter() - wall)


def _write(settings: RuntimeSettings, values: list[bytes]) -> None:
    topic = Topics(settings.topic_prefix).name(JOURNAL)
    out = producer(settings, "bench", linger_ms=5, queue_buffering_max_messages=1_000_000)
    for partition in range(PARTITIONS):
        for value in values:
            out.produce(topic, value, partition=partition)
        assert out.flush(120) == 0


def _audit(settings: RuntimeSettings) -> None:
    auditor = auditor_of(settings, "bench-auditor")
    auditor.start()
    auditor.catch_up()
    auditor.close()
    assert not auditor.halted


def _verify(journals: Journals, settings: RuntimeSettings, *, chain_only: bool = False) -> None:
    evidence = None if chain_only else Evidence(open_store(settings.audit_location()))
    run = Verification(journals, evidence, verifier_keys(settings))
    report = run.run(Wanted(), run.partitions(Wanted()), time.time_ns() // 10**6, lambda _: None)
    assert not report.faults
    assert chain_only or all(one.anchored == one.records for one in report.partitions)


def _read(journals: KafkaJournals) -> None:
    for partition in journals.partitions():
        for _ in journals.read(partition, journals.extent(partition), lambda _: None):
            pass


def _export(journals: KafkaJournals, folder: Path) -> None:
    for partition in journals.partitions():
        extent = journals.extent(partition)
        about = Exported(journals.identity(), partition, extent)
        batches = journals.read(partition, extent, lambda _: None)
        write_export(export_file(folder, partition), about, batches)


def _hash_all(values: list[bytes]) -> None:
    for _ in range(PARTITIONS):
        for value in values:
            sha256(value).digest()


if __name__ == "__main__":
    main()
