"""`symphainy wal query`: rows of the log, whoever has them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from symphainy_cli.backtest_options import moment
from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, err, out, show_line
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.answering import Source, Wal
from symphainy_runtime.wal.query import LIMIT_DEFAULT, Answer, Query
from symphainy_runtime.wal.rows import Row
from symphainy_transport.clock import SystemClock

_WHEN = "30m, 12h, 7d ago, or ISO 8601."


def query(
    execution: Annotated[str, typer.Option(help="Only of this execution.")] = "",
    session: Annotated[str, typer.Option(help="Only of this session.")] = "",
    tenant: Annotated[
        str, typer.Option(help="Only of this tenant.", show_default="all of them")
    ] = "",
    correlation: Annotated[
        str, typer.Option(help="Only of this correlation: an execution and all that it invoked.")
    ] = "",
    parent: Annotated[
        str, typer.Option(help="Only what this decision's effects led to: <partition>-<offset>.")
    ] = "",
    intent_type: Annotated[str, typer.Option("--type", help="Only of this intent type.")] = "",
    event: Annotated[str, typer.Option(help="Only events of this type.")] = "",
    since: Annotated[str, typer.Option("--from", help=f"Journaled from here on: {_WHEN}")] = "",
    until: Annotated[str, typer.Option("--to", help="Journaled up to here, likewise.")] = "",
    partition: Annotated[int | None, typer.Option(help="Only this partition.")] = None,
    offset: Annotated[
        int | None, typer.Option(help="From this offset of the journal on; needs --partition.")
    ] = None,
    to_offset: Annotated[int | None, typer.Option(help="Up to before this offset.")] = None,
    limit: Annotated[
        int, typer.Option(min=0, help="Rows at most; 0: all of them.")
    ] = LIMIT_DEFAULT,
    cursor: Annotated[str, typer.Option(help="Go on behind the page before.")] = "",
    source: Annotated[Source, typer.Option(help="Who is asked.")] = Source.AUTO,
    json: Json = False,
) -> None:
    """Ask the log. Rows come partition by partition, in the order of their offsets.

    Recent executions and sessions are answered from the read model; all else from Kafka, by time
    and offset; what Kafka no longer keeps from the archive. With --json each row is a line, and
    the last line, `{"cursor": …}`, says how to go on and what was read.
    """
    now = SystemClock().now_ms()
    asked = Query(
        tenant_id=tenant or None,
        execution_id=execution,
        session_id=session,
        correlation_id=correlation,
        parent=parent,
        intent_type=intent_type,
        event_type=event,
        from_ms=moment("--from", since, now) if since else None,
        to_ms=moment("--to", until, now) if until else None,
        partition=partition,
        from_offset=offset,
        to_offset=to_offset,
        limit=limit or 1,
        cursor=cursor or None,
    )
    with Wal(settings_for(source), "symphainy-query", source=source) as wal:
        if limit:
            answer = wal.query(asked)
            _show(answer, json)
            return
        for row in wal.rows(asked):
            show_line(row) if json else show_row(row)


def settings_for(source: Source) -> RuntimeSettings:
    """Settings to reach what is asked; an archive is read without any Kafka."""
    return RuntimeSettings.load() if source is Source.ARCHIVE else kafka_settings()


def show_row(row: Row) -> None:
    """A row for people."""
    data: dict[str, Any] = msgspec.json.decode(row.data)
    out.print(
        f"[dim]{row.partition}/{row.offset}[/] [bold]{row.type:22}[/] "
        f"{row.execution_id or row.session_id} [dim]{_brief(data)}[/]",
        highlight=False,
        soft_wrap=True,
    )


def _show(answer: Answer, json: bool) -> None:
    for row in answer.rows:
        show_line(row) if json else show_row(row)
    for note in answer.notes:
        err.print(f"[yellow]note[/] {note}", highlight=False, soft_wrap=True)
    if json:
        show_line({"cursor": answer.cursor, "as_of": answer.as_of, "read": answer.read})
        return
    read = ", ".join(
        f"{one.records:,} records and {one.bytes:,} bytes from {name}"
        for name, one in answer.read.items()
    )
    told = f"{len(answer.rows)} row(s); read {read or 'nothing'}"
    err.print(told, highlight=False, soft_wrap=True)
    if answer.cursor is not None:
        err.print(f"more: --cursor {answer.cursor}", highlight=False, soft_wrap=True)


def _brief(data: dict[str, Any]) -> str:
    shown = [f"{k}={v}" for k, v in data.items() if isinstance(v, str | int) and v != ""]
    return " ".join(shown)[:160]
