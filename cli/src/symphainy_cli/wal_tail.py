"""`symphainy wal tail`: the end of the log, and what comes behind it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Annotated

import typer

from symphainy_cli.backtest_options import partitions_of
from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, show_line
from symphainy_cli.wal_query import show_row
from symphainy_runtime.audit.verifying import Extent
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.index import IndexSource
from symphainy_runtime.wal.intent_types import Hint
from symphainy_runtime.wal.kafka import KafkaSource
from symphainy_runtime.wal.query import Query
from symphainy_runtime.wal.rows import Row

LOOK_S = 0.2  # between two looks at the ends: what a reader calls at once


def tail(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep waiting for more.")] = False,
    last: Annotated[
        int, typer.Option("--last", "-n", min=0, help="Records per partition to begin with.")
    ] = 10,
    partition: Annotated[int | None, typer.Option(help="Only this partition.")] = None,
    tenant: Annotated[str, typer.Option(help="Only this tenant's events.")] = "",
    execution: Annotated[str, typer.Option(help="Only this execution's events.")] = "",
    session: Annotated[str, typer.Option(help="Only this session's events.")] = "",
    correlation: Annotated[str, typer.Option(help="Only of this correlation.")] = "",
    intent_type: Annotated[str, typer.Option("--type", help="Only of this intent type.")] = "",
    event: Annotated[str, typer.Option(help="Only events of this type.")] = "",
    all_: Annotated[bool, typer.Option("--all", help="From the first offset kept.")] = False,
    json: Json = False,
) -> None:
    """Show the end of the journal as rows, as it stands in Kafka. `wal query` asks of the past."""
    settings = kafka_settings()
    asked = Query(
        tenant_id=tenant or None,
        execution_id=execution,
        session_id=session,
        correlation_id=correlation,
        intent_type=intent_type,
        event_type=event,
        partition=partition,
    ).checked()
    chosen = partitions_of(asked.partition, settings.partitions)
    source = KafkaSource(settings, "symphainy-tail", _hint(settings))
    try:
        for row in _rows(source, asked, chosen, None if all_ else last, follow):
            show_line(row) if json else show_row(row)
    except KeyboardInterrupt:
        pass
    finally:
        source.close()


def _rows(
    source: KafkaSource, asked: Query, partitions: tuple[int, ...], last: int | None, follow: bool
) -> Iterator[Row]:
    """Rows from `last` records before the end of each partition; from the first without."""
    reached: dict[int, int] = {}
    begin: list[Row] = []
    for p in partitions:
        kept = source.journals.extent(p)
        start = kept.start if last is None else max(kept.start, kept.end - last)
        rows = _scanned(source, asked, p, Extent(start, kept.end))
        reached[p] = kept.end
        if last is None:
            yield from rows
        else:
            begin += rows
    yield from sorted(begin, key=lambda row: (row.at, row.place))
    never = threading.Event()
    while follow:
        for p in partitions:
            end = source.journals.extent(p).end
            if end > reached[p]:
                yield from _scanned(source, asked, p, Extent(reached[p], end))
                reached[p] = end
        never.wait(LOOK_S)


def _scanned(source: KafkaSource, asked: Query, partition: int, wanted: Extent) -> Iterator[Row]:
    if wanted.start < wanted.end:
        for scanned in source.scan(asked, partition, wanted):
            yield from scanned.rows


def _hint(settings: RuntimeSettings) -> Hint:
    """The read model knows the intent types of what began before; Kafka does, too, at length."""
    return IndexSource(settings).intent_types if settings.redis_url else (lambda _: {})
