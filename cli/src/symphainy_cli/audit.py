"""`symphainy audit …`: evidence of what stands in the journal (G12)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from symphainy_cli.audit_verify import verify
from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, err, out, show_error, show_json
from symphainy_cli.progress import progress_after_a_second
from symphainy_cli.roles.auditor import auditor_of
from symphainy_runtime.audit.exporting import Exported, export_file, write_export
from symphainy_runtime.audit.faults import Findings, Kind
from symphainy_runtime.audit.keys import create_key
from symphainy_runtime.audit.reading import KafkaJournals
from symphainy_runtime.settings import RuntimeSettings

app = typer.Typer(
    help="Evidence: signed checkpoints of the journal, and what they prove.", no_args_is_help=True
)
app.command()(verify)


def register(parent: typer.Typer) -> None:
    """Add the verb of this module."""
    parent.add_typer(app, name="audit")


@app.command()
def key(
    name: Annotated[
        str, typer.Option(help="Whose key it is; a host name that is yours keeps names apart.")
    ] = "symphainy-auditor",
    file: Annotated[
        Path | None, typer.Option(help="Where it is written; default: SYMPHAINY_AUDIT_KEY_FILE.")
    ] = None,
    json: Json = False,
) -> None:
    """Make an auditor's key, and print the line that verifies what it signs.

    The file is the secret: its user alone may read it. The line is for everybody.
    """
    path = file or RuntimeSettings.load().audit_key_path()
    verifier = str(create_key(path, name).verifier)
    if json:
        show_json({"file": str(path), "verifier_key": verifier})
    else:
        out.print(verifier, highlight=False, soft_wrap=True)
        err.print(f"the secret is in {path}", highlight=False, soft_wrap=True)


@app.command()
def checkpoint(json: Json = False) -> None:
    """Keep a checkpoint of every partition, once. Exits 1 if a partition cannot be audited.

    `symphainy up auditor` does the same all the time.
    """
    auditor = auditor_of(kafka_settings(), "symphainy-checkpoint")
    try:
        auditor.start()
        auditor.catch_up()
    finally:
        auditor.close()
    if json:
        halted = {str(p): error.message for p, error in auditor.halted.items()}
        show_json({"checkpoints": auditor.made, "halted": halted})
    else:
        out.print(f"{auditor.made} checkpoint(s) kept" if auditor.made else "nothing new to cover")
        for error in auditor.halted.values():
            show_error(error)
    if auditor.halted:
        raise typer.Exit(1)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where to write a file for each partition.")],
    partition: Annotated[int | None, typer.Option(help="Only this partition.")] = None,
    json: Json = False,
) -> None:
    """Write the journal to files, byte for byte, for `audit verify --from-export`."""
    journals = KafkaJournals(kafka_settings(), "symphainy-export")
    identity = journals.identity()
    chosen = journals.partitions() if partition is None else [partition]
    extents = {p: journals.extent(p) for p in chosen}
    total = sum(extent.end - extent.start for extent in extents.values())
    findings = Findings(-1)

    def on_damage(offset: int) -> None:
        findings.fault(Kind.DAMAGED, "a batch does not have the CRC that it states", offset)

    counts = {}
    with progress_after_a_second("exporting", total) as progress:
        for p, extent in extents.items():
            about = Exported(identity, p, extent)
            batches = journals.read(p, extent, on_damage)
            counts[p] = write_export(export_file(folder, p), about, batches, progress)
    journals.close()
    if json:
        show_json({"folder": str(folder), "records": {str(p): n for p, n in counts.items()}})
    else:
        told = f"{sum(counts.values())} records of {len(counts)} partition(s) in {folder}"
        out.print(told, soft_wrap=True)
    for fault in findings.faults:
        err.print(f"[red]fault[/] {fault}", highlight=False, soft_wrap=True)
    if findings.faults:
        raise typer.Exit(1)
