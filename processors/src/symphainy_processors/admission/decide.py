"""Decide what an intent leads to: rejected with a structured error, or started.

Pure. What the decision needs of the outside (the session, the capability, the contract's verdict)
arrives as values; the order of the checks is the order in which a caller can cure them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import msgspec

from symphainy_processors.admission import control, governing, planning, sessions
from symphainy_processors.admission.control import Target
from symphainy_processors.admission.governing import Standing
from symphainy_processors.fold.family import child_of, parent_problem
from symphainy_processors.fold.plans import concurrency_key
from symphainy_runtime.policy.actions import EXPIRE_SESSION, GOVERNANCE, REPLAY, SESSIONS
from symphainy_runtime.policy.defaults import PLATFORM_OPERATOR
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.records import Capability, Error, Intent, PolicyDecision
from symphainy_schemas.state import Child, ExecutionState, SessionState, TenantState
from symphainy_schemas.templates import find

RUNTIME_REALM = "runtime"
SHARED_PREFIXES = frozenset({"cross_realm", "solution"})
_GOVERNED = GOVERNANCE | {REPLAY}  # what governing sessions take: what governed is looked at, too
Contract = Callable[[Any], Error | None]
Events = tuple[e.Event, ...]


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What the partition and the configuration in force know of an intent."""

    partition: int
    now: int = 0  # journaled time, ms since the epoch
    execution: ExecutionState | None
    session: SessionState | None
    tenant_exists: bool
    capability: Capability | None
    contract: Contract | None
    decide: Callable[[], PolicyDecision]
    unproven: Error | None = None  # that it was stated by whom it says
    tenant: TenantState | None = None  # what is in force of it here
    dedupe_window_ms: int = 0  # its own, as the configuration has it
    governed: Callable[[], Standing] | None = None  # of an intent that governs and can be read
    target: Target | None = None  # of which a control intent asks something
    parent: ExecutionState | None = None  # that says it invoked it
    entries: Mapping[str, Capability] = {}  # of the steps of the capability's plan
    stands: Intent | None = None  # as the intent stands in the log, where that is sealed
    unreadable: Error | None = None  # why its content cannot be read, or does not count
    index: bytes = b""  # keys hashes of sealed content


def admit(intent: Intent, known: Known) -> Events:
    """The events of admission, in order; an intent id is decided once."""
    stands = known.stands or intent
    digest = _payload_hash(stands)
    if known.execution is not None:
        return (e.IntentRepeated(same_payload=known.execution.payload_sha256 == digest),)
    child = _child(intent, known)
    awaited_by = "" if child is None else intent.causation_id
    received = _received(stands, digest, awaited_by, known.dedupe_window_ms)
    problem = _structure(intent, known) or known.unproven
    problem = problem or _standing(intent, known.tenant, child) or known.unreadable
    own = intent.realm == RUNTIME_REALM
    if not own:
        problem = problem or _session(intent, known, child)
        problem = problem or parent_problem(known.parent, child)
    if problem is not None:
        return (received, e.IntentRejected(error=problem))
    if intent.intent_type == EXPIRE_SESSION:
        return (received, *sessions.decide(intent, known.session, known.now))
    validated = e.PolicyValidated(known.decide())
    if not validated.decision.allowed:
        return (received, validated, e.IntentRejected(error=_denied()))
    if known.governed is not None:
        return (received, validated, *governing.decide(intent, known.governed()))
    if intent.intent_type in SESSIONS:
        return (received, validated, *sessions.decide(intent, known.session, known.now))
    if own:
        return (received, validated, *control.decide(intent, known.target))
    problem = _capability(intent, known)
    if problem is not None:
        return (received, validated, e.IntentRejected(error=problem))
    assert known.capability is not None
    return (
        received,
        validated,
        _resolved(known, known.capability, intent),
        e.ExecutionStarted(),
    )


def _session(intent: Intent, known: Known, child: Child | None) -> Error | None:
    """Why its session cannot take it. A closed one takes what a running execution of it invokes and
    awaits, which is a part of that."""
    problem = sessions.problem_of(known.session, intent)
    awaited = child is not None and problem is not None and problem.code != "session_not_found"
    return None if awaited else problem


def _standing(intent: Intent, tenant: TenantState | None, child: Child | None) -> Error | None:
    """Why nothing counts that comes from there, whatever it is.

    What an execution invoked before its tenant was suspended is taken, and waits with the rest: a
    refusal would end what goes on when the tenant is resumed.
    """
    if tenant is None:
        return None
    if intent.credential and intent.credential in tenant.revoked:
        return Error(
            code="credential_revoked",
            message="The credential with which this was stated is revoked.",
            cure="Use another key.",
        )
    if tenant.suspended and child is None and PLATFORM_OPERATOR not in intent.roles:
        return Error(
            code="tenant_suspended",
            message="The tenant is suspended.",
            field="/tenant_id",
            cure="Ask who runs the platform; what was taken before goes on when it is resumed.",
        )
    return None


def _denied() -> Error:
    """Who is refused is not told why: the record names the policies, for the operator."""
    return Error(
        code="policy_denied",
        message="Policy does not allow this intent.",
        field="/intent_type",
        cure="Ask who administers the tenant's policies, with the execution's id.",
        operator_action="See which policies decided: symphainy executions show.",
    )


def _payload_hash(intent: Intent) -> bytes:
    if intent.payload_ref is not None:
        return intent.payload_ref.sha256
    return sha256(intent.payload).digest()


def _child(intent: Intent, known: Known) -> Child | None:
    """What it is to whom it says is its cause, if that waits for its end."""
    if known.parent is None:
        return None
    name = ids.execution_id(intent.tenant_id, intent.session_id, intent.intent_id, known.partition)
    return child_of(known.parent, name)


def _received(
    intent: Intent, digest: bytes, awaited_by: str, dedupe_window_ms: int
) -> e.IntentReceived:
    return e.IntentReceived(
        intent_id=intent.intent_id,
        intent_type=intent.intent_type,
        realm=intent.realm,
        principal=intent.principal,
        causation_id=intent.causation_id,
        payload=intent.payload,
        payload_ref=intent.payload_ref,
        payload_sha256=digest,
        metadata=intent.metadata,
        solution_context=intent.solution_context,
        created_at=intent.created_at,
        traceparent=intent.traceparent,
        priority=intent.priority,
        awaited_by=awaited_by,
        roles=intent.roles,
        attributes=intent.attributes,
        authentication=intent.authentication,
        credential=intent.credential,
        dedupe_window_ms=dedupe_window_ms,
    )


def _resolved(known: Known, capability: Capability, intent: Intent) -> e.CapabilityResolved:
    return e.CapabilityResolved(
        name=capability.name,
        version=capability.version,
        realm=capability.realm,
        handler=capability.handler,
        timeout_ms=capability.timeout_ms,
        attempts=capability.attempts,
        backoff_ms=capability.backoff_ms,
        backoff_factor=capability.backoff_factor,
        backoff_max_ms=capability.backoff_max_ms,
        concurrency_key=_concurrency_key(capability, intent, known.index),
        key_concurrency=capability.key_concurrency,
        heartbeat_ms=capability.heartbeat_ms,
        deadline_ms=capability.deadline_ms,
        plan=planning.resolved(capability, known.entries),
        recovery=capability.recovery,
        output=capability.output,
    )


def _concurrency_key(capability: Capability, intent: Intent, index: bytes) -> str:
    """The capability's name and what its pointer (RFC 6901) finds in the payload.

    A payload that is not at hand, or lacks it, shares one key: a limit is kept, never skipped.
    """
    if not capability.concurrency_key:
        return ""
    known = None if intent.payload_ref is not None else msgspec.json.decode(intent.payload)
    return concurrency_key(capability.name, find(known, capability.concurrency_key), index)


def _structure(intent: Intent, known: Known) -> Error | None:
    if ids.INTENT_ID.fullmatch(intent.intent_id) is None:
        return Error(
            code="intent_id_malformed",
            message="The intent id is not 1 to 128 of A-Z a-z 0-9 . _ : ~ -.",
            field="/intent_id",
            cure="Use a UUIDv7.",
        )
    if ids.INTENT_TYPE.fullmatch(intent.intent_type) is None:
        return Error(
            code="intent_type_malformed",
            message=f"{intent.intent_type[:80]!r} is not of the form realm.action.",
            field="/intent_type",
            cure="Use lower case, digits and _: for example content.ingest_file.",
        )
    if not 1 <= intent.priority <= 5:
        return Error(
            code="priority_malformed",
            message=f"Priority {intent.priority} is not between 1 and 5.",
            field="/priority",
            cure="Use 1 (first) to 5 (last); 3 is the default.",
        )
    prefix = intent.intent_type.split(".", 1)[0]
    if prefix not in SHARED_PREFIXES and intent.realm != prefix:
        return Error(
            code="realm_mismatch",
            message=f"Intent type {intent.intent_type} does not belong to realm {intent.realm!r}.",
            field="/realm",
            cure=f"Leave the realm out, or state {prefix!r}.",
        )
    return _tenant(intent, known) or _place(intent, known) or _json(intent)


def _tenant(intent: Intent, known: Known) -> Error | None:
    if ids.TENANT_ID.fullmatch(intent.tenant_id) is not None and known.tenant_exists:
        return None
    return Error(
        code="tenant_not_found",
        message=f"There is no tenant {intent.tenant_id[:80]!r}.",
        field="/tenant_id",
        cure="Create it: symphainy key create --tenant <tenant>.",
    )


def _place(intent: Intent, known: Known) -> Error | None:
    """Rule 10: a session id carries its partition; its intents stand there."""
    if not intent.session_id:
        return Error(
            code="session_required",
            message="The intent names no session.",
            field="/session_id",
            cure="Open one: POST /v1/sessions.",
        )
    if not ids.is_session_id(intent.session_id):
        return Error(
            code="session_not_found",
            message=f"{intent.session_id[:80]!r} is not a session id.",
            field="/session_id",
            cure="Use the id that POST /v1/sessions returned.",
        )
    stated = ids.partition_of(intent.session_id)
    if stated != known.partition:
        return Error(
            code="wrong_partition",
            message=f"The session lives on partition {stated}, the record stands on "
            f"{known.partition}.",
            field="/session_id",
            cure="Produce to the partition that the session id carries.",
        )
    if ids.is_governing_session(intent.session_id) and intent.intent_type not in _GOVERNED:
        return sessions.no_session(intent)
    return None


def _json(intent: Intent) -> Error | None:
    if intent.payload_ref is not None:
        return None
    for name in ("payload", "metadata", "solution_context"):
        raw: bytes = getattr(intent, name)
        if name == "solution_context" and not raw:
            continue
        if not _is_object(raw):
            return Error(
                code=f"{name}_malformed",
                message=f"The {name} is not a JSON object.",
                field=f"/{name}",
                cure="Send a JSON object in UTF-8.",
            )
    return None


def _is_object(raw: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(raw), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _capability(intent: Intent, known: Known) -> Error | None:
    if known.capability is None:
        return Error(
            code="capability_not_found",
            message=f"No realm has registered {intent.intent_type}.",
            field="/intent_type",
            cure="Start a worker that serves it, or see `symphainy capability list`.",
        )
    problem = planning.problem(known.capability, intent, known.entries)
    if problem is not None:
        return problem
    # A claim-checked payload was checked before its upload and is checked by the worker.
    if intent.payload_ref is not None or known.contract is None:
        return None
    return known.contract(msgspec.json.decode(intent.payload))
