"""One owned partition: decide, append, act. Sans-IO; the numbers cite docs/journal-protocol.md.

Any doubt ends this object; its shell then restores and takes a new term.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field

from symphainy_processors.admission import control
from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.admission.control import Target
from symphainy_processors.admission.decide import Known, admit
from symphainy_processors.dispatch.pools import Pools
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.fold.steps import find_step
from symphainy_processors.moment import Moment
from symphainy_processors.owner import letters, poison
from symphainy_processors.owner.dispatching import Dispatching, admitted
from symphainy_processors.owner.dispatching import waiting as waiting_item
from symphainy_processors.owner.figures import Figures
from symphainy_processors.owner.ledger import Ledger
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.owner.ports import Input, Port, World
from symphainy_processors.owner.timeouts import Timeouts
from symphainy_processors.saga import decide as saga
from symphainy_processors.saga import waiting
from symphainy_runtime.journal.validity import Validity
from symphainy_runtime.journal.writer import Heading, Positions
from symphainy_runtime.state.store import StoreBroken
from symphainy_schemas import ids
from symphainy_schemas.codec import decode
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import CapabilityResolved, Event, Position, StepReady
from symphainy_schemas.records import Intent, ReportKind, StepReport
from symphainy_schemas.state import ExecutionState, StepState, StepStatus
from symphainy_transport.topics import INTENTS, STEPS

log = logging.getLogger(__name__)
Events = tuple[Event, ...]
DISPATCHES_A_TURN = 200  # bounds a turn when a window opens onto a deep backlog: about 30 ms


@dataclass(frozen=True)
class Shell:
    """What one owner's partitions share."""

    owner: str
    port: Port
    world: World
    contracts: Contracts
    options: OwnerOptions
    figures: Figures = field(default_factory=Figures)
    pools: Pools = field(default_factory=Pools)


class OwnedPartition:
    """A partition under a term of ours."""

    def __init__(
        self,
        partition: int,
        state: PartitionState,
        term: Validity,
        before: Validity,
        shell: Shell,
    ) -> None:
        """Own `partition`; `term` is the standing after our OwnershipTaken (rule 1), `before` the
        one right before it. `state` is flushed."""
        self.partition = partition
        self.state = state
        self.positions = Positions(state.intents_next, state.steps_next)
        self._shell = shell
        self._port, self._world, self._options = shell.port, shell.world, shell.options
        self.ledger = Ledger(
            partition, state, term, before, shell.port, shell.world.now_ms, shell.options.skew_ms
        )
        self.dispatching = Dispatching(
            state, shell.world.tenant, shell.world.now_ms, shell.options.partitions, shell.pools
        )
        self._since_record = 0
        self._timeouts = Timeouts(shell.owner, term.offset, shell.options.marker_again_ms)
        self._taking_over = False
        self._unsent: dict[tuple[str, str], int] = {}  # what a takeover has still to deliver anew
        self._lettering = False
        self._behind_letter: deque[Input] = deque()

    @property
    def lost(self) -> bool:
        """Whether the term is in doubt."""
        return self.ledger.lost

    @property
    def backlog(self) -> int:
        """Inputs that wait behind a dead letter."""
        return len(self._behind_letter)

    # --- inputs ---------------------------------------------------------------------------------

    def take(self, taken: Input) -> None:
        """Decide one input; what stands before the position was decided already."""
        if self.lost:
            return
        if self._lettering:
            self._behind_letter.append(taken)
        elif taken.topic == INTENTS:
            self._on_intent(taken)
        else:
            self._on_step(taken)

    def _on_intent(self, taken: Input) -> None:
        if taken.offset < self.positions.intents_next:
            return
        try:
            intent = decode(taken.value, Intent)
        except UnreadableRecord as error:
            self._to_dead_letters(taken, error)
            return
        self.positions.intents_next = taken.offset + 1
        execution_id = ids.execution_id(
            intent.tenant_id, intent.session_id, intent.intent_id, self.partition
        )
        heading = Heading(
            cause=Position(INTENTS, self.partition, taken.offset),
            tenant_id=intent.tenant_id,
            session_id=intent.session_id,
            execution_id=execution_id,
            correlation_id=intent.correlation_id,
        )
        moment = self._moment()
        try:
            target = self._target(intent, taken.offset)
            events = self._admit(intent, execution_id, moment, target)
            if target is not None and not target.applied and control.accepted(events):
                self._control(target, taken.offset, moment)
            self._decide(None, heading, events, moment)
        except StoreBroken:
            raise  # says nothing of the intent
        except Exception as error:
            log.exception("intent at %d/%d is poison", self.partition, taken.offset)
            self._decide(None, heading, poison.intent(intent, error), moment)

    def _target(self, intent: Intent, offset: int) -> Target | None:
        """The execution of which a control intent asks something."""
        asked = control.asked_by(intent)
        state = None if asked is None else self.state.execution(asked.execution_id)
        if asked is None or state is None:
            return None
        applied, room = state.controlled_at >= offset, waiting.has_room(state, asked.event)
        return Target(state, asked.event, applied, room)

    def _control(self, target: Target, offset: int, moment: Moment) -> None:
        """Record what is asked of an execution, before its intent's own record and without passing
        it: whoever finds only this decides the intent again, and sees that it was applied."""
        passed, self.positions.intents_next = self.positions.intents_next, offset
        try:
            cause = Position(INTENTS, self.partition, offset)
            events = waiting.signalled(target.state, target.event, moment.now)
            self._decide(target.state, _heading(target.state, cause, -1), events, moment)
        finally:
            self.positions.intents_next = passed

    def _admit(
        self, intent: Intent, execution_id: str, moment: Moment, target: Target | None
    ) -> Events:
        capability = self._world.capability(intent.intent_type)
        known = Known(
            partition=self.partition,
            execution=self.state.execution(execution_id, moment.now),
            session=self.state.session(intent.session_id),
            target=target,
            tenant_exists=self._world.tenant(intent.tenant_id) is not None,
            capability=capability,
            contract=self._shell.contracts.of(capability) if capability is not None else None,
        )
        events = admit(intent, known)
        return events + saga.on_admitted(events)

    def _on_step(self, taken: Input) -> None:
        if taken.offset < self.positions.steps_next:
            return
        try:
            report = decode(taken.value, StepReport)
        except UnreadableRecord as error:
            self._to_dead_letters(taken, error)
            return
        self.positions.steps_next = taken.offset + 1
        if report.kind is ReportKind.MARKER:
            self._on_marker(report)
        else:
            self._on_report(taken.offset, report)
        self.dispatch()

    def _on_report(self, offset: int, report: StepReport) -> None:
        state = self.state.execution(report.execution_id)
        if state is None or state.status.ended or state.tenant_id != report.tenant_id:
            self._passed()
            return
        moment = self._moment()
        heading = _heading(state, Position(STEPS, self.partition, offset), report.dispatched_at)
        try:
            events = saga.on_report(state, report, moment)
            if events:
                queued = report.queued_ms if report.queued_ms >= 0 else None
                self._decide(state, heading, events, moment, queued)
            else:
                self._passed()
        except StoreBroken:
            raise
        except Exception as error:
            log.exception("report at %d/%d is poison", self.partition, offset)
            self._decide(state, heading, poison.report(report, error), moment)

    def _on_marker(self, marker: StepReport) -> None:
        for execution_id, name in self._timeouts.read(marker):
            unsent = self._unsent.pop((execution_id, name), None)
            found = self.state.step(execution_id, name)
            if found is None:
                continue
            state, step = found
            if step.status is StepStatus.DISPATCHED and step.dispatched_at == unsent:
                self._deliver_again(state, step)
                continue
            if step.due_at > marker.at:  # it went on meanwhile; that time has its own marker
                continue
            moment = self._moment()
            self._decide_due(state, step, saga.on_timeout(state, step, moment), moment)
        if self._taking_over and not self._unsent:
            self._taking_over = False
            self.ledger.release_acted_to()
        self._passed()

    def _to_dead_letters(self, taken: Input, error: UnreadableRecord) -> None:
        """The position passes it only when its letter is acknowledged; the rest waits so long."""
        self._lettering = True
        self._port.dead_letter(letters.of(taken, error, self._now()), lambda: self._lettered(taken))

    def _lettered(self, taken: Input) -> None:
        if self.lost:
            return
        if taken.topic == INTENTS:
            self.positions.intents_next = taken.offset + 1
        else:
            self.positions.steps_next = taken.offset + 1
        self._passed()
        self._lettering = False
        while self._behind_letter and not self._lettering:
            self.take(self._behind_letter.popleft())

    # --- time -----------------------------------------------------------------------------------

    def tick(self) -> bool:
        """Decide some of what is due; write down positions that have been idle for long.

        True if more is due than one tick decides.
        """
        if self.lost:
            return False
        now = self._now()
        more = not self.ledger.clock_ahead and self._fire(now)  # else nothing fires (rule 9)
        self._mark(now)
        if not more:  # else what is due goes first; what ends meanwhile lets others go
            self.dispatch()
        news = self._since_record or self.ledger.has_news_of_effects or self.ledger.clock_ahead
        idle = not self.ledger.in_flight
        if news and idle and now - self.ledger.recorded_at >= self._options.position_every_ms:
            self._position()
        return more

    def _fire(self, now: int) -> bool:
        decided = 0
        for state, step in self.state.due(now, self._options.due_per_tick):
            decided += 1
            if saga.needs_marker(step):
                self._timeouts.add(state.execution_id, step)
            else:
                self._decide_due(state, step, saga.on_due(step, now), self._moment())
        return decided == self._options.due_per_tick

    def _mark(self, now: int) -> None:
        marker = self._timeouts.marker(now)
        if marker is not None:
            self._port.mark(self.partition, marker)

    def dispatch(self) -> None:
        """Dispatch what waited for its turn, as far as windows and limits allow."""
        for _ in range(DISPATCHES_A_TURN):
            due = self.dispatching.take()
            if due is None:
                return
            state, step = due
            moment = self._moment()
            ready = StepReady(step=step.step, attempt=step.attempt)
            event = self._delivery(state.timeout_ms, step, ready, moment)
            self._record(_heading(state, None, step.ready_at), (event,), moment)

    def take_over(self) -> None:
        """Deliver anew what the last owner may not have sent (rules 11 and 12), once all is read
        that workers have reported of what it did send (rule 14)."""
        self.dispatching.restore()
        for state, step in self.state.unsent():
            self._unsent[state.execution_id, step.step] = step.dispatched_at
            self._timeouts.add(state.execution_id, step)
        if self._unsent:
            self._taking_over = True
            self.ledger.hold_acted_to()
        self._mark(self._now())
        self.dispatch()

    def _deliver_again(self, state: ExecutionState, step: StepState) -> None:
        moment = self._moment()
        again = StepReady(step=step.step, attempt=step.attempt)
        event = self._delivery(state.timeout_ms, step, again, moment)
        self._record(_heading(state, None, step.dispatched_at), (event,), moment)

    def finish(self) -> None:
        """Write down how far we came, before a clean hand-over."""
        if not self.lost:
            self._position()

    # --- deciding -------------------------------------------------------------------------------

    def _decide_due(
        self, state: ExecutionState, step: StepState, events: Events, moment: Moment
    ) -> None:
        if events:
            self._shell.figures.timer_fired(moment.now - step.due_at)
            self._decide(state, _heading(state, None, step.dispatched_at), events, moment)

    def _decide(
        self,
        before: ExecutionState | None,
        heading: Heading,
        events: Events,
        moment: Moment,
        queued_ms: int | None = None,
    ) -> None:
        """Record a decision; what became ready goes at once, or is journaled as waiting.

        `queued_ms` is what a worker told of its own queue.
        """
        if before is not None:
            for step in before.steps:
                self.dispatching.heard(before, step, events, queued_ms)
        if not isinstance(events[-1], StepReady):
            self._record(heading, events, moment)
            return
        ready, order = events[-1], self.ledger.next_offset
        item = (
            admitted(heading, events, order)
            if before is None
            else waiting_item(before, ready.step, order)
        )
        if not self.dispatching.may_go(item):
            self._record(heading, events, moment)
            self.dispatching.wait(item)
            return
        known = None if before is None else find_step(before, ready.step)
        timeout_ms = _timeout_ms(events) if before is None else before.timeout_ms
        event = self._delivery(timeout_ms, known, ready, moment)
        try:
            self._record(heading, (*events[:-1], event), moment)
        except Exception:
            self.dispatching.give_back(item)
            raise

    def _delivery(
        self, timeout_ms: int, step: StepState | None, ready: StepReady, moment: Moment
    ) -> Event:
        start_by = moment.now + self._options.start_by_ms + self._options.skew_ms
        return saga.delivery(step, ready, timeout_ms, self._world.token(), start_by)

    def _passed(self) -> None:
        """An input yielded nothing: only now and then that is worth a record (rule 6)."""
        self._since_record += 1
        if self._since_record >= self._options.position_every_inputs:
            self._position()

    def _position(self) -> None:
        self._record(Heading(), (), self._moment())

    def _record(self, heading: Heading, events: Events, moment: Moment) -> None:
        self.ledger.record(heading, events, moment.now, self.positions)
        self._since_record = 0

    def _now(self) -> int:
        return max(self._world.now_ms(), self.state.last_at)

    def _moment(self) -> Moment:
        return Moment(self._now(), self._world.jitter())


def _heading(state: ExecutionState, cause: Position | None, parent: int) -> Heading:
    return Heading(
        cause=cause,
        parent=parent,
        tenant_id=state.tenant_id,
        session_id=state.session_id,
        execution_id=state.execution_id,
        correlation_id=state.correlation_id,
    )


def _timeout_ms(admission: Events) -> int:
    return next(x.timeout_ms for x in admission if isinstance(x, CapabilityResolved))
