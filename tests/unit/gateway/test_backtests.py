"""Backtests over HTTP.

- Who may put policies in force may try them: a tenant's on its own intents, the platform's on all.
- What is asked is what is run; what cannot be asked names its field, and runs nothing.
- The answer is the report; or a stream of lines, of which the last is that, or what went wrong.
- One runs at a time; it ends with its client or with the process, and then the next may.
- Nothing is stated.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.unit.gateway.caller import Answer, Caller
from tests.unit.gateway.fakes import OTHER_KEY, key_of

from symphainy_gateway import backtests
from symphainy_runtime.policy.reading import BadPolicy
from symphainy_schemas.errors import CallerError, Unavailable
from symphainy_schemas.records import PLATFORM, PolicySet
from symphainy_transport.topics import DAY_MS

PATH = "/v1/policies/backtest"
GUARD = "permit(principal, action, resource);"
BODY = {"candidate": {"security_guard": GUARD}}
LINES = [(b"accept", b"application/x-ndjson")]


@pytest.fixture
def caller() -> Caller:
    return Caller()


async def tries(caller: Caller, body: Any = BODY, **more: Any) -> Answer:
    """An administrator's backtest."""
    return await caller(
        "POST", PATH, body, **{"key": key_of(caller.backend, "tenant_admin"), **more}
    )


def told(answer: Answer) -> list[Any]:
    """The lines of a stream."""
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.body.splitlines()]


async def test_the_report_is_the_answer_and_nothing_is_stated(caller: Caller) -> None:
    answer = await tries(caller)
    assert (answer.status, answer.json["scope"]) == (200, "acme")
    (trial,) = caller.backend.backtests.asked
    assert isinstance(trial.given, PolicySet)
    assert (trial.scope, trial.given.scope, trial.given.security_guard) == ("acme", "acme", GUARD)
    now = caller.backend.clock.now_ms()
    assert trial.since is not None
    assert now - 8 * DAY_MS < trial.since <= now - 7 * DAY_MS
    assert (trial.until, trial.partition, trial.from_offset, trial.examples) == (
        None,
        None,
        None,
        3,
    )
    assert caller.backend.publisher.published == []


async def test_what_is_asked_is_what_is_run(caller: Caller) -> None:
    body = {"version": 4, "since": "2026-05-01T00:00:00Z", "until": 1_777_600_000_000}
    assert (await tries(caller, {**body, "examples": 0})).status == 200
    offsets = {"partition": 3, "from_offset": 1_000, "to_offset": 2_000}
    assert (await tries(caller, {**BODY, **offsets})).status == 200
    by_time, by_offsets = caller.backend.backtests.asked
    assert (by_time.given, by_time.since, by_time.until, by_time.examples) == (
        4,
        1_777_593_600_000,
        1_777_600_000_000,
        0,
    )
    assert (by_offsets.since, by_offsets.partition) == (None, 3)
    assert (by_offsets.from_offset, by_offsets.to_offset) == (1_000, 2_000)


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({}, 422, "invalid_request", "/candidate"),
        ({**BODY, "version": 1}, 422, "invalid_request", "/candidate"),
        ({"version": 0}, 422, "invalid_request", "/version"),
        ({"candidate": {"guard": GUARD}}, 422, "invalid_request", "/candidate"),
        ({**BODY, "since": "yesterday"}, 422, "invalid_request", "/since"),
        ({**BODY, "since": -1}, 422, "invalid_request", "/since"),
        ({**BODY, "until": "2026-13-01T00:00:00Z"}, 422, "invalid_request", "/until"),
        ({**BODY, "from_offset": 3}, 422, "invalid_request", "/partition"),
        ({**BODY, "partition": 0, "from_offset": 3, "since": 1}, 422, "invalid_request", "/since"),
        ({**BODY, "partition": 0, "to_offset": 3, "until": 1}, 422, "invalid_request", "/until"),
        ({**BODY, "partition": 8}, 422, "invalid_request", "/partition"),
        ({**BODY, "to_offset": -1, "partition": 0}, 422, "invalid_request", "/to_offset"),
        ({**BODY, "examples": 101}, 422, "invalid_request", "/examples"),
        ({**BODY, "tenant": "rival"}, 422, "invalid_request", "/tenant"),
        ({**BODY, "platform": True}, 403, "out_of_scope", "/platform"),
        (b"{", 400, "malformed_json", ""),
    ],
)  # fmt: skip
async def test_what_cannot_be_asked_names_its_field(
    caller: Caller, body: Any, status: int, code: str, field: str
) -> None:
    answer = await tries(caller, body)
    assert (answer.status, answer.json["code"], answer.json.get("field", "")) == (
        status,
        code,
        field,
    )
    assert caller.backend.backtests.asked == []


async def test_who_governs_may_and_only_a_platform_operator_on_all(caller: Caller) -> None:
    for role, status in (("auditor", 403), ("operator", 403), ("tenant_admin", 200)):
        answer = await tries(caller, key=key_of(caller.backend, role))
        assert answer.status == status
    assert (await tries(caller, key=OTHER_KEY)).status == 403
    assert (await tries(caller, key="")).status == 401
    operator = key_of(caller.backend, "platform_operator")
    answer = await tries(caller, {**BODY, "platform": True}, key=operator)
    assert (answer.status, answer.json["scope"]) == (200, PLATFORM)
    assert caller.backend.backtests.asked[-1].scope == PLATFORM


@pytest.mark.parametrize(
    ("code", "named", "status"),
    [
        ("empty_range", "since", 422),
        ("range_not_kept", "from_offset", 422),
        ("range_too_large", "since", 422),
        ("policy_not_found", "version", 404),
    ],
)
async def test_a_range_or_version_that_is_not_there_names_its_field(
    caller: Caller, code: str, named: str, status: int
) -> None:
    caller.backend.backtests.refusal = CallerError("No.", code=code, field=named, cure="Other.")
    for headers in ([], LINES):
        answer = await tries(caller, headers=headers)
        assert answer.is_problem
        assert (answer.status, answer.json["code"]) == (status, code)
        assert answer.json["field"] == f"/{named}"


async def test_a_tenant_that_is_not_there_is_told(caller: Caller) -> None:
    caller.backend.backtests.refusal = CallerError("No.", code="tenant_not_found", field="tenant")
    answer = await tries(caller)
    assert (answer.status, answer.json["code"]) == (404, "tenant_not_found")
    assert "field" not in answer.json


async def test_policies_that_cannot_be_read_name_their_stage_or_their_version(
    caller: Caller,
) -> None:
    caller.backend.backtests.refusal = BadPolicy("No Cedar.", field="city_manager", cure="Mend it.")
    for body, field in ((BODY, "/candidate/city_manager"), ({"version": 3}, "/version")):
        answer = await tries(caller, body, headers=LINES)
        assert (answer.status, answer.json["code"]) == (422, "policy_malformed")
        assert answer.json["field"] == field


async def test_a_stream_tells_how_far_it_is_and_then_what_was_found(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtests, "TOLD_EVERY_S", 0.01)
    trials = caller.backend.backtests
    trials.found.clear()
    answering = asyncio.ensure_future(tries(caller, headers=LINES))
    await trials.began.wait()
    trials.found.set()
    *progress, last = told(await answering)
    assert progress
    assert progress[0] == {"progress": {"records": 0, "of": 10, "intents": 0}}
    assert last["report"]["scope"] == "acme"


async def test_what_goes_wrong_later_ends_a_stream_by_its_problem(caller: Caller) -> None:
    caller.backend.backtests.failure = Unavailable("Kafka is away.", code="unavailable")
    *_, last = told(await tries(caller, headers=LINES))
    assert (last["problem"]["code"], last["problem"]["status"]) == ("unavailable", 503)
    answer = await tries(caller)
    assert (answer.status, answer.json["code"]) == (503, "unavailable")


@pytest.mark.parametrize("headers", [[], LINES], ids=["whole", "lines"])
async def test_one_runs_at_a_time(caller: Caller, headers: Any) -> None:
    trials = caller.backend.backtests
    trials.found.clear()
    first = asyncio.ensure_future(tries(caller, headers=headers))
    await trials.began.wait()
    for others in ([], LINES):
        refused = await tries(caller, headers=others)
        assert refused.is_problem
        assert (refused.status, refused.json["code"]) == (429, "too_many_backtests")
        assert int(refused.headers["retry-after"]) > 2
    trials.found.set()
    assert (await first).status == 200
    assert (await tries(caller, headers=headers)).status == 200


class Leaving:
    """A client that sends its request, and leaves when it is told to."""

    def __init__(self, caller: Caller, headers: list[tuple[bytes, bytes]]) -> None:
        self.left = asyncio.Event()
        key = key_of(caller.backend, "tenant_admin")
        body = json.dumps(BODY).encode()
        self._body: list[bytes] = [body]
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [
                (b"authorization", f"Bearer {key}".encode()),
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                *headers,
            ],
            "state": {},
        }

    async def receive(self) -> dict[str, Any]:
        if self._body:
            return {"type": "http.request", "body": self._body.pop(), "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}


async def _nobody(_: Any) -> None:
    return


@pytest.mark.parametrize("headers", [[], LINES], ids=["whole", "lines"])
async def test_it_ends_with_its_client(caller: Caller, headers: Any) -> None:
    trials = caller.backend.backtests
    trials.found.clear()
    client = Leaving(caller, headers)
    app: Callable[..., Awaitable[None]] = caller.app
    answering = asyncio.ensure_future(app(client.scope, client.receive, _nobody))
    await trials.began.wait()
    client.left.set()
    await answering
    assert trials.ended == 1
    assert caller.gateway.pressure.backtests.count == 0
    trials.found.set()
    assert (await tries(caller)).status == 200


async def test_it_ends_with_the_process(caller: Caller) -> None:
    trials = caller.backend.backtests
    trials.found.clear()
    answering = asyncio.ensure_future(tries(caller))
    await trials.began.wait()
    caller.gateway.stop()
    answer = await answering
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert trials.ended == 1


async def test_a_stream_ends_with_the_process(caller: Caller) -> None:
    trials = caller.backend.backtests
    trials.found.clear()
    answering = asyncio.ensure_future(tries(caller, headers=LINES))
    await trials.began.wait()
    caller.gateway.stop()
    lines = told(await answering)
    assert all("progress" in line for line in lines)
    assert trials.ended == 1
