"""The HTTP client: what it sends, how it reads answers, what its errors say.

- Requests are exactly those of the gateway's interface.
- A refusal is an `ApiError` with the problem's code, field and cure.
- Where it is unknown whether something happened, it is `Unavailable`, with the id to repeat.
- A stream that is cut goes on behind the last event.
- A gateway that says when to come back is asked again then, with the same id, for so long as the
  caller allows; never earlier, and what names no time is not repeated.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import date
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from symphainy import (
    ApiError,
    Client,
    Context,
    ContractViolation,
    ExecutionResult,
    Plan,
    PlanInput,
    Realm,
    Reference,
    Step,
)
from symphainy_schemas import ids
from symphainy_schemas.errors import CallerError, Unavailable
from symphainy_schemas.state import ExecutionStatus

EXECUTION = "exe-3-" + "0b" * 16
SESSION = "ses-3-" + "0a" * 16
REFERENCE: dict[str, Any] = {
    "uri": "artifact://acme/" + "ab" * 32,
    "sha256": "ab" * 32,
    "size": 3,
    "media_type": "text/plain",
}


class File(BaseModel):
    """A payload."""

    path: str


class Pages(BaseModel):
    """A result."""

    read_on: date


class Gateway:
    """Answers requests from a list, and keeps them."""

    def __init__(self, *answers: httpx.Response | Callable[[], httpx.Response]) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)

    def client(self, retry_for: str = "30s") -> Client:
        """A client whose network this is."""
        network = httpx.MockTransport(self._answer)
        return Client("http://gateway", "key-1", retry_for=retry_for, transport=network)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        return answer if isinstance(answer, httpx.Response) else answer()

    @property
    def last(self) -> httpx.Request:
        """The last request."""
        return self.requests[-1]


def body(request: httpx.Request) -> Any:
    """A request's JSON."""
    return json.loads(request.content)


async def test_a_session_is_opened() -> None:
    gateway = Gateway(httpx.Response(201, json={"session_id": SESSION, "status": "open"}))
    async with gateway.client() as client:
        assert await client.open_session({"a": 1}) == SESSION
    assert (gateway.last.method, gateway.last.url.path) == ("POST", "/v1/sessions")
    assert gateway.last.headers["Authorization"] == "Bearer key-1"
    assert gateway.last.headers["Content-Type"] == "application/json"
    assert body(gateway.last) == {"attributes": {"a": 1}}


async def test_an_intent_is_submitted_and_its_result_read() -> None:
    gateway = Gateway(
        httpx.Response(
            200,
            json={
                "execution_id": EXECUTION,
                "status": "succeeded",
                "success": True,
                "result": {"pages": 6},
                "artifacts": {"text": REFERENCE},
                "events": [{"type": "file.read", "data": {}}],
                "state_changes": [],
                "error": None,
                "execution_time_ms": 12,
                "something_newer": 1,
            },
        )
    )
    async with gateway.client() as client:
        result = await client.submit(
            "content.read",
            File(path="a.pdf"),
            session_id=SESSION,
            wait="1m",
            intent_id="i-1",
            metadata={"source": "test"},
            solution_context={"solution": "mvp"},
        )
    assert (result.success, result.status) == (True, ExecutionStatus.SUCCEEDED)
    assert result.artifacts == {"text": Reference(REFERENCE["uri"], b"\xab" * 32, 3, "text/plain")}
    assert (result.result, result.execution_time_ms) == ({"pages": 6}, 12.0)
    assert str(gateway.last.url) == "http://gateway/v1/intents?wait=60s"
    assert body(gateway.last) == {
        "intent_id": "i-1",
        "intent_type": "content.read",
        "session_id": SESSION,
        "payload": {"path": "a.pdf"},
        "metadata": {"source": "test"},
        "solution_context": {"solution": "mvp"},
    }


def succeeded(result: Any) -> httpx.Response:
    """The gateway's answer of an execution that gave `result`."""
    return httpx.Response(
        200,
        json={
            "execution_id": EXECUTION,
            "status": "succeeded",
            "success": True,
            "result": result,
        },
    )


async def test_a_plan_stands_for_its_intent_type_and_its_realm() -> None:
    def move(file: PlanInput[File]) -> Plan:
        return Plan([Step("read", "content.read")])

    plan = Realm("content").plan("cross_realm.move")(move)
    answer = {"execution_id": EXECUTION, "status": "running"}
    gateway = Gateway(httpx.Response(202, json=answer))
    async with gateway.client() as client:
        await client.submit(plan, File(path="a.pdf"), session_id=SESSION, intent_id="i-1")
    assert body(gateway.last) == {
        "intent_id": "i-1",
        "intent_type": "cross_realm.move",
        "realm": "content",
        "session_id": SESSION,
        "payload": {"path": "a.pdf"},
    }


async def test_a_handler_stands_for_its_intent_type_and_its_result_for_a_model() -> None:
    @Realm("content").intent("content.count")
    async def count(ctx: Context, payload: File) -> Pages:
        return Pages(read_on=date(2026, 1, 2))

    gateway = Gateway(succeeded({"read_on": "2026-01-02"}))
    async with gateway.client() as client:
        result = await client.submit(count, File(path="a.pdf"), session_id=SESSION)
    assert body(gateway.last)["intent_type"] == "content.count"
    assert result.read(Pages) == Pages(read_on=date(2026, 1, 2))


def test_a_result_that_does_not_fit_or_is_not_there_says_so() -> None:
    status = ExecutionStatus.SUCCEEDED
    done = ExecutionResult(execution_id=EXECUTION, status=status, success=True, result=[1])
    assert done.read(list[int]) == [1]
    with pytest.raises(ContractViolation, match=EXECUTION) as refused:
        done.read(Pages)
    assert refused.value.code == "result_unreadable"
    running = ExecutionResult(execution_id=EXECUTION, status=ExecutionStatus.RUNNING)
    with pytest.raises(CallerError, match="it is running") as early:
        running.read(Pages)
    assert early.value.code == "no_result"


async def test_an_accepted_intent_is_a_result_that_has_not_ended() -> None:
    accepted = {"execution_id": EXECUTION, "intent_id": "i", "status": "accepted", "wal": None}
    gateway = Gateway(httpx.Response(202, json=accepted))
    async with gateway.client() as client:
        result = await client.submit("content.read", {}, session_id=SESSION, wait="500ms")
    assert (result.success, result.status, result.execution_time_ms) == (False, "accepted", None)
    assert gateway.last.url.params["wait"] == "500ms"
    assert set(body(gateway.last)) == {"intent_id", "intent_type", "session_id", "payload"}
    assert len(body(gateway.last)["intent_id"]) == 36


async def test_a_failed_execution_is_a_result_with_its_error() -> None:
    error = {"code": "timeout", "message": "Too long.", "retryable": True, "step": "main"}
    failed = {"execution_id": EXECUTION, "status": "failed", "success": False, "error": error}
    gateway = Gateway(httpx.Response(200, json=failed))
    async with gateway.client() as client:
        result = await client.submit("content.read", {}, session_id=SESSION)
    assert result.error is not None
    assert (result.error.code, result.error.retryable) == ("timeout", True)


async def test_a_status_of_a_newer_release_is_unknown() -> None:
    newer = {"execution_id": EXECUTION, "status": "meditating", "ended": False}
    gateway = Gateway(httpx.Response(200, json=newer))
    async with gateway.client() as client:
        assert (await client.status(EXECUTION)).status is ExecutionStatus.UNKNOWN
    assert gateway.last.url.path == f"/v1/executions/{EXECUTION}/status"


async def test_executions_and_events_are_read_as_they_are() -> None:
    gateway = Gateway(
        httpx.Response(200, json={"execution_id": EXECUTION, "steps": []}),
        httpx.Response(200, json={"execution_id": EXECUTION, "events": [{"type": "a"}]}),
        httpx.Response(200, json={"items": [], "cursor": None}),
    )
    async with gateway.client() as client:
        assert (await client.execution(EXECUTION))["steps"] == []
        assert await client.events(EXECUTION) == [{"type": "a"}]
        assert await client.executions({"limit": "5"}) == {"items": [], "cursor": None}
    assert [str(request.url.raw_path, "ascii") for request in gateway.requests] == [
        f"/v1/executions/{EXECUTION}",
        f"/v1/executions/{EXECUTION}/events",
        "/v1/executions?limit=5",
    ]


def _asked(status: str = "succeeded") -> httpx.Response:
    control = "exe-3-" + "0c" * 16
    return httpx.Response(202, json={"execution_id": control, "intent_id": "i", "status": status})


async def test_what_is_asked_of_an_execution_goes_where_it_is_taken() -> None:
    gateway = Gateway(*(_asked() for _ in range(7)))
    async with gateway.client() as client:
        await client.signal(EXECUTION, "a/b", {"by": "ann"}, signal_id="s-1")
        await client.cancel(EXECUTION, "why", cancel_id="c-1")
        await client.pause(EXECUTION, pause_id="p-1")
        await client.resume(EXECUTION, resume_id="r-1")
        await client.compensate(EXECUTION, "enough", compensate_id="u-1")
        await client.retry_step(EXECUTION, "compensate:charge", retry_id="t-1")
        await client.retry_step(EXECUTION, "charge", File(path="a"), reason="mended")
    paths = [request.url.raw_path.decode() for request in gateway.requests]
    assert paths == [
        f"/v1/executions/{EXECUTION}/signals/a%2Fb",
        f"/v1/executions/{EXECUTION}/cancel",
        f"/v1/executions/{EXECUTION}/pause",
        f"/v1/executions/{EXECUTION}/resume",
        f"/v1/sagas/{EXECUTION}/compensate",
        f"/v1/sagas/{EXECUTION}/steps/compensate%3Acharge/retry",
        f"/v1/sagas/{EXECUTION}/steps/charge/retry",
    ]
    assert [body(request) for request in gateway.requests] == [
        {"data": {"by": "ann"}},
        {"reason": "why"},
        {"reason": ""},
        {"reason": ""},
        {"reason": "enough"},
        {"reason": ""},
        {"reason": "mended", "input": {"path": "a"}},
    ]
    keys = [request.headers["Idempotency-Key"] for request in gateway.requests]
    assert keys[:-1] == ["s-1", "c-1", "p-1", "r-1", "u-1", "t-1"]
    assert ids.INTENT_ID.fullmatch(keys[-1])


async def test_what_was_asked_says_whether_it_is_recorded() -> None:
    async with Gateway(_asked(), _asked("accepted")).client() as client:
        assert (await client.cancel(EXECUTION)).recorded
        assert not (await client.cancel(EXECUTION)).recorded


async def test_a_retry_of_which_nothing_is_known_names_its_id() -> None:
    async with Gateway(_no_connection).client() as client:
        with pytest.raises(Unavailable) as unknown:
            await client.retry_step(EXECUTION, "charge", retry_id="t-1")
    assert "t-1" in unknown.value.cure


async def test_a_saga_is_read_step_by_step() -> None:
    undo = {"step": "compensate:charge", "handler": "refund", "status": "not_begun"}
    step = {
        "step": "charge",
        "intent_type": "billing.charge",
        "realm": "billing",
        "needs": ["reserve"],
        "status": "failed",
        "attempt": 3,
        "error": {"code": "declined", "message": "No."},
        "compensation": undo,
        "something_newer": 1,
    }
    told = {
        "execution_id": EXECUTION,
        "intent_type": "shop.order",
        "session_id": SESSION,
        "status": "stuck",
        "success": False,
        "ended": False,
        "as_of": 4,
        "started_at": 5,
        "compensation": {"by": "ann", "at": 9, "reason": "enough"},
        "steps": [step],
    }
    gateway = Gateway(
        httpx.Response(200, json=told), httpx.Response(200, json={**told, "status": "x"})
    )
    async with gateway.client() as client:
        saga = await client.saga(EXECUTION)
        assert (await client.saga(EXECUTION)).status is ExecutionStatus.UNKNOWN
    assert gateway.last.url.path == f"/v1/sagas/{EXECUTION}"
    [charge] = saga.steps
    assert (saga.status, charge.needs, charge.attempt) == (
        ExecutionStatus.STUCK,
        ("reserve",),
        3,
    )
    assert charge.error is not None
    assert charge.compensation is not None
    assert (charge.error.code, charge.compensation.handler) == ("declined", "refund")


async def test_a_refusal_carries_code_field_and_cure() -> None:
    problem = {
        "type": "urn:symphainy:problem:contract_violation",
        "title": "The payload breaks the contract",
        "status": 422,
        "detail": "'path' is a required property",
        "code": "contract_violation",
        "field": "/payload",
        "cure": "Send what the contract asks.",
    }
    gateway = Gateway(httpx.Response(422, json=problem))
    async with gateway.client() as client:
        with pytest.raises(ApiError) as refused:
            await client.submit("content.read", {}, session_id=SESSION)
    error = refused.value
    assert (error.status, error.code, error.field) == (422, "contract_violation", "/payload")
    assert (error.message, error.cure) == (problem["detail"], problem["cure"])


async def test_over_quota_says_when_to_come_back() -> None:
    problem = {"title": "Too many requests", "code": "over_quota"}
    gateway = Gateway(httpx.Response(429, json=problem, headers={"Retry-After": "7"}))
    async with gateway.client("0s") as client:
        with pytest.raises(ApiError) as refused:
            await client.open_session()
    assert (refused.value.retry_after_s, refused.value.message) == (7.0, "Too many requests")


def _full(after_s: str, status: int = 429) -> httpx.Response:
    problem = {"code": "backlogged" if status == 429 else "kafka_busy", "detail": "Too much."}
    return httpx.Response(status, json=problem, headers={"Retry-After": after_s})


ACCEPTED = {"execution_id": EXECUTION, "status": "accepted", "success": False}


@pytest.mark.parametrize("status", [429, 503])
async def test_who_is_told_to_come_back_does_with_the_same_intent(status: int) -> None:
    gateway = Gateway(_full("0", status), _full("0", status), httpx.Response(202, json=ACCEPTED))
    async with gateway.client() as client:
        result = await client.submit("content.read", {"n": 1}, session_id=SESSION)
    assert result.status == "accepted"
    assert len(gateway.requests) == 3
    assert len({request.content for request in gateway.requests}) == 1


async def test_a_session_is_asked_for_again_by_its_key() -> None:
    opened = httpx.Response(201, json={"session_id": SESSION, "status": "open"})
    gateway = Gateway(_full("0"), opened)
    async with gateway.client() as client:
        assert await client.open_session() == SESSION
    first, again = [request.headers["Idempotency-Key"] for request in gateway.requests]
    assert first == again
    assert ids.INTENT_ID.fullmatch(first)


async def test_nobody_comes_back_earlier_than_told() -> None:
    clock = asyncio.get_running_loop().time
    asked: list[float] = []

    def refused() -> httpx.Response:
        asked.append(clock())
        return _full("1", 503)

    def taken() -> httpx.Response:
        asked.append(clock())
        return httpx.Response(200, json={"execution_id": EXECUTION, "steps": []})

    async with Gateway(refused, taken).client() as client:
        await client.execution(EXECUTION)
    assert asked[1] - asked[0] >= 1.0


async def test_what_would_outlast_the_patience_is_told_at_once() -> None:
    gateway = Gateway(_full("7", 503))
    async with gateway.client("5s") as client:
        with pytest.raises(Unavailable) as busy:
            await client.submit("content.read", {}, session_id=SESSION, intent_id="i-1")
    assert (busy.value.code, len(gateway.requests)) == ("kafka_busy", 1)
    assert "i-1" in busy.value.cure


async def test_who_is_refused_again_and_again_gives_up() -> None:
    gateway = Gateway(*([_full("0")] * 20))
    async with gateway.client("350ms") as client:
        with pytest.raises(ApiError) as refused:
            await client.submit("content.read", {}, session_id=SESSION)
    assert (refused.value.code, refused.value.retry_after_s) == ("backlogged", 0.0)
    assert 2 <= len(gateway.requests) <= 4


@pytest.mark.parametrize("after", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "soon", ""])
async def test_what_names_no_seconds_is_not_repeated(after: str) -> None:
    gateway = Gateway(_full(after))
    async with gateway.client() as client:
        with pytest.raises(ApiError):
            await client.submit("content.read", {}, session_id=SESSION)
    assert len(gateway.requests) == 1


async def test_a_stream_without_a_place_is_asked_for_again() -> None:
    gateway = Gateway(_full("0"), stream(event(0) + END))
    async with gateway.client() as client:
        assert await client.ended(EXECUTION) == "succeeded"
    assert len(gateway.requests) == 2


async def test_a_stream_that_never_finds_a_place_is_given_up() -> None:
    gateway = Gateway(*([_full("0")] * 20))
    async with gateway.client("350ms") as client:
        with pytest.raises(ApiError) as refused:
            await client.ended(EXECUTION)
    assert refused.value.status == 429
    assert 2 <= len(gateway.requests) <= 4


def _no_connection() -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (
            httpx.Response(503, json={"code": "wal_unavailable", "detail": "Away."}),
            "wal_unavailable",
        ),
        (httpx.Response(502, html="<h1>Bad gateway</h1>"), "http_502"),
        (_no_connection, "gateway_unavailable"),
    ],
)
async def test_where_nothing_is_known_the_cure_is_the_same_intent_id(
    answer: httpx.Response | Callable[[], httpx.Response], code: str
) -> None:
    gateway = Gateway(answer)
    async with gateway.client() as client:
        with pytest.raises(Unavailable) as unknown:
            await client.submit("content.read", {}, session_id=SESSION, intent_id="i-1")
    assert unknown.value.code == code
    assert "i-1" in unknown.value.cure


@pytest.mark.parametrize("answer", [httpx.Response(200, html="<p>"), httpx.Response(200, json=[])])
async def test_an_answer_of_something_else_is_said_to_be_one(answer: httpx.Response) -> None:
    async with Gateway(answer).client() as client:
        with pytest.raises(ApiError, match="is not what this version") as refused:
            await client.open_session()
    assert refused.value.code == "unexpected_answer"


@pytest.mark.parametrize("execution_id", ["", "../sessions", SESSION, "exe-1"])
async def test_only_execution_ids_go_into_paths(execution_id: str) -> None:
    async with Gateway().client() as client:
        with pytest.raises(CallerError):
            await client.execution(execution_id)


def stream(text: str) -> httpx.Response:
    """A stream that says `text` and ends."""
    return httpx.Response(200, text=text, headers={"Content-Type": "text/event-stream"})


def event(index: int) -> str:
    """A server-sent event."""
    return f'id: {index}\nevent: step_started\ndata: {{"index":{index}}}\n\n'


END = f'event: end\ndata: {{"execution_id":"{EXECUTION}","status":"succeeded"}}\n\n'


async def test_a_cut_stream_goes_on_behind_the_last_event() -> None:
    gateway = Gateway(
        stream(": alive\n\n" + event(0) + event(1) + "id: 2\nevent: step_st"),
        _no_connection,
        stream(event(2) + END),
    )
    async with gateway.client() as client:
        assert [e["index"] async for e in client.stream(EXECUTION)] == [0, 1, 2]
    assert [r.headers.get("Last-Event-ID") for r in gateway.requests] == [None, "1", "1"]
    assert gateway.last.url.path == f"/v1/executions/{EXECUTION}/stream"


def _not_found() -> httpx.Response:
    return httpx.Response(404, json={"code": "execution_not_found", "detail": "None such."})


async def test_an_end_is_awaited_also_of_what_is_not_projected_yet() -> None:
    async with Gateway(_not_found, stream(event(0) + END)).client() as client:
        assert await client.ended(EXECUTION) == "succeeded"


async def test_what_never_appears_is_not_awaited_for_ever() -> None:
    async with Gateway(_not_found).client() as client:
        with pytest.raises(ApiError) as refused:
            await client.ended(EXECUTION, appears_within="0s")
    assert refused.value.code == "execution_not_found"


async def test_a_refused_stream_is_not_asked_for_again() -> None:
    gateway = Gateway(httpx.Response(401, json={"code": "unauthenticated", "title": "No."}))
    async with gateway.client() as client:
        with pytest.raises(ApiError, match="No"):
            await client.ended(EXECUTION)
    assert len(gateway.requests) == 1
