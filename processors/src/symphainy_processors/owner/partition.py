"""One owned partition: decide, append, act. Sans-IO; the numbers cite docs/journal-protocol.md.

Any doubt ends this object; its shell then restores and takes a new term.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping

from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.fold.plans import is_stopping
from symphainy_processors.owner import letters, poison
from symphainy_processors.owner.deciding import Deciding, Shell, heading_of
from symphainy_processors.owner.governing import PolicyMissing
from symphainy_processors.owner.intents import Intents
from symphainy_processors.owner.ledger import Ledger
from symphainy_processors.owner.opening import UNDECIDED
from symphainy_processors.owner.ports import Input
from symphainy_processors.owner.sessions import Sessions
from symphainy_processors.owner.tasks import intent_for, notices_for
from symphainy_processors.owner.timeouts import Timeouts
from symphainy_processors.saga import decide as saga
from symphainy_runtime.journal.validity import Validity
from symphainy_runtime.state.store import StoreBroken
from symphainy_schemas.codec import decode
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.events import ChildInvoked, JournalRecord, Position
from symphainy_schemas.records import Intent, ReportKind, StepReport
from symphainy_schemas.state import SessionState, StepStatus
from symphainy_transport.topics import INTENTS, STEPS

log = logging.getLogger(__name__)


NOTHING: Mapping[int, JournalRecord] = {}


class OwnedPartition:
    """A partition under a term of ours."""

    def __init__(
        self,
        partition: int,
        state: PartitionState,
        term: Validity,
        before: Validity,
        shell: Shell,
        left: Mapping[int, JournalRecord] = NOTHING,
    ) -> None:
        """Own `partition`; `term` is the standing after our OwnershipTaken (rule 1), `before` the
        one right before it. `state` is flushed. `left` are the decisions of which the last owner
        may have left something undone: intents to state, and its last turn."""
        self.partition = partition
        self.state = state
        self.ledger = Ledger(
            partition, state, term, before, shell.port, shell.world.now_ms, shell.options.skew_ms
        )
        self._deciding = Deciding(state, self.ledger, shell)
        self.positions, self.dispatching = self._deciding.positions, self._deciding.dispatching
        self._intents = Intents(partition, self._deciding, shell)
        self._sessions = Sessions(partition, self._deciding, shell)
        self._port, self._options = shell.port, shell.options
        self._timeouts = Timeouts(shell.owner, term.offset, shell.options.marker_again_ms)
        self._left = left
        self._taking_over = False
        self._unsent: dict[tuple[str, str], int] = {}  # what may have to be delivered anew
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
        self._intents.decide(intent, taken.offset, taken.value or b"")

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
        self._deciding.dispatch()

    def _on_report(self, offset: int, report: StepReport) -> None:
        state = self.state.execution(report.execution_id)
        if state is None or state.status.ended or state.tenant_id != report.tenant_id:
            self._deciding.passed()
            return
        moment = self._deciding.moment()
        heading = heading_of(state, Position(STEPS, self.partition, offset), report.dispatched_at)
        try:
            events = saga.on_report(state, report, moment)
            if events:
                queued = report.queued_ms if report.queued_ms >= 0 else None
                self._deciding.decide(state, heading, events, moment, queued)
            else:
                self._deciding.passed()
        except (StoreBroken, *UNDECIDED):
            raise
        except Exception as error:
            log.exception("report at %d/%d is poison", self.partition, offset)
            self._deciding.decide(state, heading, poison.report(state, report, error), moment)

    def _on_marker(self, marker: StepReport) -> None:
        for execution_id, name in self._timeouts.read(marker):
            self._read_up_to(marker, execution_id, name)
        if self._taking_over and not self._unsent:
            self._taking_over = False
            self.ledger.release_acted_to()
        self._deciding.passed()

    def _read_up_to(self, marker: StepReport, execution_id: str, name: str) -> None:
        """All that workers had said of a step by then is decided: what it waits for is true."""
        unsent = self._unsent.get((execution_id, name))
        found = self.state.work.step(execution_id, name)
        if found is not None:
            state, step = found
            if step.status is StepStatus.DISPATCHED and step.dispatched_at == unsent:
                self._deciding.deliver_again(state, step)
            elif step.due_at <= marker.at:  # else it went on meanwhile; that has its own marker
                moment = self._deciding.moment()
                events = saga.on_timeout(state, step, moment)
                self._deciding.decide_due(state, step, events, moment)
        self._dealt_with(execution_id, name)

    def _to_dead_letters(self, taken: Input, error: UnreadableRecord) -> None:
        """The position passes it only when its letter is acknowledged; the rest waits so long."""
        self._lettering = True
        self._port.dead_letter(
            letters.of(taken, error, self._deciding.now()), lambda: self._lettered(taken)
        )

    def _lettered(self, taken: Input) -> None:
        if self.lost:
            return
        if taken.topic == INTENTS:
            self.positions.intents_next = taken.offset + 1
        else:
            self.positions.steps_next = taken.offset + 1
        self._deciding.passed()
        self._lettering = False
        try:
            while self._behind_letter and not self._lettering:
                self.take(self._behind_letter.popleft())
        except (
            PolicyMissing,
            *UNDECIDED,
        ) as error:  # in a completion nobody hears of it: doubt tells the shell
            log.warning("partition %d is taken anew: %s", self.partition, error)
            self.ledger.lost = True

    # --- time -----------------------------------------------------------------------------------

    def tick(self) -> bool:
        """Decide some of what is due; write down positions that have been idle for long.

        True if more is due than one tick decides.
        """
        if self.lost:
            return False
        now = self._deciding.now()
        self._doubt()
        more = not self.ledger.clock_ahead and self._fire(now)  # else nothing fires (rule 9)
        self._sessions.sweep()
        self._mark(now)
        if not more:  # else what is due goes first; what ends meanwhile lets others go
            self._deciding.dispatch()
        self._deciding.position_if_idle(now)
        return more

    def _fire(self, now: int) -> bool:
        decided = 0
        for state, step in self.state.work.due(now, self._options.due_per_tick):
            decided += 1
            if isinstance(state, SessionState):
                self._sessions.due(state, now)
                continue
            if step is not None and saga.needs_marker(state, step):
                self._timeouts.add(state.execution_id, step)
                continue
            events = saga.on_deadline(state, now) if step is None else saga.on_due(state, step, now)
            self._deciding.decide_due(state, step, events, self._deciding.moment())
        return decided == self._options.due_per_tick

    def _doubt(self) -> None:
        """Deliver anew what may never have come to stand, once all is read that workers have
        reported of it if it did (rule 14)."""
        doubtful, self.ledger.in_doubt = self.ledger.in_doubt, []
        for execution_id, name, offset in doubtful:
            found = self.state.work.step(execution_id, name)
            if found is None or found[1].dispatched_at != offset:  # it went on meanwhile
                self.ledger.delivered_anew(offset)
                continue
            self._dealt_with(execution_id, name)  # what an older one of it was waited for
            self._unsent[execution_id, name] = offset
            self._timeouts.add(execution_id, found[1])

    def _dealt_with(self, execution_id: str, name: str) -> None:
        offset = self._unsent.pop((execution_id, name), None)
        if offset is not None:
            self.ledger.delivered_anew(offset)

    def _mark(self, now: int) -> None:
        marker = self._timeouts.marker(now)
        if marker is not None:
            self._port.mark(self.partition, marker)

    def take_over(self) -> None:
        """Deliver anew what the last owner may not have sent (rules 11 and 12), once all is read
        that workers have reported of what it did send (rule 14); tell again what is to end."""
        self.dispatching.restore()
        self._tell_again()
        for state, step in self.state.work.unsent(self.state.acted_to):
            self._unsent[state.execution_id, step.step] = step.dispatched_at
            self._timeouts.add(state.execution_id, step)
        if self._unsent:
            self._taking_over = True
            self.ledger.hold_acted_to()
        self._finish_turn()
        self._mark(self._deciding.now())
        self._deciding.dispatch()

    def _finish_turn(self) -> None:
        """State the intents that the last owner may not have stated (rule 11), and decide what it
        had no time to decide of its last turn."""
        for offset in self.state.work.not_sent(self.state.acted_to):
            record = self._left[offset]
            parent = self.state.execution(record.execution_id)
            assert parent is not None
            called = [one for one in record.events if isinstance(one, ChildInvoked)]
            self.ledger.send_again(offset, [intent_for(parent, c, record.at) for c in called])
        turn = self.state.settled.turn
        self._deciding.following.finish((offset, self._left[offset]) for offset in turn)
        self._left = {}

    def _tell_again(self) -> None:
        """The last owner may have died before it told whoever runs what is to end."""
        stopping = (state for state, _ in self.state.work.outstanding() if is_stopping(state))
        asked = {state.execution_id: state for state in stopping}
        for state in asked.values():
            for notice in notices_for(state, self.ledger.term):
                self._port.notify(notice)

    def finish(self) -> None:
        """Write down how far we came, before a clean hand-over."""
        if not self.lost:
            self._deciding.position()
