"""Asking one execution something, and what the commands that do it have in common."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from symphainy import Asked, Client
from symphainy_cli.connection import gateway
from symphainy_cli.output import out, show_json
from symphainy_schemas.errors import CallerError

Execution = Annotated[str, typer.Argument(help="exe-<partition>-<32 hex>")]
Ask = Callable[[Client, str, str], Awaitable[Asked]]
"""What asks an execution something, and why: a method of the client."""
Reason = Annotated[str, typer.Option(help="For the record.")]


def ask(
    verb: Ask,
    execution: str,
    reason: str,
    where: tuple[str, str],
    json: bool,
    done: str,
    also: Mapping[str, str] | None = None,
) -> None:
    """Ask an execution something, and say what its status is then; in JSON with `also`."""

    async def run() -> str:
        async with Client(*gateway(*where)) as client:
            await verb(client, execution, reason)
            return (await client.status(execution)).status

    status = asyncio.run(run())
    if json:
        show_json({"execution_id": execution, **(also or {}), "status": status})
    else:
        out.print(f"{execution} is {status}; {done}.", highlight=False, soft_wrap=True)


def json_given(text: str, option: str) -> Any:
    """What an option gives: JSON, a file of JSON behind an @, or - for standard input.

    Raises:
        CallerError: it is no JSON, or the file cannot be read.
    """
    try:
        if text == "-":
            raw = sys.stdin.buffer.read()
        elif text.startswith("@"):
            raw = Path(text[1:]).read_bytes()
        else:
            raw = text.encode()
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise CallerError(
            f"{option} is not JSON: {error}.", code="malformed_json", field=option
        ) from error
    except OSError as error:
        raise CallerError(
            f"{option} names a file that cannot be read: {error}.",
            code="file_unreadable",
            field=option,
        ) from error


def object_given(text: str, option: str) -> dict[str, Any]:
    """The same, where it is to be an object.

    Raises:
        CallerError: it is none.
    """
    found = json_given(text, option)
    if not isinstance(found, dict):
        raise CallerError(f"{option} is not a JSON object.", code="malformed_json", field=option)
    return found
