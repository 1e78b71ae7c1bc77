"""How a bulk verb runs: find, ask the user, ask each execution, tell what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from symphainy import Asked, Client
from symphainy_cli.connection import gateway
from symphainy_cli.filters import Filters
from symphainy_cli.many import (
    FAILED,
    Answer,
    Choose,
    Target,
    ask_each,
    find,
    retry_id,
    summary,
)
from symphainy_cli.output import err, out, show_line, show_table
from symphainy_schemas.errors import CallerError

SHOWN = 10
AT_ONCE = 8  # requests, unless the user says otherwise
INTERRUPTED = 130  # as a shell tells of a process that Ctrl-C ended
# A gateway that has too much to do sets the pace: nobody waits for the answer of a single request.
PATIENCE = "10m"


class Request(NamedTuple):
    """What is asked of each. `again` is what to add to a run that goes on."""

    verb: str
    ask: Callable[[Client, Target], Awaitable[Asked]]
    again: str = ""


class Job(NamedTuple):
    """What is asked of which executions."""

    request: Request
    filters: Filters
    choose: Choose


class Options(NamedTuple):
    """How; `where` is the gateway's URL and key."""

    dry_run: bool
    yes: bool
    at_once: int
    where: tuple[str, str]
    json: bool


def retrying(reason: str) -> Request:
    """To have a failed step tried again: that attempt of it once, however often it is asked."""

    def ask(client: Client, target: Target) -> Awaitable[Asked]:
        intent_id = retry_id(target, reason)
        return client.retry_step(
            target.execution_id, target.step, reason=reason, retry_id=intent_id
        )

    return Request("retry", ask)


def run(job: Job, options: Options) -> None:
    """Run it to its end, or until Ctrl-C.

    Raises:
        CallerError: `no_filter`; every execution of the tenant is to be meant expressly.
        typer.Exit: 1 if some were refused or it is unknown; 130 after Ctrl-C.
        typer.Abort: the user does not want it.
    """
    verb = job.request.verb
    if not any(job.filters):
        raise CallerError(
            f"bulk {verb} without a filter would mean every execution.",
            code="no_filter",
            field="--status",
            cure="State --session, --type, --status, --from or --to; for every one "
            "--from 2000-01-01T00:00:00Z.",
        )
    targets = asyncio.run(_find(job, options))
    if options.dry_run or not targets:
        _show_found(verb, targets, options.json)
        return
    if not options.yes:
        _show_found(verb, targets, json=False, where=err)
        typer.confirm(f"{verb.capitalize()} {len(targets)}?", abort=True, err=True)
    ask_all(job.request, options, targets)


def ask_all(request: Request, options: Options, targets: Sequence[Target]) -> None:
    """Ask them, and tell what became of each.

    Raises:
        typer.Exit: 1 if some were refused or it is unknown; 130 after Ctrl-C.
    """
    answers: list[Answer] = []
    try:
        asyncio.run(_ask(request, options, targets, answers))
    except KeyboardInterrupt:
        _tell(answers, options.json)
        again = f" with {request.again}" if request.again else ""
        left = len(targets) - len(answers)
        err.print(f"interrupted with {left} to go; run it again{again}", highlight=False)
        raise typer.Exit(INTERRUPTED) from None
    _tell(answers, options.json)
    if any(one.outcome in FAILED for one in answers):
        raise typer.Exit(1)


async def _find(job: Job, options: Options) -> list[Target]:
    targets: list[Target] = []
    with err.status("looking") as status:
        async with Client(*gateway(*options.where), retry_for=PATIENCE) as client:
            async for target in find(client, job.filters, job.choose):
                targets.append(target)
                status.update(f"looking: {len(targets)} found")
    return targets


async def _ask(
    request: Request, options: Options, targets: Sequence[Target], answers: list[Answer]
) -> None:
    """Ask them; `answers` grows as they come, so that an interruption leaves what is known."""
    columns = (request.verb, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(request.verb, total=len(targets))

        def told(answer: Answer) -> None:
            answers.append(answer)
            progress.advance(task)
            if options.json:
                show_line(_line(answer))

        async with Client(*gateway(*options.where), retry_for=PATIENCE) as client:
            await ask_each(targets, partial(request.ask, client), options.at_once, told)


def _show_found(verb: str, targets: Sequence[Target], json: bool, where: Console = out) -> None:
    """How many were found, and the first of them."""
    first = targets[:SHOWN]
    if json:
        named = [{"status": one.status, **_named(one)} for one in first]
        show_line({"verb": verb, "found": len(targets), "first": named})
        return
    show_table(
        ("execution", "type", "status", "step"),
        [(one.execution_id, one.intent_type, one.status, one.step) for one in first],
        f"{verb}: {len(targets)} found" + (f", the first {SHOWN}" if targets[SHOWN:] else ""),
        where,
    )


def _tell(answers: Sequence[Answer], json: bool) -> None:
    counted = sorted(summary(answers).items(), key=lambda one: -one[1])
    if json:
        rows = [
            {"outcome": outcome, "code": code, "count": count} for (outcome, code), count in counted
        ]
        show_line({"asked": len(answers), "outcomes": rows})
        return
    failed = [one for one in answers if one.outcome in FAILED]
    if failed:
        show_table(
            ("execution", "step", "outcome", "code", "why"),
            [
                (one.target.execution_id, one.target.step, one.outcome, one.code, one.message)
                for one in failed[:SHOWN]
            ],
            f"Not done: {len(failed)}" + (f", the first {SHOWN}" if failed[SHOWN:] else ""),
        )
    told = ", ".join(
        f"{count} {outcome}{f' ({code})' if outcome in FAILED else ''}"
        for (outcome, code), count in counted
    )
    out.print(f"{len(answers)} asked: {told or 'none'}", highlight=False, soft_wrap=True)


def _line(answer: Answer) -> dict[str, str]:
    told = {**_named(answer.target), "outcome": str(answer.outcome)}
    if answer.code:
        told |= {"code": answer.code, "message": answer.message}
    return told


def _named(target: Target) -> dict[str, str]:
    named = {"execution_id": target.execution_id}
    return named | {"step": target.step} if target.step else named
