"""`symphainy replay shadow`: past executions through another version of their handlers."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from symphainy_cli.backtest_options import partitions_of
from symphainy_cli.bulk_run import INTERRUPTED
from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, err, show_json
from symphainy_cli.replay_full import NOT_EQUAL, ground, scratch_folder
from symphainy_cli.replay_many import Range, range_of
from symphainy_cli.rerun.pool import Pool
from symphainy_cli.rerun.results import Results, Summary
from symphainy_cli.shadow_output import show_summary
from symphainy_processors.replay.collecting import Left, Wanted, collect
from symphainy_processors.replay.reading import JournalReader
from symphainy_processors.replay.recordings import Recordings
from symphainy_processors.replay.sessions import Sessions
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import CallerError


def add_to(app: typer.Typer) -> None:
    """Add the verb to the app of `symphainy replay`."""
    app.command()(shadow)


def shadow(
    handlers: Annotated[
        list[str], typer.Option("--handlers", help="The other version: module:realm; repeatable.")
    ],
    out_file: Annotated[
        Path,
        typer.Option("--out", help="Results, a JSON document a line; one that is there goes on."),
    ],
    partition: Annotated[int | None, typer.Option(help="Only this partition.")] = None,
    from_offset: Annotated[
        int | None,
        typer.Option("--from-offset", help="From this journal offset on; needs --partition."),
    ] = None,
    to_offset: Annotated[
        int | None, typer.Option("--to-offset", help="Up to before it; needs --partition.")
    ] = None,
    since: Annotated[str, typer.Option(help="From here on: 7d, 12h, 30m, or ISO 8601.")] = "",
    until: Annotated[str, typer.Option(help="Up to here, likewise.")] = "",
    tenant: Annotated[str, typer.Option(help="Only of this tenant.")] = "",
    sample: Annotated[
        float, typer.Option(help="Which part of them; the same ones each time.", min=0.0, max=1.0)
    ] = 1.0,
    rate: Annotated[
        float, typer.Option(help="At most so many a second; 0: as fast as it goes.", min=0.0)
    ] = 0.0,
    processes: Annotated[int, typer.Option(help="That run handlers.", min=1)] = 1,
    slower: Annotated[
        float, typer.Option(help="Slower is what takes so many times as long.", min=1.0)
    ] = 1.5,
    scratch: Annotated[Path | None, typer.Option(help="Where their artifacts go.")] = None,
    json: Json = False,
) -> None:
    """Run past executions through another version of their handlers, and tell which would differ.

    Nothing live is touched: recorded steps, sleeps, signals and invocations are answered from the
    journal, and what reaches outside is refused. Ctrl-C stops it; the same command goes on where
    it stopped. Exits 3 if an execution is different or fails.
    """
    settings = kafka_settings()
    chosen = partitions_of(partition, settings.partitions)
    if partition is None and (from_offset, to_offset) != (None, None):
        raise CallerError(
            "Offsets are of one partition.",
            code="malformed_option",
            field="--from-offset",
            cure="State --partition with --from-offset and --to-offset.",
        )
    asked = [Range(p, from_offset, to_offset, since, until) for p in chosen]
    reader = JournalReader(settings)
    about = {
        "handlers": list(handlers),
        "tenant": tenant,
        "sample": sample,
        "slower": slower,
        "ranges": [list(one) for one in asked],
        "prefix": settings.topic_prefix,
    }
    results = Results(out_file, about, slower)
    left = Left()
    try:
        with scratch_folder(scratch) as folder, Sessions(settings) as sessions:
            on = ground(settings, handlers, folder)
            with Pool(on, processes) as pool, results:
                ranges = _ranges(settings, reader, asked)
                wanted = [
                    Wanted(
                        partition=p,
                        start=start,
                        end=end,
                        tenant_id=tenant,
                        sample=sample,
                    )
                    for p, (start, end) in ranges.items()
                ]
                _run(pool, reader, sessions, wanted, results, left, rate)
    except KeyboardInterrupt:
        err.print(
            f"interrupted; the same command goes on behind {len(results.done)} executions",
            highlight=False,
        )
        raise typer.Exit(INTERRUPTED) from None
    finally:
        reader.close()
    _tell(results.summary, left, out_file, json)


def _ranges(
    settings: RuntimeSettings, reader: JournalReader, asked: list[Range]
) -> dict[int, tuple[int, int]]:
    """Those that are not empty; of all partitions, some may be."""
    found = {}
    for one in asked:
        try:
            found[one.partition] = range_of(settings, reader, one)
        except CallerError as error:
            if len(asked) == 1 or error.code == "malformed_option":
                raise
    if not found:
        raise CallerError(
            "No partition keeps anything of that range.",
            code="empty_range",
            field="--since",
            cure="State another range: --since, --until.",
        )
    return found


def _run(
    pool: Pool,
    reader: JournalReader,
    sessions: Sessions,
    wanted: list[Wanted],
    results: Results,
    left: Left,
    rate: float,
) -> None:
    columns = (
        TextColumn("shadow"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=sum(one.end - one.start for one in wanted), told="")

        def executions() -> Generator[Recordings, None, None]:
            for one in wanted:
                for found in collect(reader, one, left, lambda n: bar.advance(task, n)):
                    if found.execution_id in results.done:
                        continue
                    told = sessions.recordings(found)
                    if _is_answered(told, pool.intent_types):
                        yield told

        with closing(executions()) as found:  # it reads, and must end before its reader does
            for done in pool.run(found, rate):
                results.add(done)
                summary = results.summary
                counts = f"{summary.different} different, {summary.failed} fail"
                bar.update(task, told=f"{summary.executions} run, {counts}")


def _is_answered(told: Recordings, intent_types: frozenset[str]) -> bool:
    """Whether some handler of it is on trial; what others answer is not looked at."""
    return any(step.task.intent_type in intent_types for step in told.steps)


def _tell(summary: Summary, left: Left, out_file: Path, json: bool) -> None:
    document: dict[str, Any] = {
        **msgspec.to_builtins(summary),
        "running": len(left.running),
        "results": str(out_file),
    }
    show_json(document) if json else show_summary(document)
    if summary.different or summary.failed:
        raise typer.Exit(NOT_EQUAL)
