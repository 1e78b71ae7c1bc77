"""Event streams.

- Every event once, in order, with its index as id; then `end` with the status, and the stream ends.
- `Last-Event-ID` resumes after that event.
- A stream that nothing happens on is kept alive; the client, the process or a lost read model
  ends it without `end`; so does a client that reads nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from tests.unit.gateway.caller import Caller
from tests.unit.gateway.fakes import CALLER, intent_body, unavailable

from symphainy_gateway.streaming import EventStream, ExecutionEvents
from symphainy_runtime.read_model.reader import Document


@pytest.fixture
def caller() -> Caller:
    return Caller()


def _event(index: int) -> Document:
    return {"type": "step_started", "topic": "journal", "partition": 3, "offset": index, "index": 0}


async def _running(caller: Caller, events: int) -> str:
    """An execution that runs, with so many events."""
    caller.backend.publisher.outcome = "running"
    answer = await caller("POST", "/v1/intents", intent_body())
    execution_id: str = answer.json["execution_id"]
    caller.backend.read_model.journal[execution_id] = [_event(n) for n in range(events)]
    return execution_id


def _end(caller: Caller, execution_id: str) -> None:
    caller.backend.read_model.documents[execution_id]["status"] = "succeeded"
    caller.backend.notifier.tell(execution_id)


def _parsed(body: bytes) -> list[tuple[str, str, Any]]:
    """(id, event, data) of each event of a stream."""
    found = []
    for block in body.decode().strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((lines.get("id", ""), lines["event"], msgspec.json.decode(lines["data"])))
    return found


async def test_an_ended_execution_is_streamed_to_its_end(caller: Caller) -> None:
    execution_id = await _running(caller, 2)
    _end(caller, execution_id)
    answer = await caller("GET", f"/v1/executions/{execution_id}/stream")
    assert answer.headers["content-type"] == "text/event-stream"
    assert _parsed(answer.body) == [
        ("0", "step_started", _event(0)),
        ("1", "step_started", _event(1)),
        ("", "end", {"execution_id": execution_id, "status": "succeeded"}),
    ]


async def test_a_stream_resumes_after_the_last_event_seen(caller: Caller) -> None:
    execution_id = await _running(caller, 3)
    _end(caller, execution_id)
    for seen, rest in ((b"0", ["1", "2", ""]), (b"2", [""]), (b"9", [""])):
        answer = await caller(
            "GET", f"/v1/executions/{execution_id}/stream", headers=[(b"last-event-id", seen)]
        )
        assert [it[0] for it in _parsed(answer.body)] == rest


async def test_a_last_event_id_of_another_stream_is_refused(caller: Caller) -> None:
    execution_id = await _running(caller, 0)
    answer = await caller(
        "GET", f"/v1/executions/{execution_id}/stream", headers=[(b"last-event-id", b"x")]
    )
    assert (answer.status, answer.json["code"]) == (400, "invalid_parameter")


async def test_events_are_streamed_as_they_happen(caller: Caller) -> None:
    execution_id = await _running(caller, 1)
    stream = caller.gateway.events.chunks(CALLER, execution_id, 0)
    assert (await anext(stream)).startswith(b"id: 0\n")
    upcoming = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    caller.backend.read_model.journal[execution_id].append(_event(1))
    caller.backend.notifier.tell(execution_id)
    assert (await upcoming).startswith(b"id: 1\n")
    _end(caller, execution_id)
    assert (await anext(stream)).startswith(b"event: end\n")
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_silent_stream_is_kept_alive(caller: Caller) -> None:
    execution_id = await _running(caller, 0)
    events = ExecutionEvents(caller.backend, caller.gateway.waiters, heartbeat_s=0.001)
    stream = events.chunks(CALLER, execution_id, 0)
    assert [await anext(stream), await anext(stream)] == [b": alive\n\n"] * 2
    _end(caller, execution_id)
    assert (await anext(stream)).startswith(b"event: end\n")


async def test_a_document_whose_retention_ends_ends_its_stream(caller: Caller) -> None:
    execution_id = await _running(caller, 0)
    caller.backend.read_model.documents.clear()
    assert [it async for it in caller.gateway.events.chunks(CALLER, execution_id, 0)] == []


class _Connection:
    """One client of an `EventStream`."""

    def __init__(self, caller: Caller, execution_id: str) -> None:
        self.stopping = asyncio.Event()
        self.gone = asyncio.Event()
        self.first = asyncio.Event()
        self.sent: list[Any] = []
        self.stuck = False
        self._streams = caller.gateway.pressure.streams
        chunks = caller.gateway.events.chunks(CALLER, execution_id, 0)
        self._stream = EventStream(chunks, self.stopping, caller.gateway.pressure.streaming("acme"))

    @property
    def open(self) -> int:
        """How many streams are open."""
        return self._streams.count

    async def run(self) -> None:
        """Answer the client."""
        await self._stream({"type": "http"}, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if self.stuck and message["type"] == "http.response.body":
            await asyncio.Event().wait()
        self.sent.append(message)
        if message.get("body"):
            self.first.set()


Ending = Callable[[Caller, _Connection], Awaitable[None]]


async def _client_leaves(_: Caller, connection: _Connection) -> None:
    connection.gone.set()


async def _process_stops(_: Caller, connection: _Connection) -> None:
    connection.stopping.set()


async def _read_model_goes(caller: Caller, _: _Connection) -> None:
    caller.backend.read_model.failure = unavailable()
    for execution_id in list(caller.backend.notifier.watches):
        caller.backend.notifier.tell(execution_id)


@pytest.mark.parametrize("ending", [_client_leaves, _process_stops, _read_model_goes])
async def test_a_stream_that_is_cut_ends_without_an_end(caller: Caller, ending: Ending) -> None:
    execution_id = await _running(caller, 1)
    connection = _Connection(caller, execution_id)
    running = asyncio.create_task(connection.run())
    await connection.first.wait()
    assert connection.open == 1
    await ending(caller, connection)
    await running
    assert connection.open == 0
    assert connection.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
    assert b"event: end" not in b"".join(it.get("body", b"") for it in connection.sent)
    assert not caller.backend.notifier.watches[execution_id]


async def test_a_client_that_reads_nothing_gives_its_place_back(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STALL_S", "PARTING_S"):
        monkeypatch.setattr(f"symphainy_gateway.streaming.{name}", 0.01)
    connection = _Connection(caller, await _running(caller, 1))
    connection.stuck = True
    async with asyncio.timeout(10):
        await connection.run()
    assert connection.open == 0
    assert [message["type"] for message in connection.sent] == ["http.response.start"]
