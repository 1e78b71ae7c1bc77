"""What is recorded of one step of an execution: what another run of its handler needs, and what it
is held against. Not stored: made of journal records.
"""

from __future__ import annotations

from msgspec import Struct

from symphainy_schemas.records import Artifact, Checkpoint, DomainEvent, Error, StateChange, Task


class Returned(Struct, frozen=True, kw_only=True):
    """What a handler's last call came to: what it returned, or the error that it ended with."""

    result: bytes = b""
    artifacts: tuple[Artifact, ...] = ()
    events: tuple[DomainEvent, ...] = ()
    state_changes: tuple[StateChange, ...] = ()
    error: Error | None = None


class Recorded(Struct, frozen=True, kw_only=True):
    """One step's part of the journal.

    `task` is the delivery that the handler is given again; `answers` are the results of its steps
    and waits in the order in which they were recorded; `waits` what it waited for in the end; `end`
    is `succeeded`, `failed`, `cancelled`, or empty; `begun_ms` when its execution was admitted.
    `returned` is None where nothing says what it returned, and `took_ms` -1 where nothing says how
    long the last call ran.
    """

    task: Task
    answers: tuple[Checkpoint, ...]
    waits: tuple[str, ...] = ()
    end: str = ""
    begun_ms: int
    returned: Returned | None = None
    took_ms: int = -1

    @property
    def intent_type(self) -> str:
        """What was asked."""
        return self.task.intent_type
