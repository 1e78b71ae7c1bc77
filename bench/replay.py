"""`python -m bench.replay`: how fast states are replayed, on one core.

The journal is one that the real deciders wrote (`bench.owner.recorded`). Rates are events a second
of CPU time: the least of several passes, since whatever else a machine does only adds to it. First
in memory, where a pass decodes, judges and folds each record, and then from a real Kafka through
`JournalReader`, the client's threads included, which is what `symphainy replay range` does.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.owner.figures import circumstances
from bench.owner.recorded import Recorder
from symphainy_processors.replay.history import History, Kept, fold_all
from symphainy_processors.replay.reading import JournalReader
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_runtime.local import KafkaOptions, LocalServices, ServicesOptions
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.codec import decode
from symphainy_schemas.events import JournalRecord
from symphainy_transport.clients import producer
from symphainy_transport.topics import JOURNAL, Topics

RESULTS = Path(__file__).parent / "results"
PASSES = 5
TARGET = 100_000
console = Console(width=140)


def main() -> None:
    """Parse, measure, show, keep."""
    parser = argparse.ArgumentParser(prog="bench.replay", description=__doc__)
    parser.add_argument("--executions", type=int, default=20_000)
    parser.add_argument("--out", type=Path, help="where to keep the figures")
    told = parser.parse_args()
    load = os.getloadavg()[0]
    values = Recorder().record(told.executions)
    events = sum(len(decode(value, JournalRecord).events) for value in values)
    figures: dict[str, Any] = {
        **circumstances(load),
        "executions": told.executions,
        "records": len(values),
        "events": events,
        "target_events_per_s": TARGET,
        "decoded_only": rate(events, lambda: decoded(values)),
        "partition_in_memory": rate(events, lambda: in_memory(values)),
        "each_execution_at_each_record": rate(events, lambda: each(values)),
        "partition_from_kafka": from_kafka(values, events),
    }
    for name, value in figures.items():
        console.print(f"{name:30} {value}")
    out = told.out or RESULTS / "local" / "replay.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=1) + "\n")
    console.print(f"kept in {out}")


def rate(events: int, run: Callable[[], None]) -> int:
    """Events a second of CPU time, of the best pass."""
    least = float("inf")
    for _ in range(PASSES):
        began = time.process_time()
        run()
        least = min(least, time.process_time() - began)
    return round(events / least)


def kept(values: list[bytes]) -> list[Kept]:
    """The records that count."""
    standing, found = Validity(), []
    for offset, value in enumerate(values):
        stored = judge(value, offset, standing)
        standing = stored.standing
        if stored.valid and stored.record is not None:
            found.append(Kept(offset, value, stored.record))
    return found


def decoded(values: list[bytes]) -> None:
    """What every reader pays, for comparison."""
    for value in values:
        decode(value, JournalRecord)


def in_memory(values: list[bytes]) -> None:
    """The state of a whole partition, from its bytes."""
    fold_all(kept(values))


def each(values: list[bytes]) -> None:
    """Every execution's state at each of its records, from the journal's bytes."""
    by_execution: dict[str, list[Kept]] = {}
    for one in kept(values):
        if one.record.execution_id:
            by_execution.setdefault(one.record.execution_id, []).append(one)
    for name, records in by_execution.items():
        history = History(execution_id=name, partition=0, records=tuple(records))
        for _ in history.moments():
            pass


def from_kafka(values: list[bytes], events: int) -> int:
    """The same from a real Kafka."""
    with tempfile.TemporaryDirectory(prefix="bench-replay-") as scratch:
        folder = Path(scratch)
        options = ServicesOptions(kafka=KafkaOptions(heap_mb=512, full_jit=True))
        with LocalServices(folder / "services", valkey=False, options=options) as endpoints:
            settings = RuntimeSettings(
                kafka_bootstrap_servers=endpoints.bootstrap_servers,
                partitions=1,
                data_dir=folder / "data",
            )
            Cluster(settings).create()
            out = producer(settings, "bench-replay")
            topic = Topics(settings.topic_prefix).name(JOURNAL)
            for value in values:
                out.produce(topic, value, partition=0)
                out.poll(0)
            out.flush(60)
            reader = JournalReader(settings)

            def run() -> None:
                low, high = reader.bounds(0)
                fold_all(reader.scan(0, low, high, lambda _: True))

            found = rate(events, run)
            reader.close()
            return found


if __name__ == "__main__":
    main()
