"""Counting spent budgets from the log.

- What a gateway stated counts in the period in which Kafka appended it; what is older does not.
- Control intents, what handlers invoke, and what producers append themselves do not count.
- Read from the beginning of the longest period that somebody has a budget for.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from symphainy_gateway.quotas.recovering import SpentBudgets
from symphainy_schemas.records import Budget, Intent, Tenant

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC).timestamp()
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NOW_MS = int(NOW * 1_000)
INTENT = Intent(
    intent_id="one",
    intent_type="orders.place",
    realm="orders",
    session_id="",
    tenant_id="acme",
    principal="ann",
    correlation_id="",
    payload=b"{}",
    metadata=b'{"source":"http"}',
    solution_context=b"",
    created_at=0,
)


def tenant(name: str, *periods: str) -> Tenant:
    budgets = tuple(Budget(period, 100) for period in periods)
    return Tenant(
        tenant_id=name, version=1, display_name="", shard_size=0, created_at=0, budgets=budgets
    )


class Counts:
    """Takes what the script would be told. The script itself is tried by recovering a system."""

    def __init__(self) -> None:
        self.told: dict[tuple[str, str], int] = {}

    def register_script(self, _: str) -> Any:
        def script(keys: list[str], args: list[Any]) -> int:
            self.told[keys[0], args[0]] = args[2]
            return 1

        return script


def counted(*intents: tuple[Intent, int]) -> dict[tuple[str, str], int]:
    spent = SpentBudgets({"acme": tenant("acme", "hour", "month")}, NOW)
    for intent, at_ms in intents:
        spent.take(intent, at_ms)
    redis = Counts()
    spent.write(redis, "t:")
    return redis.told


def test_each_counts_in_the_periods_that_are_now() -> None:
    told = counted((INTENT, NOW_MS), (INTENT, NOW_MS - HOUR_MS), (INTENT, NOW_MS - 20 * DAY_MS))
    assert told == {("t:quota:{acme}:rate", "hour"): 1, ("t:quota:{acme}:rate", "month"): 2}


def test_only_what_a_gateway_charged_counts() -> None:
    others = (
        replace(INTENT, realm="runtime", intent_type="runtime.cancel"),
        replace(INTENT, causation_id="exe-0-1"),
        replace(INTENT, metadata=b'{"source":"producer"}'),
        replace(INTENT, tenant_id="globex"),
    )
    assert counted(*((one, NOW_MS) for one in others)) == {}
    sealed = replace(INTENT, metadata=b"\x00")
    assert counted((sealed, NOW_MS))["t:quota:{acme}:rate", "hour"] == 1


def test_the_longest_period_says_from_when_on_is_read() -> None:
    def since(*tenants: Tenant) -> int | None:
        return SpentBudgets({one.tenant_id: one for one in tenants}, NOW).since_ms

    assert since(tenant("acme")) is None
    hour = int(datetime(2026, 3, 14, 15, tzinfo=UTC).timestamp()) * 1_000
    assert since(tenant("acme", "hour")) == hour
    month = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1_000
    assert since(tenant("acme", "hour"), tenant("globex", "day", "month")) == month
