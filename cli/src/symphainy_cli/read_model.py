"""`symphainy read-model …`: the read model is a copy; here it is made anew."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, err, out, show_json
from symphainy_processors.projection.rebuild import Rebuild

app = typer.Typer(help="The read model in Redis.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the verb of this module."""
    parent.add_typer(app, name="read-model")


@app.command()
def rebuild(
    keep: Annotated[
        bool, typer.Option(help="Do not delete first; fill only what is missing.")
    ] = False,
    json: Json = False,
) -> None:
    """Delete the read model and fill it again from the journal's first offset.

    Safe while the system runs: a projector that runs meanwhile shares the work. After Ctrl-C go on
    with --keep, or leave it to a projector: what is half deleted is deleted first.
    """
    job = Rebuild(kafka_settings())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    deleted = 0
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True) as progress:
        if not keep:
            deleting = progress.add_task("deleting keys", total=None)
            deleted = job.delete(lambda more: progress.advance(deleting, more))
            progress.update(deleting, total=deleted)
        task = progress.add_task("projecting records", total=job.total)
        job.run(lambda done: progress.update(task, completed=done))
    if json:
        show_json({"deleted_keys": deleted, "records": job.total, "partitions": job.partitions})
    else:
        out.print(
            f"read model rebuilt: {job.total} journal records over {job.partitions} partitions"
        )
