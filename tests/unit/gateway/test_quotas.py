"""Limits over time at the HTTP surface.

- What is over a rate or a budget was not appended, and says exactly when to come back; every answer
  to a tenant with limits says how it stands.
- A tenant without limits costs no call to the ledger, and hears nothing of limits.
- Each line of a batch is charged; a repeat that is known is not; many at once are one round trip.
- Control intents are not stopped by the intents of their tenant, nor by a budget.
- While the ledger is away a share of the rate is granted without asking it, and nobody waits for
  it; when it is back it is told what was granted, and no second burst comes of it.
- A payload larger than the tenant's may be is refused, and one for which there is no room.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.gateway.caller import Answer, Caller
from tests.unit.gateway.fakes import KEY, OTHER_KEY, capability, intent_body

from symphainy_gateway.quotas.limits import end_of, index_of
from symphainy_runtime.configuration import config_key
from symphainy_schemas.codec import encode
from symphainy_schemas.errors import Unavailable
from symphainy_schemas.records import Budget

DAY_RATE = 1 / 86_400  # no token comes while a test runs
MONTH = (Budget("month", 3),)


def _limited(caller: Caller, **limits: Any) -> None:
    configuration = caller.backend.configuration
    before = configuration.tenants["acme"]
    tenant = replace(before, version=before.version + 1, **limits)
    configuration.apply(config_key(tenant), encode(tenant))


async def _submit(caller: Caller, intent_id: str = "", key: str = KEY, **members: Any) -> Answer:
    named = {"intent_id": intent_id} if intent_id else {}
    return await caller("POST", "/v1/intents", intent_body(**named, **members), key=key)


def _require(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.json["code"]) == (status, code), answer.body
    assert answer.is_problem
    assert answer.json["cure"]
    if status == 429:
        assert answer.headers["retry-after"] == str(answer.json["retry_after_s"])


@pytest.fixture
def caller() -> Caller:
    return Caller()


async def test_over_the_rate_nothing_is_appended(caller: Caller) -> None:
    _limited(caller, rate_per_s=0.01, burst=2)
    answers = [await _submit(caller) for _ in range(3)]
    assert [one.status for one in answers] == [202, 202, 429]
    _require(answers[2], 429, "over_quota")
    assert 99 <= answers[2].json["retry_after_s"] <= 100
    assert len(caller.backend.publisher.published) == 2
    metrics = (await caller("GET", "/metrics", key="")).body.decode()
    assert 'symphainy_gateway_refusals_total{code="over_quota"} 1.0' in metrics


async def test_a_used_up_budget_says_when_its_period_ends(caller: Caller) -> None:
    _limited(caller, budgets=MONTH)
    answers = [await _submit(caller) for _ in range(4)]
    assert [one.status for one in answers] == [202, 202, 202, 429]
    _require(answers[3], 429, "budget_exhausted")
    now_s = caller.backend.clock.now_ms() / 1_000
    left_s = end_of("month", index_of("month", now_s)) - now_s
    assert left_s <= answers[3].json["retry_after_s"] <= left_s + 2
    assert len(caller.backend.publisher.published) == 3


async def test_every_answer_says_how_the_tenant_stands(caller: Caller) -> None:
    _limited(caller, rate_per_s=0.5, burst=5, budgets=(Budget("day", 9),))
    answer = await _submit(caller)
    assert answer.headers["ratelimit-policy"] == '"rate";q=5;w=10, "day";q=9;w=86400'
    rate, day = answer.headers["ratelimit"].split(", ")
    assert rate == '"rate";r=4;t=2'
    assert day.startswith('"day";r=8;t=')
    signal = await caller("POST", "/v1/sessions", {})
    assert signal.headers["ratelimit"].startswith('"rate";r=4;')
    for _ in range(4):
        await _submit(caller)
    refused = await _submit(caller)
    assert refused.status == 429
    assert refused.headers["ratelimit"].startswith('"rate";r=0;')


async def test_without_limits_nobody_asks_the_ledger(caller: Caller) -> None:
    caller.backend.ledger.failure = AssertionError("it was asked")
    for key in (KEY, OTHER_KEY):
        answer = await _submit(caller, key=key)
        assert "ratelimit" not in answer.headers
    assert caller.backend.ledger.asked == []


async def test_each_line_of_a_batch_is_charged_in_one_round_trip(caller: Caller) -> None:
    _limited(caller, rate_per_s=DAY_RATE, burst=3)
    lines = b"\n".join(json.dumps(intent_body()).encode() for _ in range(5))
    answer = await caller("POST", "/v1/intents:batch", lines, media_type=b"application/x-ndjson")
    told = [json.loads(line) for line in answer.body.splitlines()]
    assert [one["http_status"] for one in told] == [202, 202, 202, 429, 429]
    assert told[4]["body"]["code"] == "over_quota"
    assert answer.headers["ratelimit"].startswith('"rate";r=0;')
    assert len(caller.backend.ledger.asked) <= 2


async def test_a_known_repeat_is_not_charged(caller: Caller) -> None:
    _limited(caller, rate_per_s=DAY_RATE, burst=1)
    assert [(await _submit(caller, "same")).status for _ in range(3)] == [202, 200, 200]
    _require(await _submit(caller, "other"), 429, "over_quota")


async def test_control_intents_get_past_a_flood_and_a_budget(caller: Caller) -> None:
    _limited(caller, rate_per_s=DAY_RATE, burst=2, budgets=(Budget("month", 1),))
    caller.backend.publisher.outcome = "running"
    running = (await _submit(caller)).json["execution_id"]
    _require(await _submit(caller), 429, "budget_exhausted")
    path = f"/v1/executions/{running}/cancel"
    answers = [await caller("POST", path) for _ in range(3)]
    assert [one.status for one in answers] == [202, 202, 429]
    _require(answers[2], 429, "over_quota")


async def test_another_tenant_is_not_charged(caller: Caller) -> None:
    _limited(caller, rate_per_s=DAY_RATE, burst=1)
    await _submit(caller)
    _require(await _submit(caller), 429, "over_quota")
    assert (await _submit(caller, key=OTHER_KEY)).status == 404  # its session is not there
    assert {one.tenant_id for asks in caller.backend.ledger.asked for one in asks} == {"acme"}


async def test_a_higher_version_changes_the_limits_at_once(caller: Caller) -> None:
    _limited(caller, rate_per_s=DAY_RATE, burst=1)
    await _submit(caller)
    _require(await _submit(caller), 429, "over_quota")
    _limited(caller, rate_per_s=0.0, budgets=MONTH)
    assert (await _submit(caller)).status == 202
    _limited(caller, budgets=())
    assert (await _submit(caller)).status == 202


async def test_while_the_ledger_is_away_a_share_is_granted(caller: Caller) -> None:
    caller = Caller(gateways=2)
    _limited(caller, rate_per_s=DAY_RATE, burst=10, budgets=(Budget("month", 9),))
    ledger = caller.backend.ledger
    assert (await _submit(caller)).status == 202  # 9 tokens left, 8 of the month
    ledger.failure = Unavailable("It is away.")
    statuses = [(await _submit(caller)).status for _ in range(7)]
    assert statuses == [202] * 4 + [429] * 3
    assert len(ledger.asked) == 2  # nobody asked again within the pause
    metrics = (await caller("GET", "/metrics", key="")).body.decode()
    assert "symphainy_gateway_quota_stand_in 1.0" in metrics
    assert "symphainy_gateway_quota_stand_ins_total 7.0" in metrics


async def test_a_slow_ledger_is_not_waited_for_twice(caller: Caller) -> None:
    _limited(caller, rate_per_s=DAY_RATE, burst=5)
    caller.backend.ledger.released = asyncio.Event()
    assert (await _submit(caller)).status == 202
    async with asyncio.timeout(0.2):
        assert (await _submit(caller)).status == 202


async def test_back_again_it_is_told_and_gives_no_second_burst(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    _limited(caller, rate_per_s=DAY_RATE, burst=4, budgets=(Budget("month", 9),))
    ledger = caller.backend.ledger
    ledger.failure = Unavailable("It is away.")
    assert [(await _submit(caller)).status for _ in range(3)] == [202, 202, 202]
    ledger.failure = None
    monkeypatch.setattr("symphainy_gateway.quotas.metering.RETRY_S", 0.0)
    caller.gateway.metering._retry_at = 0.0
    assert (await _submit(caller)).status == 202  # by the stand-in; it asks beside
    for _ in range(5):
        await asyncio.sleep(0)
    assert not caller.gateway.metering.away()
    _require(await _submit(caller), 429, "over_quota")
    counts = ledger.counts["acme"]
    assert (counts.spent[0].used, int(counts.tokens)) == (4, 0)


async def test_a_ledger_that_lost_everything_learns_budgets_again(caller: Caller) -> None:
    _limited(caller, budgets=MONTH)
    assert [(await _submit(caller)).status for _ in range(2)] == [202, 202]
    caller.backend.ledger.counts.clear()
    assert [(await _submit(caller)).status for _ in range(2)] == [202, 429]


async def test_a_payload_larger_than_the_tenants_is_refused(caller: Caller) -> None:
    caller = Caller(inline_limit_bytes=1_024)
    loose = capability("content.loose", {"type": "object"})
    caller.backend.configuration.apply(config_key(loose), encode(loose))
    _limited(caller, max_payload_bytes=500)
    for size in (600, 4_000):  # inline, and claim-checked
        answer = await _submit(caller, intent_type="content.loose", payload={"text": "x" * size})
        _require(answer, 413, "payload_too_large")
        assert "500" in answer.json["detail"]
        assert answer.json["field"] == "/payload"
    assert caller.backend.publisher.published == []
    assert (await _submit(caller)).status == 202


async def test_there_is_room_for_so_many_bytes_only(caller: Caller) -> None:
    caller = Caller(inline_limit_bytes=1_024)
    loose = capability("content.loose", {"type": "object"})
    caller.backend.configuration.apply(config_key(loose), encode(loose))
    _limited(caller, storage_bytes=5_000)
    large: dict[str, Any] = {"intent_type": "content.loose", "payload": {"text": "x" * 2_000}}
    caller.backend.publisher.verdict = lambda _: ("succeeded", None)
    assert [(await _submit(caller, **large)).status for _ in range(2)] == [202, 202]
    _require(await _submit(caller, **large), 507, "storage_exhausted")
    assert (await _submit(caller)).status == 202  # inline
    caller.backend.ledger.failure = Unavailable("It is away.")
    _require(await _submit(caller, **large), 507, "storage_exhausted")
    assert len(caller.backend.publisher.published) == 3
