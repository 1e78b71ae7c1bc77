"""Decide a partition's intents: those for realms, and the runtime's own."""

from __future__ import annotations

import logging
from collections.abc import Callable

from symphainy_processors.admission import control
from symphainy_processors.admission.control import Target
from symphainy_processors.admission.decide import Known, admit
from symphainy_processors.admission.governing import Standing
from symphainy_processors.moment import Moment
from symphainy_processors.owner import poison
from symphainy_processors.owner.deciding import Deciding, Shell, heading_of
from symphainy_processors.owner.governing import PolicyMissing, exists
from symphainy_processors.owner.opening import UNDECIDED, Opened, opened
from symphainy_processors.saga import cancelling, pausing, retrying, waiting
from symphainy_processors.saga import decide as saga
from symphainy_runtime.journal.writer import Heading
from symphainy_runtime.policy.actions import GOVERNANCE
from symphainy_runtime.state.store import StoreBroken
from symphainy_schemas import ids
from symphainy_schemas.events import (
    CancelRequested,
    CompensationRequested,
    Event,
    ExecutionPaused,
    ExecutionResumed,
    Position,
    SignalReceived,
    StepRetryRequested,
)
from symphainy_schemas.records import Capability, Error, Intent, Tenant
from symphainy_schemas.state import ExecutionStatus
from symphainy_transport.topics import INTENTS

log = logging.getLogger(__name__)
Events = tuple[Event, ...]


class Intents:
    """Decides intents of one partition."""

    def __init__(self, partition: int, deciding: Deciding, shell: Shell) -> None:
        self._partition = partition
        self._deciding = deciding
        self._state, self._governing = deciding.state, deciding.governing
        self._world, self._contracts = shell.world, shell.contracts
        self._prove, self._content = shell.prove, shell.content

    def decide(self, intent: Intent, offset: int, value: bytes) -> None:
        """The intent stands so at `offset`; the position is past that already.

        Raises:
            StoreBroken, PolicyMissing, KeysUnavailable, KeysUnusable: which say nothing of the
                intent.
        """
        execution_id = ids.execution_id(
            intent.tenant_id, intent.session_id, intent.intent_id, self._partition
        )
        heading = Heading(
            cause=Position(INTENTS, self._partition, offset),
            tenant_id=intent.tenant_id,
            session_id=intent.session_id,
            execution_id=execution_id,
            correlation_id=intent.correlation_id,
        )
        moment = self._deciding.moment()
        try:
            tenant = self._world.tenant(intent.tenant_id)
            found = Opened(intent) if tenant is None else opened(self._content, intent)
            target = None if found.problem else self._target(intent, offset)
            unproven = self._prove(intent, value, tenant, moment.now)
            target = None if unproven else target
            events = self._admit(intent, found, execution_id, moment, tenant, target, unproven)
            if target is not None and not target.applied and control.accepted(events):
                self._apply(target, offset, moment)
            self._deciding.admit(heading, events, moment)
        except (StoreBroken, PolicyMissing, *UNDECIDED):
            raise
        except Exception as error:
            log.exception("intent at %d/%d is poison", self._partition, offset)
            self._deciding.admit(heading, poison.intent(intent, error), moment)

    def _target(self, intent: Intent, offset: int) -> Target | None:
        """The execution of which a control intent asks something."""
        asked = control.asked_by(intent)
        state = None if asked is None else self._state.execution(asked.execution_id)
        if asked is None or state is None:
            return None
        applied = state.controlled_at >= offset
        match asked.event:
            case None:
                return Target(state, None, True, True)
            case SignalReceived() as signal:
                return Target(state, signal, applied, waiting.has_room(state, signal))
            case CancelRequested() as cancel:  # that is asked once
                asked_before = (
                    state.cancel_reason is not None and state.status is not ExecutionStatus.STUCK
                )
                return Target(state, cancel, applied or asked_before, True)
            case ExecutionPaused() as pause:
                return Target(state, pause, applied or state.paused, True)
            case ExecutionResumed() as resume:
                return Target(state, resume, applied or not state.paused, True)
            case StepRetryRequested() as retry:
                return Target(state, retry, applied, True, retrying.problem(state, retry))
            case CompensationRequested() as undo:
                problem = retrying.undo_problem(state)
                return Target(state, undo, applied or state.undo, True, problem)

    def _apply(self, target: Target, offset: int, moment: Moment) -> None:
        """Record what is asked of an execution, before its intent's own record and without passing
        it: whoever finds only this decides the intent again, and sees that it was applied."""
        positions = self._deciding.positions
        passed, positions.intents_next = positions.intents_next, offset
        try:
            cause = Position(INTENTS, self._partition, offset)
            events = _answer(target, moment)
            heading = heading_of(target.state, cause, -1)
            self._deciding.decide(target.state, heading, events, moment)
        finally:
            positions.intents_next = passed

    def _entries(self, capability: Capability | None) -> dict[str, Capability]:
        """Of the steps of a plan, as far as they are registered."""
        found = {name: self._world.capability(name) for name in _planned(capability)}
        return {name: one for name, one in found.items() if one is not None}

    def _admit(
        self,
        stands: Intent,
        found: Opened,
        execution_id: str,
        moment: Moment,
        tenant: Tenant | None,
        target: Target | None,
        unproven: Error | None,
    ) -> Events:
        intent = found.intent
        capability = self._world.capability(intent.intent_type)
        session = self._state.session(intent.session_id, moment.now)
        known = Known(
            partition=self._partition,
            now=moment.now,
            execution=self._state.execution(execution_id, moment.now),
            session=session,
            target=target,
            parent=self._state.execution(intent.causation_id) if intent.causation_id else None,
            tenant_exists=exists(intent.tenant_id, tenant),
            unproven=unproven,
            tenant=self._governing.of(intent.tenant_id),
            dedupe_window_ms=0 if tenant is None else tenant.dedupe_window_ms,
            governed=self._standing(intent),
            decide=lambda: self._governing.decide(
                intent, moment.now, tenant, session, None if target is None else target.state
            ),
            capability=capability,
            contract=found.checking(None if capability is None else self._contracts.of(capability)),
            entries=self._entries(capability),
            stands=stands,
            unreadable=found.problem,
            index=found.index,
        )
        return admit(intent, known)

    def _standing(self, intent: Intent) -> Callable[[], Standing] | None:
        """What an intent that governs would change; asked of none that policy does not let pass:
        what it says may be no JSON, or name policies that need `config` to be read."""
        if intent.intent_type not in GOVERNANCE:
            return None
        return lambda: self._governing.standing(intent)


def _planned(capability: Capability | None) -> tuple[str, ...]:
    return () if capability is None else tuple(one.intent_type for one in capability.plan)


def _answer(target: Target, moment: Moment) -> Events:
    state = target.state
    match target.event:
        case None:
            return ()
        case ExecutionPaused() as pause:
            return pausing.paused(state, pause)
        case ExecutionResumed() as resume:
            return pausing.resumed(state, resume)
        case SignalReceived() as signal:
            events = waiting.signalled(state, signal, moment.now)
        case CancelRequested() as cancel:
            events = cancelling.requested(state, cancel)
        case StepRetryRequested() as retry:
            events = retrying.requested(state, retry)
        case CompensationRequested() as undo:
            events = (undo,)
    return saga.onwards(state, events, moment.now)
