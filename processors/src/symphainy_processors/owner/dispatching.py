"""What is ready, and what goes next: the dispatcher joined to a partition's state.

The dispatcher is pure and knows only names; the ready work itself is state, so a restart loses
none of it.
"""

from __future__ import annotations

from collections.abc import Callable

from symphainy_processors.dispatch.dispatcher import Dispatcher
from symphainy_processors.dispatch.pools import Pools
from symphainy_processors.dispatch.rules import Limits, Line, Ready
from symphainy_processors.dispatch.window import Waits
from symphainy_processors.fold.layout import LineKey, is_ready
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.fold.plans import MAIN_STEP, concurrency_of, realm_of
from symphainy_processors.saga.decide import WAITING
from symphainy_runtime.journal.writer import Heading
from symphainy_schemas import events as e
from symphainy_schemas.records import Tenant
from symphainy_schemas.state import ExecutionState, StepState

_FREEING = (
    e.StepSucceeded,
    e.StepFailed,
    e.StepHandedBack,
    e.StepSuspended,
    e.DeliveryClosed,
)


class Dispatching:
    """Decides which ready step is dispatched when, for one owned partition."""

    def __init__(
        self,
        state: PartitionState,
        tenant: Callable[[str], Tenant | None],
        now: Callable[[], int],
        partitions: int,
        pools: Pools,
        suspended: Callable[[str], bool],
    ) -> None:
        """`pools` is shared by the partitions of one owner."""
        self._suspended = suspended
        self._state = state
        self._tenant = tenant
        self._now = now
        self._partitions = partitions
        self._sent_at: dict[tuple[str, str], int] = {}
        self.dispatcher = Dispatcher(self._limits, self._more, pools=pools)

    def restore(self) -> None:
        """Take up what the journal left: outstanding work, and the queues. All is flushed."""
        for state, step in self._state.work.outstanding():
            self.dispatcher.occupy(waiting(state, step.step, step.dispatched_at))
        for line in self._state.work.lines():
            self.dispatcher.restore(Line(line.realm, line.tenant_id, line.priority))

    def close(self) -> None:
        """The partition is no longer ours."""
        self.dispatcher.close()

    def may_go(self, item: Ready) -> bool:
        """Whether it may be dispatched at once, overtaking nobody; then its slot is taken."""
        if not self.dispatcher.direct(item):
            return False
        self._sent_at[item.execution_id, item.step] = self._now()
        return True

    def give_back(self, execution_id: str, step: str) -> None:
        """It was not dispatched after all, or has to wait for its turn once more."""
        self._sent_at.pop((execution_id, step), None)
        self.dispatcher.release(execution_id, step, now_ms=self._now())

    def wait(self, item: Ready) -> None:
        """It was journaled as ready."""
        self.dispatcher.offer(item)

    def take(self) -> tuple[ExecutionState, StepState] | None:
        """The next to dispatch; its slot is taken."""
        while (item := self.dispatcher.take()) is not None:
            found = self._state.work.step(item.execution_id, item.step)
            if found and is_ready(found[1]) and found[1].ready_at == item.order:
                self._sent_at[item.execution_id, item.step] = self._now()
                return found
            self.dispatcher.release(item.execution_id, item.step, now_ms=self._now())
        return None

    def heard(
        self,
        state: ExecutionState,
        step: StepState,
        events: tuple[e.Event, ...],
        queued_ms: int | None = None,
    ) -> None:
        """Learn from what is decided of `step`: what starts was not queued for longer, what ends
        frees its slot. `queued_ms` is what the worker told of its own queue."""
        self._heard_start(state, step, events, queued_ms)
        for event in events:
            if isinstance(event, e.TimerFired) and event.timer == f"start_by:{step.step}":
                self._free(state.execution_id, event, step.step, queued_ms)
            if isinstance(event, e.StepCancelled | e.StepHeld) and event.step == step.step:
                self._free(state.execution_id, event, step.step, queued_ms)
            if isinstance(event, _FREEING) and event.step == step.step:
                current = event.delivery == step.delivery
                if current or isinstance(event, e.StepSucceeded | e.StepFailed):
                    self._free(state.execution_id, event, step.step, queued_ms)

    def _heard_start(
        self,
        state: ExecutionState,
        step: StepState,
        events: tuple[e.Event, ...],
        queued_ms: int | None,
    ) -> None:
        if not any(isinstance(x, e.StepStarted) and x.step == step.step for x in events):
            return
        if step.status in WAITING:  # it was given up, but lives: it has a slot again
            self.dispatcher.occupy(waiting(state, step.step, step.dispatched_at))
        sent_at = self._sent_at.get((state.execution_id, step.step))
        ended = any(isinstance(x, e.StepSucceeded) and x.step == step.step for x in events)
        if sent_at is not None and not ended:
            # What it ends with would tell more exactly.
            waits = Waits(max(0, self._now() - sent_at), queued_ms)
            self.dispatcher.started(state.execution_id, step.step, waits)

    def _free(self, execution_id: str, event: e.Event, step: str, queued_ms: int | None) -> None:
        now = self._now()
        sent_at = self._sent_at.pop((execution_id, step), None)
        waits = Waits()
        if isinstance(event, e.StepSucceeded) and sent_at is not None:
            # Differences on each clock by itself: no skew between owner and worker enters.
            ran = max(0, event.ended_at - event.started_at)
            waits = Waits(max(0, now - sent_at - ran), queued_ms, ran)
        self.dispatcher.release(execution_id, step, waits, now_ms=now)

    def _more(self, line: Line, place: tuple[int, str, str] | None, limit: int) -> list[Ready]:
        key = LineKey(line.realm, line.tenant_id, line.priority)
        found = self._state.work.ready(key, place, limit)
        return [waiting(state, step.step, step.ready_at) for state, step in found]

    def _limits(self, tenant_id: str) -> Limits:
        """A tenant's share of this partition (rule 20)."""
        tenant = self._tenant(tenant_id)
        stopped = self._suspended(tenant_id)
        if tenant is None:
            return Limits(stopped=stopped)
        over = min(tenant.shard_size or self._partitions, self._partitions)
        return Limits(max(1, tenant.weight), -(-tenant.max_concurrency // over), stopped)


def first(heading: Heading, events: tuple[e.Event, ...], order: int) -> Ready:
    """What the dispatcher must know of an execution without a plan that is being admitted."""
    received = next(x for x in events if isinstance(x, e.IntentReceived))
    resolved = next(x for x in events if isinstance(x, e.CapabilityResolved))
    return Ready(
        realm=resolved.realm,
        tenant_id=heading.tenant_id,
        priority=received.priority,
        order=order,
        execution_id=heading.execution_id,
        step=MAIN_STEP,
        concurrency_key=resolved.concurrency_key,
        key_limit=resolved.key_concurrency,
    )


def waiting(state: ExecutionState, step: str, order: int) -> Ready:
    """What the dispatcher must know of a step."""
    key, limit = concurrency_of(state, step)
    return Ready(
        realm=realm_of(state, step),
        tenant_id=state.tenant_id,
        priority=state.priority,
        order=order,
        execution_id=state.execution_id,
        step=step,
        concurrency_key=key,
        key_limit=limit,
    )
