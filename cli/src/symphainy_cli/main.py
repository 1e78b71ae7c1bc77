"""`symphainy …`: the composition root. Each verb's module is imported when the verb is used."""

from __future__ import annotations

import sys

import typer

from symphainy_cli import (
    capabilities,
    dev,
    doctor,
    executions,
    keys,
    read_model,
    running,
    topics,
    wal,
)
from symphainy_cli.output import show_error
from symphainy_schemas.errors import SymphainyError

app = typer.Typer(
    name="symphainy",
    help="Durable, governed, multi-tenant execution on the Kafka that you already have.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
dev.register(app)
running.register(app)
executions.register(app)
doctor.register(app)
app.add_typer(capabilities.app, name="capability")
app.add_typer(topics.app, name="topics")
app.add_typer(wal.app, name="wal")
app.add_typer(keys.app, name="key")
app.add_typer(read_model.app, name="read-model")


def main() -> None:
    """Run the command line; our errors are told in one line, with their cure."""
    try:
        app()
    except SymphainyError as error:
        show_error(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
