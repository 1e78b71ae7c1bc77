"""Whose turn it is: the realms' rings, and who stands aside from them.

Deficit round robin (Shreedhar and Varghese, "Efficient Fair Queuing using Deficit Round Robin",
SIGCOMM 1995) over the tenants of a realm; a step costs 1. Whoever cannot go leaves the ring and
costs nothing until that may have changed, so a turn is found in O(1) amortised, however many
tenants wait. A weight is also how many steps go in a row: use small numbers.
"""

from __future__ import annotations

from collections import OrderedDict, deque

from symphainy_processors.dispatch.head import Head
from symphainy_processors.dispatch.pools import Pools
from symphainy_processors.dispatch.queues import Account, Queue, Realm, Standing
from symphainy_processors.dispatch.rules import Share


class Turns:
    """The tenants of one partition, waiting and served."""

    def __init__(self, limits: Share, patience: int, pools: Pools) -> None:
        self.realms: dict[str, Realm] = {}
        self.open: deque[Realm] = deque()  # where something may go; realms take turns
        self.blocked: OrderedDict[str, Account] = OrderedDict()  # at their limit, and wait
        self._accounts: dict[str, Account] = {}
        self._limits = limits
        self._patience = patience
        self._pools = pools

    # --- names ----------------------------------------------------------------------------------

    def realm(self, name: str) -> Realm:
        """The realm of that name."""
        realm = self.realms.get(name)
        if realm is None:
            realm = self.realms[name] = Realm(name, self._pools.of(name))
        return realm

    def account(self, tenant_id: str) -> Account:
        """The tenant of that name. Who neither waits nor is served is forgotten: `forget`."""
        account = self._accounts.get(tenant_id)
        if account is None:
            account = self._accounts[tenant_id] = Account(tenant_id)
        return account

    def queue(self, realm_name: str, tenant_id: str) -> Queue:
        """The tenant's queue in a realm, about to be filled."""
        account = self.account(tenant_id)
        queue = account.queues.get(realm_name)
        if queue is None:
            realm = self.realm(realm_name)
            queue = account.queues[realm_name] = Queue(realm, account, self._patience)
            realm.count(tenant_id, queues=1)
        return queue

    def forget(self, account: Account) -> None:
        """Forget a tenant of whom nothing is ready or outstanding."""
        if not account.outstanding and not account.queues:
            del self._accounts[account.tenant_id]

    # --- turns ----------------------------------------------------------------------------------

    def front(self, realm: Realm) -> tuple[Queue, Head] | None:
        """Whose turn it is in a realm, and what it sends."""
        while realm.ring:
            queue = realm.ring[0]
            limits = self._limits(queue.account.tenant_id)
            weight = max(1, limits.weight)
            realm.pool.weigh(queue.account.tenant_id, weight)
            if not limits.has_room(queue.account.outstanding):
                self._leave_ring(queue)
                self._block(queue)
                continue
            if not queue.credited:
                queue.credited = True
                queue.deficit += weight
            head = queue.find()
            if head is not None:
                return queue, head
            self._leave_ring(queue)
            self._lay_aside(queue)
        return None

    def sent(self, queue: Queue) -> None:
        """The front sent one step; the next follows if its turn is over."""
        queue.deficit -= 1
        if queue.empty:
            self._leave_ring(queue)
            self._lay_aside(queue)
        elif queue.deficit < 1:
            queue.credited = False
            queue.realm.ring.rotate(-1)

    def scan(self, realm: Realm) -> None:
        """Look one page further for the queue that has waited longest for it."""
        queue = next(iter(realm.scanning))
        if queue.find() is not None:
            self.enter(queue)
        elif queue.unfinished:
            realm.scanning.move_to_end(queue)
        else:
            del realm.scanning[queue]
            self._lay_aside(queue)

    # --- standings ------------------------------------------------------------------------------

    def enter(self, queue: Queue) -> None:
        """Something in it may go: it enters the ring at its end, with nothing saved up.

        Only its tenant's limit keeps it out; `recheck` and `freed` see to that.
        """
        if queue.standing in (Standing.ASLEEP, Standing.SCANNING):
            queue.realm.scanning.pop(queue, None)
            self._to_ring(queue)

    def list(self, realm: Realm) -> None:
        """Something may go in this realm, if anybody waits."""
        if not realm.listed and (realm.ring or realm.scanning):
            realm.pool.parked.pop(realm, None)
            realm.listed = True
            self.open.append(realm)

    def next_realm(self, more: bool) -> None:
        """The first of the open realms had its turn; `more`: something may still go in it."""
        if more:
            self.open.rotate(-1)
            return
        realm = self.open.popleft()
        realm.listed = False
        if realm.full:
            realm.pool.parked[realm] = lambda: self.list(realm)

    def owed(self, realm: Realm, account: Account) -> bool:
        """Whether the tenant has less than its share of the realm's pool."""
        weight = max(1, self._limits(account.tenant_id).weight)
        return realm.pool.owes(account.tenant_id, weight)

    def leave(self) -> None:
        """The partition is no longer ours: the others have its place."""
        for account in self._accounts.values():
            for queue in account.queues.values():
                queue.realm.count(account.tenant_id, queues=-1)
        for realm in self.realms.values():
            realm.pool.parked.pop(realm, None)
            realm.pool.wake()

    def has_room(self, account: Account) -> bool:
        """Whether the tenant may have one more outstanding."""
        return self._limits(account.tenant_id).has_room(account.outstanding)

    def stopped(self) -> bool:
        """Whether somebody waits of whom nothing goes at all."""
        return any(self._limits(tenant_id).stopped for tenant_id in self.blocked)

    def freed(self, account: Account) -> None:
        """One of the tenant's steps is no longer outstanding."""
        if account.blocked and self.has_room(account):
            self._unblock(account)

    def recheck(self, most: int) -> bool:
        """Read the limits of the next `most` blocked tenants; whether one was raised."""
        found = False
        for _ in range(min(most, len(self.blocked))):
            tenant_id, account = next(iter(self.blocked.items()))
            if self.has_room(account):
                self._unblock(account)
                found = True
            else:
                self.blocked.move_to_end(tenant_id)
        return found

    def _unblock(self, account: Account) -> None:
        del self.blocked[account.tenant_id]
        waiting, account.blocked = account.blocked, []
        for queue in waiting:
            self._to_ring(queue)

    def _block(self, queue: Queue) -> None:
        queue.standing = Standing.BLOCKED
        queue.account.blocked.append(queue)
        self.blocked[queue.account.tenant_id] = queue.account

    def _to_ring(self, queue: Queue) -> None:
        queue.standing = Standing.RING
        queue.realm.ring.append(queue)
        self.list(queue.realm)

    def _leave_ring(self, queue: Queue) -> None:
        queue.realm.ring.popleft()
        queue.credited = False
        queue.deficit = 0

    def _lay_aside(self, queue: Queue) -> None:
        """Nothing was found in it."""
        if queue.unfinished:
            queue.standing = Standing.SCANNING
            queue.realm.scanning[queue] = None
            return
        queue.standing = Standing.ASLEEP
        if queue.empty:
            queue.realm.count(queue.account.tenant_id, queues=-1)
            del queue.account.queues[queue.realm.name]
            self.forget(queue.account)
