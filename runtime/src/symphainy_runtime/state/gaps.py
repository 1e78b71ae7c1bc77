"""Stretches at the start of scanned ranges that are known to hold nothing.

RocksDB steps over every removed key that is not compacted away yet, 0.3 µs each. Timers, expiries
and queues are removed at the front, so a scan from the front would step over hundreds of
thousands; with this it steps over what was removed since the last one.
"""

from __future__ import annotations

from bisect import bisect_left

# How many beginnings of ranges are known to be empty; a partition reads few from the same start.
GAPS = 64


class Gaps:
    """What the scans of one store have found to be empty."""

    def __init__(self) -> None:
        self._firsts: dict[bytes, bytes] = {}  # start of a scan: nothing lies before this key

    def behind(self, start: bytes) -> bytes:
        """Where a scan from `start` may begin."""
        first = self._firsts.pop(start, start)
        self._firsts[start] = first
        if len(self._firsts) > GAPS:
            del self._firsts[next(iter(self._firsts))]  # the one that was not asked for longest
        return first

    def found(self, start: bytes, first: bytes) -> None:
        """A scan from `start` has met nothing before `first`."""
        self._firsts[start] = first

    def written(self, keys: list[bytes]) -> None:
        """These keys may hold something from here on."""
        keys.sort()
        for start, first in self._firsts.items():
            at = bisect_left(keys, start)
            if at < len(keys) and keys[at] < first:
                self._firsts[start] = keys[at]
