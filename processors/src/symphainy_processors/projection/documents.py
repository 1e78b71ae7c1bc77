"""Documents of the read model: JSON of heads, outcomes and requests. Pure."""

from __future__ import annotations

from symphainy_runtime.journal.documents import raw, reference_document, to_json
from symphainy_schemas import events as e


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
            "roles": event.roles,
            "authentication": event.authentication or None,
            "credential": event.credential or None,
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


def asked(
    record: e.JournalRecord,
    event: e.CancelRequested | e.CompensationRequested | e.ExecutionPaused,
) -> str:
    """Who asked for it, when, and why."""
    return to_json({"reason": event.reason, "by": event.principal, "at": record.at})


def of_session(
    record: e.JournalRecord,
    event: e.SessionChanged | e.SessionClosed | e.SessionExpired | e.SessionSwept,
) -> list[str | int]:
    """The fields of a session's hash that an event changes, each with its value."""
    match event:
        case e.SessionChanged():
            return ["attributes", event.attributes.decode()]
        case e.SessionSwept():
            return ["closing", "false"]
        case e.SessionClosed():
            status, reason = "closed", event.reason
        case _:
            status, reason = "expired", "idle" if event.idle else "lifetime"
    ending = {"reason": reason, "mode": "cancel" if event.cancels else "drain"}
    told: list[str | int] = ["status", status, "closed_at", record.at, "ending", to_json(ending)]
    return [*told, "closing", "true"] if event.cancels else told


def is_over(event: e.Event) -> bool:
    """Whether a session is over with it, and nothing is left to be asked to end for that."""
    closed = isinstance(event, e.SessionClosed | e.SessionExpired) and not event.cancels
    return closed or isinstance(event, e.SessionSwept)
