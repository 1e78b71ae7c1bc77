"""What a replay answers, as JSON: the same over HTTP and on the command line. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from msgspec import Struct

from symphainy_processors.replay.history import At, History, Kept, Moment, last_good
from symphainy_runtime.journal.documents import (
    error_document,
    event_document,
    planned,
    raw,
    reference_document,
)
from symphainy_runtime.policy.telling import decision_document
from symphainy_schemas.records import Checkpoint, Error, PlanStep, PolicyDecision, Reference
from symphainy_schemas.state import (
    ExecutionState,
    SessionState,
    Signal,
    StateMarker,
    StepState,
    TenantState,
)
from symphainy_schemas.state import digest as digest_of

_HIDDEN = frozenset({"payload", "token", "solution_context", "metadata", "input"})
_JSON = frozenset({"result", "data", "attributes", "output"})
Body = ExecutionState | SessionState | TenantState | StateMarker


def audit_trail(history: History) -> dict[str, Any]:
    """Mode `events_only`: every event with its place, and the hash of its record's bytes."""
    return {
        "mode": "events_only",
        "execution_id": history.execution_id,
        "partition": history.partition,
        "first_offset": history.first,
        "last_offset": history.last,
        "records": len(history.records),
        "events": list(events(history.partition, history.records)),
    }


def events(partition: int, records: Iterable[Kept]) -> Iterable[dict[str, Any]]:
    """The events of records, in order."""
    for kept in records:
        digest = sha256(kept.value).hexdigest()
        for index, event in enumerate(kept.record.events):
            document = event_document(kept.record, partition, kept.offset, index, event)
            yield {**document, "record_sha256": digest}


def as_of(history: History, asked: At) -> dict[str, Any]:
    """Mode `state_only`: the state as of then, and the last in which nothing had gone wrong.

    Raises:
        CallerError: `before_execution`.
    """
    then = history.upto(asked)
    moments = list(then.moments())
    moment, good = moments[-1], last_good(moments)
    return {
        "mode": "state_only",
        "execution_id": history.execution_id,
        "partition": history.partition,
        "asked": {"offset": asked.offset, "at": asked.at},
        "as_of": place(moment),
        "newest": then.last == history.last,
        "records": len(then.records),
        "state": state_document(moment.state),
        "state_sha256": digest(moment.state),
        "last_known_good": good and {**place(good), "state": state_document(good.state)},
    }


def place(moment: Moment) -> dict[str, int]:
    """Where a state stands in the journal."""
    record = moment.kept.record
    return {"offset": moment.kept.offset, "at": record.at, "term": record.term, "seq": record.seq}


def digest(body: Body) -> str:
    """What two states share if and only if they are the same, hidden members included."""
    return digest_of(body).hex()


def state_document(body: Body) -> dict[str, Any]:
    """A state as surfaces show it: hashes instead of payloads, no tokens."""
    return _members(body)


def _members(body: Struct) -> dict[str, Any]:
    return {
        name: _value(name, getattr(body, name))
        for name in body.__struct_fields__
        if name not in _HIDDEN
    }


def _value(name: str, value: Any) -> Any:
    if isinstance(value, Reference):
        return reference_document(value)
    if isinstance(value, Error):
        return error_document(value)
    if isinstance(value, PolicyDecision):
        return decision_document(value)
    if isinstance(value, PlanStep):
        return planned(value)
    if isinstance(value, StepState | Checkpoint | Signal):
        return _members(value)
    if isinstance(value, bytes):
        return raw(value) if name in _JSON else value.hex()
    if isinstance(value, tuple):
        return [_value(name, one) for one in value]
    if isinstance(value, dict):
        return {key: raw(one) if isinstance(one, bytes) else one for key, one in value.items()}
    return value
