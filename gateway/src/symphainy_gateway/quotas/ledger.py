"""The counts of all gateways together, in Redis: one key a tenant, one script, one round trip.

Redis' clock counts, so gateways whose clocks differ agree. The key's hash tag is the tenant's name:
on a cluster each tenant's counts have a slot. It goes when it has nothing more to say: when the
bucket is full again and the periods are over.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any, Final, NamedTuple, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from symphainy_gateway.quotas.counting import Counts, Spent, Taken
from symphainy_gateway.quotas.limits import DAY, HOUR, MONTH, Limits
from symphainy_schemas.errors import Unavailable

# Longer than the period, so that a period's count outlives it whatever the calendar does.
KEPT_MS: Final = {HOUR: 2 * 3_600_000, DAY: 2 * 86_400_000, MONTH: 33 * 86_400_000}
_SLACK_MS = 60_000
# A script takes Redis 20 µs; this is above any pause of a healthy one, and what a request may lose
# once when it goes away. Below it, a busy machine's scheduling would pass for an outage.
TIMEOUT_S: Final = 0.25
_RESERVE = """
local used = tonumber(redis.call('GET', KEYS[1]) or '0') + tonumber(ARGV[3])
local fits = used + tonumber(ARGV[1]) <= tonumber(ARGV[2])
if fits then used = used + tonumber(ARGV[1]) end
redis.call('SET', KEYS[1], string.format('%.0f', used))
return {fits and 1 or 0, string.format('%.0f', used)}
"""


class Owed(NamedTuple):
    """Of a budget's period: the least that is known to be used, and what is to be added to it."""

    number: int
    least: int
    more: int


class Ask(NamedTuple):
    """So many intents and control intents of a tenant. The bucket may hold `ceiling` tokens at most
    (for intents, for control intents; None: as many as it has), and each budget is owed so much."""

    tenant_id: str
    limits: Limits
    intents: int
    controls: int
    ceiling: tuple[float, float] | None
    owed: tuple[Owed, ...]


class Stored(NamedTuple):
    """Whether the bytes fit, and how many the tenant has stored, with them if they do."""

    fits: bool
    used: int


class Ledger(Protocol):
    """Where tenants' counts are kept for all gateways."""

    async def take(self, asks: Sequence[Ask]) -> Sequence[Taken]:
        """Grant each ask what there is room for.

        Raises:
            Unavailable: it is unknown what was taken.
        """
        ...

    async def store(self, tenant_id: str, size: int, limit: int, owed: int) -> Stored:
        """Count `size` bytes as stored if they fit into `limit`, and `owed` more in any case.

        Raises:
            Unavailable: it is unknown what was counted.
        """
        ...


class RedisLedger:
    """A `Ledger` in Redis."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        """`prefix` as of the read model, ending in a separator."""
        self._redis = redis
        self._prefix = prefix
        script = resources.files(__package__) / "take.lua"
        self._take = redis.register_script(script.read_text())
        self._reserve = redis.register_script(_RESERVE)

    async def take(self, asks: Sequence[Ask]) -> Sequence[Taken]:
        """As `Ledger.take`, in one round trip, or two where Redis has forgotten the script."""
        try:
            pipe = self._redis.pipeline(transaction=False)
            for one in asks:
                await self._take(
                    keys=[rate_key(self._prefix, one.tenant_id)], args=_arguments(one), client=pipe
                )
            answers: list[list[Any]] = await pipe.execute()
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error
        return [_taken(one, answer) for one, answer in zip(asks, answers, strict=True)]

    async def store(self, tenant_id: str, size: int, limit: int, owed: int) -> Stored:
        """As `Ledger.store`."""
        try:
            fits, used = await self._reserve(
                keys=[storage_key(self._prefix, tenant_id)], args=[size, limit, owed]
            )
        except (RedisError, OSError) as error:
            raise _unavailable(error) from error
        return Stored(bool(fits), int(used))


def rate_key(prefix: str, tenant_id: str) -> str:
    """Hash: tokens, control, at (µs), and of each budget <period> and <period>_at. Expires."""
    return f"{prefix}quota:{{{tenant_id}}}:rate"


def storage_key(prefix: str, tenant_id: str) -> str:
    """How many bytes of the tenant are in the object store. Stays; can be counted anew."""
    return f"{prefix}quota:{{{tenant_id}}}:storage"


def _arguments(ask: Ask) -> list[str | int | float]:
    limits = ask.limits
    kept = [KEPT_MS[one.period] for one in limits.budgets]
    if limits.rate_per_s > 0:
        kept.append(int(limits.burst / limits.rate_per_s * 1_000) + _SLACK_MS)
    given: list[str | int | float] = [limits.rate_per_s, limits.burst, ask.intents, ask.controls]
    given += ["", ""] if ask.ceiling is None else list(ask.ceiling)
    given.append(max(kept))
    for budget, owed in zip(limits.budgets, ask.owed, strict=True):
        given += [budget.period, budget.intents, owed.number, owed.least, owed.more]
    return given


def _taken(ask: Ask, answer: list[Any]) -> Taken:
    intents, controls, tokens, control, at_us, *rest = answer
    spent = tuple(
        Spent(budget.period, int(number), int(used))
        for budget, number, used in zip(ask.limits.budgets, rest[::2], rest[1::2], strict=True)
    )
    return Taken(
        int(intents), int(controls), Counts(float(tokens), float(control), int(at_us), spent)
    )


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(
        f"Redis did not tell what a tenant has stated: {type(error).__name__}.",
        code="read_model_unavailable",
        cure="A stand-in counts meanwhile.",
    )
