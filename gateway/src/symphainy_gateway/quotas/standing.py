"""How one tenant stands as one gateway knows it, and the stand-in while Redis is away. Pure.

The stand-in counts with this gateway's share of the rate, of the burst and of what was left of each
budget when Redis last told. It begins with the tokens that were left then. When Redis is back, what
was granted meanwhile is added to its budgets, and its bucket is left with no more tokens than the
stand-in's has, so that nobody gets a second burst. What a gateway was told of a budget is the least
that counts there: a Redis that lost everything learns it again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from symphainy_gateway.quotas.counting import Counts, Spent, full, take
from symphainy_gateway.quotas.ledger import Owed
from symphainy_gateway.quotas.limits import Limits
from symphainy_schemas.records import Budget

_NOTHING = Counts(0.0, 0.0, 0, ())


@dataclass(slots=True)
class Standing:
    """What this gateway knows of one tenant."""

    limits: Limits
    told: Counts | None = None
    """As Redis last said."""
    local: Counts | None = None
    """As the stand-in counts; None while Redis answers."""

    def counts(self) -> Counts | None:
        """As it is now, for all that is known."""
        return self.local or self.told

    def heard(self, counts: Counts, asked: Counts | None) -> None:
        """Redis has answered, and has what the stand-in had granted when it was asked: `asked` is
        `local` as it was then. What it granted since is the least that counts next time."""
        if asked is not None and self.local is not None:
            since = tuple(
                one._replace(used=one.used + _since(self.local.of(one.period), asked))
                for one in counts.spent
            )
            counts = counts._replace(spent=since)
        self.told, self.local = counts, None

    def stand_in(self, control: bool, share: float, now_us: int) -> bool:
        """Grant one intent, or control intent, without Redis; `share` of 1 is everything."""
        limits = self._shared(share)
        local = self.local or self._beginning(limits, share, now_us)
        taken = take(local, limits, 0 if control else 1, 1 if control else 0, now_us)
        self.local = taken.counts
        return taken.intents + taken.controls == 1

    def ceiling(self, share: float) -> tuple[float, float] | None:
        """The tokens that may stand in Redis' bucket, of either kind; None for any number."""
        if self.local is None:
            return None
        return max(0.0, self.local.tokens / share), max(0.0, self.local.control / share)

    def owed(self) -> tuple[Owed, ...]:
        """What Redis must at least know, and be told, of each budget."""
        told = self.told or _NOTHING
        owed = []
        for budget in self.limits.budgets:
            before = told.of(budget.period)
            now = before if self.local is None else self.local.of(budget.period)
            least = before.used if now.number == before.number else 0
            owed.append(Owed(now.number, least, now.used - least))
        return tuple(owed)

    def _beginning(self, limits: Limits, share: float, now_us: int) -> Counts:
        if self.told is None:
            return full(limits, now_us)
        told = self.told
        return told._replace(tokens=told.tokens * share, control=told.control * share)

    def _shared(self, share: float) -> Limits:
        limits = self.limits
        told = self.told or _NOTHING
        budgets = tuple(_shared(one, told.of(one.period).used, share) for one in limits.budgets)
        return Limits(limits.rate_per_s * share, max(1.0, limits.burst * share), budgets)


def _shared(budget: Budget, used: int, share: float) -> Budget:
    """The budget with a share of what is left of it."""
    left = max(0, budget.intents - used)
    return Budget(budget.period, used + math.floor(left * share))


def _since(now: Spent, before: Counts) -> int:
    """How many were granted since."""
    then = before.of(now.period)
    return now.used - then.used if now.number == then.number else now.used
