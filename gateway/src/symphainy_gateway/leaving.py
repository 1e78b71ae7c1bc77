"""Clients that leave before they are answered, and gateways that do: nothing goes on for them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Message, Receive

from symphainy_gateway.problems import Refused
from symphainy_schemas.errors import Unavailable

T = TypeVar("T")


async def gone(receive: Receive) -> None:
    """Returns when the client has left. Call it when the request's body was read."""
    message: Message = await receive()
    while message["type"] != "http.disconnect":
        message = await receive()


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives; it is cancelled when the client leaves before.

    Raises:
        Refused: the client left. What became of the intent is unknown to it, as after any request
            that was cut.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(gone(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Refused("The client left before it was answered.", code="client_disconnected")
        return working.result()
    finally:
        for one in (working, leaving):
            one.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def unless_stopping(stopping: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives; it is cancelled when the process is to stop before.

    Raises:
        Unavailable: it is to stop.
    """
    working = asyncio.ensure_future(work)
    ending = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Unavailable("The gateway stops.", cure="Ask again: another one answers.")
        return working.result()
    finally:
        for one in (working, ending):
            one.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)
