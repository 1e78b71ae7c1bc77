"""`symphainy wal …`: the log itself."""

from __future__ import annotations

import typer

from symphainy_cli.wal_export import export
from symphainy_cli.wal_query import query
from symphainy_cli.wal_sql import sql
from symphainy_cli.wal_tail import tail

app = typer.Typer(help="The write-ahead log and the journal.", no_args_is_help=True)
app.command()(query)
app.command()(tail)
app.command()(export)
app.command()(sql)


def register(parent: typer.Typer) -> None:
    """Add the verb of this module."""
    parent.add_typer(app, name="wal")
