"""How the command line speaks: tables for people, JSON for programs, errors with their cure."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from symphainy_schemas.errors import SymphainyError

# Ids and places must stay whole where nobody looks at a terminal: in a pipe or a log.
_WIDTH = None if sys.stdout.isatty() else 150
out = Console(width=_WIDTH)
err = Console(stderr=True)
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def show_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def show_line(value: Any) -> None:
    """One JSON document on one line."""
    print(msgspec.json.encode(value).decode(), flush=True)


def show_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    title: str = "",
    where: Console = out,
) -> None:
    """A table; empty ones say so."""
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    where.print(table if rows else f"{title + ': ' if title else ''}nothing")


def show_error(error: SymphainyError) -> None:
    """An error in one line, with what to do about it."""
    err.print(f"[red]error[/] [bold]{error.code}[/]: {error.message}", highlight=False)
    if error.field:
        err.print(f"  field: {error.field}", highlight=False)
    if error.cure:
        err.print(f"  cure:  {error.cure}", highlight=False)
