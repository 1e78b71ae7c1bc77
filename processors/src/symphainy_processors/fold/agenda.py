"""What is due, in order: the near part in memory, the rest in the store.

A million sleeping executions cost the memory of those due within seconds. Entries may be stale;
who takes one asks the state whether it still holds.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from symphainy_processors.fold import layout
from symphainy_processors.fold.layout import StepKey
from symphainy_runtime.state.store import View
from symphainy_schemas.state import ExecutionState, SessionState

LOOKAHEAD_MS = 5_000
# One load is one scan: about a millisecond, and enough for 50,000 timers a second at 20 ms a tick.
LOAD = 1_000


class Agenda:
    """Timers by due time."""

    def __init__(self, store: View, unflushed: Callable[[], Iterable[bytes]]) -> None:
        """`unflushed` yields the timer keys that the store does not have yet."""
        self._store = store
        self._unflushed = unflushed
        self._near: list[bytes] = []
        self._loaded_to = layout.TIMER
        self._loaded_ms = 0  # nothing due behind it is near

    def add(self, state: ExecutionState) -> None:
        """Its timers; far ones will be found in the store."""
        for step in state.steps:
            if 0 < step.due_at <= self._loaded_ms:
                self._add(layout.timer_key(state, step))
        if state.deadline_at and 0 < layout.deadline_of(state) <= self._loaded_ms:
            self._add(layout.deadline_key(state, state.deadline_at))

    def add_session(self, session: SessionState) -> None:
        """When its time is over."""
        for key in layout.session_timer_keys(session):
            self._add(key)

    def _add(self, key: bytes) -> None:
        if key < self._loaded_to:
            heapq.heappush(self._near, key)

    def pop(self, now: int) -> StepKey | None:
        """The earliest that is due at `now`."""
        limit = layout.at_number(layout.TIMER, now + 1)
        if self._loaded_to < limit:
            self._load(layout.at_number(layout.TIMER, now + LOOKAHEAD_MS))
        if not self._near or self._near[0] >= limit:
            return None
        key = heapq.heappop(self._near)
        while self._near and self._near[0] == key:  # every record of its execution adds it again
            heapq.heappop(self._near)
        return layout.read_place(layout.TIMER, key)

    def _load(self, to: bytes) -> None:
        found = [key for key, _ in self._store.scan(self._loaded_to, to, LOAD)]
        reached = to if len(found) < LOAD else layout.behind(found[-1])
        found += [key for key in self._unflushed() if self._loaded_to <= key < reached]
        for key in found:
            heapq.heappush(self._near, key)
        self._loaded_to = reached
        self._loaded_ms = layout.read_number(layout.TIMER, reached)
