"""The head of one line in memory: what comes next, and what its concurrency keys hold back.

A line is read from the state page by page, once. A step whose key is full is parked under the key,
and what is behind it goes on. Of a key's steps the first few are kept; `behind` remembers from
where on the others, up to `examined`, are to be read again once these are gone. So at any time a
ready step of the line is in exactly one of four places, and none is lost or taken twice:

    fresh      read, and not looked at yet
    parked     looked at; in memory under its key
    behind     looked at; only in the state, behind `parked[key].behind`
    unread     only in the state, behind `read_to`, and `more` says so

A key is asleep while its first step may not go. A step that frees a place under the key wakes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace

from symphainy_processors.dispatch.rules import Bounds, Line, More, Place, Ready


@dataclass(slots=True, eq=False)
class Memory:
    """How many steps all heads hold together."""

    bounds: Bounds
    held: int = 0

    @property
    def room(self) -> int:
        """How many one page, one line or one key may hold now."""
        return self.bounds.page if self.held < self.bounds.held else self.bounds.scant


@dataclass(slots=True, eq=False)
class Keys:
    """One tenant's concurrency keys: how many steps are outstanding, and which heads wait."""

    outstanding: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, dict[Head, None]] = field(default_factory=dict)

    def allow(self, item: Ready) -> bool:
        """Whether its key has a place for it."""
        key = item.concurrency_key
        return not key or item.key_limit < 1 or self.outstanding.get(key, 0) < item.key_limit

    def took(self, key: str) -> None:
        """A step under `key` is outstanding."""
        if key:
            self.outstanding[key] = self.outstanding.get(key, 0) + 1

    def freed(self, key: str) -> Iterable[Head]:
        """It is no longer; the heads where steps wait for the key."""
        if not key:
            return ()
        left = self.outstanding[key] - 1
        if left:
            self.outstanding[key] = left
        else:
            del self.outstanding[key]
        return tuple(self.waiting.get(key, ()))

    def wait(self, key: str, head: Head) -> None:
        """Steps of `head` wait for `key`."""
        self.waiting.setdefault(key, {})[head] = None

    def leave(self, key: str, head: Head) -> None:
        """None of `head` does any more."""
        heads = self.waiting[key]
        del heads[head]
        if not heads:
            del self.waiting[key]


@dataclass(slots=True, eq=False)
class _Parked:
    """Steps under one key: the first of them, and behind what place there are others."""

    items: list[Ready] = field(default_factory=list)
    behind: Place | None = None
    awake: bool = False


class Head:
    """The head of one line."""

    __slots__ = (
        "_awake",
        "_examined",
        "_fresh",
        "_keys",
        "_memory",
        "_more",
        "_parked",
        "_read_to",
        "_refilling",
        "line",
        "more",
        "passed",
    )

    def __init__(self, line: Line, keys: Keys, memory: Memory, more: More) -> None:
        self.line = line
        self.more = False  # whether the state may hold steps behind what was read
        self.passed = 0  # how often a lower priority number went first
        self._keys = keys
        self._memory = memory
        self._more = more
        self._fresh: deque[Ready] = deque()
        self._read_to: Place | None = None
        self._examined: Place | None = None
        self._parked: dict[str, _Parked] = {}
        self._awake: list[tuple[Place, str]] = []  # a heap: the oldest step goes first
        self._refilling: dict[str, None] = {}  # awake, and to be read before it is known who goes

    @property
    def empty(self) -> bool:
        """Whether nothing of the line is ready, here or in the state."""
        return not self._fresh and not self.more and not self._parked

    @property
    def unfinished(self) -> bool:
        """Whether `find` may find something only by reading on."""
        return self.more or bool(self._refilling)

    def holds(self, key: str) -> bool:
        """Whether older steps wait under `key`."""
        return key in self._parked

    def restart(self) -> None:
        """Forget what was read: the state tells it again."""
        self._memory.held -= len(self._fresh) + sum(len(p.items) for p in self._parked.values())
        for key in self._parked:
            self._keys.leave(key, self)
        self._fresh.clear()
        self._parked.clear()
        self._awake.clear()
        self._refilling.clear()
        self._read_to = self._examined = None
        self.more = True

    def offer(self, item: Ready) -> bool:
        """A step became ready and is in the state; True if it is held here as well."""
        place = item.place
        if self._read_to is not None and place <= self._read_to:
            self.restart()  # out of order: whether it was read already, only the state can tell
        elif self.more or len(self._fresh) >= self._memory.room:
            self.more = True
        else:
            self._fresh.append(item)
            self._read_to = place
            self._memory.held += 1
            return True
        return False

    def wake(self, key: str) -> None:
        """A place under `key` became free."""
        parked = self._parked[key]
        if not parked.awake:  # then some are kept: it fell asleep over the first of them
            parked.awake = True
            heappush(self._awake, (parked.items[0].place, key))

    def find(self) -> Ready | None:
        """The oldest step known that may go; `pop` takes it. Reads at most two pages."""
        if self._refilling:
            self._refill(next(iter(self._refilling)))
        item = self._woken() or self._examine()
        if item is None and self.more:
            self._read()
            item = self._examine()
        return item

    def pop(self) -> Ready:
        """Take what `find` found, at once after it."""
        self._memory.held -= 1
        if not self._awake:
            item = self._fresh.popleft()
            self._examined = item.place
            return item
        key = self._awake[0][1]
        parked = self._parked[key]
        item = parked.items.pop(0)
        if parked.items:
            heapreplace(self._awake, (parked.items[0].place, key))
            return item
        heappop(self._awake)
        if parked.behind is None:
            self._forget(key)
        else:
            self._refilling[key] = None
        return item

    # --- looking --------------------------------------------------------------------------------

    def _woken(self) -> Ready | None:
        while self._awake:
            parked = self._parked[self._awake[0][1]]
            if self._keys.allow(parked.items[0]):
                return parked.items[0]
            heappop(self._awake)
            parked.awake = False
        return None

    def _examine(self) -> Ready | None:
        while self._fresh:
            item = self._fresh[0]
            if item.concurrency_key not in self._parked and self._keys.allow(item):
                return item
            self._park(self._fresh.popleft())
        return None

    def _park(self, item: Ready) -> None:
        key = item.concurrency_key
        parked = self._parked.get(key)
        if parked is None:
            parked = self._parked[key] = _Parked()
            self._keys.wait(key, self)
        if parked.behind is None and len(parked.items) < self._memory.room:
            parked.items.append(item)
        else:
            parked.behind = parked.behind or parked.items[-1].place
            self._memory.held -= 1
        self._examined = item.place

    def _forget(self, key: str) -> None:
        del self._parked[key]
        self._keys.leave(key, self)

    # --- reading --------------------------------------------------------------------------------

    def _read(self) -> None:
        limit = self._memory.room
        found = self._more(self.line, self._read_to, limit)
        self.more = len(found) >= limit
        if found:
            self._fresh.extend(found)
            self._read_to = found[-1].place
            self._memory.held += len(found)

    def _refill(self, key: str) -> None:
        """Read one page again for the steps of `key`, and for all others that it may hold."""
        start = self._parked[key].behind
        assert start is not None
        assert self._examined is not None
        room = self._memory.room
        found = self._more(self.line._replace(key=key), start, room)
        again = [item for item in found if item.place <= self._examined]
        for item in again:
            self._keep(item, start, room)
        parked = self._parked[key]
        if len(parked.items) < room:
            ended = len(again) < room
            parked.behind = None if ended else again[-1].place
        if not parked.items:
            del self._refilling[key]
            if parked.behind is None:
                self._forget(key)
            else:
                self._refilling[key] = None

    def _keep(self, item: Ready, start: Place, room: int) -> None:
        """Keep one of a page that begins behind `start`, if it is the next of its key."""
        key, place = item.concurrency_key, item.place
        parked = self._parked.get(key)
        if parked is None or parked.behind is None or not start <= parked.behind < place:
            return
        if len(parked.items) >= room:
            return
        parked.items.append(item)
        parked.behind = place
        self._memory.held += 1
        if key in self._refilling:
            del self._refilling[key]
            heappush(self._awake, (place, key))
