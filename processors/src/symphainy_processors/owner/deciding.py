"""A decision of a partition's owner on its way: recorded, and what it made ready sent or queued.

What is decided comes from elsewhere (admission, saga); the numbers cite docs/journal-protocol.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec.structs import replace

from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.dispatch.pools import Pools
from symphainy_processors.dispatch.rules import Ready
from symphainy_processors.fold.evolve import UNPLACED, ahead
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.fold.plans import find_step, policy_of
from symphainy_processors.moment import Moment
from symphainy_processors.owner.dispatching import Dispatching, first
from symphainy_processors.owner.dispatching import waiting as waiting_item
from symphainy_processors.owner.figures import Figures
from symphainy_processors.owner.following import Following
from symphainy_processors.owner.governing import Governing, Prepared
from symphainy_processors.owner.ledger import Ledger
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.owner.ports import Port, Prove, World, believed
from symphainy_processors.saga import decide as saga
from symphainy_runtime.journal.writer import Heading, Positions
from symphainy_schemas.events import (
    JOURNAL,
    CapabilityResolved,
    Event,
    Position,
    StepReady,
)
from symphainy_schemas.state import ExecutionState, StepState
from symphainy_transport.privacy.content import Content

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
    prepared: Prepared = field(default_factory=Prepared)
    prove: Prove = believed
    content: Content = field(default_factory=Content)


class Begin(NamedTuple):
    """A step that may go: its event, what the dispatcher knows it by, and how it was before."""

    ready: StepReady
    item: Ready
    timeout_ms: int
    known: StepState | None


class Deciding:
    """Records decisions of one term, dispatches what they make ready, and says how far we came."""

    def __init__(self, state: PartitionState, ledger: Ledger, shell: Shell) -> None:
        """`state` is the one that the ledger applies records to."""
        self.state = state
        self.ledger = ledger
        self.positions = Positions(state.intents_next, state.steps_next)
        self.governing = Governing(ledger.partition, state, shell.world, shell.prepared)
        self.dispatching = Dispatching(
            state,
            shell.world.tenant,
            shell.world.now_ms,
            shell.options.partitions,
            shell.pools,
            self.governing.suspended,
        )
        self._figures = shell.figures
        self._world, self._options = shell.world, shell.options
        self._since_record = 0
        self.following = Following(state, self.moment, self._decide_what_follows)

    # --- time -----------------------------------------------------------------------------------

    def now(self) -> int:
        """The wall clock, which does not go back in a journal; ms."""
        return max(self._world.now_ms(), self.state.last_at)

    def moment(self) -> Moment:
        """Now, and a chance for this decision."""
        return Moment(self.now(), self._world.jitter())

    # --- decisions ------------------------------------------------------------------------------

    def admit(self, heading: Heading, events: Events, moment: Moment) -> None:
        """Record what an intent led to, and begin what it started."""
        resolved = next((x for x in events if isinstance(x, CapabilityResolved)), None)
        if resolved is not None and resolved.plan:
            record = replace(
                UNPLACED,
                at=moment.now,
                tenant_id=heading.tenant_id,
                session_id=heading.session_id,
                execution_id=heading.execution_id,
            )
            admitted = ahead(None, events, record)
            assert admitted is not None
            follows = saga.on_planned(admitted, moment.now)
            self._send(self._begins(admitted, follows), heading, (*events, *follows), moment)
            return
        follows = saga.on_admitted(events)
        if not follows:
            self._record(heading, events, moment)
            self._follow(heading, events)
            return
        (ready,) = follows
        assert resolved is not None
        item = first(heading, events, self.ledger.next_offset)
        begin = Begin(ready, item, resolved.timeout_ms, None)
        self._send([begin], heading, (*events, *follows), moment)

    def decide(
        self,
        before: ExecutionState,
        heading: Heading,
        events: Events,
        moment: Moment,
        queued_ms: int | None = None,
    ) -> None:
        """Record a decision; what became ready goes at once, or is journaled as waiting.

        `queued_ms` is what a worker told of its own queue.
        """
        told = {getattr(event, "step", "") for event in events}
        for step in before.steps:
            if step.step in told:  # one of a thousand
                self.dispatching.heard(before, step, events, queued_ms)
        self._send(self._begins(before, events), heading, events, moment)

    def _begins(self, before: ExecutionState, events: Events) -> list[Begin]:
        ready = [event for event in events if isinstance(event, StepReady)]
        if not ready:
            return []
        # What a step of a plan gets, and so its concurrency key, may come from these very events.
        after = ahead(before, events, UNPLACED) if before.plan else before
        assert after is not None
        order = self.ledger.next_offset
        return [
            Begin(
                event,
                waiting_item(after, event.step, order),
                policy_of(after, event.step).timeout_ms,
                find_step(before, event.step),
            )
            for event in ready
        ]

    def _send(self, begins: list[Begin], heading: Heading, events: Events, moment: Moment) -> None:
        gone: dict[int, Event] = {}
        waits = []
        for one in begins:
            if self.dispatching.may_go(one.item):
                gone[id(one.ready)] = self._delivery(one.timeout_ms, one.known, one.ready, moment)
            else:
                waits.append(one.item)
        try:
            self._record(heading, tuple(gone.get(id(x), x) for x in events), moment)
        except Exception:
            for one in begins:
                if id(one.ready) in gone:
                    self.dispatching.give_back(one.item.execution_id, one.item.step)
            raise
        for item in waits:
            self.dispatching.wait(item)
        self._follow(heading, events)

    def _follow(self, heading: Heading, events: Events) -> None:
        self.following.decided(heading.execution_id, events, self.ledger.next_offset - 1)

    def _decide_what_follows(
        self, before: ExecutionState, events: Events, moment: Moment, offset: int
    ) -> None:
        cause = Position(JOURNAL, self.ledger.partition, offset)
        self.decide(before, heading_of(before, cause, -1), events, moment)

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
        """Deliver anew, under a number of its own (rule 12), unless it is to end, or rests. What is
        of a suspended tenant waits for its turn."""
        ready = StepReady(step=step.step, attempt=step.attempt)
        moment = self.moment()
        events = saga.instead(state, step, (ready,), moment.now)
        if events == (ready,):
            if not self.governing.suspended(state.tenant_id):
                self._deliver(state, step, step.dispatched_at)
                return
            self.dispatching.give_back(state.execution_id, step.step)
        self.decide(state, heading_of(state, None, step.dispatched_at), events, moment)

    def _deliver(self, state: ExecutionState, step: StepState, parent: int) -> None:
        moment = self.moment()
        ready = StepReady(step=step.step, attempt=step.attempt)
        event = self._delivery(policy_of(state, step.step).timeout_ms, step, ready, moment)
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
        over = bool(self.state.settled.turn)  # whose records nobody is to need any more
        idle = not ledger.in_flight
        if (news or over) and idle and now - ledger.recorded_at >= self._options.position_every_ms:
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
