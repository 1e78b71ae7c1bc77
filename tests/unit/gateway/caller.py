"""Calls a gateway on an in-memory backend, in ASGI and with any bytes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from tests.unit.gateway.fakes import KEY, FakeBackend

from symphainy_gateway.app import build_app
from symphainy_gateway.backend import Backend
from symphainy_gateway.gateway import Gateway


@dataclass(frozen=True)
class Answer:
    """What the application sent."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_problem(self) -> bool:
        return self.headers.get("content-type") == "application/problem+json"


class Caller:
    """An application and how to call it."""

    def __init__(self, **settings: Any) -> None:
        self.backend = FakeBackend(**settings)
        backend: Backend = self.backend
        connected: AbstractAsyncContextManager[Backend] = nullcontext(backend)
        self.gateway = Gateway.over(backend)
        self.app: FastAPI = build_app(self.gateway, connected)

    async def __call__(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        headers: Sequence[tuple[bytes, bytes]] = (),
        key: str = KEY,
        media_type: bytes = b"application/json",
    ) -> Answer:
        """Call with a JSON document, or with bytes as they are."""
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        given = [(b"authorization", f"Bearer {key}".encode()), *headers] if key else list(headers)
        if body is not None:
            given += [(b"content-type", media_type), (b"content-length", b"%d" % len(raw))]
        return await self.raw(method, target.encode(), given, [raw])

    async def raw(
        self,
        method: str,
        target: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        chunks: Sequence[bytes],
    ) -> Answer:
        """Call with exactly these bytes."""
        path, _, query = target.partition(b"?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path.decode(errors="replace"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": list(headers),
            "state": {},
        }
        return await self._run(scope, list(chunks))

    async def _run(self, scope: dict[str, Any], chunks: list[bytes]) -> Answer:
        sent: list[Any] = []
        left = chunks[::-1]

        async def receive() -> dict[str, Any]:
            if not left:
                await asyncio.Event().wait()  # a client that stays
            return {"type": "http.request", "body": left.pop(), "more_body": bool(left)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start, *rest = sent
        names = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], names, b"".join(part.get("body", b"") for part in rest))
