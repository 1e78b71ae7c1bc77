"""`symphainy submit`, `watch`, `executions …`: intents and what became of them, over HTTP."""

from __future__ import annotations

import asyncio
import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape

from symphainy import Client
from symphainy_cli.asking import Execution, Reason, ask, json_given, object_given
from symphainy_cli.connection import Key, Url, gateway
from symphainy_cli.filters import Filters, From, Session, Status, To, Type
from symphainy_cli.lazily import load
from symphainy_cli.output import Json, out, show_json, show_line, show_table
from symphainy_schemas.state import ExecutionStatus

app = typer.Typer(help="Executions.", no_args_is_help=True)
_LOOK = "an operator is to decide; see symphainy saga show."


def register(parent: typer.Typer) -> None:
    """Add the verbs of this module."""
    parent.command()(submit)
    parent.command()(watch)
    parent.command()(signal)
    parent.command()(cancel)
    parent.command()(pause)
    parent.command()(resume)
    parent.add_typer(app, name="executions")


def submit(
    intent_type: Annotated[str, typer.Argument(help="realm.action")],
    payload: Annotated[
        str, typer.Option(help="JSON object, @file, or - for standard input.")
    ] = "{}",
    session: Annotated[str, typer.Option(help="Session; a new one by default.")] = "",
    wait: Annotated[str, typer.Option(help="How long to wait for the result; 0s: not.")] = "30s",
    intent_id: Annotated[
        str | None, typer.Option(help="Idempotency key; a repeat gets the first answer.")
    ] = None,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Submit an intent and show its result. Exits 1 if it ended without success, or is stuck."""
    body = object_given(payload, "--payload")

    async def run() -> dict[str, Any]:
        async with Client(*gateway(url, key)) as client:
            in_session = session or await client.open_session()
            result = await client.submit(
                intent_type, body, session_id=in_session, wait=wait, intent_id=intent_id
            )
            if result.status == ExecutionStatus.STUCK:  # what an operator can do is not in that
                result = await client.status(result.execution_id)
            return result.model_dump(mode="json")

    document = asyncio.run(run())
    show_json(document) if json else _show(document)
    action = (document["error"] or {}).get("operator_action", "")
    if document["status"] == ExecutionStatus.STUCK and not json:
        out.print(f"stuck: {action or _LOOK}", highlight=False, soft_wrap=True)
    if document["status"] in ("failed", "rejected", "cancelled", "compensated", "stuck"):
        raise typer.Exit(1)


def watch(execution: Execution, url: Url = "", key: Key = "", json: Json = False) -> None:
    """Follow an execution's events until it ends."""

    async def run() -> None:
        async with Client(*gateway(url, key)) as client:
            async for event in client.stream(execution):
                show_line(event) if json else _show_event(event)

    asyncio.run(run())


def signal(
    execution: Execution,
    name: Annotated[str, typer.Argument(help="What the handler waits for.")],
    data: Annotated[str, typer.Option(help="JSON, @file, or - for standard input.")] = "null",
    signal_id: Annotated[
        str | None, typer.Option(help="Idempotency key; a repeat sends nothing.")
    ] = None,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Send an execution a signal; it is kept until its handler waits for it."""
    told = json_given(data, "--data")

    async def run() -> None:
        async with Client(*gateway(url, key)) as client:
            await client.signal(execution, name, told, signal_id=signal_id)

    asyncio.run(run())
    if json:
        show_json({"execution_id": execution, "signal": name})
    else:
        out.print(f"{execution} has signal {name}.", highlight=False, soft_wrap=True)


def cancel(
    execution: Execution,
    reason: Reason = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Ask for an execution's end: nothing of it begins any more; what runs may still succeed."""
    ask(Client.cancel, execution, reason, (url, key), json, "its end is asked for")


def pause(
    execution: Execution,
    reason: Reason = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Let an execution rest: what runs goes on, and nothing more of it begins until `resume`."""
    ask(Client.pause, execution, reason, (url, key), json, "it rests until it is resumed")


def resume(
    execution: Execution,
    reason: Reason = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Let an execution that rests go on, where it stands."""
    ask(Client.resume, execution, reason, (url, key), json, "it rests no longer")


@app.command("list")
def list_(
    session: Session = "",
    type_: Type = "",
    status: Status = "",
    from_: From = "",
    to: To = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=200)] = 20,
    cursor: Annotated[str, typer.Option(help="Go on behind an earlier page.")] = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """List executions, newest first."""
    query = Filters(session, type_, status, from_, to).query() | {"limit": str(limit)}
    if cursor:
        query["cursor"] = cursor

    async def run() -> dict[str, Any]:
        async with Client(*gateway(url, key)) as client:
            return await client.executions(query)

    page = asyncio.run(run())
    if json:
        show_json(page)
        return
    show_table(
        ("execution", "type", "status", "started", "ms"),
        [
            (
                one["execution_id"],
                one["intent_type"],
                one["status"],
                _time(one["started_at"]),
                one["execution_time_ms"],
            )
            for one in page["items"]
        ],
    )
    if page.get("cursor"):
        out.print(f"more: --cursor {page['cursor']}", highlight=False, soft_wrap=True)


@app.command()
def show(execution: Execution, url: Url = "", key: Key = "", json: Json = False) -> None:
    """Show everything known of an execution, with its events and their places."""

    async def run() -> tuple[dict[str, Any], list[dict[str, Any]]]:
        async with Client(*gateway(url, key)) as client:
            return await client.execution(execution), await client.events(execution)

    document, events = asyncio.run(run())
    if json:
        show_json(document | {"log": events})
        return
    _show(document)
    _show_decision(document.get("decision"))
    show_table(
        ("time", "event", "topic", "partition", "offset"),
        [(_time(e["at"]), e["type"], e["topic"], e["partition"], e["offset"]) for e in events],
    )


@app.command()
def validate(
    execution: Execution,
    html: Annotated[
        Path | None, typer.Option(help="Also write the report there, as a page to keep.")
    ] = None,
    json: Json = False,
) -> None:
    """Say whether what is recorded of an ended execution is in order. Exits 1 if it is not.

    Read from Kafka: order and completeness of its events, contracts, the decision of policy by what
    was in force, the fold beside `state` and the read model, and the chain of hashes. What cannot
    be told is unknown, and never passes. Whether records are what they were when a checkpoint was
    made, `symphainy audit verify --execution` proves.
    """
    load("validating").run(execution, html, json)  # what reads Kafka is of no use to the others


def _show(document: dict[str, Any]) -> None:
    for name in (
        "execution_id",
        "intent_type",
        "session_id",
        "status",
        "execution_time_ms",
        "result",
        "artifacts",
        "events",
        "state_changes",
        "error",
    ):
        value = document.get(name)
        if value not in (None, [], {}, ""):
            shown = value if isinstance(value, str | int | float) else msgspec.json.encode(value)
            text = shown.decode() if isinstance(shown, bytes) else str(shown)
            out.print(f"[bold]{name:18}[/] {text}", highlight=False, soft_wrap=True)


def _show_decision(decision: dict[str, Any] | None) -> None:
    """What policy decided, with the policies that did, where the caller may see them."""
    if decision is None:
        return
    for stage in decision["stages"]:
        verdict = "allowed" if stage["allowed"] else "[red]refused[/]"
        told = " ".join((", ".join(stage["policies"]), *stage["reasons"]))
        out.print(f"[bold]{stage['stage']:18}[/] {verdict} {escape(told)}", soft_wrap=True)


def _show_event(event: dict[str, Any]) -> None:
    place = f"{event['topic']}/{event['partition']}@{event['offset']}"
    out.print(f"{_time(event['at'])}  [bold]{event['type']:22}[/] {place}", highlight=False)


def _time(ms: int) -> str:
    moment = datetime.datetime.fromtimestamp(ms / 1000, tz=datetime.UTC)
    return moment.strftime("%H:%M:%S.%f")[:-3]
