"""Fold one event into an execution or a session. Pure and total.

`evolve` of a released event version never changes (rule 5); EVOLVE_VERSION counts what does.
Tables by the event's class, not a `match`: a fold asks them for every event of a journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import cast

from msgspec.structs import replace

from symphainy_processors.fold.family import STOPPED, child_of
from symphainy_processors.fold.governed import GOVERNING, evolve_tenant
from symphainy_processors.fold.plans import find_step, is_undoing
from symphainy_processors.fold.steps import STEP_EVENTS, StepEvent, evolve_step, with_step
from symphainy_runtime.policy.actions import REPLAY
from symphainy_schemas import events as e
from symphainy_schemas.state import (
    Child,
    ExecutionState,
    ExecutionStatus,
    SessionState,
    Signal,
    StepStatus,
    TenantState,
)

EVOLVE_VERSION = 1
SESSION_EVENTS = GOVERNING | {
    e.SessionOpened,
    e.SessionChanged,
    e.SessionClosed,
    e.SessionExpired,
    e.SessionSwept,
    e.PolicyValidated,
    e.ExecutionStarted,
}
"""Those of which `evolve_session` is to be asked."""


def evolve_execution(
    state: ExecutionState | None, record: e.JournalRecord, offset: int, event: e.Event
) -> ExecutionState | None:
    """The execution after `event` of the journal record at `offset`."""
    kind = type(event)
    if kind is e.IntentReceived:
        return _received(record, cast(e.IntentReceived, event))
    if state is None:
        return None
    if kind in STEP_EVENTS:
        of_step: StepEvent = event  # type: ignore[assignment]  # a cast costs a call per event
        before = find_step(state, of_step.step)
        step = evolve_step(before, state, record, offset, of_step)
        state = with_step(state, step)
        beside = BESIDE_ITS_STEP.get(kind)
        return state if beside is None else beside(state, record, event, offset)
    changed = EXECUTION_EVENTS.get(kind)
    return state if changed is None else changed(state, record, event)


def ahead(
    state: ExecutionState | None, events: Iterable[e.Event], record: e.JournalRecord
) -> ExecutionState | None:
    """The execution after events that are not journaled yet; `record` says when, and of whom."""
    for event in events:
        state = evolve_execution(state, record, -1, event)
    return state


UNPLACED = e.JournalRecord(
    term=-1, seq=0, at=0, intents_next=0, steps_next=0, acted_to=-1, prev_hash=b""
)
"""A record that is not written yet."""


def evolve_session(
    kept: SessionState | TenantState | None, record: e.JournalRecord, event: e.Event
) -> SessionState | TenantState | None:
    """The session after `event`, or what is in force of the tenant that is governed in it."""
    if type(event) in GOVERNING:
        tenant = kept if isinstance(kept, TenantState) else None
        return evolve_tenant(tenant, record, event)
    session = kept if isinstance(kept, SessionState) else None
    match event:
        case e.SessionOpened():
            return SessionState(
                session_id=record.session_id,
                tenant_id=record.tenant_id,
                principal=event.principal,
                attributes=event.attributes,
                opened_at=record.at,
                idle_ms=event.idle_ms,
                expires_at=record.at + event.lifetime_ms if event.lifetime_ms else 0,
                used_at=record.at if event.idle_ms else 0,
                cancels=event.cancels,
            )
        case e.PolicyValidated() if session is not None and session.idle_ms:
            own = record.tenant_id == session.tenant_id  # others may name a session, and no more
            used = own and event.decision.allowed and not session.closed_at
            used = used and not _only_reads(record)
            return replace(session, used_at=record.at) if used else kept
        case e.SessionChanged() if session is not None:
            return replace(session, attributes=event.attributes, changed_at=record.at)
        case e.SessionClosed() | e.SessionExpired() if session is not None:
            return replace(
                session,
                closed_at=record.at,
                expired=isinstance(event, e.SessionExpired),
                closing=record.execution_id if event.cancels else "",
            )
        case e.SessionSwept() if session is not None:
            return replace(session, closing="")
        case e.ExecutionStarted() if session is not None:
            return replace(session, active=session.active + 1)
        case _:
            return kept


def _only_reads(record: e.JournalRecord) -> bool:
    """Whether it lets a replay pass: who looks at a session does not use it. What earlier versions
    recorded folds as it did: they let none pass."""
    first, last = record.events[0], record.events[-1]
    replay = isinstance(first, e.IntentReceived) and first.intent_type == REPLAY
    return replay and isinstance(last, e.ExecutionSucceeded)


def _received(record: e.JournalRecord, event: e.IntentReceived) -> ExecutionState:
    return ExecutionState(
        execution_id=record.execution_id,
        session_id=record.session_id,
        tenant_id=record.tenant_id,
        correlation_id=record.correlation_id,
        intent_id=event.intent_id,
        intent_type=event.intent_type,
        realm=event.realm,
        principal=event.principal,
        payload=event.payload,
        payload_ref=event.payload_ref,
        payload_sha256=event.payload_sha256,
        metadata=event.metadata,
        solution_context=event.solution_context,
        created_at=event.created_at,
        traceparent=event.traceparent,
        priority=event.priority,
        awaited_by=event.awaited_by,
        roles=event.roles,
        attributes=event.attributes,
        authentication=event.authentication,
        credential=event.credential,
        dedupe_window_ms=event.dedupe_window_ms,
        status=ExecutionStatus.ACCEPTED,
        started_at=record.at,
    )


def _resolved(
    state: ExecutionState, record: e.JournalRecord, event: e.CapabilityResolved
) -> ExecutionState:
    return replace(
        state,
        realm=event.realm,
        capability_version=event.version,
        handler=event.handler,
        timeout_ms=event.timeout_ms,
        attempts=event.attempts,
        backoff_ms=event.backoff_ms,
        backoff_factor=event.backoff_factor,
        backoff_max_ms=event.backoff_max_ms,
        concurrency_key=event.concurrency_key,
        key_concurrency=event.key_concurrency,
        heartbeat_ms=event.heartbeat_ms,
        deadline_at=state.started_at + event.deadline_ms if event.deadline_ms else 0,
        plan=event.plan,
        recovery=event.recovery,
        output=event.output,
    )


def _ended(
    state: ExecutionState, status: ExecutionStatus, record: e.JournalRecord
) -> ExecutionState:
    """What the dedupe window needs stays, and what intents that it stated still need; the rest is
    in the journal."""
    called = _not_sent(state.called, record)
    return replace(
        state,
        status=status,
        ended_at=record.at,
        called=called,
        payload=b"",
        payload_ref=None,
        metadata=b"",
        solution_context=state.solution_context if called else b"",
        steps=(),
        state={},
        signals=(),
        plan=(),
        output=b"",
        failure=None,
        roles=state.roles if called else (),
        attributes=state.attributes if called else b"",
        policy=None,
    )


def _not_sent(called: tuple[int, ...], record: e.JournalRecord) -> tuple[int, ...]:
    return tuple(offset for offset in called if offset > record.acted_to)


def _invoked(
    state: ExecutionState, record: e.JournalRecord, event: e.ChildInvoked, offset: int
) -> ExecutionState:
    known = state.children
    return replace(
        state,
        children=(*known, Child(event.child, event.step)) if event.awaited else known,
        called=(*_not_sent(state.called, record), offset),
    )


def _child_ended(
    state: ExecutionState, record: e.JournalRecord, event: e.ChildEnded
) -> ExecutionState:
    """Its outcome is kept for the step that waits, unless that goes on no more; one that has failed
    may be tried again by an operator, and asks for it then."""
    ended = child_of(state, event.child)
    step = None if ended is None else find_step(state, ended.step)
    signals = state.signals
    if step is not None and (step.status not in STOPPED or step.status is StepStatus.FAILED):
        signals = (*signals, Signal(event.child, event.outcome))
    left = tuple(one for one in state.children if one.execution_id != event.child)
    return replace(state, children=left, signals=signals)


def _changed(
    state: ExecutionState, record: e.JournalRecord, event: e.StateChanged
) -> ExecutionState:
    surface = dict(state.state)
    if event.value == b"null":
        surface.pop(event.key, None)
    else:
        surface[event.key] = event.value
    return replace(state, state=surface)


def _validated(
    state: ExecutionState, record: e.JournalRecord, event: e.PolicyValidated
) -> ExecutionState:
    return replace(state, policy=event.decision)


def _started(
    state: ExecutionState, record: e.JournalRecord, event: e.ExecutionStarted
) -> ExecutionState:
    return replace(state, status=ExecutionStatus.RUNNING)


def _suspended(
    state: ExecutionState, record: e.JournalRecord, event: e.StepSuspended, offset: int
) -> ExecutionState:
    return _going_on(state, ExecutionStatus.WAITING)


def _stopped(
    state: ExecutionState, record: e.JournalRecord, event: e.StepCancelled, offset: int
) -> ExecutionState:
    return _going_on(state, ExecutionStatus.RUNNING)


def _come(
    state: ExecutionState, record: e.JournalRecord, event: e.StepResumed, offset: int
) -> ExecutionState:
    """A signal that was waited for is used up."""
    state = _going_on(state, ExecutionStatus.RUNNING)
    signals = list(state.signals)
    used = next((n for n, signal in enumerate(signals) if signal.name == event.signal), None)
    if event.signal and used is not None:
        del signals[used]
    return replace(state, signals=tuple(signals))


def _going_on(state: ExecutionState, status: ExecutionStatus) -> ExecutionState:
    """It waits while a handler does, unless there is more to say of it."""
    return replace(state, status=status) if state.status in _FORWARD else state


def _retried(
    state: ExecutionState, record: e.JournalRecord, event: e.StepRetryRequested, offset: int
) -> ExecutionState:
    undoing = is_undoing(state)
    return replace(
        state,
        status=ExecutionStatus.COMPENSATING if undoing else ExecutionStatus.RUNNING,
        failure=state.failure if undoing else None,
        signals=tuple(known for known in state.signals if known.name not in event.forgets),
        controlled_at=_controlled_at(state, record),
    )


def _undo_requested(
    state: ExecutionState, record: e.JournalRecord, event: e.CompensationRequested
) -> ExecutionState:
    return replace(state, undo=True, controlled_at=_controlled_at(state, record))


def _undo_started(
    state: ExecutionState, record: e.JournalRecord, event: e.CompensationStarted
) -> ExecutionState:
    return replace(state, status=ExecutionStatus.COMPENSATING, failure=event.error)


def _stuck(
    state: ExecutionState, record: e.JournalRecord, event: e.ExecutionStuck
) -> ExecutionState:
    failure = state.failure if is_undoing(state) else event.error
    return replace(state, status=ExecutionStatus.STUCK, failure=failure)


def _signalled(
    state: ExecutionState, record: e.JournalRecord, event: e.SignalReceived
) -> ExecutionState:
    signals = (*state.signals, Signal(event.name, event.data))
    return replace(state, signals=signals, controlled_at=_controlled_at(state, record))


def _cancel_requested(
    state: ExecutionState, record: e.JournalRecord, event: e.CancelRequested
) -> ExecutionState:
    return replace(state, cancel_reason=event.reason, controlled_at=_controlled_at(state, record))


def _deadline_passed(
    state: ExecutionState, record: e.JournalRecord, event: e.DeadlinePassed
) -> ExecutionState:
    return replace(state, overdue=True)


def _paused(
    state: ExecutionState, record: e.JournalRecord, event: e.ExecutionPaused
) -> ExecutionState:
    return replace(state, paused=True, controlled_at=_controlled_at(state, record))


def _resumed(
    state: ExecutionState, record: e.JournalRecord, event: e.ExecutionResumed
) -> ExecutionState:
    return replace(state, paused=False, controlled_at=_controlled_at(state, record))


def _controlled_at(state: ExecutionState, record: e.JournalRecord) -> int:
    """The offset of the control intent that a record applies; what follows from another decision
    applies none."""
    if record.cause is None or e.follows(record):
        return state.controlled_at
    return record.cause.offset


def _ends(status: ExecutionStatus) -> Callable[..., ExecutionState]:
    def end(state: ExecutionState, record: e.JournalRecord, event: e.Event) -> ExecutionState:
        return _ended(state, status, record)

    return end


_FORWARD = (ExecutionStatus.RUNNING, ExecutionStatus.WAITING)
BESIDE_ITS_STEP: Mapping[type, Callable[..., ExecutionState]] = {
    e.StepSuspended: _suspended,
    e.StepResumed: _come,
    e.StepCancelled: _stopped,
    e.StepRetryRequested: _retried,
    e.ChildInvoked: _invoked,
}
"""How some events change the execution beside the step that they are of."""
EXECUTION_EVENTS: Mapping[type, Callable[..., ExecutionState]] = {
    e.IntentRejected: _ends(ExecutionStatus.REJECTED),
    e.PolicyValidated: _validated,
    e.CapabilityResolved: _resolved,
    e.ExecutionStarted: _started,
    e.ExecutionSucceeded: _ends(ExecutionStatus.SUCCEEDED),
    e.ExecutionFailed: _ends(ExecutionStatus.FAILED),
    e.ExecutionCancelled: _ends(ExecutionStatus.CANCELLED),
    e.StateChanged: _changed,
    e.SignalReceived: _signalled,
    e.CancelRequested: _cancel_requested,
    e.DeadlinePassed: _deadline_passed,
    e.ExecutionPaused: _paused,
    e.ExecutionResumed: _resumed,
    e.CompensationRequested: _undo_requested,
    e.CompensationStarted: _undo_started,
    e.ExecutionStuck: _stuck,
    e.ExecutionCompensated: _ends(ExecutionStatus.COMPENSATED),
    e.ChildEnded: _child_ended,
}
"""How each event that is not of one step changes its execution; the others leave it as it is."""
