"""Fold one event into a step. Pure and total.

A table by the event's class, not a `match`: a fold asks it for every event of a journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from symphainy_processors.fold.plans import Policy, policy_of
from symphainy_schemas import events as e
from symphainy_schemas.ids import undone_by
from symphainy_schemas.records import REDELIVERED, Checkpoint
from symphainy_schemas.state import ExecutionState, StepState, StepStatus

LOST_IN_COMPANY = 2
"""So often in a row a step's worker may be gone before the step runs with nothing beside it."""
LIMITS = frozenset({"timeout", "heartbeat_timeout"})
"""Codes of what a limit gave up, whoever noticed: nobody knows what it has done, or does still."""
StepEvent = (
    e.StepReady
    | e.StepDispatched
    | e.StepStarted
    | e.StepCheckpointed
    | e.StepProgressed
    | e.StepSucceeded
    | e.StepFailed
    | e.StepRetryScheduled
    | e.StepHandedBack
    | e.DeliveryClosed
    | e.StepSuspended
    | e.StepResumed
    | e.StepCancelled
    | e.StepHeld
    | e.StepSkipped
    | e.StepClosed
    | e.StepRetryRequested
    | e.ChildInvoked
)


def evolve_step(
    step: StepState | None,
    state: ExecutionState,
    record: e.JournalRecord,
    offset: int,
    event: StepEvent,
) -> StepState:
    """The step after `event` of the journal record at `offset`; `state` is its execution before."""
    if step is None:
        step = _new_step(event.step)
    return STEP_EVENTS[type(event)](step, event, record, offset, state)


def with_step(state: ExecutionState, changed: StepState) -> ExecutionState:
    """The execution with that step in place of the one of its name, or behind the others."""
    steps = state.steps
    for index, step in enumerate(steps):
        if step.step == changed.step:
            return replace(state, steps=(*steps[:index], changed, *steps[index + 1 :]))
    return replace(state, steps=(*steps, changed))


def _ready(
    step: StepState, event: e.StepReady, record: e.JournalRecord, offset: int, state: ExecutionState
) -> StepState:
    return replace(
        step,
        status=StepStatus.READY,
        attempt=event.attempt,
        ready_at=offset,
        due_at=0,
        token=_token(step, event.attempt),
    )


def _held(
    step: StepState, event: e.StepHeld, record: e.JournalRecord, offset: int, state: ExecutionState
) -> StepState:
    return replace(
        step,
        status=StepStatus.HELD,
        attempt=event.attempt,
        ready_at=-1,
        due_at=0,
        token=_token(step, event.attempt),
    )


def _token(step: StepState, attempt: int) -> str:
    """A new attempt gets one of its own when it is dispatched."""
    return step.token if attempt == step.attempt else ""


def _dispatched(
    step: StepState,
    event: e.StepDispatched,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    return replace(
        step,
        status=StepStatus.DISPATCHED,
        attempt=event.attempt,
        delivery=event.delivery,
        token=event.token,
        start_by=event.start_by,
        due_at=event.start_by,
        dispatched_at=offset,
        ready_at=-1,
        open=(*step.open, event.delivery),
    )


def _started(
    step: StepState,
    event: e.StepStarted,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    policy = policy_of(state, step.step)
    ends_at = record.at + policy.timeout_ms if policy.timeout_ms else 0
    due_at = _sign_due(ends_at, policy, record.at)
    return replace(step, status=StepStatus.STARTED, due_at=due_at, ends_at=ends_at, begun=True)


def _progressed(
    step: StepState,
    event: e.StepProgressed,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    return _lives(step, record, state)


def _lives(step: StepState, record: e.JournalRecord, state: ExecutionState) -> StepState:
    """After a sign of life the next one is awaited for as long again."""
    policy = policy_of(state, step.step)
    if not policy.heartbeat_ms or step.status is not StepStatus.STARTED:
        return step
    return replace(step, due_at=_sign_due(step.ends_at, policy, record.at))


def _sign_due(ends_at: int, policy: Policy, at: int) -> int:
    """When a started attempt is given up: at its end, or without a sign of life before."""
    if not policy.heartbeat_ms:
        return ends_at
    silent_at = at + policy.heartbeat_ms
    return min(ends_at, silent_at) if ends_at else silent_at


def _checkpointed(
    step: StepState,
    event: e.StepCheckpointed,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    recorded = (*step.checkpoints, Checkpoint(event.name, event.result))
    return replace(_lives(step, record, state), checkpoints=recorded)


def _invoked(
    step: StepState,
    event: e.ChildInvoked,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    recorded = (*step.checkpoints, Checkpoint(event.name, f'"{event.child}"'.encode()))
    return replace(_lives(step, record, state), checkpoints=recorded)


def _succeeded(
    step: StepState,
    event: e.StepSucceeded,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    still_open: tuple[int, ...] = ()
    if state.plan and not undone_by(step.step):  # what it does late must be over when it is undone
        still_open = _without(step.open, event.delivery)
    return replace(
        step,
        status=StepStatus.SUCCEEDED,
        due_at=_closing(step, still_open, state),
        open=still_open,
        result=event.result if state.plan else None,
        begun=False,
    )


def _failed(
    step: StepState,
    event: e.StepFailed,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    still_open = _without(step.open, event.delivery)
    due_at = _closing(step, still_open, state)
    return replace(
        step,
        status=StepStatus.FAILED,
        due_at=due_at,
        error=event.error,
        open=still_open,
        # Whom a limit gave up has said nothing; what a worker tells of is over.
        begun=False,
        lost=0 if event.worker else step.lost,  # whoever tells of it has lived
        given_up=step.given_up or not event.worker or event.error.code in LIMITS,
    )


def _cancelled(
    step: StepState,
    event: e.StepCancelled,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    due_at = _closing(step, step.open, state)
    return replace(step, status=StepStatus.CANCELLED, due_at=due_at, ready_at=-1, waits=())


def _closing(step: StepState, still_open: tuple[int, ...], state: ExecutionState) -> int:
    """When a step that goes on no more has closed: its deliveries may start until `start_by`, and
    run for as long as an attempt may (rule 13)."""
    return step.start_by + policy_of(state, step.step).timeout_ms if still_open else 0


def _retry_scheduled(
    step: StepState,
    event: e.StepRetryScheduled,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    return replace(
        step,
        status=StepStatus.BACKING_OFF,
        attempt=event.attempt,
        due_at=event.due_at,
        token=_token(step, event.attempt),
    )


def _handed_back(
    step: StepState,
    event: e.StepHandedBack,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    lost = step.lost
    still_open = step.open
    if event.reason == REDELIVERED:  # whoever had it first may still run it, or has died of it
        # Alone it is announced before it begins: what was not, did not end its worker.
        lost += lost < LOST_IN_COMPANY or step.status is StepStatus.STARTED
    else:
        still_open = _without(step.open, event.delivery)
    if event.delivery != step.delivery:
        return replace(step, open=still_open)
    return replace(step, status=StepStatus.READY, due_at=0, open=still_open, lost=lost)


def _closed(
    step: StepState,
    event: e.DeliveryClosed,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    still_open = _without(step.open, event.delivery)
    return replace(step, open=still_open, given_up=step.given_up or event.begun)


def _suspended(
    step: StepState,
    event: e.StepSuspended,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    return replace(
        step,
        status=StepStatus.SUSPENDED,
        due_at=min((wait.until for wait in event.waits if wait.until), default=0),
        waits=event.waits,
        open=_without(step.open, event.delivery),
        lost=0,
    )


def _resumed(
    step: StepState,
    event: e.StepResumed,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    return replace(
        step,
        checkpoints=(*step.checkpoints, Checkpoint(event.name, event.result)),
        waits=tuple(wait for wait in step.waits if wait.name != event.name),
    )


def _skipped(
    step: StepState,
    event: e.StepSkipped,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    return replace(step, status=StepStatus.SKIPPED)


def _all_closed(
    step: StepState,
    event: e.StepClosed,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    return replace(step, open=(), due_at=0, given_up=step.given_up or bool(step.open))


def _retry_requested(
    step: StepState,
    event: e.StepRetryRequested,
    record: e.JournalRecord,
    offset: int,
    state: ExecutionState,
) -> StepState:
    left = tuple(known for known in step.checkpoints if known.name not in event.forgets)
    waits = tuple(wait for wait in step.waits if wait.signal not in event.forgets)
    given = step.input if event.input is None else event.input
    return replace(step, checkpoints=left, waits=waits, input=given)


def _without(numbers: tuple[int, ...], gone: int) -> tuple[int, ...]:
    return tuple(number for number in numbers if number != gone)


def _new_step(name: str) -> StepState:
    return StepState(
        step=name,
        status=StepStatus.READY,
        attempt=1,
        delivery=0,
        token="",
        start_by=0,
        due_at=0,
        dispatched_at=-1,
    )


STEP_EVENTS: Mapping[type, Callable[..., StepState]] = {
    e.StepReady: _ready,
    e.StepDispatched: _dispatched,
    e.StepStarted: _started,
    e.StepCheckpointed: _checkpointed,
    e.StepProgressed: _progressed,
    e.StepSucceeded: _succeeded,
    e.StepFailed: _failed,
    e.StepRetryScheduled: _retry_scheduled,
    e.StepHandedBack: _handed_back,
    e.DeliveryClosed: _closed,
    e.StepSuspended: _suspended,
    e.StepResumed: _resumed,
    e.StepCancelled: _cancelled,
    e.StepHeld: _held,
    e.StepSkipped: _skipped,
    e.StepClosed: _all_closed,
    e.StepRetryRequested: _retry_requested,
    e.ChildInvoked: _invoked,
}
"""How each event changes its step; a test holds it against `StepEvent`."""
