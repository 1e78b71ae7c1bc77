"""The journal: one record a decision, and the events that a decision can yield.

Field meanings and units stand in `avro/journal-record.avsc`, the source.
Past tense: these happened.
"""

from __future__ import annotations

from msgspec import Struct

from symphainy_schemas.records import (
    Error,
    PlanStep,
    PolicyDecision,
    Recovery,
    Reference,
    Wait,
)


class Position(Struct, frozen=True, gc=False):
    """A place in the log."""

    topic: str
    partition: int
    offset: int


class Predecessor(Struct, frozen=True, gc=False):
    """The last valid record before a takeover, as far as its writer knew."""

    term: int
    offset: int
    hash: bytes | None = None


class _Event(
    Struct, frozen=True, gc=False, kw_only=True, tag_field="-type", tag=lambda n: f"symphainy.{n}"
):
    """One thing that happened; its place is (partition, offset, index)."""


class OwnershipTaken(_Event, frozen=True):
    """A new owner's first record; its offset is the term."""

    owner: str
    feature_level: int


class IntentReceived(_Event, frozen=True, kw_only=True):
    """An intent was read from the write-ahead log."""

    intent_id: str
    intent_type: str
    realm: str
    principal: str
    causation_id: str
    payload: bytes
    payload_ref: Reference | None = None
    payload_sha256: bytes
    metadata: bytes
    solution_context: bytes
    created_at: int
    traceparent: str = ""
    priority: int = 3
    awaited_by: str = ""
    roles: tuple[str, ...] = ()
    attributes: bytes = b""
    authentication: str = ""
    credential: str = ""
    dedupe_window_ms: int = 0


class IntentRejected(_Event, frozen=True):
    """Admission refused the intent; the execution has ended."""

    error: Error


class IntentRepeated(_Event, frozen=True):
    """The intent id was decided before; the first answer stands."""

    same_payload: bool


class CapabilityResolved(_Event, frozen=True):
    """Curator named the authorised entry point, with the retry policy in force."""

    name: str
    version: int
    realm: str
    handler: str
    timeout_ms: int
    attempts: int
    backoff_ms: int
    backoff_factor: float
    backoff_max_ms: int
    concurrency_key: str = ""
    key_concurrency: int = 0
    heartbeat_ms: int = 0
    deadline_ms: int = 0
    plan: tuple[PlanStep, ...] = ()
    recovery: Recovery = Recovery.COMPENSATE
    output: bytes = b""


class ExecutionStarted(_Event, frozen=True):
    """Admission is complete; the runtime supervises from here."""


class SessionOpened(_Event, frozen=True):
    """A session exists from here on."""

    principal: str
    attributes: bytes
    idle_ms: int = 0
    lifetime_ms: int = 0
    cancels: bool = False


class SessionClosed(_Event, frozen=True):
    """The session takes no more intents."""

    reason: str
    cancels: bool = False


class StepReady(_Event, frozen=True):
    """A step may be dispatched and waits for its turn."""

    step: str
    attempt: int


class StepDispatched(_Event, frozen=True):
    """A numbered delivery of an attempt was decided; its effect is one task."""

    step: str
    attempt: int
    delivery: int
    token: str
    start_by: int
    timeout_ms: int


class StepStarted(_Event, frozen=True):
    """A worker started the handler."""

    step: str
    attempt: int
    delivery: int
    worker: str
    started_at: int


class StepCheckpointed(_Event, frozen=True):
    """A `ctx.step` result was recorded; it never runs again."""

    step: str
    attempt: int
    delivery: int
    name: str
    result: bytes


class StepProgressed(_Event, frozen=True):
    """A sign of life with words."""

    step: str
    attempt: int
    delivery: int
    message: str


class StepSucceeded(_Event, frozen=True):
    """The step's one recorded result."""

    step: str
    attempt: int
    delivery: int
    worker: str
    started_at: int
    ended_at: int
    result: bytes


class StepFailed(_Event, frozen=True):
    """An attempt failed."""

    step: str
    attempt: int
    delivery: int
    worker: str
    error: Error


class StepRetryScheduled(_Event, frozen=True):
    """The next attempt, at a time."""

    step: str
    attempt: int
    due_at: int


class StepHandedBack(_Event, frozen=True):
    """A worker did not start, or stopped, a delivery."""

    step: str
    attempt: int
    delivery: int
    worker: str
    reason: str


class DeliveryClosed(_Event, frozen=True):
    """An older delivery ended without effect: nobody will start it any more."""

    step: str
    delivery: int
    begun: bool = False


class TimerFired(_Event, frozen=True):
    """The owner read its clock past a due time."""

    timer: str
    due_at: int


class ArtifactRecorded(_Event, frozen=True):
    """A handler returned an artifact."""

    name: str
    reference: Reference


class EventEmitted(_Event, frozen=True):
    """A handler returned a domain event."""

    event_type: str
    data: bytes


class StateChanged(_Event, frozen=True):
    """A handler changed the state surface."""

    key: str
    value: bytes


class ExecutionSucceeded(_Event, frozen=True):
    """The end: success. `result` is a plan's; a single handler's stands in its StepSucceeded."""

    result: bytes = b""


class ExecutionFailed(_Event, frozen=True):
    """The end: failure."""

    error: Error


class ExecutionCancelled(_Event, frozen=True):
    """The end: cancelled."""

    reason: str


class StepSuspended(_Event, frozen=True):
    """The handler waits and holds no worker; its delivery has ended."""

    step: str
    attempt: int
    delivery: int
    waits: tuple[Wait, ...]
    worker: str = ""


class StepResumed(_Event, frozen=True):
    """What a handler waited for has come; its outcome is recorded like a checkpoint.

    `signal` ended it and is used up; where it is empty the time did, and so is `result`.
    """

    step: str
    name: str
    result: bytes
    signal: str = ""


class SignalReceived(_Event, frozen=True):
    """Somebody sent the execution a signal; `data` is JSON."""

    name: str
    data: bytes
    principal: str = ""


class CancelRequested(_Event, frozen=True):
    """Somebody wants the execution to end; what runs may still succeed, and nothing more begins."""

    reason: str
    principal: str = ""


class StepCancelled(_Event, frozen=True):
    """The step goes on no more; deliveries that are open may still end."""

    step: str


class DeadlinePassed(_Event, frozen=True):
    """The execution has not ended in time; what runs may still succeed, and nothing more begins."""

    due_at: int


class ExecutionPaused(_Event, frozen=True):
    """Somebody wants it to rest; what runs goes on, and nothing more begins until it is resumed."""

    reason: str
    principal: str = ""


class ExecutionResumed(_Event, frozen=True):
    """It rests no longer."""

    reason: str
    principal: str = ""


class StepHeld(_Event, frozen=True):
    """The step could be dispatched, but its execution rests."""

    step: str
    attempt: int


class StepSkipped(_Event, frozen=True):
    """The step is not needed: its condition does not hold, or all that it needs was skipped."""

    step: str


class StepClosed(_Event, frozen=True):
    """The deliveries of a step that goes on no more may neither start nor run any longer."""

    step: str


class CompensationRequested(_Event, frozen=True):
    """Somebody wants what was done undone; what runs may still succeed, nothing more begins."""

    reason: str
    principal: str = ""


class CompensationStarted(_Event, frozen=True):
    """What was done is undone from here on; no `error` where somebody asked for it."""

    error: Error | None = None


class CompensationSucceeded(_Event, frozen=True):
    """A step was undone."""

    step: str


class CompensationFailed(_Event, frozen=True):
    """A step could not be undone, however often that was tried."""

    step: str
    error: Error


class ExecutionStuck(_Event, frozen=True):
    """Nothing goes on before an operator decides; the error says what they can do."""

    error: Error


class StepRetryRequested(_Event, frozen=True, kw_only=True):
    """An operator wants a step tried again that had failed for good, with that `input` if any.

    `forgets` names what was recorded of it, or is kept for it, and counts no more: what it invoked
    in vain, which it states anew.
    """

    step: str
    input: bytes | None = None
    reason: str
    principal: str = ""
    forgets: tuple[str, ...] = ()


class ExecutionCompensated(_Event, frozen=True):
    """The end: everything that was done is undone; no `error` where somebody asked for it."""

    error: Error | None = None


class ChildInvoked(_Event, frozen=True):
    """A handler stated an intent; its effect is that intent in the write-ahead log. The id of its
    execution, `child`, is recorded under the name, like a checkpoint."""

    step: str
    attempt: int
    delivery: int
    name: str
    child: str
    intent_id: str
    intent_type: str
    realm: str
    payload: bytes
    awaited: bool


class ChildEnded(_Event, frozen=True):
    """An execution that this one invoked, and whose end it awaits, has ended.

    `outcome` is JSON: its status, and its result or error. It is kept for the step that waits, like
    a signal's data.
    """

    child: str
    outcome: bytes


class PolicyValidated(_Event, frozen=True):
    """Policy decided, once, before anything of the intent was dispatched."""

    decision: PolicyDecision


class PolicyActivated(_Event, frozen=True):
    """From here on a scope's intents on this partition are decided under this version."""

    scope: str
    version: int
    sha256: bytes
    principal: str = ""


class TenantSuspended(_Event, frozen=True):
    """From here on this partition takes no intent of the tenant, and dispatches nothing of it."""

    scope: str
    reason: str
    principal: str = ""


class TenantResumed(_Event, frozen=True):
    """From here on this partition takes the tenant's intents again."""

    scope: str
    reason: str
    principal: str = ""


class KeyRevoked(_Event, frozen=True):
    """From here on nothing counts on this partition that the key's owner signed."""

    scope: str
    key_id: str
    principal: str = ""


class SessionChanged(_Event, frozen=True):
    """The session's attributes are others from here on."""

    attributes: bytes
    principal: str


class SessionExpired(_Event, frozen=True):
    """The session takes no more intents: its time is over."""

    due_at: int
    idle: bool
    cancels: bool


class SessionSwept(_Event, frozen=True):
    """Whatever ran in the session when it was closed has been asked to end."""


Event = (
    OwnershipTaken
    | IntentReceived
    | IntentRejected
    | IntentRepeated
    | CapabilityResolved
    | ExecutionStarted
    | SessionOpened
    | SessionClosed
    | StepReady
    | StepDispatched
    | StepStarted
    | StepCheckpointed
    | StepProgressed
    | StepSucceeded
    | StepFailed
    | StepRetryScheduled
    | StepHandedBack
    | DeliveryClosed
    | TimerFired
    | ArtifactRecorded
    | EventEmitted
    | StateChanged
    | ExecutionSucceeded
    | ExecutionFailed
    | ExecutionCancelled
    | StepSuspended
    | StepResumed
    | SignalReceived
    | CancelRequested
    | StepCancelled
    | DeadlinePassed
    | ExecutionPaused
    | ExecutionResumed
    | StepHeld
    | StepSkipped
    | StepClosed
    | CompensationRequested
    | CompensationStarted
    | CompensationSucceeded
    | CompensationFailed
    | ExecutionStuck
    | StepRetryRequested
    | ExecutionCompensated
    | ChildInvoked
    | ChildEnded
    | PolicyValidated
    | PolicyActivated
    | TenantSuspended
    | TenantResumed
    | KeyRevoked
    | SessionChanged
    | SessionExpired
    | SessionSwept
)


class JournalRecord(Struct, frozen=True, gc=False, kw_only=True):
    """One decision: what caused it, under which term, and the events it yielded."""

    term: int
    seq: int
    at: int
    cause: Position | None = None
    parent: int = -1
    intents_next: int
    steps_next: int
    acted_to: int
    prev_hash: bytes
    previous: Predecessor | None = None
    versions: dict[str, int] = {}
    tenant_id: str = ""
    session_id: str = ""
    execution_id: str = ""
    correlation_id: str = ""
    events: tuple[Event, ...] = ()


JOURNAL = "journal"
"""The topic that a cause names where a decision follows from another one of the same journal."""


def follows(record: JournalRecord) -> bool:
    """Whether the decision follows from another one, about another execution, in the same turn."""
    return record.cause is not None and record.cause.topic == JOURNAL


def event_type(event: Event) -> str:
    """The event's name on every surface: `StepSucceeded` is `step_succeeded`."""
    return _NAMES[type(event)]


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


_NAMES: dict[type, str] = {t: _snake(t.__name__) for t in Event.__args__}
EVENT_TYPES: tuple[str, ...] = tuple(_NAMES.values())
