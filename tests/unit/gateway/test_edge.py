"""The edge: an error that nobody foresaw is logged under an incident, and answered as a problem.

- On the direct route and on any other; the answer names the incident, not the error.
- What has begun to be answered is not answered twice.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest
from symphainy_gateway.edge import Edge
from symphainy_gateway.metrics import Metrics
from symphainy_transport.clock import SystemClock

from tests.unit.gateway.fakes import SESSION, Caller, intent_body

SECRET = "a detail of the inside"


async def _broken(*_: object, **__: object) -> Any:
    raise RuntimeError(SECRET)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", "/v1/intents", intent_body()), ("GET", f"/v1/sessions/{SESSION}/events", None)],
)
async def test_an_unforeseen_error_is_an_incident(
    method: str, path: str, body: object, caplog: pytest.LogCaptureFixture
) -> None:
    caller = Caller()
    caller.backend.publisher.publish = _broken  # type: ignore[method-assign]
    caller.backend.read_model.session_events = _broken  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR, "symphainy_gateway.edge"):
        answer = await caller(method, path, body)
    assert answer.is_problem
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert answer.json["incident"] in caplog.text
    assert SECRET in caplog.text
    assert SECRET not in answer.body.decode()
    text = (await caller("GET", "/metrics")).body.decode()
    assert 'status="500"} 1.0' in text


async def test_what_was_begun_is_not_answered_twice(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks_off(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError(SECRET)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    edge = Edge(breaks_off, Metrics(), SystemClock(), {})
    scope = {"type": "http", "method": "GET", "path": "/x"}
    await edge(scope, _broken, send)
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert "incident" in caplog.text
