"""Tokens that are accepted once, by their id, until they expire. Per process: see docs/identity.md.

Bounded. What would have to be forgotten to make room could be presented again, so then no further
one is accepted before one of them has expired.
"""

from __future__ import annotations

from heapq import heappop, heappush

# 100 bytes each.
USED_MAX = 100_000


class UsedTokens:
    """The ids of tokens that were presented."""

    def __init__(self, limit: int = USED_MAX) -> None:
        self._limit = limit
        self._used: set[str] = set()
        self._expiring: list[tuple[float, str]] = []

    def full(self, now_s: float) -> bool:
        """Whether there is no room."""
        while self._expiring and self._expiring[0][0] <= now_s:
            self._used.discard(heappop(self._expiring)[1])
        return len(self._used) >= self._limit

    def first(self, token: str, until_s: float) -> bool:
        """Whether the token is presented for the first time; from here on it was. `until_s` is
        when it does not count any more."""
        if token in self._used:
            return False
        self._used.add(token)
        heappush(self._expiring, (until_s, token))
        return True
