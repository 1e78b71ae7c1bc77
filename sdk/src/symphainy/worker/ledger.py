"""Which offsets of a partition are done, and up to where that may be committed. Pure.

A position is committed only over a contiguous run of done offsets; an offset that Kafka does not
hold (a transaction marker) is not waited for. A lease is one assignment of one partition.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass


class OffsetsOutOfOrder(AssertionError):
    """A partition's offsets did not increase: a bug, here or in the Kafka client."""


class Ledger:
    """The offsets that were taken from one partition, in order, and which of them are done."""

    __slots__ = ("_done", "_taken", "position")

    def __init__(self, start: int) -> None:
        """`start` is the first offset that will be read."""
        self.position = start
        """The offset to commit: everything below it is done."""
        self._taken: deque[int] = deque()
        self._done: set[int] = set()

    def take(self, offset: int) -> None:
        """The record at `offset` was read.

        Raises:
            OffsetsOutOfOrder: it does not stand after all that were read before.
        """
        if offset < self.position or (self._taken and offset <= self._taken[-1]):
            raise OffsetsOutOfOrder(f"offset {offset} after {self._taken or self.position}")
        self._taken.append(offset)

    def done(self, offset: int) -> None:
        """The record's final report is acknowledged. Offsets not taken here change nothing."""
        taken = self._taken
        if not taken:
            return
        if offset != taken[0]:
            if taken[0] < offset <= taken[-1]:
                self._done.add(offset)
            return
        taken.popleft()
        last = offset
        while taken and taken[0] in self._done:
            last = taken.popleft()
            self._done.discard(last)
        self.position = last + 1

    @property
    def open(self) -> int:
        """How many taken records stand at or above `position`."""
        return len(self._taken)


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin reading a partition, and below which offset a task may have been delivered.

    `fresh`: no consumer of the group ever committed here.
    """

    offset: int
    suspect_below: int
    fresh: bool


def begin(committed: int, low: int, high: int) -> Start:
    """Where an assignment begins, from the group's commit (negative: none) and the watermarks.

    Between the commit and the end at assignment, an earlier consumer may have run anything. A
    commit outside the partition (retention passed it, or the topic was made anew) proves nothing
    about what is there, so all of it is suspect.
    """
    if committed < 0:
        return Start(low, low, True)
    if not low <= committed <= high:
        return Start(low, high, False)
    return Start(committed, high, False)


class Lease:
    """One assignment of one partition. The pump's thread ends it; the loop's thread fills it."""

    __slots__ = ("active", "committed", "emptied", "ledger", "partition", "suspect_below")

    def __init__(self, partition: int, start: Start) -> None:
        self.partition = partition
        self.suspect_below = start.suspect_below
        self.ledger = Ledger(start.offset)
        self.committed = start.offset
        """The position that was last sent to Kafka; only the pump's thread touches it."""
        self.active = True
        """Whether tasks of the partition may still be started."""
        self.emptied: threading.Event | None = None
        """Set, once somebody waits for it, when nothing is open."""

    def done(self, offset: int) -> None:
        """The final report of the task at `offset` is acknowledged."""
        self.ledger.done(offset)
        if self.emptied is not None and not self.ledger.open:
            self.emptied.set()
