"""`python -m bench.recover`: Redis and every local disk gone, made anew from Kafka, and compared.

The journal is one that the real deciders wrote (`bench.owner.recorded`), in every partition of a
real Kafka, and `state` is empty: the longest way back. What stands in Redis is built once by an
ordinary projector, lost, and built again as `symphainy recover` does; then each key is compared.
Rates are records a second of this process' CPU time, and by the clock, which whatever else a
machine does makes lower.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from redis import Redis
from rich.console import Console

from bench.owner.figures import Figure, Report, keep, table
from bench.owner.recorded import Recorder
from symphainy_cli.recovering import owner_state, read_model
from symphainy_processors.projection.projector import Projector
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.local import KafkaOptions, LocalServices, ServicesOptions
from symphainy_runtime.settings import RuntimeSettings
from symphainy_transport.clients import producer
from symphainy_transport.topics import JOURNAL, Topics

RESULTS = Path(__file__).parent / "results"
PARTITIONS = 4
OWNER = "bench-owner"
AT_ONCE = 1_000  # keys read in one round trip
console = Console(width=140)


class Spent(NamedTuple):
    """Seconds of one part."""

    cpu: float
    wall: float


def main() -> None:
    """Parse, measure, show, keep."""
    parser = argparse.ArgumentParser(prog="bench.recover", description=__doc__)
    parser.add_argument("--executions", type=int, default=25_000, help="of each partition")
    parser.add_argument("--out", type=Path, help="where to keep the figures")
    told = parser.parse_args()
    load = os.getloadavg()[0]
    values = Recorder().record(told.executions)
    report = measure(values, told.executions)
    console.print(table("Recovering from Kafka alone", report))
    keep(report, load, told.out or RESULTS / "local" / "recover.json")


def measure(values: list[bytes], executions: int) -> Report:
    """Build it, lose it, build it again, compare."""
    with tempfile.TemporaryDirectory(prefix="bench-recover-") as scratch:
        folder = Path(scratch)
        options = ServicesOptions(kafka=KafkaOptions(heap_mb=1024, full_jit=True))
        with LocalServices(folder / "services", options=options) as endpoints:
            settings = RuntimeSettings(
                kafka_bootstrap_servers=endpoints.bootstrap_servers,
                redis_url=endpoints.redis_url,
                partitions=PARTITIONS,
                data_dir=folder / "data",
                read_model_retention_days=36_500,  # the journal's times are not today's
            )
            Cluster(settings).create()
            _write(settings, values)
            return _recovered(settings, len(values) * PARTITIONS, executions * PARTITIONS)


def _recovered(settings: RuntimeSettings, records: int, executions: int) -> Report:
    redis: Any = Redis.from_url(settings.require_redis())
    first = _timed(lambda: _project(settings))
    before = dict(_digests(redis))
    used = redis.info("memory")["used_memory"]
    redis.flushall()
    shutil.rmtree(settings.data_dir, ignore_errors=True)

    owners = _timed(lambda: owner_state(settings, OWNER, _quiet))
    model = _timed(lambda: read_model(settings, False, _quiet))
    after = dict(_digests(redis))
    different = sum(before.get(key) != after.get(key) for key in {*before, *after})
    again = _timed(
        lambda: (owner_state(settings, OWNER, _quiet), read_model(settings, False, _quiet))
    )
    redis.close()
    return Report(
        [
            Figure("keys that differ afterwards", different, "", 0),
            *_figures("read model", model, records),
            *_figures("owners' state", owners, records),
            *_figures("read model, by the projector that built it first", first, records),
            Figure(
                "executions a second, both parts",
                round(executions / (model.wall + owners.wall)),
                "/s",
            ),
            Figure("to run it again", round(again.wall, 1), "s"),
        ],
        {
            "executions": executions,
            "records": records,
            "keys": len(before),
            "redis_bytes_per_execution": round(used / executions),
        },
    )


def _figures(what: str, spent: Spent, records: int) -> list[Figure]:
    return [
        Figure(what, round(spent.wall, 1), "s"),
        Figure(f"{what}: CPU", round(records / spent.cpu), "records/s"),
        Figure(f"{what}: clock", round(records / spent.wall), "records/s"),
    ]


def _quiet(done: int, total: int | None) -> None:
    """Nobody looks."""


def _timed(work: Callable[[], object]) -> Spent:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Spent(time.process_time() - cpu, time.perf_counter() - wall)


def _project(settings: RuntimeSettings) -> None:
    projector = Projector(settings, "bench-projector")
    projector.start()
    ends = projector.ends()
    while projector.behind(ends):
        projector.step(0.25)
    projector.close()


def _digests(redis: Any) -> Iterator[tuple[bytes, bytes]]:
    """Each key with a digest of its value and of when it goes."""
    keys: list[bytes] = []
    for key in redis.scan_iter(count=AT_ONCE):
        keys.append(key)
        if len(keys) == AT_ONCE:
            yield from _page(redis, keys)
            keys = []
    yield from _page(redis, keys)


def _page(redis: Any, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    pipe = redis.pipeline(transaction=False)
    for key in keys:
        pipe.pexpiretime(key)
        kind = key.split(b":")[2]
        if kind == b"evt":
            pipe.lrange(key, 0, -1)
        elif kind == b"idx":
            pipe.zrange(key, 0, -1, withscores=True)
        else:
            pipe.hgetall(key)
    found = pipe.execute()
    for key, expiry, value in zip(keys, found[::2], found[1::2], strict=True):
        stated = sorted(value.items()) if isinstance(value, dict) else value
        yield key, blake2b(repr((expiry, stated)).encode(), digest_size=16).digest()


def _write(settings: RuntimeSettings, values: list[bytes]) -> None:
    topic = Topics(settings.topic_prefix).name(JOURNAL)
    out = producer(settings, "bench", linger_ms=5, queue_buffering_max_messages=1_000_000)
    for partition in range(PARTITIONS):
        for value in values:
            out.produce(topic, value, partition=partition)
        assert out.flush(120) == 0


if __name__ == "__main__":
    main()
