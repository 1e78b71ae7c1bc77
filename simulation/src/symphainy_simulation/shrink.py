"""Makes a failing run small: delta debugging over what was stated and what went wrong.

Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 2002.
"""

from __future__ import annotations

from collections.abc import Callable

from symphainy_simulation.drawing import plan_of
from symphainy_simulation.plan import Token

MOST_RUNS = 300
Fails = Callable[[Token], bool]


class Shrinking:
    """Tries ever smaller runs."""

    def __init__(self, fails: Fails, most_runs: int = MOST_RUNS) -> None:
        """`fails` runs what a token names and says whether it still fails in the same way."""
        self._fails = fails
        self.runs_left = most_runs

    def shrink(self, token: Token) -> Token:
        """The smallest that was found: faults first, since they explain most."""
        plan = plan_of(token)
        token = Token(
            token.seed,
            frozenset(one.number for one in plan.stated),
            frozenset(one.number for one in plan.faults),
        )
        while True:
            before = token
            token = self._faults(token)
            token = self._stated(token)
            if token == before or not self.runs_left:
                return token

    def _faults(self, token: Token) -> Token:
        kept = self._minimal(
            sorted(token.faults or ()),
            lambda faults: Token(token.seed, token.stated, frozenset(faults)),
        )
        return Token(token.seed, token.stated, frozenset(kept))

    def _stated(self, token: Token) -> Token:
        kept = self._minimal(
            sorted(token.stated or ()),
            lambda stated: Token(token.seed, frozenset(stated), token.faults),
        )
        return Token(token.seed, frozenset(kept), token.faults)

    def _minimal(self, items: list[int], with_: Callable[[list[int]], Token]) -> list[int]:
        """Leave out what is not needed, in pieces of halving size."""
        size = len(items)
        while size and items:
            at = 0
            while at < len(items) and self.runs_left:
                fewer = items[:at] + items[at + size :]
                self.runs_left -= 1
                if self._fails(with_(fewer)):
                    items = fewer
                else:
                    at += size
            size //= 2
        return items
