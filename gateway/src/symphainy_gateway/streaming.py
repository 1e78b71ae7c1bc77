"""Server-sent events (WHATWG HTML, "Server-sent events") of one execution.

An event's id is its index, so `Last-Event-ID` resumes after it. The stream ends with an `end`
event once the execution has; a stream that ends without one is to be resumed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, ExitStack, aclosing, suppress

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from symphainy_gateway.backend import Backend
from symphainy_gateway.callers import Caller
from symphainy_gateway.explaining import explained_events
from symphainy_gateway.leaving import gone
from symphainy_gateway.problems import Refused, error_reply
from symphainy_gateway.waiters import Waiters, ended
from symphainy_runtime.read_model.reader import Document
from symphainy_schemas.errors import Unavailable

log = logging.getLogger(__name__)
# Proxies close what is silent for 60 s (nginx' default); half of the half of it.
HEARTBEAT_S = 15.0
# Who takes nothing for so long, with all buffers on the way full, is not there: four heartbeats.
STALL_S = 4 * HEARTBEAT_S
PARTING_S = 1.0  # who reads takes the end at once, and a process that stops has 10 s
_HEARTBEAT = b": alive\n\n"
_encoder = msgspec.json.Encoder()


class ExecutionEvents:
    """The events of executions as they happen."""

    def __init__(
        self, backend: Backend, waiters: Waiters, heartbeat_s: float = HEARTBEAT_S
    ) -> None:
        self._backend = backend
        self._waiters = waiters
        self._heartbeat_s = heartbeat_s

    async def chunks(
        self, caller: Caller, execution_id: str, after: int
    ) -> AsyncGenerator[bytes, None]:
        """The stream's bytes, from the event at index `after`; ends after the `end` event."""
        tenant_id = caller.tenant_id
        async with self._backend.notifier.watch(execution_id) as watch:
            while True:
                # The status first: once it has ended, the events read after it are all.
                document = await self._waiters.read(tenant_id, execution_id)
                events = await self._backend.read_model.events(tenant_id, execution_id, after)
                for index, event in enumerate(explained_events(caller, events or ()), after):
                    yield _event(index, event)
                after += len(events or ())
                if document is None:
                    return  # its retention has ended meanwhile
                if ended(document):
                    yield _end(document)
                    return
                while not await watch.changed(self._heartbeat_s):
                    yield _HEARTBEAT


class EventStream(Response):
    """A response of chunks; it ends with them, with the client, or with the process."""

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        stopping: asyncio.Event,
        place: AbstractContextManager[object],
        media_type: bytes = b"text/event-stream",
    ) -> None:
        """`stopping` ends it early; it holds `place` while it is open."""
        self.status_code = 200
        self.body = b""
        self.background = None
        self.raw_headers = [
            (b"content-type", media_type),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        self._chunks = chunks
        self._stopping = stopping
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send chunks until the first of the three ends; a problem if there is no place."""
        with ExitStack() as held:
            try:
                held.enter_context(self._place)
            except Refused as refusal:
                await error_reply(refusal, scope["path"])(scope, receive, send)
                return
            await self._answer(receive, send)

    async def _answer(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        ends = [
            asyncio.ensure_future(self._pump(send)),
            asyncio.ensure_future(gone(receive)),
            asyncio.ensure_future(self._stopping.wait()),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            results = await asyncio.gather(*ends, return_exceptions=True)
        with suppress(TimeoutError):  # nobody reads: the server cuts what was not ended
            async with asyncio.timeout(PARTING_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        if isinstance(results[0], Exception):
            raise results[0]

    async def _pump(self, send: Send) -> None:
        try:
            async with aclosing(self._chunks) as chunks:
                async for chunk in chunks:
                    async with asyncio.timeout(STALL_S):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except TimeoutError:
            log.info("an event stream was cut: its client has read nothing for %g s", STALL_S)
        except Unavailable as error:
            log.warning("an event stream was cut, to be resumed: %s", error)


def _event(index: int, event: Document) -> bytes:
    name = str(event["type"]).encode()
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (index, name, _encoder.encode(event))


def _end(document: Document) -> bytes:
    data = {"execution_id": document["execution_id"], "status": document["status"]}
    return b"event: end\ndata: %b\n\n" % _encoder.encode(data)
