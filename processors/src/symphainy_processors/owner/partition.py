"""One owned partition: decide, append, act. Sans-IO; the numbers cite docs/journal-protocol.md.

In-memory state runs ahead of the acknowledgement, nothing else does (rule 3): tasks leave only
when their decision stands at the offset that it was counted for. Any doubt ends this object; its
shell then restores and takes a new term.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from dataclasses import dataclass

from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.admission.decide import Known, admit
from symphainy_processors.fold.evolve import find_step
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.moment import Moment
from symphainy_processors.owner import letters, poison
from symphainy_processors.owner.ports import Port, World
from symphainy_processors.owner.tasks import task_for
from symphainy_processors.owner.timeouts import Timeouts
from symphainy_processors.saga import decide as saga
from symphainy_runtime.journal.validity import Validity
from symphainy_runtime.journal.writer import Heading, JournalWriter, Positions
from symphainy_schemas import ids
from symphainy_schemas.codec import decode
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import Event, Position, StepDispatched
from symphainy_schemas.records import Intent, ReportKind, StepReport
from symphainy_schemas.state import ExecutionState, StepState, StepStatus

log = logging.getLogger(__name__)
Events = tuple[Event, ...]
# A restart decides at most this many inputs again that yielded nothing: cheap to repeat, and far
# below what a record per input would cost.
POSITION_EVERY_INPUTS = 1_000
POSITION_EVERY_MS = 1_000
DUE_PER_TICK = 500  # bounds one tick to about 50 ms, so that inputs wait no longer


@dataclass(slots=True)
class _Pending:
    """A decision whose acknowledgement is awaited, and what it will do then."""

    offset: int
    dispatches: tuple[tuple[ExecutionState, StepDispatched], ...]


class OwnedPartition:
    """A partition under a term of ours."""

    def __init__(
        self,
        partition: int,
        state: PartitionState,
        last: Validity,
        port: Port,
        world: World,
        contracts: Contracts,
        owner: str,
    ) -> None:
        """Own `partition`; `last` is our OwnershipTaken, whose offset is the term (rule 1)."""
        self.partition = partition
        self.state = state
        self.positions = Positions(state.intents_next, state.steps_next)
        self.lost = False
        self.decided = 0
        self._port = port
        self._world = world
        self._contracts = contracts
        self._writer = JournalWriter(last.offset, last)
        self._next_offset = last.offset + 1
        self._acked = last.offset
        self._pending: deque[_Pending] = deque()
        self._unsent: dict[int, int] = {}
        self._held_at = state.acted_to
        self._held_until = -1
        self._last_dispatch = -1
        self._since_record = 0
        self._recorded_at = state.last_at
        self._recorded_acted_to = state.acted_to
        self._timeouts = Timeouts(owner, self._writer.term)

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

    # --- inputs -------------------------------------------------------------------------------

    def on_intent(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Decide the intent at `offset`; what stands before the position was decided already."""
        if offset < self.positions.intents_next or self.lost:
            return
        self.positions.intents_next = offset + 1
        try:
            intent = decode(value, Intent)
        except UnreadableRecord as error:
            self._port.dead_letter(
                letters.of("intents", self.partition, offset, key, value, error, self._now())
            )
            self._passed()
            return
        execution_id = ids.execution_id(
            intent.tenant_id, intent.session_id, intent.intent_id, self.partition
        )
        heading = Heading(
            cause=Position("intents", self.partition, offset),
            tenant_id=intent.tenant_id,
            session_id=intent.session_id,
            execution_id=execution_id,
            correlation_id=intent.correlation_id,
        )
        moment = self._moment()
        try:
            events = self._admit(intent, execution_id, moment)
            self._record(heading, events, moment)
        except Exception as error:
            log.exception("intent at %d/%d is poison", self.partition, offset)
            self._record(heading, poison.intent(intent, error), moment)

    def _admit(self, intent: Intent, execution_id: str, moment: Moment) -> Events:
        capability = self._world.capability(intent.intent_type)
        known = Known(
            partition=self.partition,
            execution=self.state.executions.get(execution_id),
            session=self.state.sessions.get(intent.session_id),
            tenant_exists=self._world.tenant_exists(intent.tenant_id),
            capability=capability,
            contract=self._contracts.of(capability) if capability is not None else None,
        )
        events = admit(intent, known)
        return events + saga.on_admitted(events, moment)

    def on_step(self, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Decide the step report at `offset`."""
        if offset < self.positions.steps_next or self.lost:
            return
        self.positions.steps_next = offset + 1
        try:
            report = decode(value, StepReport)
        except UnreadableRecord as error:
            self._port.dead_letter(
                letters.of("steps", self.partition, offset, key, value, error, self._now())
            )
            self._passed()
            return
        if report.kind is ReportKind.MARKER:
            self._on_marker(report)
        else:
            self._on_report(offset, report)

    def _on_report(self, offset: int, report: StepReport) -> None:
        state = self.state.executions.get(report.execution_id)
        if state is None or state.tenant_id != report.tenant_id:
            self._passed()
            return
        # A report leads to no new attempt by itself, so it needs no token.
        moment = self._quiet()
        heading = _heading(state, Position("steps", self.partition, offset), report.dispatched_at)
        try:
            events = saga.on_report(state, report, moment)
            if events:
                self._record(heading, events, moment)
            else:
                self._passed()
        except Exception as error:
            log.exception("report at %d/%d is poison", self.partition, offset)
            self._record(heading, poison.report(report, error), moment)

    def tick(self) -> None:
        """Decide what is due; write down positions that have been idle for long."""
        now = self._now()
        for state, step in self.state.due(now, DUE_PER_TICK):
            if step.status is StepStatus.STARTED:
                self._timeouts.add(state.execution_id, step)
            else:
                self._decide_step(state, step, saga.on_due(state, step, self._moment()))
        marker = self._timeouts.marker(now)
        if marker is not None:
            self._port.mark(self.partition, marker)
        acted = self._recorded_acted_to < self._last_dispatch <= self.acted_to
        idle = not self._pending and now - self._recorded_at >= POSITION_EVERY_MS
        if idle and (self._since_record or acted):
            self._record(Heading(), (), self._quiet())

    def _on_marker(self, marker: StepReport) -> None:
        for execution_id, name in self._timeouts.read(marker):
            state = self.state.executions.get(execution_id)
            step = None if state is None else find_step(state, name)
            if state is not None and step is not None:
                self._decide_step(state, step, saga.on_timeout(state, step, self._moment()))
        self._passed()

    def take_over(self) -> None:
        """Deliver anew what the last owner may not have sent (rules 11 and 12).

        Until the last of these decisions stands, `acted_to` stays where the last owner left it:
        were it to move with the first, a crash in between would forget the others.
        """
        self._held_until = sys.maxsize
        for state, step in list(self.state.unsent()):
            self._decide_step(state, step, saga.on_takeover(state, step, self._moment()))
        self._held_until = self._next_offset - 1

    def finish(self) -> None:
        """Write down how far we came, before a clean hand-over."""
        if not self.lost:
            self._record(Heading(), (), self._quiet())

    # --- append, then act ---------------------------------------------------------------------

    def _decide_step(self, state: ExecutionState, step: StepState, events: Events) -> None:
        if events:
            self._record(_heading(state, None, step.dispatched_at), events, self._quiet())

    def _passed(self) -> None:
        """An input yielded nothing: only now and then that is worth a record (rule 6)."""
        self._since_record += 1
        if self._since_record >= POSITION_EVERY_INPUTS:
            self._record(Heading(), (), self._quiet())

    def _record(self, heading: Heading, events: Events, moment: Moment) -> None:
        record, value = self._writer.write(
            moment.now, heading, events, self.positions, self.acted_to
        )
        offset = self._next_offset
        self._next_offset += 1
        self._since_record = 0
        self._recorded_at = moment.now
        self._recorded_acted_to = record.acted_to
        self.decided += 1
        self.state.apply(record, offset)
        dispatches = tuple(
            (self.state.executions[heading.execution_id], event)
            for event in events
            if isinstance(event, StepDispatched)
        )
        if dispatches:
            self._last_dispatch = offset
        self._pending.append(_Pending(offset, dispatches))
        self._port.append(self.partition, heading.execution_id.encode(), value, self._appended)

    def _appended(self, offset: int | None) -> None:
        """Act on the contiguous acknowledged prefix only; everything else is doubt (rule 3)."""
        if self.lost:
            return
        pending = self._pending.popleft()
        if offset != pending.offset:
            log.warning(
                "partition %d: append expected at %d is at %s; dropping the term",
                self.partition,
                pending.offset,
                offset,
            )
            self.lost = True
            return
        if pending.dispatches:
            self._unsent[offset] = len(pending.dispatches)
            self._acked = offset
            for state, dispatched in pending.dispatches:
                task = task_for(state, dispatched, self.partition, offset)
                self._port.send(task, lambda: self._sent(offset))
        else:
            self._acked = offset

    def _sent(self, offset: int) -> None:
        left = self._unsent[offset] - 1
        if left:
            self._unsent[offset] = left
        else:
            del self._unsent[offset]

    def _now(self) -> int:
        return max(self._world.now_ms(), self.state.last_at)

    def _moment(self) -> Moment:
        return Moment(self._now(), self._world.token(), self._world.jitter())

    def _quiet(self) -> Moment:
        """A moment for what begins no attempt and so needs no token."""
        return Moment(self._now(), "", self._world.jitter())


def _heading(state: ExecutionState, cause: Position | None, parent: int) -> Heading:
    return Heading(
        cause=cause,
        parent=parent,
        tenant_id=state.tenant_id,
        session_id=state.session_id,
        execution_id=state.execution_id,
        correlation_id=state.correlation_id,
    )
