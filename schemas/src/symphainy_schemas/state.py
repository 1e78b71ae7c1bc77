"""The state surface: what `fold(evolve, journal)` yields for an execution and a session.

Field meanings and units stand in `avro/state.avsc`, the source.
"""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from symphainy_schemas.records import (
    Checkpoint,
    Error,
    PlanStep,
    PolicyDecision,
    Recovery,
    Reference,
    Wait,
)


class ExecutionStatus(StrEnum):
    """Where an execution is."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    RUNNING = "running"
    WAITING = "waiting"
    COMPENSATING = "compensating"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    COMPENSATED = "compensated"
    CANCELLED = "cancelled"
    STUCK = "stuck"
    UNKNOWN = "unknown"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself or by a report."""
        return self in _ENDED


_ENDED = frozenset(
    {
        ExecutionStatus.REJECTED,
        ExecutionStatus.SUCCEEDED,
        ExecutionStatus.FAILED,
        ExecutionStatus.COMPENSATED,
        ExecutionStatus.CANCELLED,
    }
)


class StepStatus(StrEnum):
    """Where a step is."""

    READY = "ready"
    DISPATCHED = "dispatched"
    STARTED = "started"
    BACKING_OFF = "backing_off"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"
    HELD = "held"
    SKIPPED = "skipped"


# Local stores keep these by the million: what has its default is left out there, nearly half.
class StepState(Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One step of an execution."""

    step: str
    status: StepStatus
    attempt: int
    delivery: int
    token: str
    start_by: int
    due_at: int
    dispatched_at: int
    ready_at: int = -1
    open: tuple[int, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    error: Error | None = None
    waits: tuple[Wait, ...] = ()
    ends_at: int = 0
    result: bytes | None = None
    begun: bool = False
    given_up: bool = False
    lost: int = 0
    input: bytes = b""


class Signal(Struct, frozen=True, gc=False):
    """A signal that nobody has waited for yet; `data` is JSON."""

    name: str
    data: bytes


class Child(Struct, frozen=True, gc=False):
    """An execution whose end is awaited by one that invoked it, in that step."""

    execution_id: str
    step: str


class ExecutionState(
    Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    omit_defaults=True,
    tag_field="-type",
    tag="symphainy.ExecutionState",
):
    """An execution, as the journal has it."""

    execution_id: str
    session_id: str
    tenant_id: str
    correlation_id: str
    intent_id: str
    intent_type: str
    realm: str
    principal: str
    payload: bytes
    payload_ref: Reference | None = None
    payload_sha256: bytes
    metadata: bytes
    solution_context: bytes
    created_at: int
    traceparent: str = ""
    status: ExecutionStatus
    capability_version: int = 0
    handler: str = ""
    priority: int = 3
    concurrency_key: str = ""
    key_concurrency: int = 0
    timeout_ms: int = 0
    attempts: int = 1
    backoff_ms: int = 0
    backoff_factor: float = 1.0
    backoff_max_ms: int = 0
    steps: tuple[StepState, ...] = ()
    state: dict[str, bytes] = {}
    started_at: int
    ended_at: int = 0
    signals: tuple[Signal, ...] = ()
    controlled_at: int = -1
    cancel_reason: str | None = None
    heartbeat_ms: int = 0
    deadline_at: int = 0
    overdue: bool = False
    paused: bool = False
    plan: tuple[PlanStep, ...] = ()
    recovery: Recovery = Recovery.COMPENSATE
    output: bytes = b""
    undo: bool = False
    failure: Error | None = None
    awaited_by: str = ""
    children: tuple[Child, ...] = ()
    called: tuple[int, ...] = ()
    roles: tuple[str, ...] = ()
    attributes: bytes = b""
    authentication: str = ""
    credential: str = ""
    policy: PolicyDecision | None = None
    dedupe_window_ms: int = 0

    @property
    def to_end(self) -> bool:
        """Whether nothing more of it begins: somebody cancelled it, or its deadline has passed."""
        return self.overdue or self.cancel_reason is not None


class SessionState(
    Struct, frozen=True, gc=False, kw_only=True, tag_field="-type", tag="symphainy.SessionState"
):
    """A session, as the journal has it."""

    session_id: str
    tenant_id: str
    principal: str
    attributes: bytes
    opened_at: int
    closed_at: int = 0
    active: int = 0
    idle_ms: int = 0
    expires_at: int = 0
    used_at: int = 0
    cancels: bool = False
    expired: bool = False
    changed_at: int = 0
    closing: str = ""

    @property
    def due_at(self) -> int:
        """When it expires if nothing more comes; 0: never, or it is over already."""
        if self.closed_at:
            return 0
        idle_at = self.used_at + self.idle_ms if self.idle_ms else 0
        return min((at for at in (idle_at, self.expires_at) if at), default=0)


class TenantState(
    Struct, frozen=True, gc=False, kw_only=True, tag_field="-type", tag="symphainy.TenantState"
):
    """What is in force of a tenant on this partition, or of the platform."""

    session_id: str
    scope: str
    policy_version: int = 0
    policy_sha256: bytes = b""
    suspended: bool = False
    reason: str = ""
    revoked: tuple[str, ...] = ()


class StateMarker(
    Struct, frozen=True, gc=False, kw_only=True, tag_field="-type", tag="symphainy.StateMarker"
):
    """Everything up to `as_of` is written (rule 16 of the journal protocol)."""

    hash: bytes
    intents_next: int
    steps_next: int
    acted_to: int = -1
    at: int = 0
    turn: tuple[int, ...] = ()


class State(Struct, frozen=True, gc=False, kw_only=True):
    """The latest state of one key, and the journal offset that it reflects."""

    as_of: int
    term: int
    seq: int
    evolve_version: int
    body: ExecutionState | SessionState | StateMarker | TenantState


def digest(body: ExecutionState | SessionState | StateMarker | TenantState) -> bytes:
    """What two states share if and only if they are the same, wherever they come from.

    Encoding a struct leaves out what is its default, which it knows by identity: of a state that
    was read from Kafka that is not the one of a fold.
    """
    return sha256(msgspec.msgpack.encode(_whole(body))).digest()


def _whole(value: Any) -> Any:
    """All members, by value."""
    if isinstance(value, Struct):
        return [_whole(getattr(value, name)) for name in value.__struct_fields__]
    return list(map(_whole, value)) if isinstance(value, tuple) else value
