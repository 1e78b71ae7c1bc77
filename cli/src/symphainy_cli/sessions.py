"""`symphainy session …`: sessions and what runs in them, over HTTP."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from symphainy import Client
from symphainy_cli.asking import Reason, object_given
from symphainy_cli.connection import Key, Url, gateway
from symphainy_cli.filters import From, To
from symphainy_cli.output import Json, out, show_json, show_table
from symphainy_schemas.errors import CallerError

app = typer.Typer(help="Sessions: what intents are stated in.", no_args_is_help=True)
Session = Annotated[str, typer.Argument(help="The session's id: ses-…")]
Attributes = Annotated[str, typer.Option(help="JSON object, @file, or - for standard input.")]


class Mode(StrEnum):
    """What happens to what runs in a session that takes no more intents."""

    DRAIN = "drain"
    CANCEL = "cancel"


class State(StrEnum):
    """Whether a session takes intents, or why not."""

    OPEN = "open"
    CLOSED = "closed"
    EXPIRED = "expired"


def register(parent: typer.Typer) -> None:
    """Add the verbs of this module."""
    parent.add_typer(app, name="session")


@app.command("open")
def open_(
    attributes: Attributes = "{}",
    idle: Annotated[
        str, typer.Option(help="It expires when nothing was stated for so long: 30m; never.")
    ] = "",
    lifetime: Annotated[
        str, typer.Option(help="It expires so long after it was opened: 8h; never.")
    ] = "",
    at_expiry: Annotated[
        Mode, typer.Option(help="What runs then goes on, or is asked to end.")
    ] = Mode.DRAIN,
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Open a session, and print its id."""
    given = object_given(attributes, "--attributes")

    async def run(client: Client) -> dict[str, Any]:
        session = await client.open_session(
            given, idle=idle or None, lifetime=lifetime or None, at_expiry=at_expiry.value
        )
        return {"session_id": session}

    found = _asked(run, url, key)
    show_json(found) if json else print(found["session_id"])


@app.command()
def show(session: Session, url: Url = "", key: Key = "", json: Json = False) -> None:
    """Show a session: its attributes, its times, and what runs in it."""

    async def run(client: Client) -> dict[str, Any]:
        return await client.session(session)

    found = _asked(run, url, key)
    show_json(found) if json else _show(found)


@app.command("list")
def list_(
    status: Annotated[State | None, typer.Option(help="Only in this state.")] = None,
    from_: From = "",
    to: To = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=200)] = 20,
    cursor: Annotated[str, typer.Option(help="Go on behind an earlier page.")] = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """List sessions, newest first."""
    told = {"status": status or "", "from": from_, "to": to, "cursor": cursor}
    query = {name: str(value) for name, value in told.items() if value} | {"limit": str(limit)}

    async def run(client: Client) -> dict[str, Any]:
        return await client.sessions(query)

    page = _asked(run, url, key)
    if json:
        show_json(page)
        return
    show_table(
        ("session", "status", "opened by", "opened", "closed"),
        [
            (
                one["session_id"],
                one["status"],
                one.get("user_id", ""),
                _time(one["opened_at"]),
                _time(one.get("closed_at")),
            )
            for one in page["items"]
        ],
    )
    if page.get("cursor"):
        out.print(f"more: --cursor {page['cursor']}", highlight=False, soft_wrap=True)


@app.command()
def change(
    session: Session, attributes: Attributes, url: Url = "", key: Key = "", json: Json = False
) -> None:
    """Merge attributes into a session's: null removes one."""
    given = object_given(attributes, "--attributes")

    async def run(client: Client) -> dict[str, Any]:
        return await client.change_session(session, given)

    _show_asked(_asked(run, url, key), session, json)


@app.command()
def close(
    session: Session,
    mode: Annotated[Mode, typer.Option(help="What runs goes on, or is asked to end.")] = Mode.DRAIN,
    reason: Reason = "",
    url: Url = "",
    key: Key = "",
    json: Json = False,
) -> None:
    """Close a session: it takes no more intents."""

    async def run(client: Client) -> dict[str, Any]:
        return await client.close_session(session, mode=mode.value, reason=reason)

    _show_asked(_asked(run, url, key), session, json)


def _asked(
    run: Callable[[Client], Awaitable[dict[str, Any]]], url: str, key: str
) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        async with Client(*gateway(url, key)) as client:
            return await run(client)

    try:
        return asyncio.run(ask())
    except ValueError as error:
        if isinstance(error, CallerError):
            raise
        raise CallerError(
            str(error), code="invalid_parameter", field="/idle", cure="Use 90s, 30m, 8h or 7d."
        ) from error


def _show_asked(found: dict[str, Any], session: str, json: bool) -> None:
    if json:
        show_json(found)
    elif "session_id" in found:
        _show(found)
    else:
        out.print(f"{session}: {found['status']}, not decided yet.", highlight=False)


def _show(found: dict[str, Any]) -> None:
    told: list[tuple[str, Any]] = [
        (name, found[name]) for name in ("session_id", "status", "user_id") if name in found
    ]
    told += [
        (name, _time(found[name]))
        for name in ("opened_at", "expires_at", "closed_at")
        if found.get(name)
    ]
    if found.get("idle_ms"):
        told.append(("idle", f"{found['idle_ms'] / 1_000:g} s"))
    if found.get("ending"):
        told.append(("ended", f"{found['ending']['reason']} ({found['ending']['mode']})"))
    told.append(("attributes", found.get("attributes")))
    if "running" in found:
        told.append(("running", found["running"]))
    show_table(("", ""), told)
    if found.get("executions"):
        show_table(
            ("execution", "type", "status", "started"),
            [
                (one["execution_id"], one["intent_type"], one["status"], _time(one["started_at"]))
                for one in found["executions"]
            ],
        )


def _time(ms: int | None) -> str:
    if not ms:
        return ""
    moment = datetime.datetime.fromtimestamp(ms / 1_000, datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")
