"""The fair dispatcher of one partition: which ready step goes next, and whether one may go now.

A step goes when its realm's window has room (`window`; `pools` says who has room even if it is
full), its tenant has fewer steps outstanding than its limit, and its concurrency key has a place
(`head`). Tenants take turns by weight (`turns`), so nobody gains by calling everything urgent;
priorities order the steps of one tenant (`queues`). Realms take turns step by step. Within a line,
the steps of one key, and those without, go in order.

Nothing depends on time, chance or the order of a set: the same calls yield the same steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from symphainy_processors.dispatch.head import Memory
from symphainy_processors.dispatch.pools import Pools
from symphainy_processors.dispatch.queues import Account, Realm, Standing
from symphainy_processors.dispatch.rules import Bounds, Line, More, Ready, Share
from symphainy_processors.dispatch.turns import Turns
from symphainy_processors.dispatch.window import Waits


class RealmFigures(NamedTuple):
    """What a realm's dispatch stands at."""

    realm: str
    window: int  # how many may be outstanding, in all partitions of the owner
    outstanding: int
    tenants: int  # that have something ready


@dataclass(slots=True, eq=False)
class _Slot:
    """One outstanding step."""

    realm: Realm
    account: Account
    key: str
    number: int  # its window's; 0 if how long it waited is known, or never will be


class Dispatcher:
    """Decides what goes next. Every step that is ready in the state is known to it by its line.

    The caller's part: what `direct` or `take` let go is no longer ready in the state when the
    dispatcher is called next, and is released when it ends. A step that becomes ready is let go by
    `direct`, or else is in the state and then offered, each line in the order of places.
    """

    def __init__(
        self,
        limits: Share,
        more: More,
        bounds: Bounds | None = None,
        pools: Pools | None = None,
    ) -> None:
        """`limits` tells a tenant's present share, `more` pages the ready steps of a line. All
        partitions of an owner share its `pools`."""
        self._more = more
        self._bounds = bounds or Bounds()
        self._memory = Memory(self._bounds)
        self._turns = Turns(limits, self._bounds.patience, pools or Pools())
        self._slots: dict[tuple[str, str], _Slot] = {}

    # --- figures --------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether `take` would find nothing, without looking."""
        return not self._turns.open and not self._turns.blocked

    @property
    def scanning(self) -> bool:
        """Whether the next `take` may find what the last had not come to yet."""
        return any(realm.scanning and not realm.full for realm in self._turns.open)

    @property
    def stopped(self) -> bool:
        """Whether a tenant has ready steps of which none goes, whatever room there is."""
        return self._turns.stopped()

    @property
    def outstanding(self) -> int:
        """How many steps are, in all realms."""
        return len(self._slots)

    @property
    def held(self) -> int:
        """How many ready steps lie in memory; the others are in the state alone."""
        return self._memory.held

    def figures(self) -> list[RealmFigures]:
        """Every realm since the start, in the order of their first step."""
        return [
            RealmFigures(realm.name, realm.pool.window.size, realm.outstanding, realm.queues)
            for realm in self._turns.realms.values()
        ]

    # --- what is ready --------------------------------------------------------------------------

    def restore(self, line: Line) -> None:
        """The state holds ready steps in this line."""
        queue = self._turns.queue(line.realm, line.tenant_id)
        queue.open(line.priority, self._memory, self._more).restart()
        self._turns.enter(queue)

    def offer(self, item: Ready) -> None:
        """A step became ready and waits; the state holds it."""
        queue = self._turns.queue(item.realm, item.tenant_id)
        held = queue.open(item.priority, self._memory, self._more).offer(item)
        if held or queue.standing is Standing.ASLEEP:
            self._turns.enter(queue)

    def direct(self, item: Ready) -> bool:
        """Whether a step that just became ready goes at once: nobody is overtaken who could go, or
        its tenant has less than its share.

        Then it is outstanding. Else record it as ready, and offer it.
        """
        realm = self._turns.realm(item.realm)
        free = not realm.full and self._turns.front(realm) is None
        account = self._turns.account(item.tenant_id)  # not before: `front` forgets who has nothing
        free = free or self._turns.owed(realm, account)
        if not free or not self._passes(account, item):
            self._turns.forget(account)
            return False
        self._occupy(realm, account, item)
        return True

    def _passes(self, account: Account, item: Ready) -> bool:
        """Whether tenant and key let it go, and no older step of its tenant might."""
        if not account.keys.allow(item) or not self._turns.has_room(account):
            return False
        queue = account.queues.get(item.realm)
        if queue is None:
            return True
        if queue.standing is not Standing.ASLEEP:
            return False
        head = queue.head(item.priority)
        return head is None or not head.holds(item.concurrency_key)

    def take(self) -> Ready | None:
        """The step that goes next, now outstanding; None if none can go.

        While `scanning` says so after a None, what can go may lie deeper than one call looks.
        """
        self._turns.recheck(1)
        item = self._next()
        if item is None and self._turns.recheck(self._bounds.rechecks):
            item = self._next()
        return item

    def _next(self) -> Ready | None:
        open_realms = self._turns.open
        scans = max(1, self._bounds.scans // max(1, len(open_realms)))
        for _ in range(len(open_realms)):
            realm = open_realms[0]
            item = None if realm.full else self._serve(realm, scans)
            self._turns.next_realm(item is not None or (bool(realm.scanning) and not realm.full))
            if item is not None:
                return item
        return None

    def _serve(self, realm: Realm, scans: int) -> Ready | None:
        """The realm's next step. Each time a page is scanned, so that scans come to an end."""
        for _ in range(scans):
            if realm.scanning:
                self._turns.scan(realm)
            item = self._from_ring(realm)
            if item is not None or not realm.scanning:
                return item
        return None

    def _from_ring(self, realm: Realm) -> Ready | None:
        while (front := self._turns.front(realm)) is not None:
            queue, head = front
            item = queue.pop(head)
            # If it is outstanding, it became ready anew since this was read.
            stale = (item.execution_id, item.step) in self._slots
            if not stale:
                self._occupy(realm, queue.account, item)
            self._turns.sent(queue)
            if not stale:
                return item
        return None

    # --- what is outstanding --------------------------------------------------------------------

    def occupy(self, item: Ready) -> None:
        """Count a step that is outstanding without having gone from here, whatever the limits.

        A restart finds some; or it was given up, and lives.
        """
        if (item.execution_id, item.step) in self._slots:
            return
        realm = self._turns.realm(item.realm)
        self._occupy(realm, self._turns.account(item.tenant_id), item).number = 0
        realm.pool.window.restored(realm.pool.outstanding)

    def _occupy(self, realm: Realm, account: Account, item: Ready) -> _Slot:
        realm.count(account.tenant_id, outstanding=1)
        account.outstanding += 1
        key = item.concurrency_key
        account.keys.took(key)
        slot = _Slot(realm, account, key, realm.pool.window.sent(realm.pool.outstanding))
        self._slots[item.execution_id, item.step] = slot
        return slot

    def started(self, execution_id: str, step: str, waits: Waits) -> None:
        """An outstanding step was started: its wait opens the window before it has ended."""
        slot = self._slots.get((execution_id, step))
        if slot is not None and slot.number:
            slot.realm.pool.window.waited(slot.number, waits)
            slot.number = 0
            self._turns.list(slot.realm)
            slot.realm.pool.wake()

    def release(
        self,
        execution_id: str,
        step: str,
        waits: Waits = Waits(),  # noqa: B008 (immutable)
        *,
        now_ms: int,
    ) -> None:
        """A step is no longer outstanding; nothing happens if it was not.

        `now_ms` is any clock in milliseconds.
        """
        slot = self._slots.pop((execution_id, step), None)
        if slot is None:
            return
        realm, account = slot.realm, slot.account
        pool = realm.pool
        pool.window.ended(slot.number, waits, pool.outstanding, now_ms)
        realm.count(account.tenant_id, outstanding=-1)
        account.outstanding -= 1
        for head in account.keys.freed(slot.key):
            head.wake(slot.key)
            self._turns.enter(account.queues[head.line.realm])
        self._turns.freed(account)
        self._turns.forget(account)
        self._turns.list(realm)
        pool.wake()

    def close(self) -> None:
        """The partition is no longer ours: what it had outstanding is nobody's here."""
        for slot in self._slots.values():
            slot.realm.count(slot.account.tenant_id, outstanding=-1)
        self._slots = {}
        self._turns.leave()
