"""`symphainy worker`: a process that runs a realm's handlers."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
import uvloop

from symphainy.worker import run_worker
from symphainy_cli.connection import kafka_settings
from symphainy_cli.process import log_to_stderr, say_ready


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(worker)


def worker(
    target: Annotated[str, typer.Argument(help="module:realm, importable from this folder.")],
    concurrency: Annotated[int, typer.Option(help="Handlers at once.", min=1)] = 256,
    name: Annotated[
        str, typer.Option(help="Unique and stable name of this process; default: host and pid.")
    ] = "",
    draining: Annotated[
        bool,
        typer.Option(help="Go on with what this code has registered, and put nothing in force."),
    ] = False,
) -> None:
    """Run a realm's handlers until SIGTERM or Ctrl-C; running ones are drained."""
    log_to_stderr()
    sys.path.insert(0, os.getcwd())
    uvloop.run(
        run_worker(
            target,
            kafka_settings(),
            concurrency=concurrency,
            name=name,
            draining=draining,
            on_ready=lambda: say_ready("worker", target),
        )
    )
