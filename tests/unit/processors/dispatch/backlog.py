"""What the dispatcher stands between: a partition's ready steps, paged, and an owner's part."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator
from itertools import islice, pairwise

from symphainy_processors.dispatch.dispatcher import Dispatcher
from symphainy_processors.dispatch.pools import Pools
from symphainy_processors.dispatch.rules import Bounds, Limits, Line, Place, Ready
from symphainy_processors.dispatch.window import Sizes, Waits

NO_WINDOW = Sizes(floor=100_000, start=100_000, ceiling=100_000)
NARROW = Bounds(page=8, held=100_000, scant=8, scans=2)


def line_of(item: Ready) -> Line:
    """The line in which it waits."""
    return Line(item.realm, item.tenant_id, item.priority)


def in_order(items: list[Ready]) -> bool:
    """Whether the steps of every tenant, priority and key are."""
    lines: dict[tuple[str, int, str], list[int]] = {}
    for item in items:
        name = (item.tenant_id, item.priority, item.concurrency_key)
        lines.setdefault(name, []).append(item.order)
    return all(a < b for orders in lines.values() for a, b in pairwise(orders))


class Backlog:
    """The ready steps of a partition. Counts what is read of it."""

    def __init__(self, indexed: bool = True) -> None:
        """`indexed`: by key as well; else asking for one key yields all."""
        self._indexed = indexed
        self.lines: dict[Line, list[tuple[Place, Ready]]] = {}
        self.reads = 0
        self.items_read = 0

    def __iter__(self) -> Iterator[Ready]:
        return (item for line in self.lines.values() for _, item in line)

    def __contains__(self, item: Ready) -> bool:
        return (item.place, item) in self.lines.get(line_of(item), [])

    def add(self, item: Ready) -> None:
        """It is ready."""
        insort(self.lines.setdefault(line_of(item), []), (item.place, item))

    def remove(self, item: Ready) -> None:
        """It is no longer."""
        line = line_of(item)
        self.lines[line].remove((item.place, item))
        if not self.lines[line]:
            del self.lines[line]

    def more(self, line: Line, place: Place | None, limit: int) -> list[Ready]:
        """What is ready in a line behind `place`."""
        assert limit > 0
        waiting = self.lines.get(line._replace(key=""), [])
        start = 0 if place is None else bisect_right(waiting, place, key=lambda one: one[0])
        behind = (waiting[n][1] for n in range(start, len(waiting)))
        wanted = (
            item
            for item in behind
            if not (self._indexed and line.key) or item.concurrency_key == line.key
        )
        found = list(islice(wanted, limit))
        self.reads += 1
        self.items_read += len(found)
        return found


class Owner:
    """A dispatcher with its state, used as an owner uses it."""

    def __init__(
        self,
        limits: dict[str, Limits] | None = None,
        bounds: Bounds | None = None,
        sizes: Sizes = NO_WINDOW,
        indexed: bool = True,
        pools: Pools | None = None,
    ) -> None:
        """`pools` if it shares them with other partitions, else of `sizes`, new at a restart."""
        self.limits = {} if limits is None else limits
        self.backlog = Backlog(indexed)
        self.outstanding: dict[tuple[str, str], Ready] = {}
        self._bounds, self._sizes, self._pools = bounds, sizes, pools
        self._order = 0
        self.asked = 0  # how often limits were
        self.dispatcher = self._dispatcher()

    def _dispatcher(self) -> Dispatcher:
        pools = self._pools or Pools(self._sizes)
        return Dispatcher(self.share, self.backlog.more, self._bounds, pools)

    def share(self, tenant_id: str) -> Limits:
        """What the configuration says now."""
        self.asked += 1
        return self.limits.get(tenant_id, Limits())

    def step(
        self,
        tenant_id: str = "t",
        key: str = "",
        key_limit: int = 1,
        priority: int = 3,
        realm: str = "r",
    ) -> Ready:
        """A step that has just become ready."""
        self._order += 1
        name = f"exe-{self._order}"
        return Ready(realm, tenant_id, priority, self._order, name, "main", key, key_limit)

    def wait(self, item: Ready) -> Ready:
        """It is journaled as ready."""
        self.backlog.add(item)
        self.dispatcher.offer(item)
        return item

    def ready(
        self,
        tenant_id: str = "t",
        key: str = "",
        key_limit: int = 1,
        priority: int = 3,
        realm: str = "r",
    ) -> Ready:
        """A step that waits for its turn from now on."""
        return self.wait(self.step(tenant_id, key, key_limit, priority, realm))

    def go(self, item: Ready) -> bool:
        """Dispatch at once, or let it wait."""
        if self.dispatcher.direct(item):
            self.outstanding[item.execution_id, item.step] = item
            return True
        self.wait(item)
        return False

    def take(self) -> Ready | None:
        """Dispatch the next."""
        item = self.dispatcher.take()
        if item is not None:
            assert (item.execution_id, item.step) not in self.outstanding
            self.backlog.remove(item)
            self.outstanding[item.execution_id, item.step] = item
        return item

    def take_all(self) -> list[Ready]:
        """Dispatch what can go, looking as deep as it takes."""
        found = []
        while (item := self.take()) is not None or self.dispatcher.scanning:
            if item is not None:
                found.append(item)
        return found

    def end(
        self,
        item: Ready,
        waits: Waits = Waits(),  # noqa: B008 (immutable)
        now_ms: int = 0,
    ) -> None:
        """It has ended."""
        del self.outstanding[item.execution_id, item.step]
        self.dispatcher.release(item.execution_id, item.step, waits, now_ms=now_ms)

    def drain(self, parallel: int = 1) -> list[Ready]:
        """Dispatch and end everything, `parallel` at a time, in the order of dispatch."""
        found: list[Ready] = []
        while True:
            while len(self.outstanding) < parallel:
                item = self.take()
                if item is not None:
                    found.append(item)
                elif not self.dispatcher.scanning:
                    break
            if not self.outstanding:
                return found
            self.end(next(iter(self.outstanding.values())))

    def restart(self) -> None:
        """The owner dies; its successor has the state, and nothing else."""
        self.dispatcher = self._dispatcher()
        for item in self.outstanding.values():
            self.dispatcher.occupy(item)
        for line in sorted(self.backlog.lines):
            self.dispatcher.restore(line)
