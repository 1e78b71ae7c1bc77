"""The states of one partition by id: what runs ahead of the store lies in memory, over it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from sortedcontainers import SortedSet

from symphainy_processors.fold import layout
from symphainy_processors.fold.layout import Body
from symphainy_runtime.state.store import StateStore
from symphainy_schemas.state import ExecutionState

CACHED = 10_000  # states read or flushed lately: about 20 MB


class Overlay:
    """What was folded last of each id, whether the store has it yet or not."""

    def __init__(self, store: StateStore) -> None:
        """`store` is read; nothing here writes to it."""
        self.store = store
        self.unflushed: dict[str, Body] = {}
        # The ready keys of `unflushed`, from when somebody asks: nobody does during a restore.
        self._ready: SortedSet[bytes] | None = None
        self._cache: dict[str, Body] = {}

    def get(self, name: str) -> Body | None:
        """The state of that id."""
        state = self.unflushed.get(name) or self._cache.get(name)
        if state is not None:
            return state
        value = self.store.get(layout.state_key(name))
        if value is None:
            return None
        state = layout.unpack(value)
        self._remember(name, state)
        return state

    def _remember(self, name: str, state: Body) -> None:
        if len(self._cache) >= CACHED:
            for oldest in list(islice(self._cache, CACHED // 10)):
                del self._cache[oldest]
        self._cache[name] = state

    def put(self, name: str, state: Body) -> None:
        """It was folded; the store does not have it."""
        before = self.unflushed.get(name)
        self.unflushed[name] = state
        if self._ready is None or not isinstance(state, ExecutionState):
            return
        self._no_longer_ready(before, state)
        for key in layout.ready_keys(state, before):
            self._ready.add(key)

    def flushed(self, name: str, state: Body) -> None:
        """The store has it, and so it need not lie over the store, unless more was folded since."""
        if self.unflushed.get(name) is not state:
            return
        del self.unflushed[name]
        self._no_longer_ready(state)
        if layout.is_live(state):
            self._remember(name, state)
        else:
            self._cache.pop(name, None)

    def forget(self, name: str) -> None:
        """It has been deleted from the store."""
        self._cache.pop(name, None)

    def all(self) -> dict[str, Body]:
        """Every state, by id. It reads the whole store."""
        found = {name: body for start, end in layout.STATES for name, body in self._in(start, end)}
        return found | self.unflushed

    def _in(self, start: bytes, end: bytes) -> Iterator[tuple[str, Body]]:
        while found := self.store.scan(start, end, 1_000):
            for _, value in found:
                body = layout.unpack(value)
                yield layout.name_of(body), body
            start = layout.behind(found[-1][0])

    def ready(self, start: bytes, end: bytes, limit: int) -> list[bytes]:
        """Ready keys of what is not flushed, from `start` and before `end`, at most `limit`."""
        if self._ready is None:
            bodies = self.unflushed.values()
            self._ready = SortedSet(key for body in bodies for key in layout.ready_keys(body))
        return list(islice(self._ready.irange(start, end, (True, False)), limit))

    def _no_longer_ready(self, before: Body | None, after: Body | None = None) -> None:
        if self._ready is not None and before is not None:
            for key in layout.ready_keys(before, after):
                self._ready.discard(key)

    def timers(self) -> Iterator[bytes]:
        """Timer keys of what is not flushed."""
        for body in self.unflushed.values():
            if isinstance(body, ExecutionState):
                yield from layout.timer_keys(body)
            else:
                yield from layout.session_timer_keys(body)
