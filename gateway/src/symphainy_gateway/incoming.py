"""What of a request's body has come, and taking the rest of a small one before it is answered.

A server that answers and closes while a client still sends resets the connection; many clients
then drop the answer that lay in it (RFC 9112, 9.6), and see an error of the network instead of 401.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from starlette.types import Message, Receive, Scope

DRAINED_BYTES: Final = 65_536
"""Who sends more and is refused gets the answer at once, and its connection is closed."""
DRAINED_S: Final = 5.0


class Incoming:
    """`receive` of one request, which knows whether its body has come to an end."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope, self._receive = scope, receive
        self._came = 0
        self._ended = False

    async def __call__(self) -> Message:
        """The next message."""
        message = await self._receive()
        self._came += len(message.get("body", b""))
        if not message.get("more_body", False):
            self._ended = True  # or the client has left
        return message

    async def drain(self) -> None:
        """Take what is still to come of a small body, for a few seconds at most. Call it before the
        answer begins."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAINED_S):
                while self._left() > 0:
                    await self()

    def _left(self) -> int:
        """How many bytes are to be taken yet; 1 if nobody knows how many come."""
        if self._ended:
            return 0
        headers = dict(self._scope["headers"])
        if b"expect" in headers:  # it sends nothing before it is told to
            return 0
        declared = headers.get(b"content-length")
        if declared is None:
            return int(b"transfer-encoding" in headers and self._came <= DRAINED_BYTES)
        length = int(declared) if len(declared) < 16 else DRAINED_BYTES + 1
        return length - self._came if length <= DRAINED_BYTES else 0
