"""`python -m bench.wal`: how fast the journal is archived and asked, and that all answers agree.

The journal is one that the real deciders wrote (`bench.owner.recorded`), in every partition of a
real Kafka. It is archived, projected into a real Valkey, and then asked the same three ways; the
rows must be equal, or the run fails. Rates of the export are of wall time, since that is what an
operator waits for; the processes beside it share the machine, so what it takes of a core is told,
too: its processes' start is in it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import NamedTuple

import msgspec
from redis import Redis
from rich.console import Console

from bench.owner.figures import Figure, Report, keep, table
from bench.owner.recorded import TENANT, Recorder
from symphainy_processors.projection.projector import Projector
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import KafkaOptions, LocalServices, ServicesOptions
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.answering import Source, Wal
from symphainy_runtime.wal.archive.exporting import export
from symphainy_runtime.wal.archive.files import Archive
from symphainy_runtime.wal.archive.sql import ArchiveSql
from symphainy_runtime.wal.query import Query
from symphainy_transport.clients import producer
from symphainy_transport.topics import JOURNAL, Topics

RESULTS = Path(__file__).parents[1] / "results"
PARTITIONS = 2
PAGE = 1_000_000  # the index finds everything anew for each page
TARGET = 50_000
INDEX_TARGET = 1_024
console = Console(width=140)


class Asked(NamedTuple):
    """What one source answered to all queries of a kind."""

    rows: list[bytes]
    seconds: float
    bytes: int
    records: int


def main() -> None:
    """Parse, measure, show, keep."""
    parser = argparse.ArgumentParser(prog="bench.wal", description=__doc__)
    parser.add_argument("--executions", type=int, default=10_000, help="of each partition")
    parser.add_argument("--processes", type=int, default=0, help="that export; 0: the cores")
    parser.add_argument("--out", type=Path, help="where to keep the figures")
    told = parser.parse_args()
    load = os.getloadavg()[0]
    values = Recorder().record(told.executions)
    report = measure(values, told.processes)
    console.print(table("Asking the log", report))
    keep(report, load, told.out or RESULTS / "local" / "wal.json")


def measure(values: list[bytes], processes: int) -> Report:
    """Write the journals, archive them, ask them."""
    with tempfile.TemporaryDirectory(prefix="bench-wal-") as scratch:
        folder = Path(scratch)
        options = ServicesOptions(kafka=KafkaOptions(heap_mb=1024, full_jit=True))
        with LocalServices(folder / "services", options=options) as endpoints:

            def settings(name: str, partitions: int) -> RuntimeSettings:
                made = RuntimeSettings(
                    kafka_bootstrap_servers=endpoints.bootstrap_servers,
                    redis_url=endpoints.redis_url,
                    topic_prefix=f"{name}.",
                    redis_prefix=f"{name}:",
                    partitions=partitions,
                    data_dir=folder / name,
                    read_model_retention_days=36_500,  # the journal is of another time
                )
                Cluster(made).create()
                _write(made, values)
                return made

            report = _export(settings("wide", PARTITIONS), len(values), processes)
            narrow = settings("narrow", 1)
            _export(narrow, len(values), 1)
            _ask_three_ways(narrow, values, report)
            _range(narrow, values, report)
            return report


def _write(settings: RuntimeSettings, values: list[bytes]) -> None:
    topic = Topics(settings.topic_prefix).name(JOURNAL)
    out = producer(settings, "bench", linger_ms=5, queue_buffering_max_messages=1_000_000)
    for partition in range(settings.partitions):
        for value in values:
            out.produce(topic, value, partition=partition)
        assert out.flush(300) == 0


def _export(settings: RuntimeSettings, count: int, processes: int) -> Report:
    records = count * settings.partitions
    began, cpu = time.perf_counter(), _cpu()
    outcome = export(
        settings, settings.archive_location(), None, processes, lambda _: lambda _: None
    )
    seconds, cpu = time.perf_counter() - began, _cpu() - cpu
    assert not outcome.halted
    assert outcome.exported.records == records
    rate = round(records / seconds)
    rows = outcome.exported.rows
    return Report(
        [
            Figure("exported", rate, "records/s", None, TARGET),
            Figure("exported, CPU a record", round(1e6 * cpu / records, 1), "µs"),
            Figure("exported, as rows", round(rows / seconds), "rows/s"),
            Figure("archive a row", round(outcome.exported.bytes / rows, 1), "bytes"),
        ],
        {"records": records, "rows": rows, "processes": processes or os.cpu_count()},
    )


def _cpu() -> float:
    """Seconds of a core that this process and those it waited for have used."""
    used = [getrusage(whose) for whose in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _ask_three_ways(settings: RuntimeSettings, values: list[bytes], report: Report) -> None:
    """Everything of the tenant, and every session; the rows must be equal."""
    redis: Redis = Redis.from_url(settings.redis_url)
    began = time.perf_counter()
    _project(settings)
    projected = time.perf_counter() - began
    whole = {source: _asked(settings, source, [Query(tenant_id=TENANT)]) for source in _WAYS}
    sessions = sorted({msgspec.json.decode(row)["session_id"] for row in whole[Source.KAFKA].rows})
    asked = [Query(tenant_id=TENANT, session_id=one) for one in sessions]
    few = asked[:8]
    by_session = {source: _asked(settings, source, few) for source in _WAYS}
    for answers in (whole, by_session):
        for source in _WAYS:
            assert answers[source].rows == answers[Source.KAFKA].rows, f"{source} differs"
    rows = len(whole[Source.KAFKA].rows)
    executions = len({msgspec.json.decode(row)["execution_id"] for row in whole[Source.KAFKA].rows})
    used = _used(redis, settings.redis_prefix)
    redis.close()
    report.figures += [
        Figure("rows equal three ways", rows, "rows", None, 100_000),
        *(
            Figure(f"all rows, from {one}", round(rows / whole[one].seconds), "rows/s")
            for one in _WAYS
        ),
        *(
            Figure(
                f"a session, from {one}", round(by_session[one].seconds / len(few) * 1_000, 1), "ms"
            )
            for one in _WAYS
        ),
        Figure("index an execution", round(used["idx"] / executions), "bytes", INDEX_TARGET),
        Figure("documents an execution", round((used["exe"] + used["evt"]) / executions), "bytes"),
    ]
    report.details |= {"executions": executions, "redis": used, "projected_s": round(projected, 1)}


_WAYS = (Source.INDEX, Source.KAFKA, Source.ARCHIVE)


def _project(settings: RuntimeSettings) -> None:
    projector = Projector(settings, "bench-projector")
    projector.start()
    ends = projector.ends()
    while projector.behind(ends):
        projector.step(0.25)
    projector.close()


def _asked(settings: RuntimeSettings, source: Source, queries: list[Query]) -> Asked:
    rows: list[bytes] = []
    with Wal(settings, "bench-wal", source=source) as wal:
        began = time.perf_counter()
        read = records = 0
        for query in queries:
            cursor: str | None = ""
            while cursor is not None:
                page = msgspec.structs.replace(query, limit=PAGE, cursor=cursor or None)
                answer = wal.query(page)
                rows += map(msgspec.json.encode, answer.rows)
                read += sum(one.bytes for one in answer.read.values())
                records += sum(one.records for one in answer.read.values())
                cursor = answer.cursor
        return Asked(rows, time.perf_counter() - began, read, records)


def _used(redis: Redis, prefix: str) -> dict[str, int]:
    """Bytes of the read model by the kind of keys."""
    used: dict[str, int] = {}
    for key in redis.scan_iter(match=f"{prefix}*", count=1_000):
        kind = key.decode().removeprefix(prefix).partition(":")[2].partition(":")[0]
        size: int | None = redis.memory_usage(key)
        used[kind] = used.get(kind, 0) + (size or 0)
    return used


def _range(settings: RuntimeSettings, values: list[bytes], report: Report) -> None:
    """A thousand offsets in the middle, and SQL over everything."""
    middle = len(values) // 2
    query = Query(partition=0, from_offset=middle, to_offset=middle + 1_000)
    kafka, archive = (_asked(settings, one, [query]) for one in (Source.KAFKA, Source.ARCHIVE))
    assert kafka.rows == archive.rows
    kept = Archive(settings.archive_location())
    (journal,) = kept.journals()
    with ArchiveSql(kept, journal) as tables:
        began = time.perf_counter()
        _, found = tables.ask("SELECT type, count(*) FROM events GROUP BY type ORDER BY 2 DESC")
        counted = sum(row[1] for row in found)
        seconds = time.perf_counter() - began
    share = 100 * kafka.bytes / sum(map(len, values))
    report.figures += [
        Figure("1,000 offsets: records read", kafka.records, "records"),
        Figure("1,000 offsets: read of Kafka's bytes", round(share, 1), "%"),
        Figure("1,000 offsets, from Kafka", round(kafka.seconds * 1_000), "ms"),
        Figure("1,000 offsets, from the archive", round(archive.seconds * 1_000), "ms"),
        Figure("SQL: count by type", round(counted / seconds), "rows/s"),
    ]


if __name__ == "__main__":
    main()
