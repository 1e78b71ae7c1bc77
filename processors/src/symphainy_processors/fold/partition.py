"""The folded state of one partition: its executions, its sessions, its positions, what is due.

`apply` is the only way in. It is handed valid records in order and never looks at a clock.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator

from symphainy_processors.fold.evolve import evolve_execution, evolve_session
from symphainy_schemas.events import ExecutionStarted, JournalRecord, SessionClosed, SessionOpened
from symphainy_schemas.state import ExecutionState, SessionState, StepState, StepStatus

_SESSION_EVENTS = (SessionOpened, SessionClosed, ExecutionStarted)


class PartitionState:
    """What the journal of one partition says up to the last applied record."""

    def __init__(self, dedupe_window_ms: int) -> None:
        """Remember ended executions for `dedupe_window_ms` of journaled time (rule 10)."""
        self.executions: dict[str, ExecutionState] = {}
        self.sessions: dict[str, SessionState] = {}
        self.intents_next = 0
        self.steps_next = 0
        self.acted_to = -1
        self.last_at = 0
        self._window_ms = dedupe_window_ms
        self._ended: deque[tuple[int, str]] = deque()
        self._due: list[tuple[int, str, str]] = []

    def apply(self, record: JournalRecord, offset: int) -> None:
        """Fold one valid record, which stands (or will stand) at `offset`."""
        self.intents_next = record.intents_next
        self.steps_next = record.steps_next
        self.acted_to = record.acted_to
        self.last_at = record.at
        if record.execution_id:
            self._apply_execution(record, offset)
        self._forget(record.at)

    def _apply_execution(self, record: JournalRecord, offset: int) -> None:
        before = state = self.executions.get(record.execution_id)
        for event in record.events:
            state = evolve_execution(state, record, offset, event)
            if isinstance(event, _SESSION_EVENTS):
                session = evolve_session(self.sessions.get(record.session_id), record, event)
                if session is not None:
                    self.sessions[record.session_id] = session
        if state is None or state is before:
            return
        self.executions[record.execution_id] = state
        if state.status.ended:
            self._end(state)
        for step in state.steps:
            if step.due_at:
                heapq.heappush(self._due, (step.due_at, state.execution_id, step.step))

    def _end(self, state: ExecutionState) -> None:
        self._ended.append((state.ended_at, state.execution_id))

    def _forget(self, now: int) -> None:
        while self._ended and self._ended[0][0] < now - self._window_ms:
            _, execution_id = self._ended.popleft()
            state = self.executions.get(execution_id)
            if state is not None and state.status.ended and state.ended_at < now - self._window_ms:
                del self.executions[execution_id]

    def next_due(self) -> int | None:
        """When the owner must look again, ms since the epoch; None for never."""
        while self._due:
            due_at, execution_id, name = self._due[0]
            if self._is_due(due_at, execution_id, name):
                return due_at
            heapq.heappop(self._due)
        return None

    def due(self, now: int, limit: int) -> Iterator[tuple[ExecutionState, StepState]]:
        """Steps whose time has come, earliest first, at most `limit`; each only once."""
        for _ in range(limit):
            due_at = self.next_due()
            if due_at is None or due_at > now:
                return
            _, execution_id, name = heapq.heappop(self._due)
            state = self.executions[execution_id]
            yield state, next(step for step in state.steps if step.step == name)

    def _is_due(self, due_at: int, execution_id: str, name: str) -> bool:
        state = self.executions.get(execution_id)
        return state is not None and any(
            step.step == name and step.due_at == due_at for step in state.steps
        )

    def unsent(self) -> Iterator[tuple[ExecutionState, StepState]]:
        """Dispatched steps whose task may never have been sent (rule 11)."""
        for state in self.executions.values():
            for step in state.steps:
                if step.status is StepStatus.DISPATCHED and step.dispatched_at > self.acted_to:
                    yield state, step
