"""`symphainy policy backtest`: what a candidate policy set would have decided, and did not."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from symphainy_cli.backtest_options import candidate_set, gateway_url, moment, partitions_of
from symphainy_cli.backtest_output import show
from symphainy_cli.bulk_run import INTERRUPTED
from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, err
from symphainy_processors.backtesting import partition as reading
from symphainy_processors.backtesting.partition import Job
from symphainy_processors.backtesting.preparing import candidate_of, jobs_of
from symphainy_processors.backtesting.processes import Whole, run_all
from symphainy_processors.backtesting.range import Wanted, spans
from symphainy_processors.backtesting.telling import Shown
from symphainy_runtime.configuration import read_configuration
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import CallerError
from symphainy_schemas.records import PLATFORM
from symphainy_transport.clock import SystemClock

CHANGED = 3
"""The exit code of --fail-on-change; 2 is a wrong command line's, 1 an error's."""
Scope = Annotated[str, typer.Option("--tenant", help="The tenant whose policies are on trial.")]


def add_to(app: typer.Typer) -> None:
    """Add the verb to the app of `symphainy policy`."""
    app.command()(backtest)


def backtest(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="The candidate: a folder with security_guard.cedar, city_manager.cedar and "
            "data_steward.cedar; a missing one is an empty stage.",
            show_default=False,
        ),
    ] = None,
    tenant: Scope = "",
    platform: Annotated[
        bool, typer.Option("--platform", help="The platform's policies are on trial.")
    ] = False,
    version: Annotated[
        int, typer.Option(help="A version in config, in place of a folder.", show_default=False)
    ] = 0,
    since: Annotated[
        str, typer.Option(help="From here on: 7d, 12h, 30m, or ISO 8601.", show_default="7d")
    ] = "",
    until: Annotated[str, typer.Option(help="Up to here, likewise.", show_default="the end")] = "",
    partition: Annotated[int | None, typer.Option(help="Only this partition.")] = None,
    from_offset: Annotated[
        int | None, typer.Option(help="From this offset of intents on; needs --partition.", min=0)
    ] = None,
    to_offset: Annotated[
        int | None, typer.Option(help="Up to before this offset of intents.", min=0)
    ] = None,
    limit: Annotated[int, typer.Option(help="Examples of each group.", min=0, max=100)] = 3,
    out_file: Annotated[
        Path | None,
        typer.Option("--out", help="Write every changed decision there, a JSON document a line."),
    ] = None,
    processes: Annotated[
        int, typer.Option(help="Partitions read at a time.", min=1, show_default="one a core")
    ] = os.cpu_count() or 1,
    fail_on_change: Annotated[
        bool,
        typer.Option(
            "--fail-on-change",
            help="Exit 3 if a decision would change, or cannot be determined.",
        ),
    ] = False,
    url: Annotated[
        str, typer.Option("--url", envvar="SYMPHAINY_URL", help="The gateway's, for links.")
    ] = "",
    json: Json = False,
) -> None:
    """Say which recorded decisions would be others under a candidate policy set.

    It reads intents and decisions from Kafka, and changes nothing. Beside the candidate stands
    what is in force now: the platform's policies, or every tenant's own. Exits 0 if it came to its
    end, whatever it found; see --fail-on-change.
    """
    settings = kafka_settings()
    scope = _scope(tenant, platform)
    wanted = _wanted(settings, since, until, partition, from_offset, to_offset)
    candidate_text = candidate_set(folder, version, scope)
    configuration = read_configuration(settings, "symphainy-backtest")
    candidate, notes = candidate_of(settings, configuration, scope, candidate_text or version)
    found = spans(settings, wanted)
    jobs = jobs_of(
        settings, configuration, candidate, found, examples=limit, lines=out_file is not None
    )
    clock = SystemClock()
    began = clock.now_ms()
    whole = _run(jobs, processes, out_file)
    whole.notes = [*notes, *whole.notes]
    seconds = max(1, clock.now_ms() - began) / 1_000
    show(Shown(scope, tuple(found), whole, seconds, gateway_url(url)), json)
    if fail_on_change and (whole.tally.changed or whole.tally.undetermined):
        raise typer.Exit(CHANGED)


def _scope(tenant: str, platform: bool) -> str:
    if bool(tenant) == platform or tenant == PLATFORM:
        raise CallerError(
            "A backtest is of one tenant's policies, or of the platform's.",
            code="no_scope",
            field="--tenant",
            cure="State either --tenant NAME or --platform.",
        )
    return tenant or PLATFORM


def _wanted(
    settings: RuntimeSettings,
    since: str,
    until: str,
    partition: int | None,
    from_offset: int | None,
    to_offset: int | None,
) -> Wanted:
    now = SystemClock().now_ms()
    by_offsets = from_offset is not None or to_offset is not None
    if by_offsets and (partition is None or since or until):
        raise CallerError(
            "Offsets are of one partition, and go without times.",
            code="malformed_option",
            field="--from-offset",
            cure="State --partition with --from-offset and --to-offset, and no --since or --until.",
        )
    return Wanted(
        since=moment("--since", since or "7d", now),
        until=moment("--until", until, now) if until else None,
        partitions=partitions_of(partition, settings.partitions),
        from_offset=from_offset,
        to_offset=to_offset,
    )


def _run(jobs: list[Job], processes: int, out_file: Path | None) -> Whole:
    total = sum(job.span.end - job.span.start for job in jobs)
    columns = (
        TextColumn("backtest"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    try:
        with ExitStack() as stack:
            kept = None if out_file is None else stack.enter_context(_opened(out_file))
            bar = stack.enter_context(Progress(*columns, console=err, transient=True))
            task = bar.add_task("", total=total, rate="")

            def progress(told: reading.Progress) -> None:
                bar.advance(task, told.records)
                speed = bar.tasks[0].speed
                bar.update(task, rate="" if speed is None else f"{speed:,.0f} records/s")

            def lines(told: list[bytes]) -> None:
                assert kept is not None
                kept.write(b"\n".join(told) + b"\n")

            return run_all(jobs, processes, progress, lines)
    except KeyboardInterrupt:
        err.print("interrupted; nothing was changed", highlight=False)
        raise typer.Exit(INTERRUPTED) from None


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("wb")
    except OSError as error:
        raise CallerError(
            f"{path} cannot be written: {error.strerror}.",
            code="malformed_option",
            field="--out",
            cure="Name a file in a folder that is there.",
        ) from error
