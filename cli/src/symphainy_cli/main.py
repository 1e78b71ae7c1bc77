"""`symphainy …`: the composition root. Each verb's module is imported when the verb is used."""

from __future__ import annotations

import sys

import typer

from symphainy_cli.verbs import Verbs, add_verbs
from symphainy_schemas.errors import SymphainyError

app = typer.Typer(
    name="symphainy",
    cls=Verbs,
    help="Durable, governed, multi-tenant execution on the Kafka that you already have.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
add_verbs(app)


def main() -> None:
    """Run the command line; our errors are told in one line, with their cure."""
    try:
        app()
    except SymphainyError as error:
        from symphainy_cli.output import show_error  # brings rich, which a role does without

        show_error(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
