"""Append, then act: one term's decisions on their way into the journal.

Memory runs ahead of the acknowledgement, nothing else does (rule 3): an effect leaves only when its
decision stands at the offset that it was counted for. Any doubt ends the term.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from symphainy_processors.fold.partition import Applied, PartitionState
from symphainy_processors.fold.plans import is_stopping
from symphainy_processors.owner.opening import UNDECIDED
from symphainy_processors.owner.ports import Port
from symphainy_processors.owner.tasks import intent_for, notices_for, task_for
from symphainy_runtime.journal.validity import Validity
from symphainy_runtime.journal.writer import Heading, JournalWriter, Positions
from symphainy_schemas.events import (
    CancelRequested,
    ChildInvoked,
    CompensationRequested,
    DeadlinePassed,
    Event,
    StepDispatched,
    StepFailed,
)
from symphainy_schemas.records import CancelNotice, Intent
from symphainy_schemas.state import ExecutionState

log = logging.getLogger(__name__)
_REQUESTS = (CancelRequested, DeadlinePassed, CompensationRequested)
# What is dispatched, and the attributes of its session then.
Dispatches = tuple[tuple[ExecutionState, StepDispatched, bytes], ...]


@dataclass(slots=True)
class _Pending:
    """A decision whose acknowledgement is awaited, and what it will do then."""

    applied: Applied
    written_at: int
    dispatches: Dispatches
    calls: tuple[Intent, ...]
    notices: tuple[CancelNotice, ...]


class Ledger:
    """Numbers, appends, applies and acts on the decisions of one term."""

    def __init__(
        self,
        partition: int,
        state: PartitionState,
        term: Validity,
        before: Validity,
        port: Port,
        clock: Callable[[], int],
        skew_ms: int,
    ) -> None:
        """`term` is the standing after our OwnershipTaken, whose offset is the term (rule 1);
        `before` the one right before it."""
        self.lost = False
        self.decided = 0
        self.clock_ahead = False
        self.in_doubt: list[tuple[str, str, int]] = []
        self.partition = partition
        self._state = state
        self._port = port
        self._clock = clock
        self._skew_ms = skew_ms
        self._writer = JournalWriter(term, before)
        self._next_offset = term.offset + 1
        self._acked = term.offset
        self._pending: deque[_Pending] = deque()
        self._unsent: dict[int, int] = {}
        self._held_at = state.acted_to
        self._held_until = -1
        self._last_effect = -1
        self.recorded_at = state.last_at
        self._recorded_acted_to = state.acted_to

    @property
    def term(self) -> int:
        """The offset of our OwnershipTaken."""
        return self._writer.term

    @property
    def next_offset(self) -> int:
        """Where the next record is counted for."""
        return self._next_offset

    @property
    def in_flight(self) -> int:
        """Decisions not yet acknowledged."""
        return len(self._pending)

    @property
    def acted_to(self) -> int:
        """All effects of records up to here are acknowledged by Kafka (rule 11)."""
        if self._acked < self._held_until:
            return self._held_at
        return next(iter(self._unsent)) - 1 if self._unsent else self._acked

    @property
    def has_news_of_effects(self) -> bool:
        """Whether a record now would say that more effects are acknowledged."""
        return self._recorded_acted_to < self._last_effect <= self.acted_to

    def hold_acted_to(self) -> None:
        """`acted_to` stays where the last owner left it until `release_acted_to`.

        Were it to move with a takeover's first new delivery, a crash in between would forget the
        others.
        """
        self._held_until = sys.maxsize

    def release_acted_to(self) -> None:
        """It moves again once everything decided so far stands."""
        self._held_until = self._next_offset - 1

    def record(
        self, heading: Heading, events: tuple[Event, ...], now: int, positions: Positions
    ) -> None:
        """Append one decision.

        Raises:
            DecisionTooLarge: nothing was counted; decide something smaller.
        """
        record, value = self._writer.write(now, heading, events, positions, self.acted_to)
        offset = self._next_offset
        may_stop = self._may_stop(heading.execution_id, events)
        try:
            applied = self._state.apply(record, self._writer.standing(offset))
        except Exception:
            self._writer.take_back()
            raise
        self._next_offset += 1
        self.recorded_at = now
        self._recorded_acted_to = record.acted_to
        self.decided += 1
        dispatches = self._dispatches(heading.execution_id, events)
        calls = self._calls(heading.execution_id, events, now)
        if dispatches or calls:
            self._last_effect = offset
        notices = self._notices(heading.execution_id, offset) if may_stop else ()
        self._pending.append(_Pending(applied, self._clock(), dispatches, calls, notices))
        self._port.append(self.partition, heading.execution_id.encode(), value, self._appended)

    def _dispatches(self, execution_id: str, events: tuple[Event, ...]) -> Dispatches:
        found = [event for event in events if isinstance(event, StepDispatched)]
        if not found:
            return ()
        state = self._state.execution(execution_id)
        assert state is not None
        session = self._state.session(state.session_id)
        attributes = b"" if session is None else session.attributes
        return tuple((state, event, attributes) for event in found)

    def _calls(self, execution_id: str, events: tuple[Event, ...], now: int) -> tuple[Intent, ...]:
        found = [event for event in events if isinstance(event, ChildInvoked)]
        if not found:
            return ()
        state = self._state.execution(execution_id)
        assert state is not None
        return tuple(intent_for(state, event, now) for event in found)

    def send_again(self, offset: int, calls: Sequence[Intent]) -> None:
        """State intents of a predecessor's decision that may not stand in the log yet; before
        anything is decided, and in order."""
        self._unsent[offset] = len(calls)
        self._last_effect = offset
        for intent in calls:
            self._port.submit(self.partition, intent, lambda: self._sent(offset))

    def _may_stop(self, execution_id: str, events: tuple[Event, ...]) -> bool:
        """Whether a decision may be the one after which the execution is to end: somebody asks for
        that, or a step fails and others of its plan run. Asked before it is applied: what stops
        already was told."""
        if any(isinstance(event, _REQUESTS) for event in events):
            return True
        if not any(isinstance(event, StepFailed) for event in events):
            return False
        state = self._state.execution(execution_id)
        return state is not None and bool(state.plan) and not is_stopping(state)

    def _notices(self, execution_id: str, offset: int) -> tuple[CancelNotice, ...]:
        """For what runs of it, if it is to end by now."""
        state = self._state.execution(execution_id)
        assert state is not None
        return notices_for(state, offset)

    def _appended(self, offset: int | None, appended_at: int) -> None:
        """Act on the contiguous acknowledged prefix only; everything else is doubt (rule 3)."""
        if self.lost:
            return
        pending = self._pending.popleft()
        counted_for = pending.applied.checkpoint.offset
        if offset != counted_for:
            log.warning(
                "partition %d: append expected at %d is at %s; dropping the term",
                self.partition,
                counted_for,
                offset,
            )
            self.lost = True
            return
        # Written before it was appended, so only a clock ahead of the broker's says otherwise.
        self._judge_clock(pending.written_at - appended_at)
        self._state.settle(pending.applied)
        self._acked = offset
        for notice in pending.notices:  # not counted in `acted_to`: nothing depends on them
            self._port.notify(notice)
        if pending.dispatches or pending.calls:
            self._unsent[offset] = len(pending.dispatches) + len(pending.calls)
            for intent in pending.calls:
                self._port.submit(self.partition, intent, lambda: self._sent(offset))
            self._send(pending.dispatches, offset)

    def _send(self, dispatches: Dispatches, offset: int) -> None:
        try:
            for state, dispatched, attributes in dispatches:
                task = task_for(
                    state, dispatched, attributes, self.partition, offset, self._skew_ms
                )
                self._port.send(task, partial(self._told, state.execution_id, task.step, offset))
        except UNDECIDED as error:  # in a completion nobody hears of it: doubt tells the shell
            log.warning("partition %d is taken anew: %s", self.partition, error)
            self.lost = True

    def _judge_clock(self, ahead_ms: int) -> None:
        """Too far ahead of the broker's it fires nothing, and says so (rule 9)."""
        ahead = ahead_ms > self._skew_ms
        if ahead and not self.clock_ahead:
            log.warning(
                "partition %d: this clock is %d ms ahead of the broker's; no timer fires until it "
                "is set right",
                self.partition,
                ahead_ms,
            )
        self.clock_ahead = ahead

    def _told(self, execution_id: str, step: str, offset: int, acknowledged: bool) -> None:
        """In doubt it may stand there or not: what was dispatched is then delivered anew, under a
        number of its own, and counts as not sent until that is decided (rules 11 and 12)."""
        if acknowledged:
            self._sent(offset)
        else:
            self.in_doubt.append((execution_id, step, offset))

    def delivered_anew(self, offset: int) -> None:
        """A delivery in doubt is dealt with."""
        if offset in self._unsent:  # else it is a predecessor's
            self._sent(offset)

    def _sent(self, offset: int) -> None:
        left = self._unsent[offset] - 1
        if left:
            self._unsent[offset] = left
        else:
            del self._unsent[offset]
