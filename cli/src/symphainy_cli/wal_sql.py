"""`symphainy wal sql`: SQL over the archive."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, err, show_line, show_table
from symphainy_cli.wal_export import archive_url
from symphainy_runtime.wal.archive.files import Archive
from symphainy_runtime.wal.archive.sql import ArchiveSql
from symphainy_transport.topics import JOURNAL, Topics

SHOWN = 1_000


def sql(
    statement: Annotated[
        str, typer.Argument(metavar="SQL", help="One SELECT over events or executions.")
    ],
    archive: Annotated[
        str, typer.Option(help="Folder or URL.", show_default="SYMPHAINY_ARCHIVE_URL")
    ] = "",
    tenant: Annotated[
        str, typer.Option(help="Let it see this tenant's rows only.", show_default="all")
    ] = "",
    journal: Annotated[
        str, typer.Option(help="Which journal, if the archive has several of that name.")
    ] = "",
    json: Json = False,
) -> None:
    """Ask the archive in DuckDB's SQL. No Kafka is asked, and nothing but the archive is in reach.

    events: partition, journal_offset, index, type, time (UTC), tenant_id, session_id, execution_id,
    intent_type, correlation_id, parent_offset, cause_topic, cause_partition, cause_offset, term,
    seq, data (JSON). executions: one row each. With --json each row is a line.
    """
    settings = kafka_settings()
    kept = Archive(archive_url(settings, archive))
    chosen = journal or kept.only_journal(Topics(settings.topic_prefix).name(JOURNAL))
    with ArchiveSql(kept, chosen, tenant or None) as tables:
        names, rows = tables.ask(statement)
        if json:
            for row in rows:
                show_line(dict(zip(names, row, strict=True)))
            return
        shown = list(islice(rows, SHOWN))
        show_table(names, shown)
        if next(rows, None) is not None:
            err.print(f"the first {SHOWN:,} rows; --json prints all", highlight=False)
