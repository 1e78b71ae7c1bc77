"""What of tenants' budgets is spent, counted from the write-ahead log where Redis has lost it.

Each intent that a gateway has appended was charged, so each one in the log counts for the hour, day
and month that Kafka appended it in. Buckets of rates are not restored: they are full again within
seconds by themselves. Counting never takes away: where Redis knows of more, that stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from symphainy_gateway.intents import RUNTIME_REALM, SOURCE
from symphainy_gateway.quotas.ledger import KEPT_MS, rate_key
from symphainy_gateway.quotas.limits import Limits, beginning_of, index_of, limits_of
from symphainy_schemas.records import Intent, Tenant

_RAISE: Final = """
local known = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[1] .. '_at')
local at, used = tonumber(ARGV[2]), tonumber(ARGV[3])
if known[1] and tonumber(known[2]) > at then return 0 end
if known[1] and tonumber(known[2]) == at and tonumber(known[1]) >= used then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3], ARGV[1] .. '_at', ARGV[2])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return 1
"""


class SpentBudgets:
    """Counts intents of the periods that are now."""

    def __init__(self, tenants: Mapping[str, Tenant], now_s: float) -> None:
        """Of those tenants that have budgets, as of `now_s`, seconds since the epoch."""
        known = {name: limits_of(tenant) for name, tenant in tenants.items()}
        self._limits: dict[str, Limits] = {
            name: limits for name, limits in known.items() if limits and limits.budgets
        }
        self._now_s = now_s
        self._used: Counter[tuple[str, str]] = Counter()

    @property
    def since_ms(self) -> int | None:
        """When the longest of the periods began, ms since the epoch; None: nobody has a budget."""
        periods = {one.period for limits in self._limits.values() for one in limits.budgets}
        begun = [beginning_of(period, index_of(period, self._now_s)) for period in periods]
        return min(begun) * 1_000 if begun else None

    def take(self, intent: Intent, at_ms: int) -> None:
        """Count an intent that Kafka appended at `at_ms`, if a gateway charged it."""
        limits = self._limits.get(intent.tenant_id)
        if limits is None or not _charged(intent):
            return
        for budget in limits.budgets:
            now = index_of(budget.period, self._now_s)
            if index_of(budget.period, at_ms / 1_000) == now:
                self._used[intent.tenant_id, budget.period] += 1

    def write(self, redis: Any, prefix: str) -> int:
        """Raise what Redis knows to what was counted; how many counts were too low there."""
        script = redis.register_script(_RAISE)
        raised = 0
        for (tenant_id, period), used in self._used.items():
            number = index_of(period, self._now_s)
            arguments = [period, number, used, KEPT_MS[period]]
            raised += int(script(keys=[rate_key(prefix, tenant_id)], args=arguments))
        return raised


def _charged(intent: Intent) -> bool:
    """Whether a gateway stated it: not control intents, nor what handlers invoke and producers
    append themselves."""
    if intent.realm == RUNTIME_REALM or intent.causation_id:
        return False
    try:
        metadata: Any = msgspec.json.decode(intent.metadata)
    except msgspec.DecodeError:
        return True  # nobody but its readers can say; what may have been charged counts
    return isinstance(metadata, dict) and metadata.get("source") == SOURCE["source"]
