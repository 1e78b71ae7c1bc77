"""`symphainy redrive`: work that was in vain is stated again, as new intents that name the old."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from symphainy import Client
from symphainy_cli.backtest_options import moment, partitions_of
from symphainy_cli.bulk_run import AT_ONCE, INTERRUPTED, PATIENCE, SHOWN
from symphainy_cli.connection import Key, Url, gateway, kafka_settings
from symphainy_cli.output import Json, err, out, show_line, show_table
from symphainy_cli.redrive_reading import Reading
from symphainy_cli.redriving import DEAD_LETTER, FAILED, Old, Redrive, Told, Within, found
from symphainy_runtime.key_store import KeyStore
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import CallerError
from symphainy_transport.artifacts import ArtifactStore
from symphainy_transport.clock import SystemClock


class Ended(StrEnum):
    """How work ended that can be re-driven."""

    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    COMPENSATED = "compensated"
    DEAD_LETTER = DEAD_LETTER


def register(app: typer.Typer) -> None:
    """Add the verb of this module."""
    app.command()(redrive)


def redrive(
    status: Annotated[
        list[Ended], typer.Option(help="How it ended; repeatable.", show_default="failed")
    ] = [],  # noqa: B006  (typer reads the default, nobody changes it)
    type_: Annotated[str, typer.Option("--type", help="Only of this intent type.")] = "",
    from_: Annotated[
        str, typer.Option("--from", help="Started from then on: 7d, 12h, or ISO 8601.")
    ] = "",
    to: Annotated[str, typer.Option("--to", help="Started until then, likewise.")] = "",
    partition: Annotated[int | None, typer.Option(help="Only of this partition.")] = None,
    from_offset: Annotated[
        int | None, typer.Option(help="From this offset of intents on; needs --partition.", min=0)
    ] = None,
    to_offset: Annotated[
        int | None, typer.Option(help="Up to before this offset of intents.", min=0)
    ] = None,
    run_name: Annotated[
        str,
        typer.Option("--run", help="Names this re-drive: within one name nothing is stated twice."),
    ] = "1",
    into_session: Annotated[
        str, typer.Option(help="State it in this session, where the old ones are closed.")
    ] = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 10_000,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask policy about each; state nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Begin without a question.")] = False,
    at_once: Annotated[int, typer.Option(help="So many at a time.", min=1, max=64)] = AT_ONCE,
    tenant: Annotated[
        str, typer.Option(help="Of dead letters, where the key does not tell the tenant.")
    ] = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """State failed, rejected or dead-lettered work again, as new intents that name the old.

    Each goes through the gateway as you: your identity, the tenant's quota and policy hold, and
    policy is asked before. To run it again states nothing twice; what failed again is new work.
    Exits 1 if one could not be stated.
    """
    settings, where = kafka_settings(), gateway(url, key)
    now = SystemClock().now_ms()
    filters = {
        name: str(moment(f"--{name}", told, now))
        for name, told in (("from", from_), ("to", to))
        if told
    }
    filters |= {"type": type_} if type_ else {}
    within = _within(settings, partition, from_offset, to_offset)
    if not filters and within == Within():
        raise CallerError(
            "redrive without a range would mean everything that ever failed.",
            code="no_filter",
            field="--from",
            cure="State --type, --from, --to or --partition; for everything --from 2000-01-01.",
        )
    statuses = [one.value for one in status or [Ended.FAILED]]
    olds = _read(settings, where, statuses, filters, within, limit, tenant)
    if not dry_run and olds and not yes:
        _show_first(olds)
        typer.confirm(f"State {len(olds)} again?", abort=True, err=True)
    told: list[Told] = []
    work = Redrive(where, ArtifactStore.from_settings(settings), run_name, into_session)
    try:
        asyncio.run(_state(work, olds, dry_run, at_once, told, json))
    except KeyboardInterrupt:
        _tell(told, dry_run, json)
        left = len(olds) - len(told)
        err.print(f"interrupted with {left} to go; run it again, with the same --run")
        raise typer.Exit(INTERRUPTED) from None
    _tell(told, dry_run, json)
    if any(one.outcome in FAILED for one in told):
        raise typer.Exit(1)


def _within(
    settings: RuntimeSettings, partition: int | None, first: int | None, last: int | None
) -> Within:
    partitions_of(partition, settings.partitions)
    if partition is None and (first is not None or last is not None):
        raise CallerError(
            "Offsets mean something in one partition only.",
            code="malformed_option",
            field="--partition",
            cure="State --partition, too.",
        )
    if first is not None and last is not None and first >= last:
        raise CallerError(
            f"No offset is from {first} on and below {last}.",
            code="empty_range",
            field="--to-offset",
            cure="--to-offset is the first that is not looked at: state a higher one.",
        )
    return Within(partition, first, last)


def _read(
    settings: RuntimeSettings,
    where: tuple[str, str],
    statuses: Sequence[str],
    filters: dict[str, str],
    within: Within,
    limit: int,
    tenant: str,
) -> list[Old]:
    """What is meant, with its intents, oldest place first in each partition."""
    ended = [one for one in statuses if one != DEAD_LETTER]
    olds = asyncio.run(_found(where, ended, filters, within, limit))
    if len(olds) == limit:
        err.print(f"! there may be more: only {limit} are taken, see --limit", highlight=False)
    reading = Reading(settings)
    try:
        with Progress("reading intents", BarColumn(), console=err, transient=True) as bar:
            task = bar.add_task("read", total=len(olds))
            read = reading.with_intents(olds, lambda more: bar.advance(task, more))
        if DEAD_LETTER in statuses:
            whose = tenant or _tenant_of(settings, where[1])
            read += reading.letters(whose, filters.get("type", ""), within)
    finally:
        reading.close()
    return read[:limit]


async def _found(
    where: tuple[str, str],
    statuses: Sequence[str],
    filters: dict[str, str],
    within: Within,
    limit: int,
) -> list[Old]:
    async with Client(*where, retry_for=PATIENCE) as client:
        return [one async for one in found(client, statuses, filters, within, limit)]


def _tenant_of(settings: RuntimeSettings, key: str) -> str:
    """Whose key it is."""
    parts = key.split("_")
    if len(parts) != 3:
        raise CallerError(
            "The credential does not tell its tenant.",
            code="malformed_option",
            field="--tenant",
            cure="State --tenant: dead letters are of all tenants.",
        )
    with KeyStore(settings, "symphainy-redrive") as store:
        return store.key(parts[1]).tenant_id


async def _state(
    work: Redrive,
    olds: Sequence[Old],
    dry: bool,
    at_once: int,
    told: list[Told],
    json: bool,
) -> None:
    columns = ("re-driving", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("redrive", total=len(olds))

        def hear(one: Told) -> None:
            told.append(one)
            bar.advance(task)
            if json:
                show_line(_line(one))

        async with work:
            await work.each(olds, dry=dry, at_once=at_once, told=hear)


def _line(one: Told) -> dict[str, Any]:
    line: dict[str, Any] = {
        "of": one.old.execution_id or None,
        "intent_type": one.old.intent_type or None,
        "status": one.old.status,
        "partition": one.old.place.partition,
        "offset": one.old.place.offset,
        "outcome": str(one.outcome),
        "execution_id": one.execution_id or None,
    }
    return line | ({"code": one.code, "message": one.message} if one.code else {})


def _show_first(olds: Sequence[Old]) -> None:
    show_table(
        ("execution", "type", "status", "code", "intents"),
        [
            (one.execution_id, one.intent_type, one.status, one.code, _place(one))
            for one in olds[:SHOWN]
        ],
        f"redrive: {len(olds)} found" + (f", the first {SHOWN}" if olds[SHOWN:] else ""),
        err,
    )


def _place(one: Old) -> str:
    return f"{one.place.partition}/{one.place.offset}"


def _tell(told: Sequence[Told], dry: bool, json: bool) -> None:
    counted = Counter((str(one.outcome), one.code) for one in told).most_common()
    if json:
        rows = [{"outcome": what, "code": code, "count": n} for (what, code), n in counted]
        show_line({"dry_run": dry, "looked_at": len(told), "outcomes": rows})
        return
    failed = [one for one in told if one.outcome in FAILED]
    if failed:
        show_table(
            ("intents", "execution", "outcome", "code", "why"),
            [
                (_place(one.old), one.old.execution_id, one.outcome, one.code, one.message)
                for one in failed[:SHOWN]
            ],
            f"Not stated: {len(failed)}" + (f", the first {SHOWN}" if failed[SHOWN:] else ""),
        )
    summary = ", ".join(f"{n} {what}{f' ({code})' if code else ''}" for (what, code), n in counted)
    out.print(f"{len(told)} looked at: {summary or 'none'}", highlight=False, soft_wrap=True)
