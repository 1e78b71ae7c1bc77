"""Who waits where: the tenants, their queues in each realm, and the realms' rings of them.

A queue stands in the ring of its realm, which takes turns, while it may have something that can
go. Else it stands aside, so that no turn is spent on it: `BLOCKED` until its tenant may have more
outstanding, `SCANNING` while the state is looked through behind what its keys hold back, `ASLEEP`
until a key frees or something new is ready.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from enum import Enum, auto

from symphainy_processors.dispatch.head import Head, Keys, Memory
from symphainy_processors.dispatch.pools import Pool
from symphainy_processors.dispatch.rules import Line, More, Ready


class Standing(Enum):
    """Where a queue stands."""

    RING = auto()
    BLOCKED = auto()
    SCANNING = auto()
    ASLEEP = auto()


@dataclass(slots=True, eq=False)
class Realm:
    """One realm in one partition: what it has of the realm's pool, and who takes turns in it."""

    name: str
    pool: Pool
    outstanding: int = 0
    ring: deque[Queue] = field(default_factory=deque)
    scanning: OrderedDict[Queue, None] = field(default_factory=OrderedDict)
    queues: int = 0
    listed: bool = False

    @property
    def full(self) -> bool:
        """Whether nothing more may go: the pool is full, and the partition has its share of it."""
        return self.pool.full and self.outstanding >= self.pool.share

    def count(self, tenant_id: str, outstanding: int = 0, queues: int = 0) -> None:
        """So many more of a tenant's steps are outstanding, so many more of its queues wait."""
        before = bool(self.outstanding or self.queues)
        self.outstanding += outstanding
        self.queues += queues
        self.pool.count(tenant_id, outstanding, queues)
        self.pool.sharers += bool(self.outstanding or self.queues) - before


@dataclass(slots=True, eq=False)
class Account:
    """One tenant: what it has outstanding over all realms, and where it waits."""

    tenant_id: str
    outstanding: int = 0
    keys: Keys = field(default_factory=Keys)
    queues: dict[str, Queue] = field(default_factory=dict)
    blocked: list[Queue] = field(default_factory=list)


class Queue:
    """What one tenant has ready in one realm: a head for each priority.

    The lowest number goes first. One that was passed over `patience` times goes before, once; so a
    step that may go waits for at most `patience` + 4 others of its tenant, and those of its own
    priority before it.
    """

    __slots__ = ("_heads", "_patience", "account", "credited", "deficit", "realm", "standing")

    def __init__(self, realm: Realm, account: Account, patience: int) -> None:
        self.realm = realm
        self.account = account
        self.standing = Standing.ASLEEP
        self.deficit = 0  # steps that it may still send in this turn
        self.credited = False  # whether this turn has added to the deficit
        self._heads: list[Head] = []
        self._patience = patience

    @property
    def empty(self) -> bool:
        """Whether nothing is ready, here or in the state."""
        return all(head.empty for head in self._heads)

    @property
    def unfinished(self) -> bool:
        """Whether something may be found by reading on."""
        return any(head.unfinished for head in self._heads)

    def head(self, priority: int) -> Head | None:
        """The head of that priority, if something is ready there."""
        return next((head for head in self._heads if head.line.priority == priority), None)

    def open(self, priority: int, memory: Memory, more: More) -> Head:
        """The head of that priority."""
        head = self.head(priority)
        if head is None:
            line = Line(self.realm.name, self.account.tenant_id, priority)
            head = Head(line, self.account.keys, memory, more)
            self._heads.append(head)
        return head

    def find(self) -> Head | None:
        """The head whose step goes next."""
        heads = self._heads
        for head in tuple(heads) if len(heads) == 1 else sorted(heads, key=self._turn):
            if head.find() is not None:
                return head
            if head.empty:
                heads.remove(head)
        return None

    def pop(self, head: Head) -> Ready:
        """Take what `find` found, at once after it."""
        item = head.pop()
        head.passed = 0
        for other in self._heads:
            if other.line.priority > head.line.priority:
                other.passed += 1
        if head.empty:
            self._heads.remove(head)
        return item

    def _turn(self, head: Head) -> tuple[int, int]:
        overdue = head.passed if head.passed >= self._patience else 0
        return -overdue, head.line.priority
