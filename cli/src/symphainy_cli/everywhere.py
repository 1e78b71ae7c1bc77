"""Stating what governs from the command line: in every partition, with a progress bar."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import Any

from rich.progress import Progress

from symphainy_cli.output import err
from symphainy_runtime.governing import Order, Verdict, govern
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import CallerError


def everywhere(
    settings: RuntimeSettings, intent_type: str, scope: str, payload: Mapping[str, Any]
) -> list[Verdict]:
    """State it, and wait until every partition has decided; what each said.

    Raises:
        Unavailable: Kafka or an owner does not answer; it may be repeated.
    """
    order = Order(
        intent_type=intent_type, scope=scope, payload=payload, principal=getpass.getuser()
    )
    with Progress(console=err, transient=True) as bar:
        task = bar.add_task("partitions", total=settings.partitions)
        return govern(settings, order, lambda done: bar.update(task, completed=done))


def require_taken(verdicts: list[Verdict]) -> None:
    """Raises `CallerError` with what the first partition said that refused."""
    refused = [one for one in verdicts if one.error is not None]
    if not refused:
        return
    error = refused[0].error
    assert error is not None
    where = f"{len(refused)} of {len(verdicts)} partitions refuse: {error.message}"
    raise CallerError(where, code=error.code, field=error.field, cure=error.cure)
