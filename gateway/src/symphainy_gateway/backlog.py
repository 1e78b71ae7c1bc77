"""What stands undecided in each partition of the write-ahead log, and when that is too much. Pure.

The backlog of a partition is the end of `intents[p]` minus the `intents_next` that its journal last
named. Both are looked at now and then, and this process' own appends are added as they are
acknowledged; so it is an estimate, and its limit a soft one: what other gateways append between
two looks comes on top.

The read model may be behind the journal, and then knows of decisions too late. Each record that it
lacks may have decided one intent, so that many are not held against the owner: a projector that
stands still is no reason to refuse. Where nothing is known, nothing is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from symphainy_runtime.read_model.positions import Position

# Refusing begins above the limit and ends a fifth below it, so that it lasts seconds and does not
# flap with every look.
_LOW = 0.8
# The drain rate follows the owner within some looks, and is not thrown by one turn of its loop.
_RATE_S = 5.0
# A look is missed when Redis fails once or starts again; what was seen before it is old by then.
STALE_S = 5.0
# An owner that drains at all moves its position within one (`position_every_ms`), so this long
# without is a stall: a takeover, a realm that takes nothing, a full disk.
STALL_S = 3.0
RETRY_MIN_S, RETRY_MAX_S = 1, 60
_NEVER = 1 << 62


class Sighting(NamedTuple):
    """What one look saw of a partition: the offsets after the last intent and the last journal
    record, and where the read model stands; None for what was not seen."""

    end: int | None
    journal_end: int | None
    position: Position | None


class _Partition:
    """One partition, as of the last look and this process' appends since."""

    __slots__ = (
        "decided",
        "end",
        "full",
        "full_at",
        "moved_at",
        "own_end",
        "rate",
        "seen_at",
        "unprojected",
    )

    def __init__(self, now: float) -> None:
        self.end = 0
        self.own_end = 0  # after this process' last append since the last look
        self.decided = -1  # intents_next; -1: not known
        self.unprojected = 0
        self.seen_at = now  # when `decided` was
        self.moved_at = now  # when it last moved, or there was nothing to move for
        self.rate = 0.0  # intents decided a second
        self.full = False
        self.full_at = _NEVER  # an append at this offset, or after it, fills the partition

    @property
    def waiting(self) -> int:
        """At least so many intents are undecided; 0 if that is not known."""
        return 0 if self.decided < 0 else max(0, self.end - self.decided - self.unprojected)


class Backlog:
    """The backlogs of all partitions. `now` is monotonic, in seconds."""

    def __init__(self, limit: int) -> None:
        """Refuse where more than `limit` intents are undecided."""
        self._limit = limit
        self._low = int(limit * _LOW)
        self._partitions: dict[int, _Partition] = {}

    def waiting(self) -> Iterator[tuple[int, int]]:
        """Each partition of which it is known, with its backlog."""
        return ((p, one.waiting) for p, one in self._partitions.items() if one.decided >= 0)

    def appended(self, partition: int, offset: int) -> None:
        """This process appended an intent."""
        one = self._partitions.get(partition)
        if one is not None and offset >= one.own_end:
            one.own_end = offset + 1
            one.end = max(one.end, one.own_end)
            if offset >= one.full_at:
                one.full = True

    def retry_after_s(self, partition: int, now: float) -> int:
        """0 if the partition takes intents, else the seconds until it probably does again.

        From its drain rate; of a stall nothing tells the end, so as long again as it has lasted.
        """
        one = self._partitions.get(partition)
        if one is None or not one.full:
            return 0
        stalled_s = now - one.moved_at
        if one.rate <= 0 or stalled_s >= STALL_S:
            wait_s = stalled_s
        else:
            wait_s = (one.waiting - self._low) / one.rate
        return min(max(math.ceil(wait_s), RETRY_MIN_S), RETRY_MAX_S)

    def see(self, partition: int, sighting: Sighting, now: float) -> None:
        """Take in what a look saw."""
        one = self._partitions.get(partition)
        if one is None:
            one = self._partitions[partition] = _Partition(now)
        if sighting.end is not None:
            one.end = max(sighting.end, one.own_end)  # the look may be older than the append
            one.own_end = 0
        position = sighting.position
        if sighting.journal_end == 0:
            position = Position(-1, 0, 0)  # an empty journal has decided nothing
        if position is not None:
            self._see_position(one, position, now)
            if sighting.journal_end is not None:
                one.unprojected = max(0, sighting.journal_end - 1 - position.offset)
        elif now - one.seen_at > STALE_S:
            one.decided = -1
        if one.waiting == 0:
            one.moved_at = now
        one.full = one.waiting > (self._low if one.full else self._limit)
        one.full_at = one.decided + one.unprojected + self._limit if one.decided >= 0 else _NEVER

    def _see_position(self, one: _Partition, position: Position, now: float) -> None:
        elapsed_s = now - one.seen_at
        if one.decided >= 0 and elapsed_s > 0:
            moved = max(0, position.intents_next - one.decided)
            weight = 1 - math.exp(-elapsed_s / _RATE_S)
            one.rate += weight * (moved / elapsed_s - one.rate)
        if one.decided != position.intents_next:
            one.moved_at = now
        one.decided = position.intents_next
        one.seen_at = now
