"""`symphainy wal export`: the journal's rows in Parquet, once."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from symphainy_cli.bulk_run import INTERRUPTED
from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, err, out, show_error, show_json
from symphainy_cli.progress import progress_after_a_second
from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.archive import exporting
from symphainy_runtime.wal.archive.archiver import Exported, Progress

To = Annotated[
    str,
    typer.Argument(
        help="Where to: a folder, or s3://…, gs://…, az://….", show_default="SYMPHAINY_ARCHIVE_URL"
    ),
]


def export(
    to: To = "",
    partition: Annotated[int | None, typer.Option(help="Only this partition.")] = None,
    processes: Annotated[
        int, typer.Option(min=0, help="Partitions exported at once; 0: what the cores allow.")
    ] = 0,
    json: Json = False,
) -> None:
    """Archive what stands in the journal now and is not archived yet.

    It goes on where the archive ends, so it may be interrupted, killed, and run again: each offset
    is in one file that counts. `symphainy up archiver` does the same all the time.
    """
    settings = kafka_settings()
    url = archive_url(settings, to)
    with ExitStack() as stack:

        def begun(total: int) -> Progress:
            return stack.enter_context(progress_after_a_second("exporting", total))

        chosen = None if partition is None else [partition]
        try:
            outcome = exporting.export(settings, url, chosen, processes, begun)
        except KeyboardInterrupt:
            err.print("interrupted: what is committed stays; run it again to go on")
            raise typer.Exit(INTERRUPTED) from None
    _show(outcome.exported, url, json)
    for error in outcome.halted.values():
        show_error(error)
    if outcome.halted:
        raise typer.Exit(1)


def archive_url(settings: RuntimeSettings, told: str) -> str:
    """The archive's URL: what is told, be it a folder, else what the settings say."""
    if not told:
        return settings.archive_location()
    return told if "://" in told else Path(told).resolve().as_uri()


def _show(exported: Exported, url: str, json: bool) -> None:
    lost = [{"partition": p, "first": first, "last": last} for p, first, last in exported.lost]
    for one in lost:
        err.print(
            f"[yellow]note[/] partition {one['partition']}: offsets {one['first']} to "
            f"{one['last']} expired before they were archived",
            highlight=False,
            soft_wrap=True,
        )
    if json:
        told: dict[str, Any] = {
            "archive": url,
            "files": exported.files,
            "records": exported.records,
            "rows": exported.rows,
            "bytes": exported.bytes,
            "lost": lost,
        }
        show_json(told)
        return
    out.print(
        f"{exported.records:,} records ({exported.rows:,} rows) in {exported.files} new file(s), "
        f"{exported.bytes:,} bytes, in {url}",
        highlight=False,
        soft_wrap=True,
    )
