"""What follows from a decision for other executions: decided in the same turn, each by itself.

The journal has no decision about two executions; but nothing else is decided between the one and
what follows from it, and whoever takes over finishes the last turn first (`PartitionState.turn`).
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator

from symphainy_processors.fold.family import may_owe
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.moment import Moment
from symphainy_processors.owner import poison
from symphainy_processors.owner.opening import UNDECIDED
from symphainy_processors.saga import family
from symphainy_runtime.state.store import StoreBroken
from symphainy_schemas.events import Event, JournalRecord
from symphainy_schemas.state import ExecutionState

log = logging.getLogger(__name__)
Events = tuple[Event, ...]
Decide = Callable[[ExecutionState, Events, Moment, int], None]


class Following:
    """The debts of one turn. A tree of executions is gone through by its levels, not by depth."""

    def __init__(self, state: PartitionState, moment: Callable[[], Moment], decide: Decide) -> None:
        """`decide` records what follows from the decision at that journal offset."""
        self._state = state
        self._moment = moment
        self._decide = decide
        self._owed: deque[tuple[int, family.Debt]] = deque()
        self._paying = False

    def decided(self, execution_id: str, events: Events, offset: int) -> None:
        """A decision is recorded: decide what follows, and what follows from that."""
        self._owe(execution_id, events, offset)
        if self._owed and not self._paying:
            self._pay_all()

    def finish(self, turn: Iterator[tuple[int, JournalRecord]]) -> None:
        """Decide what a predecessor's last turn still owes."""
        for offset, record in turn:
            self._owe(record.execution_id, record.events, offset)
        self._pay_all()

    def _owe(self, execution_id: str, events: Events, offset: int) -> None:
        state = self._state.execution(execution_id)
        if state is not None and may_owe(state):
            self._owed += ((offset, debt) for debt in family.owed(state, events))

    def _pay_all(self) -> None:
        self._paying = True
        try:
            while self._owed:
                self._pay(*self._owed.popleft())
        finally:
            self._paying = False
            self._owed.clear()

    def _pay(self, offset: int, debt: family.Debt) -> None:
        name = debt.parent if isinstance(debt, family.Ended) else debt.execution_id
        state = self._state.execution(name)
        if state is None:
            return  # not admitted yet: then it is rejected
        moment = self._moment()
        try:
            events = family.paid(state, debt, moment.now)
            if events:
                self._decide(state, events, moment, offset)
        except (StoreBroken, *UNDECIDED):
            raise
        except Exception as error:
            log.exception("what follows from the decision at %d for %s is poison", offset, name)
            self._decide(state, poison.following(state, error), moment, offset)
