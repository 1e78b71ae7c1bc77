"""`symphainy up`: the processes of the system, one role each.

A role's module in `roles` is imported when it is played: no role waits for another's packages.
"""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from symphainy_cli.lazily import load
from symphainy_cli.process import log_to_stderr
from symphainy_runtime.settings import RuntimeSettings


class Role(StrEnum):
    """What a process can be; each is the name of a module in `roles`, whose `play` is run."""

    OWNER = "owner"
    PROJECTOR = "projector"
    GATEWAY = "gateway"
    AUDITOR = "auditor"
    ARCHIVER = "archiver"


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(up)


def up(
    role: Annotated[Role, typer.Argument(help="Which role this process plays.")],
    name: Annotated[
        str, typer.Option(help="Unique and stable name of this process; default: role-<pid>.")
    ] = "",
) -> None:
    """Run one role in the foreground until SIGTERM or Ctrl-C."""
    log_to_stderr()
    settings = RuntimeSettings.load()
    load(f"roles.{role}").play(settings, name or f"{role}-{os.getpid()}")
