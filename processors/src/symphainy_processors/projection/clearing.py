"""Deleting what partitions have in the read model while projectors run.

A partition that is being deleted says so in its position, so no batch fits there (rule 19): nothing
is written until the last key is gone and the position with it. Each page of keys is deleted by a
script that asks first whether this deletion still holds the partition. So two may delete at once,
and one that comes late deletes nothing that was written since. Whoever died is no matter: what it
left is ended by whoever finds it, a rebuild or a projector.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from symphainy_runtime.read_model.keys import Keys

SCAN_COUNT = 1_000  # keys a script deletes at once; Lua's stack takes about 8,000
_MARK: Final = b"deleting:"
# The counts of versions that live begin anew as well: that there are none now is no old release's.
_HOLD: Final = """
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'offset', ARGV[1], 'counts_versions', '1')
"""
_DELETE: Final = """
if redis.call('HGET', KEYS[1], 'offset') ~= ARGV[1] then return -1 end
if #KEYS == 1 then return 0 end
return redis.call('UNLINK', unpack(KEYS, 2))
"""
_RELEASE: Final = """
if redis.call('HGET', KEYS[1], 'offset') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


def deleted_by(position: Mapping[bytes, bytes]) -> bytes | None:
    """Whose deletion holds the partition that has this position; None where none does."""
    offset = position.get(b"offset", b"")
    return offset if offset.startswith(_MARK) else None


class Clearing:
    """One deletion of some partitions, begun here or by somebody who died."""

    def __init__(self, redis: Any, prefix: str, held: Mapping[int, bytes]) -> None:
        """`held` says in whose name each partition is held."""
        self._redis = redis
        self._prefix = prefix
        self._held = dict(held)
        self._delete = redis.register_script(_DELETE)
        self._release = redis.register_script(_RELEASE)

    @classmethod
    def begin(cls, redis: Any, prefix: str, partitions: Iterable[int]) -> Clearing:
        """Hold the partitions: from here on nothing is written to them."""
        mark = _MARK + secrets.token_hex(8).encode()
        hold = redis.register_script(_HOLD)
        held = {}
        for p in partitions:
            hold(keys=[Keys(prefix, p).position], args=[mark])
            held[p] = mark
        return cls(redis, prefix, held)

    def run(self, progress: Callable[[int], None] | None = None) -> int:
        """Delete every key of the partitions, then let them go; how many were deleted.
        `progress` hears of each page how many it had."""
        deleted = 0
        # One partition is found by its own pattern; of several, all are, in one scan.
        only = next(iter(self._held)) if len(self._held) == 1 else None
        pattern = f"{self._prefix}{{*}}:*" if only is None else Keys(self._prefix, only).root + "*"
        cursor = 0
        while self._held:
            cursor, found = self._redis.scan(cursor, match=pattern, count=SCAN_COUNT)
            for p, keys in self._by_partition(found).items():
                gone = self._page(p, keys)
                deleted += gone
                if progress is not None:
                    progress(gone)
            if cursor == 0:
                break
        for p, mark in self._held.items():
            self._release(keys=[Keys(self._prefix, p).position], args=[mark])
        return deleted

    def _by_partition(self, found: Iterable[bytes]) -> dict[int, list[bytes]]:
        pages: dict[int, list[bytes]] = {}
        start = len(self._prefix.encode()) + 1
        for key in found:
            number = key[start : key.find(b"}", start)]
            p = int(number) if number.isdigit() else -1
            if p in self._held and key != Keys(self._prefix, p).position.encode():
                pages.setdefault(p, []).append(key)
        return pages

    def _page(self, p: int, keys: list[bytes]) -> int:
        """How many are gone; a partition that is no longer held by us is not ours to delete."""
        gone = 0
        for start in range(0, len(keys), SCAN_COUNT):
            some = keys[start : start + SCAN_COUNT]
            told: int = self._delete(
                keys=[Keys(self._prefix, p).position, *some], args=[self._held[p]]
            )
            if told < 0:
                del self._held[p]
                break
            gone += told
        return gone
