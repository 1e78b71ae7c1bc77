"""Whatever comes in, the gateway answers as it says it does.

- No request gives a 5xx while the services answer.
- What is not a success is a problem document with a code that the table knows, its status, and
  only codes of refused or rejected intents.
- What is a success names the execution that the log has.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.gateway.caller import Answer, Caller
from tests.unit.gateway.fakes import (
    CLOSED_SESSION,
    KEY,
    SESSION,
    UNKNOWN_SESSION,
    execution_id_of,
)

from symphainy_gateway.problems import KINDS

AUTHORIZED = (b"authorization", f"Bearer {KEY}".encode())
JSON_TYPE = (b"content-type", b"application/json")
BODY_LIMIT = 4_096

SCALARS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**63 - 2, 2**64 + 2)
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\0", "\ud800", "\udfff x", "a\n", "\U0010ffff"])
)
ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


def _deep(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


OBJECTS = (
    st.dictionaries(st.text(max_size=6), ANY_JSON, max_size=4)
    | st.just({"n": 1})
    | st.integers(1, 90).map(lambda levels: {"a": _deep(levels)})
)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "intent_type": st.sampled_from(
        ["content.ingest", "content.no", "solution.x", "runtime.cancel"]
    ),
    "session_id": st.sampled_from(
        [SESSION, CLOSED_SESSION, UNKNOWN_SESSION, SESSION.replace("ses-3", "ses-7")]
    ),
    "payload": st.just({"n": 1}) | OBJECTS,
}
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    "intent_id": st.sampled_from(["a", "b", "c:~._-"]) | ANY_JSON,
    "metadata": OBJECTS | ANY_JSON,
    "solution_context": OBJECTS | ANY_JSON,
    "realm": st.sampled_from(["content", "runtime"]) | ANY_JSON,
    "correlation_id": st.text(max_size=8) | ANY_JSON,
    "tenant_id": st.sampled_from(["acme", "rival"]) | ANY_JSON,
    "created_at": ANY_JSON,
}
NEARLY_INTENTS = st.fixed_dictionaries(
    {name: valid | ANY_JSON if name != "payload" else valid for name, valid in MEMBERS.items()},
    optional=OPTIONAL,
)
INTENTS = st.fixed_dictionaries(
    MEMBERS, optional={"intent_id": st.sampled_from(["a", "b"]), "metadata": OBJECTS}
)
BODIES = (
    (INTENTS | NEARLY_INTENTS | ANY_JSON).map(lambda it: json.dumps(it).encode())
    | NEARLY_INTENTS.map(lambda it: json.dumps(it, ensure_ascii=False).encode(errors="replace"))
    | st.binary(max_size=60)
    | st.integers(60, 5_000).map(lambda levels: b"[" * levels + b"]" * levels)
    | st.integers(BODY_LIMIT - 20, BODY_LIMIT + 20).map(lambda size: b" " * size)
)
HEADERS = st.lists(
    st.sampled_from([AUTHORIZED, AUTHORIZED, AUTHORIZED, JSON_TYPE, JSON_TYPE])
    | st.tuples(
        st.sampled_from(
            [
                b"authorization",
                b"content-type",
                b"content-encoding",
                b"idempotency-key",
                b"traceparent",
                b"x-other",
            ]
        ),
        st.binary(max_size=20) | st.sampled_from([b"a", b"b", b"identity", b"Bearer sym_a_b"]),
    ),
    max_size=5,
)
QUERIES = (
    st.sampled_from([b"", b"?wait=10ms"])
    | st.sampled_from([b"", b"?wait=0s", b"?wait=20ms", b"?wait=6m", b"?wait=1s&wait=1s", b"?x=1"])
    | st.binary(max_size=20).map(lambda raw: b"?" + raw)
    | st.binary(max_size=10).map(lambda raw: b"?wait=" + raw)
)


def _cut(body: bytes, at: Sequence[int]) -> list[bytes]:
    """The body in chunks."""
    cuts = [0, *sorted(cut % (len(body) + 1) for cut in at), len(body)]
    return [body[start:end] for start, end in pairwise(cuts)]


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def _check(answer: Answer) -> None:
    assert answer.status < 500, answer
    if answer.status >= 400:
        assert answer.is_problem
        problem = answer.json
        assert KINDS[problem["code"]].status == problem["status"] == answer.status
        assert problem["detail"]
        assert problem["title"]


def _submit(
    runner: asyncio.Runner,
    headers: Sequence[tuple[bytes, bytes]],
    query: bytes,
    chunks: Sequence[bytes],
) -> None:
    caller = Caller(max_body_bytes=BODY_LIMIT)
    answer = runner.run(caller.raw("POST", b"/v1/intents" + query, headers, chunks))
    _check(answer)
    published = caller.backend.publisher.published
    assert len(published) <= 1
    if answer.status < 300:
        assert answer.json["execution_id"] == execution_id_of(published[0])
        assert json.loads(published[0].payload) is not None


@settings(deadline=None)
@given(body=BODIES, cuts=st.lists(st.integers(0, 100), max_size=3), query=QUERIES)
def test_any_body_is_answered(
    loop: asyncio.Runner, body: bytes, cuts: list[int], query: bytes
) -> None:
    _submit(loop, [AUTHORIZED, JSON_TYPE], query, _cut(body, cuts))


@settings(deadline=None)
@given(body=BODIES, headers=HEADERS, query=QUERIES)
def test_any_headers_are_answered(
    loop: asyncio.Runner, body: bytes, headers: list[tuple[bytes, bytes]], query: bytes
) -> None:
    _submit(loop, headers, query, [body])


@settings(deadline=None)
@given(lines=st.lists(BODIES, max_size=5))
def test_any_batch_is_answered(loop: asyncio.Runner, lines: list[bytes]) -> None:
    caller = Caller()
    headers = [AUTHORIZED, (b"content-type", b"application/x-ndjson")]
    answer = loop.run(caller.raw("POST", b"/v1/intents:batch", headers, [b"\n".join(lines)]))
    _check(answer)
    if answer.status == 200:
        for line in map(json.loads, answer.body.splitlines()):
            assert line["http_status"] < 500
            if line["http_status"] >= 400:
                assert KINDS[line["body"]["code"]].status == line["http_status"]


@settings(deadline=None)
@given(
    method=st.sampled_from(["GET", "GET", "GET", "POST", "DELETE", "PUT", "BREW"]),
    path=st.sampled_from(
        [
            b"/v1/executions/%b",
            b"/v1/executions/%b/status",
            b"/v1/executions/%b/events",
            b"/v1/executions/%b/stream",
            b"/v1/sessions/%b",
            b"/v1/sessions/%b/events",
            b"/v1/executions?%b",
            b"/v1/capabilities?%b",
            b"/v1/sessions",
            b"/%b",
        ]
    ),
    part=st.binary(max_size=20)
    | st.from_regex(rb"(session|type|status|from|to|limit|cursor)=[%a-zA-Z0-9+:=-]{0,30}")
    | st.sampled_from([SESSION.encode(), b"exe-3-" + b"0" * 31, b"%00", b"..%2f"]),
    body=ANY_JSON.map(lambda it: json.dumps(it).encode()) | st.just(b""),
)
def test_any_path_and_query_is_answered(
    loop: asyncio.Runner, method: str, path: bytes, part: bytes, body: bytes
) -> None:
    target = path.replace(b"%b", part)
    _check(loop.run(Caller().raw(method, target, [AUTHORIZED, JSON_TYPE], [body])))
