"""Writing `state` for one owned partition: off the latency path, fenced, in transactions (rule 16).

A new disk starts from it. It is written from the store's snapshots, so only from what is
acknowledged, and at most one batch at a time; what changes meanwhile waits for the next.
"""

from __future__ import annotations

import logging
from collections.abc import Generator

from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.owner.partition import OwnedPartition
from symphainy_processors.owner.ports import (
    StateBatch,
    StateFailed,
    StateLog,
    StateOpened,
    StateOutcome,
)
from symphainy_processors.owner.restoring import Restoring
from symphainy_processors.owner.rows import marker_of
from symphainy_schemas.state import State

log = logging.getLogger(__name__)
SHED = 5_000  # ids let go of in one turn, in half a ms; a million at once are a tenth of a second


class Publishing:
    """Keeps `state[p]` close behind the journal."""

    def __init__(self, owned: OwnedPartition, state_log: StateLog, options: OwnerOptions) -> None:
        """Keep `state` close behind `owned`, just taken."""
        self._owned = owned
        self._p = owned.partition
        self._base = owned.state.changed_since
        self._log = state_log
        self._options = options
        self._under_way: dict[str, None] = {}
        self._told: dict[str, None] = {}  # what nobody needs any more
        self._open = False
        self._missing: tuple[int, int] | None = None
        self._not_before = 0
        self._busy = True
        self._log.open(self._p)

    @property
    def gap(self) -> bool:
        """Whether the journal must be asked what changed before our own memory of it begins."""
        return self._missing is not None

    def fill_gap(self, restoring: Restoring) -> Generator[None, None, None]:
        """Find out which keys changed between the last marker and there."""
        assert self._missing is not None
        names = yield from restoring.changed_between(self._p, *self._missing)
        self._owe(names)
        self._missing = None

    def turn(self, now: int) -> None:
        """Begin a batch if it is time."""
        for _ in range(min(SHED, len(self._told))):
            self._told.popitem()
        if self._busy or now < self._not_before or self._missing is not None:
            return
        if not self._open:
            self._busy = True
            self._log.open(self._p)
            return
        state = self._owned.state
        if not state.changed:
            return
        state.flush()
        self._under_way, state.changed = state.changed, {}
        self._busy = True
        batch = StateBatch(marker_of(state.settled), self._under_way, state.store.snapshot())
        self._log.write(self._p, batch)

    def took_place(self, outcome: StateOutcome, now: int) -> None:
        """What became of opening or of a batch."""
        self._busy = False
        if isinstance(outcome, StateFailed):
            self._failed(outcome, now)
            return
        if isinstance(outcome, StateOpened):
            self._opened(outcome.marker)
            return
        self._told, self._under_way = self._under_way, {}
        self._not_before = now + self._options.state_every_ms

    def _opened(self, marker: State | None) -> None:
        term = self._owned.ledger.term
        if marker is not None and marker.term > term:
            log.warning("partition %d: `state` knows a newer term than %d", self._p, term)
            self._owned.ledger.lost = True
            return
        self._open = True
        written_to = -1 if marker is None else marker.as_of
        if written_to < self._base:
            self._missing = (written_to, self._base)

    def _failed(self, outcome: StateFailed, now: int) -> None:
        self._owe(self._under_way)
        self._under_way = {}
        self._open = False
        self._not_before = now + self._options.state_retry_ms
        log.warning("partition %d: writing `state` failed: %s", self._p, outcome.reason)

    def _owe(self, names: dict[str, None]) -> None:
        """The next batch tells of these, too. `names` is given away: copying a million takes a
        tenth of a second, in which the loop would stand still."""
        fewer, more = sorted((names, self._owned.state.changed), key=len)
        more.update(fewer)
        self._owned.state.changed = more
