"""`symphainy bulk …`: the verbs that ask something of one execution, for all that a listing finds.

Verbs of their own, not flags of the single ones: there, an id that is forgotten must never come to
mean all executions; and filters, --dry-run and the question before it begins only mean something
here.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated

import typer

from symphainy import Asked, Client
from symphainy_cli import many
from symphainy_cli.asking import Ask, Reason, json_given
from symphainy_cli.bulk_run import AT_ONCE, Job, Options, Request, retrying, run
from symphainy_cli.connection import Key, Url
from symphainy_cli.filters import Filters, From, Session, Status, To, Type
from symphainy_cli.many import Choose, Target
from symphainy_cli.output import Json
from symphainy_schemas import ids

app = typer.Typer(
    help="Ask the same of many executions, chosen as a listing chooses them.",
    no_args_is_help=True,
)
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say how many and show the first; ask nothing of them.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Begin without a question.")]
AtOnce = Annotated[int, typer.Option(help="So many requests at a time.", min=1, max=64)]


def register(parent: typer.Typer) -> None:
    """Add the verb of this module."""
    parent.add_typer(app, name="bulk")


def _verb(name: str, ask: Ask, choose: Choose, says: str) -> None:
    """Add the verb that asks `ask` of what `choose` lets through."""

    @app.command(name, help=f"{says} Exits 1 if one was refused or is unknown.")
    def verb(
        session: Session = "",
        type_: Type = "",
        status: Status = "",
        from_: From = "",
        to: To = "",
        reason: Reason = "",
        dry_run: DryRun = False,
        yes: Yes = False,
        at_once: AtOnce = AT_ONCE,
        url: Url = "",
        key: Key = "",
        json: Json = False,
    ) -> None:
        def asking(client: Client, target: Target) -> Awaitable[Asked]:
            return ask(client, target.execution_id, reason)

        filters = Filters(session, type_, status, from_, to)
        run(
            Job(Request(name, asking), filters, choose),
            Options(dry_run, yes, at_once, (url, key), json),
        )


_verb("cancel", Client.cancel, many.to_cancel, "Ask for the end of executions under way.")
_verb("pause", Client.pause, many.to_pause, "Let executions rest that are under way.")
_verb("resume", Client.resume, many.to_resume, "Let executions go on that rest.")
_verb(
    "compensate",
    Client.compensate,
    many.to_compensate,
    "Have undone what executions with a plan did.",
)


@app.command()
def retry(
    step: Annotated[
        str,
        typer.Option(
            help="Only the step of this name, or each element that it is run for.",
            show_default="every one that failed",
        ),
    ] = "",
    session: Session = "",
    type_: Type = "",
    from_: From = "",
    to: To = "",
    reason: Reason = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    at_once: AtOnce = AT_ONCE,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Try the failed steps of stuck executions again. Exits 1 if one was refused or is unknown.

    An attempt that failed is answered by one more, once: to run this again after Ctrl-C tries
    nothing twice, and tries anew what has failed again since.
    """

    filters = Filters(session, type_, "stuck", from_, to)
    run(
        Job(retrying(reason), filters, many.to_retry(step)),
        Options(dry_run, yes, at_once, (url, key), json),
    )


@app.command()
def signal(
    name: Annotated[str, typer.Argument(help="What the handlers wait for.")],
    data: Annotated[str, typer.Option(help="JSON, @file, or - for standard input.")] = "null",
    run_name: Annotated[
        str,
        typer.Option(
            "--run",
            help="Of a run that was interrupted: who has its signal by then gets no other.",
            show_default="a new one",
        ),
    ] = "",
    session: Session = "",
    type_: Type = "",
    status: Status = "",
    from_: From = "",
    to: To = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    at_once: AtOnce = AT_ONCE,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Send a signal to executions that are under way. Exits 1 if one was refused or is unknown."""
    told = json_given(data, "--data")
    this_run = run_name or ids.new_intent_id()

    async def ask(client: Client, target: Target) -> Asked:
        signal_id = many.signal_id(this_run, target)
        return await client.signal(target.execution_id, name, told, signal_id=signal_id)

    filters = Filters(session, type_, status, from_, to)
    run(
        Job(Request("signal", ask, f"--run {this_run}"), filters, many.to_signal),
        Options(dry_run, yes, at_once, (url, key), json),
    )
