"""Invariants of GET /v1/wal.

- Whatever is asked, it is asked of the caller's own tenant; another's name is refused.
- What is not understood is refused by the parameter's name, and nothing is asked.
- Rows come as the log has them; why policy decided is told only those to whom it is explained.
- What the log refuses, and a log that does not answer, have codes of their own.
"""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace
from tests.samples import EVENTS, JOURNAL
from tests.unit.gateway.caller import Caller
from tests.unit.gateway.fakes import KEY, OTHER_KEY, SESSION, key_of

from symphainy_gateway.problems import KINDS
from symphainy_runtime.journal.shown import read_shown
from symphainy_runtime.policy.defaults import AUDITOR
from symphainy_runtime.wal.answering import HistoryExpired
from symphainy_runtime.wal.query import Query, cursor_of, malformed
from symphainy_runtime.wal.rows import Place, rows_of
from symphainy_schemas import events as e
from symphainy_schemas.codec import encode
from symphainy_schemas.errors import Unavailable

EXECUTION = f"exe-3-{'a' * 32}"
VALIDATED = next(one for one in EVENTS if isinstance(one, e.PolicyValidated))
RECORD = replace(JOURNAL, tenant_id="acme", execution_id=EXECUTION, events=EVENTS)


async def test_every_filter_is_asked_of_the_callers_own_tenant() -> None:
    caller = Caller()
    cursor = cursor_of(Place(3, 40, 1))
    answer = await caller(
        "GET",
        f"/v1/wal?execution={EXECUTION}&session={SESSION}&correlation=c&parent=3-17"
        "&type=content.ingest&event=step_failed&from=1000&to=1970-01-01T00:00:02Z"
        f"&partition=3&offset=5&to_offset=9&limit=7&cursor={cursor}&tenant=acme",
    )
    assert answer.status == 200, answer.body
    assert caller.backend.wal.asked == [
        Query(
            tenant_id="acme",
            execution_id=EXECUTION,
            session_id=SESSION,
            correlation_id="c",
            parent="3-17",
            intent_type="content.ingest",
            event_type="step_failed",
            from_ms=1_000,
            to_ms=2_000,
            partition=3,
            from_offset=5,
            to_offset=9,
            limit=7,
            cursor=cursor,
        )
    ]


async def test_another_tenants_name_is_refused() -> None:
    caller = Caller()
    for key, name in ((KEY, "rival"), (OTHER_KEY, "acme"), (KEY, "nobody")):
        answer = await caller("GET", f"/v1/wal?tenant={name}", key=key)
        assert (answer.status, answer.json["code"]) == (403, "tenant_mismatch")
        assert answer.json["field"] == "/tenant"
    assert caller.backend.wal.asked == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("execution=exe-x", "execution"),
        (f"session={EXECUTION}", "session"),
        ("session=", "session"),
        ("execution=", "execution"),
        ("parent=", "parent"),
        ("event=", "event"),
        (f"correlation={'c' * 257}", "correlation"),
        (f"session=ses-%D9%A3-{'a' * 32}", "session"),
        (f"session={SESSION}&partition=4", "session"),
        ("parent=17", "parent"),
        ("type=nonsense", "type"),
        ("event=nonsense", "event"),
        ("from=yesterday", "from"),
        ("from=2000&to=1000", "to"),
        ("partition=-1", "partition"),
        ("partition=1&offset=x", "offset"),
        ("offset=4", "offset"),
        ("partition=1&offset=4&to_offset=3", "to_offset"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("tenants=acme", "tenants"),
    ],
)
async def test_what_is_not_understood_is_refused_by_name(query: str, field: str) -> None:
    caller = Caller()
    answer = await caller("GET", f"/v1/wal?{query}")
    assert (answer.status, answer.json["code"]) == (400, "invalid_parameter"), answer.body
    assert answer.json["field"] == f"/{field}"
    assert caller.backend.wal.asked == []


async def test_rows_come_as_the_log_has_them_and_decisions_to_whom_they_are_explained() -> None:
    caller = Caller()
    caller.backend.wal.rows = list(rows_of(read_shown(encode(RECORD)), 3, 40))
    auditor = key_of(caller.backend, AUDITOR)
    whole = (await caller("GET", "/v1/wal?limit=200", key=auditor)).json
    assert whole["cursor"] is None
    assert whole["items"] == msgspec.to_builtins(
        [msgspec.json.decode(msgspec.json.encode(row)) for row in caller.backend.wal.rows]
    )
    bare = (await caller("GET", "/v1/wal?limit=200")).json["items"]
    for told, shown in zip(whole["items"], bare, strict=True):
        if told["type"] != "policy_validated":
            assert shown == told
        else:
            (stage, *_) = shown["data"]["decision"]["stages"]
            assert (stage["policies"], stage["reasons"]) == ([], [])
            assert told["data"]["decision"]["stages"][0]["policies"]
    assert "policy_validated" in {row["type"] for row in bare}


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (malformed("partition", "There is no partition 9."), "invalid_parameter"),
        (HistoryExpired("History begins at offset 40.", field="offset"), "history_expired"),
        (Unavailable("Kafka did not answer."), "unavailable"),
    ],
)
async def test_what_the_log_refuses_has_a_code(failure: Exception, code: str) -> None:
    caller = Caller()
    caller.backend.wal.failure = failure
    answer = await caller("GET", "/v1/wal")
    assert (answer.status, answer.json["code"]) == (KINDS[code].status, code)


async def test_a_key_that_is_not_for_reading_is_refused() -> None:
    answer = await Caller()("GET", "/v1/wal", key="")
    assert answer.status == 401
