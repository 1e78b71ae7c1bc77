"""The words of dispatch: what is ready, where it queues, and what bounds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Place = tuple[int, str, str]  # order, execution, step: a ready step's place in its line


class Limits(NamedTuple):
    """A tenant's share of one partition."""

    weight: int = 1  # steps that go in a row when it is the tenant's turn; below 1 counts as 1
    max_concurrency: int = 0  # most steps outstanding, over all realms; below 1 is no limit
    stopped: bool = False  # nothing of it goes

    def has_room(self, outstanding: int) -> bool:
        """Whether one more may go beside those."""
        return not self.stopped and not 0 < self.max_concurrency <= outstanding


class Line(NamedTuple):
    """One queue of ready steps, first in, first out but for concurrency keys."""

    realm: str
    tenant_id: str
    priority: int  # the lowest number goes first
    key: str = ""  # of the queue's steps, those under this concurrency key; none: all


class Ready(NamedTuple):
    """A step that may go on.

    At most `key_limit` steps of a tenant are outstanding under one `concurrency_key`; no key, or a
    limit below 1, is no limit.
    """

    realm: str
    tenant_id: str
    priority: int
    order: int
    execution_id: str
    step: str
    concurrency_key: str = ""
    key_limit: int = 0

    @property
    def place(self) -> Place:
        """Where it stands in its line."""
        return self[3:6]


Share = Callable[[str], Limits]
# The ready steps of a line behind a place, in order, at most so many; fewer means: no more. Asked
# for one key, it may tell the others as well: where it has no index by key, that is all it can.
More = Callable[[Line, Place | None, int], list[Ready]]


class Bounds(NamedTuple):
    """How much is held in memory, and how much is looked through at a time."""

    # One read of the state: about a millisecond of the owner's loop.
    page: int = 64
    # Above `held` items in all (about 30 MB) every line and every waiting key keeps at most
    # `scant` more, which bounds memory whatever the backlog.
    held: int = 50_000
    scant: int = 4
    # Pages that one `take` looks through, behind steps that a key holds back, before it gives up
    # until the next: some 10 ms, half an owner's tick.
    scans: int = 8
    # Tenants at their limit whose limit is read again when nothing else can go: some 50 µs.
    rechecks: int = 64
    # A tenant's priority is passed over so often by a higher one, then it goes once. So the
    # lowest of two keeps a twentieth, and none starves.
    patience: int = 20
