"""The records of every topic but the journal's events, as frozen values.

Field meanings and units stand in `avro/*.avsc`, the source; tests hold both against each other.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Reference(Struct, frozen=True, gc=False):
    """Where a payload or artifact lies outside the log, and what it must hash to."""

    uri: str
    sha256: bytes
    size: int
    media_type: str


class Error(Struct, frozen=True, gc=False, kw_only=True):
    """A structured error: what happened, where, and who can cure it."""

    code: str
    message: str
    field: str = ""
    cure: str = ""
    step: str = ""
    retryable: bool = False
    operator_action: str = ""


class Artifact(Struct, frozen=True, gc=False):
    """A named reference that a handler returned."""

    name: str
    reference: Reference


class DomainEvent(Struct, frozen=True, gc=False):
    """A domain event that a handler returned; `data` is JSON."""

    type: str
    data: bytes


class StateChange(Struct, frozen=True, gc=False):
    """A change to the state surface; `value` is JSON, null removes the key."""

    key: str
    value: bytes


class Checkpoint(Struct, frozen=True, gc=False):
    """A journaled result of `ctx.step`; `result` is JSON."""

    name: str
    result: bytes


class Intent(Struct, frozen=True, gc=False, kw_only=True):
    """What a producer states in the write-ahead log."""

    intent_id: str
    intent_type: str
    realm: str
    session_id: str
    tenant_id: str
    principal: str
    correlation_id: str
    causation_id: str = ""
    payload: bytes
    payload_ref: Reference | None = None
    metadata: bytes
    solution_context: bytes
    created_at: int
    traceparent: str = ""
    priority: int = 3
    roles: tuple[str, ...] = ()
    attributes: bytes = b""
    authentication: str = ""
    credential: str = ""
    signature: bytes = b""


class Stage(StrEnum):
    """The stages of policy, in their order: who may, what the tenant allows, which data."""

    SECURITY_GUARD = "security_guard"
    CITY_MANAGER = "city_manager"
    DATA_STEWARD = "data_steward"


class StageDecision(Struct, frozen=True, gc=False):
    """What one stage decided; `policies` and `reasons` are for the operator."""

    stage: str
    allowed: bool
    policies: tuple[str, ...]
    reasons: tuple[str, ...]


class PolicyDecision(Struct, frozen=True, gc=False, kw_only=True):
    """What policy decided of an intent, under which versions, and why."""

    platform_version: int
    tenant_version: int
    sha256: bytes
    stages: tuple[StageDecision, ...]

    @property
    def allowed(self) -> bool:
        """Whether every stage let it pass."""
        return all(stage.allowed for stage in self.stages)


class Task(Struct, frozen=True, gc=False, kw_only=True):
    """One numbered delivery of one attempt of one step, for the realm's consumer group."""

    execution_id: str
    session_id: str
    tenant_id: str
    partition: int
    dispatched_at: int
    step: str
    attempt: int
    delivery: int
    token: str
    start_by: int
    timeout_ms: int
    realm: str
    intent_id: str
    intent_type: str
    capability_version: int
    handler: str
    principal: str
    correlation_id: str
    payload: bytes
    payload_ref: Reference | None = None
    metadata: bytes
    solution_context: bytes
    created_at: int
    traceparent: str = ""
    checkpoints: tuple[Checkpoint, ...] = ()
    heartbeat_ms: int = 0
    compensates: str = ""
    result: bytes | None = None
    alone: bool = False
    roles: tuple[str, ...] = ()
    policy: PolicyDecision | None = None
    session: bytes = b""


class ReportKind(StrEnum):
    """What a step report says."""

    STARTED = "started"
    CHECKPOINT = "checkpoint"
    PROGRESS = "progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    HANDED_BACK = "handed_back"
    MARKER = "marker"
    UNKNOWN = "unknown"
    SUSPENDED = "suspended"
    INVOKED = "invoked"


# Why a worker hands a delivery back: it found the task when it took over a partition, so another
# worker may have started it and may run on (rules 12 and 13). The other reasons say that nobody
# will start it.
REDELIVERED = "redelivered_after_assignment"
# Names of checkpoints that are no step's: an invocation, whose end stands under its name and the
# suffix; and the mark behind which nothing binds a handler that is run again.
INVOKED = "invoke:"
ENDED = ":ended"
BRANCHED = "journal:branched"


class Wait(Struct, frozen=True, gc=False):
    """What a suspended handler waits for: a time, a signal, or whichever comes first.

    `until` is ms since the epoch, 0 for never; `signal` is empty for none.
    """

    name: str
    until: int
    signal: str = ""


class Call(Struct, frozen=True, gc=False):
    """An intent that a handler states; `payload` is JSON. `awaited`: whether it waits for the
    end."""

    intent_type: str
    realm: str
    payload: bytes
    awaited: bool


class StepReport(Struct, frozen=True, gc=False, kw_only=True):
    """What a realm worker reports about one delivery; also the owner's own marker."""

    kind: ReportKind
    execution_id: str
    session_id: str
    tenant_id: str
    step: str
    attempt: int
    delivery: int
    token: str
    dispatched_at: int
    worker: str
    at: int
    started_at: int = 0
    name: str = ""
    result: bytes = b""
    artifacts: tuple[Artifact, ...] = ()
    events: tuple[DomainEvent, ...] = ()
    state_changes: tuple[StateChange, ...] = ()
    error: Error | None = None
    retry_after_ms: int = -1
    queued_ms: int = -1
    waits: tuple[Wait, ...] = ()
    call: Call | None = None


class CancelNotice(Struct, frozen=True, gc=False, kw_only=True):
    """Tells whoever runs a delivery that its execution is to end. Nothing depends on it."""

    execution_id: str
    realm: str
    step: str
    delivery: int
    before: int


class Recovery(StrEnum):
    """What follows when a step of an execution has failed for good.

    `compensate`: what was done is undone, in reverse. `retry_forward`: what may be tried again is,
    for as long as it takes; anything else is held. `hold_for_operator`: nothing, before an operator
    retries it, has all undone, or cancels.
    """

    COMPENSATE = "compensate"
    RETRY_FORWARD = "retry_forward"
    HOLD_FOR_OPERATOR = "hold_for_operator"
    UNKNOWN = "unknown"


class Policy(Struct, frozen=True, gc=False, kw_only=True):
    """How often and for how long one step is tried."""

    timeout_ms: int
    heartbeat_ms: int
    attempts: int
    backoff_ms: int
    backoff_factor: float
    backoff_max_ms: int


class PlannedStep(Struct, frozen=True, gc=False, kw_only=True):
    """A step of a plan, as its solution realm declares it; `input`, `condition` and `for_each` are
    templates (see `symphainy_schemas.templates`)."""

    step: str
    intent_type: str
    needs: tuple[str, ...]
    input: bytes
    condition: bytes
    for_each: bytes = b""
    at_most: int = 0


class PlanStep(Struct, frozen=True, gc=False, kw_only=True):
    """A step of a plan, with the authorised entry point that was in force at admission."""

    step: str
    intent_type: str
    needs: tuple[str, ...]
    input: bytes
    condition: bytes
    version: int
    realm: str
    handler: str
    policy: Policy
    concurrency_key: str = ""
    key_concurrency: int = 0
    compensation: str = ""
    compensation_policy: Policy | None = None
    for_each: bytes = b""
    at_most: int = 0


class Determinism(StrEnum):
    """Whether the same input gives the same result."""

    DETERMINISTIC = "deterministic"
    NON_DETERMINISTIC = "non_deterministic"
    UNKNOWN = "unknown"


class Capability(Struct, frozen=True, gc=False, kw_only=True):
    """Curator's entry: intent type to authorised entry point. It does not decide strategy."""

    name: str
    version: int
    realm: str
    handler: str
    description: str
    input_contract: bytes
    output_contract: bytes
    determinism: Determinism
    timeout_ms: int
    attempts: int
    backoff_ms: int
    backoff_factor: float
    backoff_max_ms: int
    compensation: str = ""
    concurrency_key: str = ""
    key_concurrency: int = 0
    registered_at: int
    registered_by: str
    heartbeat_ms: int = 0
    deadline_ms: int = 0
    compensation_policy: Policy | None = None
    plan: tuple[PlannedStep, ...] = ()
    recovery: Recovery = Recovery.COMPENSATE
    output: bytes = b""


class Budget(Struct, frozen=True, gc=False):
    """How many intents a tenant may state in an hour, day or month of the calendar, in UTC."""

    period: str
    intents: int


class Tenant(Struct, frozen=True, gc=False, kw_only=True):
    """A tenant and its limits."""

    tenant_id: str
    version: int
    display_name: str
    shard_size: int
    created_at: int
    weight: int = 1
    max_concurrency: int = 0
    rate_per_s: float = 0.0
    burst: int = 0
    budgets: tuple[Budget, ...] = ()
    max_payload_bytes: int = 0
    storage_bytes: int = 0
    dedupe_window_ms: int = 0
    attributes: bytes = b""
    unsigned: bool = True


class ApiKey(Struct, frozen=True, gc=False, kw_only=True):
    """A credential: the hash of a key, and whose it is."""

    key_id: str
    version: int
    tenant_id: str
    principal: str
    secret_sha256: bytes
    created_at: int
    revoked: bool = False
    roles: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    attributes: bytes = b""
    expires_at: int = 0
    description: str = ""
    public_key: bytes = b""


PLATFORM = "platform"  # the scope of what holds for every tenant; no tenant's id


class PolicySet(Struct, frozen=True, gc=False, kw_only=True):
    """One version of the policies of a tenant, or of the platform: a Cedar text for each stage."""

    scope: str
    version: int
    sha256: bytes
    security_guard: str
    city_manager: str
    data_steward: str
    note: str
    created_at: int
    created_by: str


class ServedVersions(Struct, frozen=True, gc=False, kw_only=True):
    """The versions of one capability that a worker takes: its own, and older ones down to one."""

    intent_type: str
    oldest: int
    newest: int


class Serving(Struct, frozen=True, gc=False, kw_only=True):
    """Which versions of its realm's capabilities a worker serves, while it is in the group."""

    worker_id: str
    realm: str
    versions: tuple[ServedVersions, ...]
    registered_at: int


class DeadLetter(Struct, frozen=True, gc=False, kw_only=True):
    """What could not be read at all, why, and where it stands."""

    topic: str
    partition: int
    offset: int
    reason: str
    message: str
    role: str
    at: int
    key: bytes | None = None
    value: bytes | None = None
