"""What the gateway answers with, as forms and as JSON Schema. Nothing here is behaviour.

Documents that the projector writes are handed through, so their schemas name only what is always
there and stay open.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from symphainy_gateway import backtests, controls, intents, policies, replays
from symphainy_gateway.parameters import MODES, SESSION_STATUSES, STATUSES
from symphainy_gateway.problems import Problem
from symphainy_gateway.sagas import Saga
from symphainy_gateway.submitting import Acknowledged, Place
from symphainy_schemas.events import EVENT_TYPES
from symphainy_schemas.records import Capability, Determinism

JsonSchema = dict[str, Any]
REF = "#/components/schemas/"


class BatchLine(Struct, frozen=True):
    """The answer to one line of a batch."""

    line: Annotated[int, Meta(ge=1, description="The line's number, from 1.")]
    http_status: Annotated[int, Meta(description="As POST /v1/intents would have answered.")]
    body: Any


class ExecutionStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The short answer about an execution."""

    execution_id: str
    intent_id: str
    status: str
    success: bool
    ended: bool
    as_of: Annotated[int, Meta(description="The journal offset that this reflects.")]
    error: dict[str, Any] | None = None
    execution_time_ms: int | None = None


class CapabilityEntry(Struct, frozen=True, kw_only=True):
    """A capability in force: what takes an intent type, under which contract and policy."""

    name: str
    version: int
    realm: str
    description: str
    determinism: Determinism
    input_contract: Any
    output_contract: Any
    timeout_ms: int
    heartbeat_ms: int
    deadline_ms: int
    attempts: int
    backoff_ms: int
    backoff_factor: float
    backoff_max_ms: int
    compensation: str | None
    registered_at: int
    registered_by: str


class Capabilities(Struct, frozen=True):
    """Every capability in force, by name."""

    items: list[CapabilityEntry]


class Health(Struct, frozen=True):
    """The process answers."""

    status: str


class Readiness(Struct, frozen=True):
    """Every service was reached; for each an empty reason."""

    status: str
    checks: dict[str, str]


class NotReady(Problem, frozen=True, kw_only=True, omit_defaults=True):
    """A problem of readiness; for each service the reason why it was not reached, or none."""

    checks: dict[str, str]


def capability_entry(capability: Capability) -> CapabilityEntry:
    """The entry of a capability."""
    return CapabilityEntry(
        name=capability.name,
        version=capability.version,
        realm=capability.realm,
        description=capability.description,
        determinism=capability.determinism,
        input_contract=_contract(capability.input_contract),
        output_contract=_contract(capability.output_contract),
        timeout_ms=capability.timeout_ms,
        heartbeat_ms=capability.heartbeat_ms,
        deadline_ms=capability.deadline_ms,
        attempts=capability.attempts,
        backoff_ms=capability.backoff_ms,
        backoff_factor=capability.backoff_factor,
        backoff_max_ms=capability.backoff_max_ms,
        compensation=capability.compensation or None,
        registered_at=capability.registered_at,
        registered_by=capability.registered_by,
    )


def _contract(text: bytes) -> Any:
    """The contract's JSON Schema; None where there is none, or it is not JSON."""
    try:
        return msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _text(description: str = "") -> JsonSchema:
    return {"type": "string", "description": description} if description else {"type": "string"}


def _open(description: str, properties: JsonSchema, required: tuple[str, ...]) -> JsonSchema:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(required),
    }


def _listed(name: str, of: str, more: JsonSchema) -> JsonSchema:
    items = {"type": "array", "items": {"$ref": REF + of}}
    return _open(f"{name} in order.", {name: items, **more}, (name, *more))


_ERROR = _open(
    "What went wrong, and who can cure it.",
    {"code": _text(), "message": _text(), "field": _text("A JSON pointer."), "cure": _text()},
    ("code", "message"),
)
_EXECUTION = _open(
    "Everything known of an execution, as of a journal offset.",
    {
        "execution_id": _text(),
        "intent_id": _text(),
        "intent_type": _text(),
        "realm": _text(),
        "session_id": _text(),
        "tenant_id": _text(),
        "correlation_id": _text(),
        "status": {"type": "string", "enum": list(STATUSES)},
        "success": {"type": "boolean"},
        "artifacts": {"type": "object", "description": "References by name."},
        "events": {"type": "array", "description": "Domain events of the handler."},
        "state_changes": {"type": "array"},
        "steps": {"type": "array"},
        "error": {"oneOf": [_ERROR, {"type": "null"}]},
        "decision": {
            "type": ["object", "null"],
            "description": "What policy decided, and under which versions, stage by stage. The "
            "policies that did, and their reasons, are told those who govern, operate or audit.",
        },
        "cancel": {
            "type": ["object", "null"],
            "description": "Who asked for its end (`by`), when (`at`), and why (`reason`).",
        },
        "paused": {
            "type": ["object", "null"],
            "description": "Who let it rest (`by`), when (`at`), and why (`reason`).",
        },
        "compensation": {
            "type": ["object", "null"],
            "description": "Who asked that it be undone (`by`), when (`at`), and why (`reason`).",
        },
        "plan": {"type": ["array", "null"], "description": "See the saga; null: one handler."},
        "versions": {
            "type": "array",
            "items": {"type": "string"},
            "description": "name@version of its capability, and of those of its plan's steps: it "
            "keeps them until it ends. Empty for one that was refused.",
        },
        "execution_time_ms": {"type": ["integer", "null"]},
        "payload_sha256": _text(
            "Hex; of the payload's canonical bytes, sealed where the tenant's content is."
        ),
        "content": _text(
            "There where content cannot be read, and why: shredded, corrupt, keys_not_set. In its "
            'place stands {"content": why}.'
        ),
        "started_at": {"type": "integer", "description": "Journaled, ms since the epoch."},
        "as_of": {"type": "integer", "description": "The journal offset that this reflects."},
    },
    ("execution_id", "intent_id", "intent_type", "session_id", "tenant_id", "status", "success"),
)
_EVENT = _open(
    "One journaled event, with its place.",
    {
        "type": {"type": "string", "examples": list(EVENT_TYPES[:3])},
        "topic": _text(),
        "partition": {"type": "integer"},
        "offset": {"type": "integer"},
        "index": {"type": "integer", "description": "Within the decision at that offset."},
    },
    ("type", "topic", "partition", "offset", "index"),
)
_ROW = _open(
    "One event of the journal, with its place and its relations.",
    {
        "id": _text("partition-offset-index."),
        "type": {"type": "string", "examples": list(EVENT_TYPES[:3])},
        "at": {"type": "integer", "description": "Journaled, ms since the epoch."},
        "partition": {"type": "integer"},
        "offset": {"type": "integer"},
        "index": {"type": "integer", "description": "Within the decision at that offset."},
        "cause": {"type": ["object", "null"], "description": "The input that was decided."},
        "parent": {
            "type": ["string", "null"],
            "description": "partition-offset of the decision whose effect led to this one.",
        },
        "tenant_id": _text(),
        "session_id": _text(),
        "execution_id": _text(),
        "intent_type": {
            "type": ["string", "null"],
            "description": "Of the execution's intent; null where that is no longer kept.",
        },
        "correlation_id": _text(),
        "data": {"type": "object", "description": "The event's own members."},
    },
    ("id", "type", "at", "partition", "offset", "index", "tenant_id", "execution_id", "data"),
)
_SESSION = _open(
    "A session.",
    {
        "session_id": _text(),
        "tenant_id": _text(),
        "status": {"type": "string", "enum": list(SESSION_STATUSES)},
        "attributes": {"type": ["object", "null"]},
        "opened_at": {"type": "integer"},
        "closed_at": {"type": "integer"},
        "idle_ms": {"type": "integer"},
        "expires_at": {"type": ["integer", "null"]},
        "at_expiry": {"type": "string", "enum": list(MODES)},
        "ending": {"type": "object"},
        "closing": {"type": "boolean"},
        "running": {"type": "integer"},
        "executions": {"type": "array", "items": {"type": "object"}},
    },
    ("session_id", "tenant_id", "status"),
)


_REPLAYED = _open(
    "What was of an execution. `events_only`: `events`; `state_only`: `state`, with the place that "
    "it is `as_of`, and the last in which nothing had gone wrong.",
    {
        "mode": {"type": "string", "enum": ["events_only", "state_only"]},
        "execution_id": _text(),
        "partition": {"type": "integer"},
        "records": {"type": "integer", "description": "Of the journal, that this is made of."},
        "events": {"type": "array", "items": {"$ref": REF + "Event"}},
        "as_of": {"type": "object"},
        "newest": {"type": "boolean", "description": "Whether nothing was recorded since."},
        "state": {"type": "object"},
        "state_sha256": _text("Of the whole state, what is not shown included."),
        "last_known_good": {"type": ["object", "null"]},
    },
    ("mode", "execution_id", "partition", "records"),
)
_VALIDATION = _open(
    "Whether what is recorded of an execution is in order.",
    {
        "format": _text(),
        "execution_id": _text(),
        "valid": {"type": "boolean", "description": "No check has failed."},
        "complete": {"type": "boolean", "description": "Of no check anything is unknown."},
        "made_at": {"type": "integer", "description": "Ms since the epoch."},
        "journal": {"type": "object", "description": "Its records, with their places and hashes."},
        "checks": {
            "type": "array",
            "items": _open(
                "One check, with what it found.",
                {
                    "name": _text(),
                    "standing": {"type": "string", "enum": ["passed", "failed", "unknown"]},
                    "looked_at": _text(),
                    "faults": {"type": "array", "items": _text()},
                    "unknown": {"type": "array", "items": _text()},
                },
                ("name", "standing", "looked_at", "faults", "unknown"),
            ),
        },
    },
    ("format", "execution_id", "valid", "complete", "made_at", "journal", "checks"),
)
_POLICIES = _open(
    "A version of a tenant's policies.",
    {
        "scope": _text("The tenant's id."),
        "version": {"type": "integer"},
        "sha256": _text("Of the three texts, in hexadecimal."),
        "security_guard": _text("Cedar."),
        "city_manager": _text("Cedar."),
        "data_steward": _text("Cedar."),
        "note": _text(),
        "partitions": {"type": "array", "description": "Where it was put in force just now."},
    },
    ("scope", "version", "sha256"),
)
_COUNT = {"type": "integer", "minimum": 0}
_BACKTEST = _open(
    "Which recorded decisions would be others.",
    {
        "scope": _text("Whose policies were tried: the tenant, or `platform`."),
        "looked_at": {**_COUNT, "description": "Intents of which the candidate has a say."},
        "unchanged": _COUNT,
        "changed": _COUNT,
        "undetermined": {**_COUNT, "description": "What the candidate asks is not recorded."},
        "before_policy": {**_COUNT, "description": "Ran before decisions were recorded."},
        "refused_before_policy": _COUNT,
        "seconds": {"type": "number"},
        "intents_per_second": _COUNT,
        "ranges": {"type": "array", "description": "What was read of each partition."},
        "notes": {"type": "array", "items": _text()},
        "groups": {
            "type": "array",
            "items": _open(
                "Changes of one kind, with the first of them.",
                {
                    "tenant_id": _text(),
                    "intent_type": _text(),
                    "transition": _text(),
                    "baseline": _text(),
                    "recorded": {"type": "array", "items": _text("A rule that decided it.")},
                    "candidate": {"type": "array", "items": _text("A rule that would.")},
                    "count": _COUNT,
                    "examples": {"type": "array"},
                },
                ("tenant_id", "intent_type", "transition", "recorded", "candidate", "count"),
            ),
        },
    },
    ("scope", "looked_at", "unchanged", "changed", "undetermined", "groups", "notes"),
)
_BACKTEST_LINE = _open(
    "How far a backtest is; in the last line, its report, or the problem that ended it.",
    {
        "progress": _open(
            "What was read by now.",
            {"records": _COUNT, "of": _COUNT, "intents": _COUNT},
            ("records", "of", "intents"),
        ),
        "report": {"$ref": REF + "BacktestReport"},
        "problem": {"$ref": REF + "Problem"},
    },
    (),
)


def components() -> JsonSchema:
    """Every schema by its name."""
    forms = (
        Acknowledged,
        BatchLine,
        Capabilities,
        ExecutionStatus,
        Health,
        NotReady,
        Place,
        Problem,
        Readiness,
        Saga,
    )
    _, named = msgspec.json.schema_components(forms, ref_template=REF + "{name}")
    return {
        **named,
        "IntentBody": intents.schema_of(intents.IntentBody),
        "SessionBody": intents.schema_of(intents.SessionBody),
        "SessionPatch": intents.schema_of(intents.SessionPatch),
        "SessionPage": _listed("items", "Session", {"cursor": {"type": ["string", "null"]}}),
        "SignalBody": intents.schema_of(controls.SignalBody),
        "RetryBody": intents.schema_of(controls.RetryBody),
        "ReasonBody": intents.schema_of(controls.ReasonBody),
        "ReplayBody": intents.schema_of(replays.ReplayBody),
        "Replayed": _REPLAYED,
        "ValidationReport": _VALIDATION,
        "Execution": _EXECUTION,
        "ExecutionEvents": _listed("events", "Event", {"execution_id": _text()}),
        "ExecutionPage": _listed("items", "Execution", {"cursor": {"type": ["string", "null"]}}),
        "Event": _EVENT,
        "WalRow": _ROW,
        "WalPage": _listed(
            "items",
            "WalRow",
            {
                "cursor": {"type": ["string", "null"]},
                "notes": {
                    "type": "array",
                    "items": _text(),
                    "description": "What is not kept any more, in words.",
                },
            },
        ),
        "EventStream": _open(
            "One server-sent event; `data` is the journaled event, or of `end` id and status.",
            {"id": _text("The event's index."), "event": _text(), "data": _text("JSON.")},
            ("event", "data"),
        ),
        "Document": {"type": "object"},
        "Text": _text(),
        "Session": _SESSION,
        "PolicyTexts": intents.schema_of(policies.PolicyTexts),
        "PolicyQuestion": intents.schema_of(policies.PolicyQuestion),
        "PolicyVersion": _POLICIES,
        "PolicyPage": _listed("items", "PolicyVersion", {}),
        "PolicyAnswer": _open(
            "What policy says, stage by stage, up to the first that refuses.",
            {"allowed": {"type": "boolean"}, "stages": {"type": "array"}},
            ("allowed", "stages"),
        ),
        "BacktestBody": intents.schema_of(backtests.BacktestBody),
        "BacktestReport": _BACKTEST,
        "BacktestLine": _BACKTEST_LINE,
        "SessionEvents": _listed("events", "Event", {"session_id": _text()}),
    }
