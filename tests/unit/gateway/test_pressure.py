"""Back-pressure at the HTTP surface.

- What is refused for load was not appended, and says when to come back; taken again, it is there
  once.
- An intent id that was decided gets its answer, however much there is to do.
- A slow Kafka is felt at once by who comes after, not by queueing; what it acknowledges makes room.
- Each line of a batch is refused for itself.
- Waits, streams and bodies are bounded, and one tenant has at most half of them; a client that
  leaves gives its place back.
- How full everything is, and how often it refused, is in the metrics.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import pytest
from tests.unit.gateway.caller import Answer, Caller
from tests.unit.gateway.fakes import OTHER_KEY, SESSION, intent_body, session

from symphainy_gateway.backlog import Sighting
from symphainy_gateway.following import look
from symphainy_gateway.leaving import unless_gone
from symphainy_gateway.problems import Refused
from symphainy_runtime.read_model.positions import Position
from symphainy_schemas import ids
from symphainy_schemas.records import Intent

PARTITION = ids.partition_of(SESSION)
OTHER_SESSION = f"ses-{PARTITION + 1}-{'a' * 32}"


async def _see(caller: Caller, end: int, intents_next: int) -> None:
    """One look at the session's partition; the others are empty."""
    empty = Sighting(0, 0, None)
    busy = Sighting(end, 101, Position(100, intents_next, 1))
    caller.backend.seen = [busy if p == PARTITION else empty for p in range(8)]
    await look(caller.backend, caller.gateway.pressure.backlog)


def _open_other_session(caller: Caller) -> None:
    """The same tenant's, on another partition."""
    caller.backend.read_model.opened[OTHER_SESSION] = session(OTHER_SESSION)


def _hold_appends(caller: Caller) -> asyncio.Event:
    """Appends are acknowledged when the event is set."""
    released = asyncio.Event()

    async def slow(_: Intent) -> None:
        await released.wait()

    caller.backend.publisher.before = slow
    return released


async def _started(*calls: Coroutine[Any, Any, Answer]) -> list[asyncio.Task[Answer]]:
    """Calls that run until nothing but the test moves them on."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    for _ in range(20):
        await asyncio.sleep(0)
    return tasks


async def _metrics(caller: Caller) -> str:
    return (await caller("GET", "/metrics", key="")).body.decode()


def _require_refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.is_problem
    assert answer.headers["retry-after"] == str(answer.json["retry_after_s"])
    assert 1 <= answer.json["retry_after_s"] <= 60


async def test_a_backlog_refuses_before_anything_is_appended() -> None:
    caller = Caller(max_backlog=100)
    await _see(caller, 150, 49)
    for target in ("/v1/intents", "/v1/intents?wait=1s"):
        answer = await caller("POST", target, intent_body(intent_id="order-7"))
        _require_refused(answer, 429, "backlogged")
        assert answer.json["intent_id"] == "order-7"
        assert "order-7" in answer.json["cure"]
    _require_refused(await caller("DELETE", f"/v1/sessions/{SESSION}"), 429, "backlogged")
    assert caller.backend.publisher.published == []


async def test_what_was_refused_is_taken_once_when_the_owner_got_on() -> None:
    caller = Caller(max_backlog=100)
    await _see(caller, 150, 49)
    body = intent_body(intent_id="order-7")
    _require_refused(await caller("POST", "/v1/intents", body), 429, "backlogged")
    await _see(caller, 150, 69)
    _require_refused(await caller("POST", "/v1/intents", body), 429, "backlogged")
    await _see(caller, 150, 70)
    assert (await caller("POST", "/v1/intents", body)).status == 202
    assert (await caller("POST", "/v1/intents?wait=1s", body)).status == 200
    assert [it.intent_id for it in caller.backend.publisher.published] == ["order-7"]


async def test_a_decided_intent_id_gets_its_answer_from_a_full_partition() -> None:
    caller = Caller(max_backlog=100)
    body = intent_body(intent_id="order-7")
    first = await caller("POST", "/v1/intents?wait=1s", body)
    await _see(caller, 150, 0)
    again = await caller("POST", "/v1/intents", body)
    assert (again.status, again.json) == (200, first.json)


async def test_another_partition_takes_intents() -> None:
    caller = Caller(max_backlog=100)
    await _see(caller, 150, 0)
    _open_other_session(caller)
    answer = await caller("POST", "/v1/intents", intent_body(session_id=OTHER_SESSION))
    assert answer.status == 202


async def test_own_appends_fill_a_partition_between_two_looks() -> None:
    caller = Caller(max_backlog=3)
    await _see(caller, 0, 0)
    answers = [await caller("POST", "/v1/intents", intent_body()) for _ in range(5)]
    assert [answer.status for answer in answers] == [202, 202, 202, 202, 429]
    assert len(caller.backend.publisher.published) == 4


async def test_without_a_position_nothing_is_refused() -> None:
    caller = Caller(max_backlog=3)
    caller.backend.seen = [Sighting(1_000, 1_000, None)] * 8
    await look(caller.backend, caller.gateway.pressure.backlog)
    assert (await caller("POST", "/v1/intents", intent_body())).status == 202


async def test_the_running_application_looks_by_itself() -> None:
    caller = Caller(max_backlog=3)
    caller.backend.seen = [Sighting(10, 0, None)] * 8
    async with caller.app.router.lifespan_context(caller.app):
        await caller.backend.looked.wait()
    _require_refused(await caller("POST", "/v1/intents", intent_body()), 429, "backlogged")


async def test_a_slow_kafka_is_felt_at_once_and_makes_room_again() -> None:
    caller = Caller(max_unacknowledged=4)
    released = _hold_appends(caller)
    waiting = await _started(*(caller("POST", "/v1/intents", intent_body()) for _ in range(2)))
    refused = await caller("POST", "/v1/intents", intent_body(intent_id="order-7"))
    _require_refused(refused, 503, "kafka_busy")
    assert "Nothing was taken" in refused.json["cure"]
    assert "symphainy_gateway_unacknowledged 2.0" in await _metrics(caller)
    released.set()
    assert [answer.status for answer in await asyncio.gather(*waiting)] == [202, 202]
    assert caller.gateway.pressure.appends.count == caller.gateway.pressure.appends.bytes == 0
    assert (await caller("POST", "/v1/intents", intent_body(intent_id="order-7"))).status == 202
    published = [it.intent_id for it in caller.backend.publisher.published]
    assert len(published) == 3
    assert published.count("order-7") == 1


async def test_one_slow_partition_leaves_room_to_the_others() -> None:
    caller = Caller(max_unacknowledged=4)
    released = _hold_appends(caller)
    _open_other_session(caller)
    tasks = await _started(
        *(caller("POST", "/v1/intents", intent_body()) for _ in range(2)),
        caller("POST", "/v1/intents", intent_body(session_id=OTHER_SESSION)),
    )
    _require_refused(await caller("POST", "/v1/intents", intent_body()), 503, "kafka_busy")
    released.set()
    assert [answer.status for answer in await asyncio.gather(*tasks)] == [202, 202, 202]


async def test_bytes_that_await_kafka_are_bounded() -> None:
    caller = Caller(max_unacknowledged_bytes=8_192)
    released = _hold_appends(caller)
    large = intent_body(metadata={"x": "y" * 3_000})
    waiting = await _started(caller("POST", "/v1/intents", large))
    _require_refused(await caller("POST", "/v1/intents", large), 503, "kafka_busy")
    small = await _started(caller("POST", "/v1/intents", intent_body()))
    released.set()
    assert {answer.status for answer in await asyncio.gather(*waiting, *small)} == {202}


async def test_an_append_that_failed_makes_room() -> None:
    caller = Caller(max_unacknowledged=1)

    async def fail(_: Intent) -> None:
        raise RuntimeError("a bug")

    caller.backend.publisher.before = fail
    for _ in range(3):
        assert (await caller("POST", "/v1/intents", intent_body())).status == 500
    assert caller.gateway.pressure.appends.count == 0


async def test_each_line_of_a_batch_is_refused_for_itself() -> None:
    caller = Caller(max_backlog=100, max_unacknowledged=4)
    await _see(caller, 150, 0)
    _open_other_session(caller)
    lines = [
        intent_body(intent_id="full"),
        *(intent_body(intent_id=f"line-{n}", session_id=OTHER_SESSION) for n in range(3)),
    ]
    released = _hold_appends(caller)
    content = b"\n".join(json.dumps(line).encode() for line in lines)
    [batch] = await _started(
        caller("POST", "/v1/intents:batch", content, media_type=b"application/x-ndjson")
    )
    released.set()
    answer = await batch
    told = [json.loads(line) for line in answer.body.splitlines()]
    assert answer.status == 200
    assert [it["http_status"] for it in told] == [429, 202, 202, 503]
    assert [it["body"].get("code") for it in told] == ["backlogged", None, None, "kafka_busy"]
    assert all(it["body"]["retry_after_s"] >= 1 for it in (told[0], told[3]))
    assert len(caller.backend.publisher.published) == 2


async def test_waits_are_bounded_and_one_tenant_has_half_of_them() -> None:
    caller = Caller(max_waits=4)
    caller.backend.publisher.outcome = "running"
    tasks = await _started(
        *(caller("POST", "/v1/intents?wait=5m", intent_body()) for _ in range(2))
    )
    appended = len(caller.backend.publisher.published)
    refused = await caller("POST", "/v1/intents?wait=5m", intent_body())
    _require_refused(refused, 429, "too_many_waits")
    assert len(caller.backend.publisher.published) == appended == 2
    assert (await caller("POST", "/v1/intents", intent_body())).status == 202
    other = await caller("POST", "/v1/intents?wait=10ms", intent_body(), key=OTHER_KEY)
    assert other.json["code"] == "session_not_found"
    assert "symphainy_gateway_waits_open 2.0" in await _metrics(caller)
    caller.gateway.stop()
    assert [answer.status for answer in await asyncio.gather(*tasks)] == [202, 202]
    assert caller.gateway.pressure.waits.count == 0


async def test_without_a_place_to_wait_a_doubtful_intent_is_acknowledged_at_once() -> None:
    caller = Caller(max_waits=1)
    caller.backend.publisher.outcome = "running"
    tasks = await _started(caller("POST", "/v1/intents?wait=5m", intent_body()))
    caller.backend.publisher.verdict = lambda _: None
    doubtful = await caller("POST", "/v1/intents", intent_body(intent_type="content.unknown"))
    assert (doubtful.status, doubtful.json["status"]) == (202, "accepted")
    caller.gateway.stop()
    await asyncio.gather(*tasks)


async def test_a_doubtful_intent_that_waits_for_its_decision_takes_a_place() -> None:
    caller = Caller(max_waits=4)
    caller.backend.publisher.verdict = lambda _: None
    body = intent_body(intent_type="content.unknown")
    tasks = await _started(*(caller("POST", "/v1/intents", body) for _ in range(3)))
    assert [task.done() for task in tasks].count(True) == 1
    assert caller.gateway.pressure.waits.count == 2
    caller.gateway.stop()
    assert {answer.status for answer in await asyncio.gather(*tasks)} == {202}
    assert caller.gateway.pressure.waits.count == 0


async def test_streams_are_bounded() -> None:
    caller = Caller(max_streams=2)
    caller.backend.publisher.outcome = "running"
    execution_id = (await caller("POST", "/v1/intents", intent_body())).json["execution_id"]
    path = f"/v1/executions/{execution_id}/stream"
    open_ones = await _started(caller("GET", path))
    _require_refused(await caller("GET", path), 429, "too_many_streams")
    assert "symphainy_gateway_streams_open 1.0" in await _metrics(caller)
    caller.gateway.stop()
    assert [answer.status for answer in await asyncio.gather(*open_ones)] == [200]
    assert caller.gateway.pressure.streams.count == 0


@pytest.mark.parametrize("declared", [True, False])
async def test_bodies_that_are_held_are_bounded_by_their_bytes(declared: bool) -> None:
    caller = Caller(max_body_bytes=4_096, max_request_bytes=8_192)
    released = _hold_appends(caller)
    raw = json.dumps(intent_body()).encode()
    headers = [
        (b"authorization", f"Bearer {OTHER_KEY}".encode()),
        (b"content-type", b"application/json"),
        *([(b"content-length", b"%d" % len(raw))] if declared else []),
    ]
    one = caller.raw("POST", b"/v1/intents", headers, [raw])
    tasks = await _started(one)
    assert caller.gateway.pressure.bodies.bytes == (len(raw) if declared else 4_096)
    again = await _started(caller.raw("POST", b"/v1/intents", headers, [raw]))
    if declared:
        tasks += again
    else:
        _require_refused(await again[0], 503, "overloaded")
    released.set()
    await asyncio.gather(*tasks)
    assert (caller.gateway.pressure.bodies.count, caller.gateway.pressure.bodies.bytes) == (0, 0)


@pytest.mark.parametrize("stated", [b"9" * 40, b"-1", b"x", b""])
async def test_a_length_that_is_none_counts_as_the_longest(stated: bytes) -> None:
    caller = Caller(max_body_bytes=4_096)
    with caller.gateway.pressure.body("acme", {b"content-length": stated}):
        assert caller.gateway.pressure.bodies.bytes == 4_096


async def test_requests_are_bounded_for_sessions_and_batches_too() -> None:
    caller = Caller(max_requests=1)
    released = _hold_appends(caller)
    tasks = await _started(caller("POST", "/v1/intents", intent_body()))
    for target, body, media_type in (
        ("/v1/sessions", b"{}", b"application/json"),
        ("/v1/intents:batch", b"{}", b"application/x-ndjson"),
        ("/v1/intents", b"{}", b"application/json"),
    ):
        answer = await caller("POST", target, body, media_type=media_type)
        _require_refused(answer, 503, "overloaded")
    released.set()
    assert (await tasks[0]).status == 202


async def test_a_client_that_leaves_gives_its_place_back() -> None:
    left = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await left.wait()
        return {"type": "http.disconnect"}

    caller = Caller(max_waits=4)

    async def wait() -> None:
        with caller.gateway.pressure.waiting("acme"):
            await asyncio.Event().wait()

    [waiting] = await _started(unless_gone(receive, wait()))  # type: ignore[arg-type]
    assert caller.gateway.pressure.waits.count == 1
    left.set()
    with pytest.raises(Refused) as refused:
        await waiting
    assert refused.value.code == "client_disconnected"
    assert caller.gateway.pressure.waits.count == 0


async def test_refusals_and_backlogs_are_in_the_metrics() -> None:
    caller = Caller(max_backlog=100)
    await _see(caller, 150, 20)
    for _ in range(2):
        await caller("POST", "/v1/intents", intent_body())
    text = await _metrics(caller)
    assert f'symphainy_gateway_backlog{{partition="{PARTITION}"}} 130.0' in text
    assert 'symphainy_gateway_backlog{partition="0"} 0.0' in text
    assert 'symphainy_gateway_refusals_total{code="backlogged"} 2.0' in text
