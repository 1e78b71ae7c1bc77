"""Sessions whose time is over, and what runs in those that end it; the numbers cite
docs/journal-protocol.md.

Time is in the log: an owner whose timer says that a session is over states so in the write-ahead
log, behind all that was stated before, and decides it where it reads it back (rule 14's sense). A
statement that is lost with its owner is made again by the next: the timer is state.
"""

from __future__ import annotations

import logging

from symphainy_processors.fold.plans import is_undoing
from symphainy_processors.owner import poison
from symphainy_processors.owner.deciding import Deciding, Shell, heading_of
from symphainy_processors.saga import cancelling
from symphainy_processors.saga import decide as saga
from symphainy_runtime.policy.actions import EXPIRE_SESSION
from symphainy_runtime.policy.defaults import PLATFORM_OPERATOR
from symphainy_runtime.state.store import StoreBroken
from symphainy_schemas.events import CancelRequested, ExecutionSucceeded, SessionSwept
from symphainy_schemas.records import Intent
from symphainy_schemas.state import ExecutionState, ExecutionStatus, SessionState

log = logging.getLogger(__name__)
RUNTIME = "runtime"
ASKED_A_TURN = 100
"""Bounds a turn to some ten ms, whatever runs in a session that is closed."""
FORGET_AT = 1_000


class Sessions:
    """What the time does to the sessions of one partition, under one term."""

    def __init__(self, partition: int, deciding: Deciding, shell: Shell) -> None:
        self._partition = partition
        self._deciding, self._state = deciding, deciding.state
        self._port, self._world = shell.port, shell.world
        self._stated: dict[str, int] = {}  # what was stated to be over, and since when that was
        self._sweeping: dict[str, str] = {}  # sessions, and up to which execution all was asked

    def due(self, session: SessionState, now: int) -> None:
        """State that the session's time is over; or begin to ask what runs in it to end."""
        if session.closing:
            self._sweeping.setdefault(session.session_id, "")
            return
        if self._stated.get(session.session_id) == session.due_at:
            return  # its owner has not come to it yet
        if len(self._stated) >= FORGET_AT:
            self._stated.clear()  # who is told twice refuses the second time
        self._stated[session.session_id] = session.due_at
        self._port.submit(self._partition, self._over(session, now), _nothing)

    def _over(self, session: SessionState, now: int) -> Intent:
        """An id that nobody can take before: what was decided under it would be the answer."""
        intent_id = f"expire:{session.due_at}:{self._world.token()}"
        return Intent(
            intent_id=intent_id,
            intent_type=EXPIRE_SESSION,
            realm=RUNTIME,
            session_id=session.session_id,
            tenant_id=session.tenant_id,
            principal=RUNTIME,
            correlation_id=intent_id,
            payload=b"{}",
            metadata=b'{"source":"timer"}',
            solution_context=b"",
            created_at=now,
            roles=(PLATFORM_OPERATOR,),  # a suspended tenant's sessions grow no older for it
            authentication=RUNTIME,
        )

    def sweep(self) -> None:
        """Ask some more of what runs in one closed session to end; when all was asked, what closed
        the session ends, too (rule 7: fan-out is cut)."""
        name = next(iter(self._sweeping), None)
        if name is None:
            return
        session = self._state.session(name)
        if session is None or not session.closing:
            del self._sweeping[name]
            return
        found, reached = self._state.work.running_in(name, self._sweeping[name], ASKED_A_TURN)
        for state in found:
            self._ask(state, session)
        if reached:
            self._sweeping[name] = reached
            return
        del self._sweeping[name]
        closing = self._state.execution(session.closing)
        if closing is not None and not closing.status.ended:
            moment = self._deciding.moment()
            heading = heading_of(closing, None, -1)
            self._deciding.decide(closing, heading, (SessionSwept(), ExecutionSucceeded()), moment)

    def _ask(self, state: ExecutionState, session: SessionState) -> None:
        if not may_be_asked(state):
            return
        moment = self._deciding.moment()
        how = "expired" if session.expired else "was closed"
        asked = CancelRequested(reason=f"its session {how}: {session.closing}", principal=RUNTIME)
        heading = heading_of(state, None, -1)
        try:
            events = saga.onwards(state, cancelling.requested(state, asked), moment.now)
            self._deciding.decide(state, heading, events, moment)
        except StoreBroken:
            raise
        except Exception as error:
            log.exception("what its session's end asks of %s is poison", state.execution_id)
            self._deciding.decide(state, heading, poison.following(state, error), moment)


def may_be_asked(state: ExecutionState) -> bool:
    """Whether an execution is asked to end when its session is closed so. Not what another one
    awaits, which hears it from that; not what ends already, is undone, or waits for an operator;
    not what the runtime does itself."""
    if state.status.ended or state.to_end or state.awaited_by or state.realm == RUNTIME:
        return False
    return state.status is not ExecutionStatus.STUCK and not is_undoing(state)


def _nothing() -> None:
    """It need not be known: the timer stays until the session is over."""
