"""Taking the rest of a small body before it is answered.

- What is still to come is taken, however it is cut, and nothing that was taken already.
- Not taken is what is too much, what the client sends only when told to, and what does not come.
"""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from symphainy_gateway import incoming
from symphainy_gateway.incoming import DRAINED_BYTES, Incoming


class Client:
    """Sends a body in parts, then nothing."""

    def __init__(self, *parts: bytes, ends: bool = True) -> None:
        self.parts, self._ends = list(parts), ends

    async def receive(self) -> Message:
        if not self.parts:
            await asyncio.Event().wait()
        body = self.parts.pop(0)
        more = bool(self.parts) or not self._ends
        return {"type": "http.request", "body": body, "more_body": more}


def _of(client: Client, **headers: str) -> Incoming:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Incoming({"type": "http", "headers": named}, client.receive)


@pytest.mark.parametrize("headers", [{"content_length": "6"}, {"transfer_encoding": "chunked"}])
async def test_the_rest_is_taken(headers: dict[str, str]) -> None:
    client = Client(b"ab", b"cd", b"ef")
    body = _of(client, **headers)
    assert (await body())["body"] == b"ab"
    await body.drain()
    assert client.parts == []
    await body.drain()  # which asks for nothing more


async def test_a_body_that_came_as_declared_needs_no_end() -> None:
    body = _of(Client(b"abcdef", ends=False), content_length="6")
    await body()
    await body.drain()


async def test_without_a_body_nothing_is_asked_for() -> None:
    await _of(Client()).drain()


@pytest.mark.parametrize(
    "headers",
    [
        {"content_length": str(DRAINED_BYTES + 1)},
        {"content_length": "9" * 40},
        {"content_length": "6", "expect": "100-continue"},
    ],
)
async def test_what_is_too_much_or_waits_to_be_told_is_left(headers: dict[str, str]) -> None:
    client = Client(b"abcdef")
    await _of(client, **headers).drain()
    assert client.parts == [b"abcdef"]


async def test_of_an_endless_body_a_bounded_part_is_taken() -> None:
    client = Client(*[b"x" * 20_000] * 10)
    await _of(client, transfer_encoding="chunked").drain()
    assert len(client.parts) == 6  # the fourth part went beyond the bound


async def test_who_left_is_not_waited_for() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "headers": [(b"content-length", b"6")]}
    await Incoming(scope, receive).drain()


async def test_what_does_not_come_is_waited_for_shortly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming, "DRAINED_S", 0.01)
    body = _of(Client(b"ab", ends=False), content_length="6")
    async with asyncio.timeout(30):
        await body.drain()
