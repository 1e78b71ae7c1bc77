"""One realm's window over all partitions of an owner, and who may have how much of it.

Partitions share it so that they learn of the workers together: eight small windows before the same
workers would each judge them by a handful of tasks, and swing. When it is full, still

- a partition may have its equal share outstanding, and at least one step: what waits in one is not
  held up by the others;
- a tenant may have its share by weight of all that wait or are served: whoever asks for less than
  that waits for no slot, whatever another has queued (max-min fairness, which the turns approximate
  for all who ask for more).

What they leave of it is anybody's. Both shares add up to the window at most, so no more than twice
that is ever outstanding, until what was there before has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from symphainy_processors.dispatch.window import Sizes, Window


@dataclass(slots=True, eq=False)
class Part:
    """What one tenant has of a pool, in all partitions."""

    weight: int
    outstanding: int = 0
    queues: int = 0


@dataclass(slots=True, eq=False)
class Pool:
    """What one realm has outstanding in all partitions of an owner, and how much it may."""

    window: Window
    outstanding: int = 0
    sharers: int = 0  # partitions that have something ready or outstanding
    # What was full and has more to send, each with what is to be done when there is room.
    parked: dict[Hashable, Callable[[], None]] = field(default_factory=dict)
    _parts: dict[str, Part] = field(default_factory=dict)  # of tenants that wait or are served
    _weights: int = 0  # of all of them

    @property
    def full(self) -> bool:
        """Whether its window is."""
        return self.outstanding >= self.window.size

    @property
    def share(self) -> int:
        """How many a partition may have outstanding even so."""
        return max(1, self.window.size // max(1, self.sharers))

    def owes(self, tenant_id: str, weight: int) -> bool:
        """Whether a tenant has less outstanding than its share."""
        self.weigh(tenant_id, weight)
        part = self._parts.get(tenant_id)
        if part is None:
            return self.window.size * weight >= self._weights + weight
        return (part.outstanding + 1) * self._weights <= self.window.size * part.weight

    def weigh(self, tenant_id: str, weight: int) -> None:
        """The tenant's weight as of now."""
        part = self._parts.get(tenant_id)
        if part is not None:
            self._weights += weight - part.weight
            part.weight = weight

    def count(self, tenant_id: str, outstanding: int, queues: int) -> None:
        """So many more of a tenant are outstanding, in so many more partitions it waits."""
        part = self._parts.get(tenant_id)
        if part is None:
            part = self._parts[tenant_id] = Part(1)
            self._weights += 1
        self.outstanding += outstanding
        part.outstanding += outstanding
        part.queues += queues
        if not part.outstanding and not part.queues:
            self._weights -= part.weight
            del self._parts[tenant_id]

    def wake(self) -> None:
        """Something ended, or the window changed: who was full looks again if there is room."""
        if self.parked and not self.full:
            parked, self.parked = self.parked, {}
            for look in parked.values():
                look()


class Pools:
    """The pools of one owner, by realm."""

    def __init__(self, sizes: Sizes | None = None) -> None:
        self._sizes = sizes or Sizes()
        self._pools: dict[str, Pool] = {}

    def of(self, realm: str) -> Pool:
        """The pool of that realm."""
        pool = self._pools.get(realm)
        if pool is None:
            pool = self._pools[realm] = Pool(Window(self._sizes))
        return pool

    def items(self) -> list[tuple[str, Pool]]:
        """All, in the order of the realms' first steps."""
        return list(self._pools.items())
