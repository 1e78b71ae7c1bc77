"""What every ledger of tenants' counts does: the one in Redis, and the one that unit tests use.

- As many are granted as there are tokens and as no budget forbids; the rest of one ask is not.
- Asks one after the other, or by many gateways at once, get together what one alone would get.
- Control intents have tokens of their own and no budget; each tenant has its own counts.
- A ceiling leaves no more tokens than that; what a budget is owed counts in its period only.
- Storage takes what fits, and what is owed in any case.
- Redis counts as `counting.take` does, for any limits and asks; its months are the calendar's.
- A key goes when nothing is left to know.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from tests.unit.gateway.fakes import FakeLedger

from symphainy_gateway.quotas.counting import full, take
from symphainy_gateway.quotas.ledger import Ask, Ledger, Owed, RedisLedger, rate_key
from symphainy_gateway.quotas.limits import PERIODS, Limits, index_of
from symphainy_runtime.local import Endpoints, LocalServices
from symphainy_schemas.records import Budget

SLOW = 0.000_01  # a token a day: none comes while a test runs
NOTHING = Owed(-1, 0, 0)
MONTHLY = Limits(0.0, 1.0, (Budget("month", 5),))


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with LocalServices(tmp_path_factory.mktemp("ledger")) as endpoints:
        yield endpoints


@pytest.fixture
async def redis(valkey: Endpoints) -> AsyncIterator[Redis]:
    one: Redis = Redis.from_url(valkey.redis_url)
    yield one
    await one.aclose()


@pytest.fixture(params=["memory", "redis"])
def ledger(request: pytest.FixtureRequest, redis: Redis) -> Ledger:
    return FakeLedger() if request.param == "memory" else RedisLedger(redis, _prefix())


def _prefix() -> str:
    return f"t{secrets.token_hex(4)}:"


def _ask(
    limits: Limits, intents: int = 1, controls: int = 0, tenant: str = "acme", **more: Any
) -> Ask:
    owed = tuple(NOTHING for _ in limits.budgets)
    return Ask(tenant, limits, intents, controls, **{"ceiling": None, "owed": owed, **more})


async def _granted(ledger: Ledger, *asks: Ask) -> list[tuple[int, int]]:
    return [(one.intents, one.controls) for one in await ledger.take(asks)]


async def test_a_bucket_grants_its_burst_and_no_more(ledger: Ledger) -> None:
    limits = Limits(SLOW, 3.0, ())
    assert await _granted(ledger, _ask(limits, 2)) == [(2, 0)]
    assert await _granted(ledger, _ask(limits, 5)) == [(1, 0)]
    assert await _granted(ledger, _ask(limits)) == [(0, 0)]


async def test_many_gateways_get_together_what_one_would(ledger: Ledger) -> None:
    limits = Limits(SLOW, 40.0, (Budget("month", 30),))
    answers = await asyncio.gather(*(ledger.take([_ask(limits, 3)]) for _ in range(20)))
    assert sum(one[0].intents for one in answers) == 30


async def test_control_intents_and_other_tenants_count_for_themselves(ledger: Ledger) -> None:
    limits = Limits(SLOW, 2.0, (Budget("hour", 1),))
    asks = [_ask(limits, 9, 9), _ask(limits, 1, 0, "rival"), _ask(limits, 9, 9)]
    assert await _granted(ledger, *asks) == [(1, 2), (1, 0), (0, 0)]


async def test_a_ceiling_takes_tokens_away(ledger: Ledger) -> None:
    limits = Limits(SLOW, 9.0, ())
    assert await _granted(ledger, _ask(limits, 5, 5, ceiling=(1.0, 0.0))) == [(1, 0)]
    assert await _granted(ledger, _ask(limits, 5, 5)) == [(0, 0)]


async def test_what_is_owed_counts_in_its_period_only(ledger: Ledger) -> None:
    (first,) = await ledger.take([_ask(MONTHLY)])
    now = first.counts.spent[0].number
    assert await _granted(ledger, _ask(MONTHLY, 0, owed=(Owed(now - 1, 90, 90),))) == [(0, 0)]
    assert await _granted(ledger, _ask(MONTHLY, 9, owed=(Owed(now, 2, 1),))) == [(2, 0)]
    (last,) = await ledger.take([_ask(MONTHLY)])
    assert (last.intents, last.counts.spent[0].used) == (0, 5)


async def test_storage_takes_what_fits_and_what_is_owed(ledger: Ledger) -> None:
    assert await ledger.store("acme", 6, 10, 0) == (True, 6)
    assert await ledger.store("acme", 5, 10, 0) == (False, 6)
    assert await ledger.store("acme", 1, 10, 7) == (False, 13)
    assert await ledger.store("rival", 10, 10, 0) == (True, 10)


_budgets = st.lists(
    st.builds(Budget, st.sampled_from(PERIODS), st.integers(0, 9)),
    max_size=3,
    unique_by=lambda one: one.period,
)
_limits = st.builds(
    Limits,
    st.sampled_from([0.0, SLOW, 0.5, 7.0, 1e4]),
    st.sampled_from([1.0, 2.5, 20.0]),
    _budgets.map(tuple),
).filter(lambda one: one.rate_per_s > 0 or one.budgets)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_limits, st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_redis_counts_as_the_decider_does(
    valkey: Endpoints, limits: Limits, asked: list[tuple[int, int]]
) -> None:
    async def check() -> None:
        one: Redis = Redis.from_url(valkey.redis_url)
        ledger, counts = RedisLedger(one, _prefix()), None
        for intents, controls in asked:
            (taken,) = await ledger.take([_ask(limits, intents, controls)])
            now = taken.counts.at_us
            expected = take(counts or full(limits, now), limits, intents, controls, now)
            assert (taken.intents, taken.controls) == (expected.intents, expected.controls)
            assert taken.counts.spent == expected.counts.spent
            assert taken.counts.tokens == pytest.approx(expected.counts.tokens, abs=1e-6)
            assert taken.counts.control == pytest.approx(expected.counts.control, abs=1e-6)
            counts = taken.counts
        await one.aclose()

    asyncio.run(check())


async def test_its_months_are_the_calendars(redis: Redis) -> None:
    script = (resources.files("symphainy_gateway.quotas") / "take.lua").read_text()
    month = script[script.index("local function month") : script.index("local function index")]
    asked = redis.register_script(f"{month} return month(tonumber(ARGV[1]))")
    day = datetime(2024, 1, 1, tzinfo=UTC)
    while day.year < 2104:
        for at in (day.timestamp(), day.timestamp() + 86_399):
            assert await asked(args=[int(at)]) == index_of("month", at)
        day += timedelta(days=13)


async def test_a_key_goes_when_nothing_is_left_to_know(redis: Redis) -> None:
    prefix = _prefix()
    await RedisLedger(redis, prefix).take([_ask(Limits(10.0, 20.0, ()))])
    assert 2_000 < await redis.pttl(rate_key(prefix, "acme")) <= 62_000
    await RedisLedger(redis, prefix).take([_ask(MONTHLY)])
    assert await redis.pttl(rate_key(prefix, "acme")) > 31 * 86_400_000
