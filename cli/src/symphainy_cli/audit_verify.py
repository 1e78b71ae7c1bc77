"""`symphainy audit verify`: whether what was acknowledged still stands, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, err, out, show_json, show_table
from symphainy_cli.progress import progress_after_a_second
from symphainy_runtime.audit.faults import Span
from symphainy_runtime.audit.keys import verifier_keys
from symphainy_runtime.audit.parallel import Sources, processes_for, verify_in_processes
from symphainy_runtime.audit.proofs import check_proof
from symphainy_runtime.audit.verification import Report, Wanted
from symphainy_runtime.audit.verifying import PartitionReport
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError, OperatorError
from symphainy_transport.clock import SystemClock

_COLUMNS = (
    "partition",
    "offsets",
    "checkpoints",
    "covered to",
    "last one",
    "after it",
    "expired",
    "stale",
    "faults",
)


def verify(
    partition: Annotated[int | None, typer.Option(help="Only this partition.")] = None,
    tenant: Annotated[str, typer.Option(help="Also count this tenant's proven records.")] = "",
    execution: Annotated[
        str, typer.Option(help="Only this execution's partition, and prove its records.")
    ] = "",
    from_export: Annotated[
        Path | None, typer.Option(help="Read what `audit export` wrote, not Kafka.")
    ] = None,
    write_proof: Annotated[
        Path | None, typer.Option(help="Write the execution's proof to this file.")
    ] = None,
    proof: Annotated[
        Path | None, typer.Option(help="Check this proof, with the verifier key alone.")
    ] = None,
    verifier_key: Annotated[
        list[str], typer.Option(help="Whose checkpoints count; repeatable.")
    ] = [],  # noqa: B006  (typer reads the default, nobody changes it)
    chain_only: Annotated[
        bool,
        typer.Option("--chain-only", help="Without checkpoints: follow the chain of hashes alone."),
    ] = False,
    processes: Annotated[
        int, typer.Option(min=0, help="Partitions verified at once; 0: what the cores allow.")
    ] = 0,
    json: Json = False,
) -> None:
    """Find what was changed, removed, inserted or moved in the journal. Exits 1 if anything was.

    Records after the last checkpoint are outside of what is guaranteed (G12), and are told apart.
    """
    named = tuple(verifier_key)
    if proof is not None:
        _check_proof(proof, named, json)
        return
    settings = RuntimeSettings.load() if from_export is not None else kafka_settings()
    if execution:
        partition = ids.partition_of(execution)
    keys = () if chain_only else tuple(map(str, verifier_keys(settings, named)))
    sources = Sources(
        settings=settings, export=from_export, verifier_keys=keys, chain_only=chain_only
    )
    wanted = Wanted(partition=partition, tenant_id=tenant, execution_id=execution)
    report = _run(sources, wanted, processes)
    if write_proof is not None:
        _write_proof(write_proof, report)
    show_json(_as_json(report)) if json else _show(report, wanted)
    if report.faults:
        raise typer.Exit(1)


def _run(sources: Sources, wanted: Wanted, processes: int) -> Report:
    journals = sources.journals()
    try:
        run = sources.verification(journals)
        run.replaced()  # says at once if there is nothing to compare with
        extents = run.partitions(wanted)
        total = sum(extent.end - extent.start for extent in extents.values())
        processes = processes or processes_for(extents)
        now_ms = SystemClock().now_ms()
        with progress_after_a_second("verifying", total) as progress:
            if processes > 1:
                return verify_in_processes(sources, wanted, extents, now_ms, progress, processes)
            return run.run(wanted, extents, now_ms, progress)
    finally:
        journals.close()


def _check_proof(path: Path, named: tuple[str, ...], json: bool) -> None:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CallerError(
            f"{path} cannot be read: {error.strerror}", code="proof_unreadable", field="proof"
        ) from error
    found = check_proof(content, verifier_keys(RuntimeSettings.load(), named))
    if json:
        show_json({"ok": True, "execution_id": found.execution_id, "records": found.records})
        return
    for record in found.records:
        told = f"proven: partition {found.partition}, offset {record.offset}, {record.sha256}"
        out.print(told, highlight=False, soft_wrap=True)


def _write_proof(path: Path, report: Report) -> None:
    if report.proof is None:
        raise CallerError(
            "No record of this execution is covered by a checkpoint and as it was.",
            code="nothing_proven",
            field="execution",
            cure="Name an execution with --execution; make a checkpoint after it was recorded.",
        )
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report.proof), indent=1) + b"\n")
    except OSError as error:
        raise OperatorError(
            f"{path} could not be written: {error.strerror}", code="proof_not_written"
        ) from error


def _as_json(report: Report) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(report)
    return {"ok": not report.faults, **told}


def _show(report: Report, wanted: Wanted) -> None:
    show_table(_COLUMNS, [_row(one) for one in report.partitions], title=report.identity)
    for one in report.partitions:
        for span in one.stale:
            out.print(f"[dim]stale[/] {_where(span)}: {span.detail}", highlight=False)
    if report.found is not None:
        found = report.found
        whose = wanted.execution_id or wanted.tenant_id
        out.print(
            f"{whose}: {found.proven} records proven, {found.unanchored} after the last "
            f"checkpoint, {found.stale} stale, {found.spoiled} named by a fault",
            highlight=False,
            soft_wrap=True,
        )
    after = sum(span.count for one in report.partitions for span in one.unanchored)
    if after:
        out.print(
            f"{after} record(s) are covered by no checkpoint: only their chain was followed, and "
            "they are outside of G12",
            soft_wrap=True,
        )
    for fault in report.faults:
        err.print(f"[red]fault[/] {fault}", highlight=False, soft_wrap=True)
    if not report.faults:
        out.print("nothing that checkpoints cover was changed")


def _row(one: PartitionReport) -> tuple[object, ...]:
    return (
        one.partition,
        f"{one.start} to {one.end - 1}" if one.end > one.start else "none",
        one.checkpoints,
        one.anchored_to - 1 if one.checkpoints else "",
        _time(one.last_checkpoint_ms),
        sum(span.count for span in one.unanchored),
        sum(span.count for span in one.expired),
        sum(span.count for span in one.stale),
        sum(fault.count for fault in one.faults),
    )


def _time(ms: int) -> str:
    if ms < 0:
        return ""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _where(span: Span) -> str:
    many = span.first != span.last
    offsets = f"offsets {span.first} to {span.last}" if many else f"offset {span.first}"
    return f"partition {span.partition}, {offsets}"
