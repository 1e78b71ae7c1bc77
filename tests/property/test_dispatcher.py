"""The dispatcher against a brute-force model: whatever becomes ready, ends, is withdrawn, restarts.
Another partition of the same owner shares its realms' windows.

Invariants:
- no step is dispatched twice, nor one that is not ready;
- tenant limit and key limit are never exceeded, nor the window but by the shares of partitions and
  tenants, and by what a restart found outstanding;
- steps of one line and key, and those without a key, go in order;
- whoever goes at once overtakes nobody who could go, and is not held back for nothing;
- if anything can go, something goes; at once, or after as many looks as pages are to be read;
- inside a tenant the highest priority goes first, and none is passed over beyond its patience;
- a line is first in, first out among what its keys let go, while it is held in memory;
- what is held in memory is bounded by the number of lines and keys, whatever the backlog;
- when everything ends, everything has been dispatched, and nothing is left behind;
- the pools know what both partitions have outstanding, and nothing else;
- all this across restarts, which know only what is outstanding and which lines are not empty.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.processors.dispatch.backlog import Backlog, line_of

from symphainy_processors.dispatch.dispatcher import Dispatcher
from symphainy_processors.dispatch.pools import Pool, Pools
from symphainy_processors.dispatch.rules import Bounds, Limits, Line, Ready
from symphainy_processors.dispatch.window import Sizes, Waits

REALMS = ("a", "b")
TENANTS = ("t1", "t2", "t3")
KEYS = ("", "k1", "k2", "k3")
PRIORITIES = (1, 2, 5)
PATIENCE = 3
ROOMY = Bounds(patience=PATIENCE)
TIGHT = Bounds(page=3, held=6, scant=1, scans=1, rechecks=1, patience=PATIENCE)
SMALL = Sizes(floor=1, start=3, ceiling=8)
waits = st.one_of(st.none(), st.integers(0, 50), st.integers(5_000, 60_000))
caps = st.builds(
    Limits,
    weight=st.integers(0, 4),
    max_concurrency=st.integers(-1, 4),
    stopped=st.sampled_from((False, False, False, True)),
)
steps = st.builds(
    Ready,
    realm=st.sampled_from(REALMS),
    tenant_id=st.sampled_from(TENANTS),
    priority=st.sampled_from(PRIORITIES),
    order=st.just(0),
    execution_id=st.just(""),
    step=st.just("main"),
    concurrency_key=st.sampled_from(KEYS),
    key_limit=st.sampled_from((1, 1, 1, 2, 3, 0)),
)


class DispatcherUnderFire(RuleBasedStateMachine):
    """A partition's ready work, with limits that change and an owner that dies."""

    @initialize(tight=st.booleans(), indexed=st.booleans(), plain=st.booleans())
    def start(self, tight: bool, indexed: bool, plain: bool) -> None:
        """`tight`: little is held. `plain`: nothing is withdrawn, or comes out of order."""
        self.tight, self.plain = tight, plain
        self.bounds = TIGHT if tight else ROOMY
        self.backlog = Backlog(indexed)
        self.outstanding: dict[tuple[str, str], Ready] = {}
        self.ended: list[Ready] = []
        self.withdrawn: set[Ready] = set()
        self.limits: dict[str, Limits] = {}
        self.changed = False  # limits, since nothing more could go
        self.passed: Counter[Line] = Counter()
        self.overtaken: Counter[Line] = Counter()
        self.order = 0
        self.now = 0
        self.pools = Pools(SMALL)
        self.dispatcher = self._dispatcher()
        self._neighbour_comes()

    def _dispatcher(self) -> Dispatcher:
        return Dispatcher(self._share, self.backlog.more, self.bounds, self.pools)

    def _neighbour_comes(self) -> None:
        self.others: list[Ready] = []  # outstanding in the other partition
        self.other_backlog = Backlog()
        more = self.other_backlog.more
        self.neighbour = Dispatcher(self._weight, more, ROOMY, self.pools)

    def _weight(self, tenant_id: str) -> Limits:
        return Limits(self._share(tenant_id).weight)

    def _share(self, tenant_id: str) -> Limits:
        return self.limits.get(tenant_id, Limits())

    # --- what becomes ready ---------------------------------------------------------------------

    @rule(item=steps, many=st.integers(1, 6))
    def steps_become_ready(self, item: Ready, many: int) -> None:
        for _ in range(many):
            self._become_ready(item)

    @rule(item=steps, keys=st.lists(st.sampled_from(KEYS), min_size=4, max_size=16))
    def a_line_fills(self, item: Ready, keys: list[str]) -> None:
        """With one key more than with others, as a flood has it."""
        for key in keys:
            self._become_ready(item)
            self._become_ready(item._replace(concurrency_key=key))

    def _become_ready(self, item: Ready) -> None:
        self.order += 1
        self._decide(item._replace(order=self.order, execution_id=f"e{self.order}"))

    @precondition(lambda self: not self.plain)
    @rule(item=steps, names=st.permutations("xyz"))
    def steps_become_ready_in_one_record(self, item: Ready, names: list[str]) -> None:
        """Under one order, offered in any sequence."""
        self.order += 1
        for name in names:
            one = item._replace(order=self.order, execution_id=f"e{self.order}", step=name)
            self._wait(one)

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def a_step_is_tried_again(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(self.ended))
        self.ended.remove(item)
        self.order += 1
        self._decide(item._replace(order=self.order))

    def _decide(self, item: Ready) -> None:
        others = [one for one in self._eligible() if one.realm == item.realm]
        owed = self._owed(item)
        if owed:  # then only its own tenant's come before it
            others = [one for one in others if one.tenant_id == item.tenant_id]
        free = self._allowed(item, owed) and not self._behind(item)
        scanning = self.dispatcher.scanning
        went = self.dispatcher.direct(item)
        if went:
            assert free
            # What lies deep, or waits for a limit that was just changed, only `take` sees.
            assert not others or self.tight or self.changed
            assert all(self._name(one) != self._name(item) for one in self.backlog)
            self.outstanding[self._name(item)] = item
        else:
            seen_waiting = self.changed or self._may_be_seen_waiting(item, owed)
            assert not free or others or scanning or seen_waiting
            self._wait(item)

    def _owed(self, item: Ready) -> bool:
        pool = self._pool(item)
        for tenant_id in TENANTS:  # which it learns as their turns come
            pool.weigh(tenant_id, max(1, self._share(tenant_id).weight))
        return pool.owes(item.tenant_id, max(1, self._share(item.tenant_id).weight))

    def _pool(self, item: Ready) -> Pool:
        return self.pools.of(item.realm)

    def _may_be_seen_waiting(self, item: Ready, owed: bool) -> bool:
        """Behind what was withdrawn and not taken yet, or what only `take` reads on to, or what
        of its tenant waits for a slot."""
        return any(one.realm == item.realm for one in self.withdrawn) or (
            (self.tight or owed)
            and any(
                (one.realm, one.tenant_id) == (item.realm, item.tenant_id) for one in self.backlog
            )
        )

    def _wait(self, item: Ready) -> None:
        self.backlog.add(item)
        self.dispatcher.offer(item)

    # --- what goes ------------------------------------------------------------------------------

    @rule(most=st.integers(1, 8))
    def the_owner_dispatches(self, most: int) -> None:
        for _ in range(most):
            if not self._take():
                return

    def _take(self) -> bool:
        """Take one, looking as deep as it takes; whether there was one."""
        eligible = self._eligible()
        rechecks = len(TENANTS) if self.tight else 1  # limits are read one by one then
        # Every look reads on; each line may be read again once for each step and key. What was
        # withdrawn while it lay in memory is taken too, one in a look.
        waiting = sum(1 for _ in self.backlog) + len(self.withdrawn)
        for _ in range(10 + 20 * waiting):
            item = self.dispatcher.take()
            if item is None:
                rechecks -= not self.dispatcher.scanning
                if not rechecks:
                    break
            elif item in self.backlog:
                self._check_order(item, eligible)
                self.backlog.remove(item)
                self.outstanding[self._name(item)] = item
                return True
            else:
                assert self._name(item) not in self.outstanding
                self.withdrawn.remove(item)
                self._release(item)
        assert not eligible, f"{eligible} could go"
        self.changed = False
        return False

    def _check_order(self, item: Ready, eligible: list[Ready]) -> None:
        assert item in eligible
        if self.tight or not self.plain:
            return  # what is not in memory, or not in the state any more, is seen later
        line = line_of(item)
        queue = [one for one in eligible if line_of(one)[:2] == line[:2]]
        first = min(one.priority for one in queue)
        assert item.priority == first or self.passed[line] >= PATIENCE
        assert item == min((one for one in queue if line_of(one) == line), key=lambda x: x.place)
        could_go = {line_of(one) for one in queue}
        for priority in PRIORITIES:
            other = line._replace(priority=priority)
            lower = priority > item.priority and other in self.backlog.lines
            self.passed[other] += lower
            self.overtaken[other] = self.overtaken[other] + lower if other in could_go else 0
            assert self.overtaken[other] < PATIENCE + len(PRIORITIES)
        self.passed[line] = self.overtaken[line] = 0

    # --- what ends ------------------------------------------------------------------------------

    @precondition(lambda self: self.outstanding)
    @rule(
        data=st.data(), waited=waits, queued=waits, ran=st.one_of(st.none(), st.integers(0, 1_000))
    )
    def a_step_ends(
        self, data: st.DataObject, waited: int | None, queued: int | None, ran: int | None
    ) -> None:
        item = data.draw(st.sampled_from(list(self.outstanding.values())))
        del self.outstanding[self._name(item)]
        self.ended.append(item)
        self._release(item, Waits(waited, queued, ran))

    @precondition(lambda self: self.outstanding)
    @rule(data=st.data(), waited=st.integers(0, 60_000))
    def a_step_is_started(self, data: st.DataObject, waited: int) -> None:
        item = data.draw(st.sampled_from(list(self.outstanding.values())))
        self.dispatcher.started(item.execution_id, item.step, Waits(waited))

    @rule()
    def something_unknown_ends(self) -> None:
        before = self.dispatcher.figures()
        self.dispatcher.release("e0", "main", Waits(5, 5, 5), now_ms=self.now)
        self.dispatcher.started("e0", "main", Waits(5))
        assert self.dispatcher.figures() == before

    @precondition(lambda self: not self.plain and any(True for _ in self.backlog))
    @rule(data=st.data())
    def a_waiting_step_is_withdrawn(self, data: st.DataObject) -> None:
        """Cancelled, say: the dispatcher is not told. It may be ready again later."""
        item = data.draw(st.sampled_from(list(self.backlog)))
        self.backlog.remove(item)
        self.withdrawn.add(item)
        self.ended.append(item)

    @precondition(lambda self: not self.plain and any(True for _ in self.backlog))
    @rule(data=st.data())
    def a_waiting_step_turns_out_to_be_running(self, data: st.DataObject) -> None:
        """It was given up, and lives: it has a slot again, and waits no longer."""
        item = data.draw(st.sampled_from(list(self.backlog)))
        self.backlog.remove(item)
        self.withdrawn.add(item)
        self.outstanding[self._name(item)] = item
        self.dispatcher.occupy(item)

    @rule(seconds=st.integers(1, 200))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1_000

    @rule(tenant_id=st.sampled_from(TENANTS), limits=caps)
    def limits_change(self, tenant_id: str, limits: Limits) -> None:
        self.limits[tenant_id] = limits
        self.changed = True

    # --- the other partition --------------------------------------------------------------------

    @rule(item=steps, many=st.integers(1, 4))
    def the_neighbour_is_busy(self, item: Ready, many: int) -> None:
        for _ in range(many):
            self.order += 1
            one = item._replace(order=self.order, execution_id=f"n{self.order}", key_limit=0)
            if self.neighbour.direct(one):
                self.others.append(one)
            else:
                self.other_backlog.add(one)
                self.neighbour.offer(one)

    @rule(most=st.integers(1, 8))
    def the_neighbour_dispatches(self, most: int) -> None:
        for _ in range(most):
            item = self.neighbour.take()
            if item is None:
                return
            self.other_backlog.remove(item)
            self.others.append(item)

    @precondition(lambda self: self.others)
    @rule(data=st.data(), waited=waits)
    def a_step_of_the_neighbour_ends(self, data: st.DataObject, waited: int | None) -> None:
        item = self.others.pop(data.draw(st.integers(0, len(self.others) - 1)))
        told = Waits(waited, ran_ms=10)
        self.neighbour.release(item.execution_id, item.step, told, now_ms=self.now)

    @rule()
    def the_neighbour_goes_to_another_owner(self) -> None:
        self.neighbour.close()
        self._neighbour_comes()

    @rule(same=st.booleans())
    def the_owner_dies(self, same: bool) -> None:
        """Or only gives the partition up, and takes it anew."""
        if same:
            self.dispatcher.close()
        else:
            self.pools = Pools(SMALL)
            self._neighbour_comes()
        self.dispatcher = self._dispatcher()
        self.passed.clear()
        self.overtaken.clear()
        self.withdrawn.clear()
        for item in self.outstanding.values():
            self.dispatcher.occupy(item)
            self.dispatcher.occupy(item)
        for line in sorted(self.backlog.lines):
            self.dispatcher.restore(line)

    def _release(self, item: Ready, waits: Waits = Waits()) -> None:  # noqa: B008 (immutable)
        self.dispatcher.release(item.execution_id, item.step, waits, now_ms=self.now)

    # --- the model ------------------------------------------------------------------------------

    @staticmethod
    def _name(item: Ready) -> tuple[str, str]:
        return item.execution_id, item.step

    def _out(self) -> Counter[tuple[str, ...]]:
        """How many are outstanding by realm, by tenant and by key."""
        counts = Counter[tuple[str, ...]]()
        for one in self.outstanding.values():
            counts["realm", one.realm] += 1
            counts["tenant", one.tenant_id] += 1
            counts["key", one.tenant_id, one.concurrency_key] += 1
        return counts

    def _allowed(self, item: Ready, owed: bool) -> bool:
        """Whether window, tenant and key have room for it."""
        return self._fits(item, self._out(), owed)

    def _fits(self, item: Ready, out: Counter[tuple[str, ...]], owed: bool = False) -> bool:
        if self._share(item.tenant_id).stopped:
            return False
        most = self._share(item.tenant_id).max_concurrency
        key, tenant = item.concurrency_key, item.tenant_id
        unlimited = not key or item.key_limit < 1
        pool, own = self._pool(item), out["realm", item.realm]
        everywhere = own + sum(one.realm == item.realm for one in self.others)
        return (
            (everywhere < pool.window.size or own < pool.share or owed)
            and (most < 1 or out["tenant", tenant] < most)
            and (unlimited or out["key", tenant, key] < item.key_limit)
        )

    def _behind(self, item: Ready) -> bool:
        """Whether an older step of its line and key waits."""
        key = item.concurrency_key
        return any(
            one.concurrency_key == key and place < item.place
            for place, one in self.backlog.lines.get(line_of(item), [])
        ) and (bool(key) or item in self.backlog)

    def _eligible(self) -> list[Ready]:
        """What could go now."""
        out = self._out()
        return [one for one in self.backlog if self._fits(one, out) and not self._behind(one)]

    # --- what must hold -------------------------------------------------------------------------

    @invariant()
    def figures_agree(self) -> None:
        figures = self.dispatcher.figures()
        assert {one.realm: one.outstanding for one in figures if one.outstanding} == Counter(
            one.realm for one in self.outstanding.values()
        )
        assert self.dispatcher.outstanding == len(self.outstanding)
        assert all(SMALL.floor <= one.window <= SMALL.ceiling for one in figures)

    @invariant()
    def pools_agree(self) -> None:
        everywhere = [*self.outstanding.values(), *self.others]
        counts = Counter(one.realm for one in everywhere)
        pools = dict(self.pools.items())
        assert {
            name: pool.outstanding for name, pool in pools.items() if pool.outstanding
        } == counts
        assert all(0 <= pool.sharers <= 2 for pool in pools.values())

    @invariant()
    def memory_is_bounded(self) -> None:
        lines = len(REALMS) * len(TENANTS) * len(PRIORITIES)
        least = self.bounds.scant * lines * len(KEYS)
        assert 0 <= self.dispatcher.held <= self.bounds.held + self.bounds.page + least

    def teardown(self) -> None:
        """Everything that waits is dispatched as slots free up, and nothing is left behind."""
        if not hasattr(self, "dispatcher"):
            return
        self.neighbour.close()
        self.others = []
        self.limits = {name: it._replace(stopped=False) for name, it in self.limits.items()}
        for _ in range(1 + len(self.outstanding) + sum(1 for _ in self.backlog)):
            while self._take():
                pass
            for item in list(self.outstanding.values()):
                del self.outstanding[self._name(item)]
                self._release(item)
        assert not list(self.backlog)
        assert self.dispatcher.take() is None
        assert self.dispatcher.idle
        assert self.dispatcher.held == 0
        assert all(one.tenants == one.outstanding == 0 for one in self.dispatcher.figures())
        for _, pool in self.pools.items():
            assert (pool.outstanding, pool.sharers, pool.parked) == (0, 0, {})
            assert pool.owes("anybody", 1)


TestDispatcher = DispatcherUnderFire.TestCase
TestDispatcher.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
