"""`symphainy recover`: what was lost with Redis and local disks, made anew from Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from symphainy_cli.bulk_run import INTERRUPTED
from symphainy_cli.connection import kafka_settings
from symphainy_cli.output import Json, err, out, show_json, show_table
from symphainy_cli.recovering import (
    Told,
    budgets,
    elsewhere,
    owner_state,
    read_model,
    storage,
)
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.settings import RuntimeSettings
from symphainy_transport.clock import SystemClock


class Part(StrEnum):
    """What is rebuilt, in this order."""

    OWNER_STATE = "owner-state"
    READ_MODEL = "read-model"
    QUOTAS = "quotas"


@dataclass(frozen=True)
class Done:
    """One part, rebuilt: how many records were read for it, in how many seconds."""

    part: str
    records: int
    seconds: float
    found: str
    notes: list[str] = field(default_factory=list)

    @property
    def rate(self) -> int:
        """Records a second."""
        return round(self.records / self.seconds) if self.seconds else 0


Work = Callable[[RuntimeSettings, str, Told], tuple[int, str, list[str]]]


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(recover)


def recover(
    only: Annotated[
        list[Part], typer.Option(help="Only this part; repeatable.", show_default="every part")
    ] = [],  # noqa: B006  (typer reads the default, nobody changes it)
    owner: Annotated[
        str,
        typer.Option(
            help="The name of an owner of this machine, not running: its folder is filled, so that "
            "it takes over at once. Without one every partition is restored on trial.",
            show_default=False,
        ),
    ] = "",
    anew: Annotated[
        bool,
        typer.Option(
            "--anew", help="Delete the read model first: for one that is wrong, not gone."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Rebuild from Kafka what Redis and local disks held: owners' state, read model, quotas.

    Safe while the system runs, and to run again: what stands already stays, and after Ctrl-C it
    goes on where it was. Says at the end what Kafka does not hold, and whether that is there.
    """
    settings = kafka_settings()
    Cluster(settings).require()
    work: dict[Part, Work] = {
        Part.OWNER_STATE: lambda settings, _, told: owner_state(settings, owner, told),
        Part.READ_MODEL: lambda settings, _, told: read_model(settings, anew, told),
        Part.QUOTAS: _quotas,
    }
    wanted = [part for part in Part if not only or part in only]
    done: list[Done] = []
    try:
        with _bar() as bar:
            for part in wanted:
                done.append(_rebuilt(bar, settings, part, work[part]))
    except KeyboardInterrupt:
        _show(done, [], json)
        err.print("interrupted; run it again, it goes on from there", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    _show(done, elsewhere(settings), json)


def _quotas(settings: RuntimeSettings, _: str, told: Told) -> tuple[int, str, list[str]]:
    records, raised, notes = budgets(settings, told)
    counted = asyncio.run(storage(settings))
    return records, f"{raised} budget counts raised, storage of {counted} tenants counted", notes


def _rebuilt(bar: Progress, settings: RuntimeSettings, part: Part, work: Work) -> Done:
    task = bar.add_task(part.value.replace("-", " "), total=None)
    clock = SystemClock()
    began = clock.monotonic()
    records, found, notes = work(
        settings, part, lambda done, total: bar.update(task, completed=done, total=total)
    )
    took = clock.monotonic() - began
    bar.update(task, completed=records, total=records)
    return Done(part.value, records, round(took, 3), found, notes)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("records"),
        TimeElapsedColumn(),
        TextColumn("left:"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )


def _show(done: Sequence[Done], others: Sequence[tuple[str, str, str]], json: bool) -> None:
    if json:
        named = ("what", "where", "state")
        show_json(
            {
                "recovered": [{**asdict(one), "records_per_s": one.rate} for one in done],
                "not_in_kafka": [dict(zip(named, one, strict=True)) for one in others],
            }
        )
        return
    show_table(
        ("part", "records", "seconds", "records/s", "found"),
        [(one.part, one.records, f"{one.seconds:.1f}", one.rate, one.found) for one in done],
        "Recovered",
    )
    for note in (note for one in done for note in one.notes):
        out.print(f"! {note}", highlight=False, soft_wrap=True)
    if others:
        show_table(("what", "where", "state"), others, "Not in Kafka, so not rebuilt")
