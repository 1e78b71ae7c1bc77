"""A decision of a partition's owner on its way: recorded, and what it made ready sent or queued.

What is decided comes from elsewhere (admission, saga); the numbers cite docs/journal-protocol.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.dispatch.pools import Pools
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.fold.steps import find_step
from symphainy_processors.moment import Moment
from symphainy_processors.owner.dispatching import Dispatching, admitted
from symphainy_processors.owner.dispatching import waiting as waiting_item
from symphainy_processors.owner.figures import Figures
from symphainy_processors.owner.ledger import Ledger
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.owner.ports import Port, World
from symphainy_processors.saga import decide as saga
from symphainy_runtime.journal.writer import Heading, Positions
from symphainy_schemas.events import CapabilityResolved, Event, Position, StepReady
from symphainy_schemas.state import ExecutionState, StepState

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


class Deciding:
    """Records decisions of one term, dispatches what they make ready, and says how far we came."""

    def __init__(self, state: PartitionState, ledger: Ledger, shell: Shell) -> None:
        """`state` is the one that the ledger applies records to."""
        self.state = state
        self.ledger = ledger
        self.positions = Positions(state.intents_next, state.steps_next)
        self.dispatching = Dispatching(
            state, shell.world.tenant, shell.world.now_ms, shell.options.partitions, shell.pools
        )
        self._figures = shell.figures
        self._world, self._options = shell.world, shell.options
        self._since_record = 0

    # --- time -----------------------------------------------------------------------------------

    def now(self) -> int:
        """The wall clock, which does not go back in a journal; ms."""
        return max(self._world.now_ms(), self.state.last_at)

    def moment(self) -> Moment:
        """Now, and a chance for this decision."""
        return Moment(self.now(), self._world.jitter())

    # --- decisions ------------------------------------------------------------------------------

    def decide(
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

    def decide_due(
        self, state: ExecutionState, step: StepState | None, events: Events, moment: Moment
    ) -> None:
        """Record what comes of a step's time, or of a deadline (no step), if anything does."""
        if not events:
            return
        due_at, parent = (
            (state.deadline_at, -1) if step is None else (step.due_at, step.dispatched_at)
        )
        self._figures.timer_fired(moment.now - due_at)
        self.decide(state, heading_of(state, None, parent), events, moment)

    def dispatch(self) -> None:
        """Dispatch what waited for its turn, as far as windows and limits allow."""
        for _ in range(DISPATCHES_A_TURN):
            due = self.dispatching.take()
            if due is None:
                return
            self._deliver(*due, due[1].ready_at)

    def deliver_again(self, state: ExecutionState, step: StepState) -> None:
        """Deliver anew, under a number of its own (rule 12), unless it is to end, or rests."""
        ready = StepReady(step=step.step, attempt=step.attempt)
        events = saga.instead(state, step, (ready,))
        if events == (ready,):
            self._deliver(state, step, step.dispatched_at)
            return
        self.decide(state, heading_of(state, None, step.dispatched_at), events, self.moment())

    def _deliver(self, state: ExecutionState, step: StepState, parent: int) -> None:
        moment = self.moment()
        ready = StepReady(step=step.step, attempt=step.attempt)
        event = self._delivery(state.timeout_ms, step, ready, moment)
        self._record(heading_of(state, None, parent), (event,), moment)

    def _delivery(
        self, timeout_ms: int, step: StepState | None, ready: StepReady, moment: Moment
    ) -> Event:
        start_by = moment.now + self._options.start_by_ms + self._options.skew_ms
        return saga.delivery(step, ready, timeout_ms, self._world.token(), start_by)

    # --- positions ------------------------------------------------------------------------------

    def passed(self) -> None:
        """An input yielded nothing: only now and then that is worth a record (rule 6)."""
        self._since_record += 1
        if self._since_record >= self._options.position_every_inputs:
            self.position()

    def position(self) -> None:
        """Write down how far we came."""
        self._record(Heading(), (), self.moment())

    def position_if_idle(self, now: int) -> None:
        """Write it down if there is news of it and no decision has for long."""
        ledger = self.ledger
        news = self._since_record or ledger.has_news_of_effects or ledger.clock_ahead
        idle = not ledger.in_flight
        if news and idle and now - ledger.recorded_at >= self._options.position_every_ms:
            self.position()

    def _record(self, heading: Heading, events: Events, moment: Moment) -> None:
        self.ledger.record(heading, events, moment.now, self.positions)
        self._since_record = 0


def heading_of(state: ExecutionState, cause: Position | None, parent: int) -> Heading:
    """The heading of a record about an execution."""
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
