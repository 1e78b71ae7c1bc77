"""Counting what a tenant states against its limits. Pure; `take.lua` does the same in Redis.

A token bucket (ITU-T I.371 knows it as the continuous-state leaky bucket): tokens come at the rate,
up to the burst, and an intent takes one. Control intents have a bucket of their own, of the same
rate and burst, and no budget: who floods, or has spent the month, can still cancel what runs.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from symphainy_gateway.quotas.limits import Limits, index_of

US = 1_000_000


class Spent(NamedTuple):
    """How many intents were stated in one period of a budget: `number` says which hour, day or
    month of the calendar."""

    period: str
    number: int
    used: int


class Counts(NamedTuple):
    """How a tenant stands: tokens for intents and for control intents, and what each budget has
    spent, at a time in µs since the epoch."""

    tokens: float
    control: float
    at_us: int
    spent: tuple[Spent, ...]

    def of(self, period: str) -> Spent:
        """What is spent of that period's budget; nothing in a period before the calendar where
        that is not known."""
        return next((one for one in self.spent if one.period == period), Spent(period, -1, 0))


class Taken(NamedTuple):
    """How many intents and control intents were granted, and how the tenant stands after."""

    intents: int
    controls: int
    counts: Counts


def full(limits: Limits, now_us: int) -> Counts:
    """Of a tenant that has stated nothing yet."""
    nothing = Counts(limits.burst, limits.burst, now_us, ())
    return nothing._replace(spent=_current(nothing, limits, now_us))


def take(counts: Counts, limits: Limits, intents: int, controls: int, now_us: int) -> Taken:
    """Grant as many as there is room for, of each kind; a clock that goes back refills nothing."""
    now_us = max(now_us, counts.at_us)
    spent = _current(counts, limits, now_us)
    left = (max(0, one.intents - now.used) for one, now in zip(limits.budgets, spent, strict=True))
    granted, granted_controls = min((intents, *left)), controls
    tokens = control = limits.burst
    if limits.rate_per_s > 0:
        come = (now_us - counts.at_us) / US * limits.rate_per_s
        tokens = min(limits.burst, counts.tokens + come)
        control = min(limits.burst, counts.control + come)
        granted = min(granted, max(0, math.floor(tokens)))
        granted_controls = min(controls, max(0, math.floor(control)))
        tokens, control = tokens - granted, control - granted_controls
    spent = tuple(one._replace(used=one.used + granted) for one in spent)
    return Taken(granted, granted_controls, Counts(tokens, control, now_us, spent))


def _current(counts: Counts, limits: Limits, now_us: int) -> tuple[Spent, ...]:
    """What is spent of the period that is now, or of a later one if that is known already."""
    periods = ((one.period, index_of(one.period, now_us / US)) for one in limits.budgets)
    return tuple(
        max(counts.of(period), Spent(period, number, 0), key=lambda one: one.number)
        for period, number in periods
    )
