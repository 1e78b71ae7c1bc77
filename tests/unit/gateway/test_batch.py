"""A batch answers each line as POST /v1/intents would, and one bad line stops no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.gateway.caller import Caller
from tests.unit.gateway.fakes import (
    execution_id_of,
    intent_body,
)

from symphainy_gateway.routes.intents import BATCH_LINES_MAX


@pytest.fixture
def caller() -> Caller:
    return Caller()


def _ndjson(*lines: object) -> bytes:
    return b"\n".join(it if isinstance(it, bytes) else json.dumps(it).encode() for it in lines)


async def _batch(caller: Caller, body: bytes, **more: Any) -> Any:
    return await caller(
        "POST", "/v1/intents:batch", body, media_type=b"application/x-ndjson", **more
    )


async def test_a_batch_answers_line_by_line(caller: Caller) -> None:
    body = _ndjson(
        intent_body(intent_id="a"),
        b"  ",
        b"{nonsense",
        intent_body(intent_id="b", intent_type="content.unknown"),
        intent_body(payload=[]),
        intent_body(tenant_id="rival"),
        intent_body(),
        b"",
    )
    answer = await _batch(caller, body)
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert [(it["line"], it["http_status"]) for it in lines] == [
        (1, 202),
        (3, 400),
        (4, 404),
        (5, 422),
        (6, 403),
        (7, 202),
    ]
    published = caller.backend.publisher.published
    by_id = {it.intent_id: execution_id_of(it) for it in published}
    assert len(by_id) == len(published) == 3
    assert lines[0]["body"]["execution_id"] == by_id["a"]
    assert lines[1]["body"]["code"] == "malformed_json"
    assert lines[2]["body"]["intent_id"] == "b"


async def test_a_repeated_batch_gets_the_first_answers(caller: Caller) -> None:
    body = _ndjson(intent_body(intent_id="a"))
    await _batch(caller, body)
    [line] = [json.loads(line) for line in (await _batch(caller, body)).body.splitlines()]
    assert (line["http_status"], line["body"]["status"]) == (200, "succeeded")
    assert len(caller.backend.publisher.published) == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "empty_batch"),
        (b"\n \n", "empty_batch"),
        (b"{}\n" * (BATCH_LINES_MAX + 1), "batch_too_large"),
    ],
)
async def test_a_batch_is_bounded(caller: Caller, body: bytes, code: str) -> None:
    assert (await _batch(caller, body)).json["code"] == code


async def test_a_batch_takes_no_idempotency_key(caller: Caller) -> None:
    answer = await _batch(caller, b"{}", headers=[(b"idempotency-key", b"k")])
    assert (answer.status, answer.json["field"]) == (400, "/Idempotency-Key")
