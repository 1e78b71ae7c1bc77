"""A tenant's limits over time, and the calendar that its budgets follow. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, NamedTuple

from symphainy_schemas.records import Budget, Tenant

HOUR, DAY, MONTH = "hour", "day", "month"
PERIODS: Final = (HOUR, DAY, MONTH)
_S: Final = {HOUR: 3_600, DAY: 86_400}


class Limits(NamedTuple):
    """What a tenant may state over time; a rate of 0 is no rate."""

    rate_per_s: float
    burst: float
    budgets: tuple[Budget, ...]


def limits_of(tenant: Tenant | None) -> Limits | None:
    """The tenant's limits over time; None if it has none, and then nobody need count.

    A burst of 0 is one second's worth, and never less than one intent.
    """
    if tenant is None or not (tenant.rate_per_s > 0 or tenant.budgets):
        return None
    burst = float(tenant.burst or max(1.0, tenant.rate_per_s))
    known = tuple(one for one in tenant.budgets if one.period in PERIODS)
    return Limits(max(0.0, tenant.rate_per_s), burst, known)


def index_of(period: str, at_s: float) -> int:
    """Which hour, day or month of the calendar in UTC a time is in, counted from the epoch; of a
    month, from the year 0. `at_s` is seconds since the epoch."""
    if period == MONTH:
        then = datetime.fromtimestamp(at_s, UTC)
        return then.year * 12 + then.month - 1
    return int(at_s // _S[period])


def end_of(period: str, index: int) -> int:
    """When the period ends and the next begins, in seconds since the epoch."""
    if period == MONTH:
        year, month = divmod(index + 1, 12)
        return int(datetime(year, month + 1, 1, tzinfo=UTC).timestamp())
    return (index + 1) * _S[period]


def beginning_of(period: str, index: int) -> int:
    """When the period begins, in seconds since the epoch."""
    return end_of(period, index - 1)


def length_s(period: str, index: int) -> int:
    """How long the period is."""
    return end_of(period, index) - end_of(period, index - 1)
