"""Documents of the read model: JSON of events, heads, outcomes and errors. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from symphainy_schemas import events as e
from symphainy_schemas.records import Error, PlanStep, Reference

_encoder = msgspec.json.Encoder()


def event_document(
    record: e.JournalRecord, partition: int, offset: int, index: int, event: e.Event
) -> dict[str, Any]:
    """An event as every surface shows it: what, where in the log, why, and its own members."""
    cause = record.cause
    return {
        "id": f"{partition}-{offset}-{index}",
        "type": e.event_type(event),
        "at": record.at,
        "topic": "journal",
        "partition": partition,
        "offset": offset,
        "index": index,
        "term": record.term,
        "seq": record.seq,
        "cause": cause
        and {"topic": cause.topic, "partition": cause.partition, "offset": cause.offset},
        "parent": f"{partition}-{record.parent}" if record.parent >= 0 else None,
        "tenant_id": record.tenant_id,
        "session_id": record.session_id,
        "execution_id": record.execution_id,
        "correlation_id": record.correlation_id,
        "data": _members(event),
    }


_HIDDEN = frozenset({"payload", "token", "solution_context", "metadata", "input"})
_JSON_MEMBERS = frozenset({"result", "data", "value", "attributes", "output", "outcome"})


def _members(event: e.Event) -> dict[str, Any]:
    """The event's own members: references instead of payloads, no tokens."""
    members: dict[str, Any] = {}
    for name in event.__struct_fields__:
        if name in _HIDDEN:
            continue
        value = getattr(event, name)
        if isinstance(value, Reference):
            value = reference_document(value)
        elif isinstance(value, Error):
            value = error_document(value)
        elif name == "plan":
            value = [planned(one) for one in value]
        elif isinstance(value, bytes):
            value = raw(value) if name in _JSON_MEMBERS else value.hex()
        members[name] = value
    return members


def head(record: e.JournalRecord, offset: int, event: e.IntentReceived) -> str:
    return to_json(
        {
            "execution_id": record.execution_id,
            "intent_id": event.intent_id,
            "intent_type": event.intent_type,
            "realm": event.realm,
            "session_id": record.session_id,
            "tenant_id": record.tenant_id,
            "user_id": event.principal,
            "correlation_id": record.correlation_id,
            "causation_id": event.causation_id or None,
            "created_at": event.created_at,
            "started_at": record.at,
            "payload_sha256": event.payload_sha256.hex(),
            "payload_ref": event.payload_ref and reference_document(event.payload_ref),
            "metadata": raw(event.metadata),
            "wal": record.cause
            and {
                "topic": record.cause.topic,
                "partition": record.cause.partition,
                "offset": record.cause.offset,
            },
            "journal_offset": offset,
        }
    )


def planned(one: PlanStep) -> dict[str, Any]:
    """A step of a plan as every surface shows it."""
    return {
        "step": one.step,
        "intent_type": one.intent_type,
        "version": one.version,
        "realm": one.realm,
        "needs": one.needs,
        "condition": raw(one.condition),
        "for_each": raw(one.for_each),
        "at_most": one.at_most or None,
        "compensation": one.compensation or None,
    }


def outcome(record: e.JournalRecord, event: e.StepSucceeded) -> str:
    """What the handler returned: it stands beside the success in the same decision. Nothing was
    returned beside the success of a step that had nothing to be run for."""
    beside = record.events if event.delivery else ()
    return to_json(
        {
            "at": record.at,
            "result": raw(event.result),
            "artifacts": {
                one.name: reference_document(one.reference)
                for one in beside
                if isinstance(one, e.ArtifactRecorded)
            },
            "events": [
                {"type": one.event_type, "data": raw(one.data)}
                for one in beside
                if isinstance(one, e.EventEmitted)
            ],
            "state_changes": [
                {"key": one.key, "value": raw(one.value)}
                for one in beside
                if isinstance(one, e.StateChanged)
            ],
        }
    )


def reference_document(reference: Reference) -> dict[str, Any]:
    """A reference as every surface shows it."""
    return {
        "uri": reference.uri,
        "sha256": reference.sha256.hex(),
        "size": reference.size,
        "media_type": reference.media_type,
    }


def asked(
    record: e.JournalRecord,
    event: e.CancelRequested | e.CompensationRequested | e.ExecutionPaused,
) -> str:
    """Who asked for it, when, and why."""
    return to_json({"reason": event.reason, "by": event.principal, "at": record.at})


def error_document(error: Error) -> dict[str, Any]:
    return {name: getattr(error, name) for name in error.__struct_fields__}


def to_json(value: Any) -> str:
    """JSON as text: the script's MessagePack knows no byte strings."""
    return _encoder.encode(value).decode()


def raw(text: bytes) -> Any:
    """JSON as it is; null where a producer of another make wrote something else."""
    if not text:
        return None
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return msgspec.Raw(text)
