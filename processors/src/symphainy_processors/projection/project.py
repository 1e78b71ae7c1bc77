"""What a journal record changes in the read model, as Redis commands. Pure.

A command is a list whose first item is its name and whose second is its key. `STATUS` is the
script's own: it sets an execution's status and moves it between the status indexes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from symphainy_runtime.read_model.keys import Keys
from symphainy_schemas import events as e
from symphainy_schemas.ids import is_compensation
from symphainy_schemas.records import Error, PlanStep, Reference
from symphainy_schemas.state import ExecutionStatus

Command = list[str | int]
_encoder = msgspec.json.Encoder()
_PUSH_AT_ONCE = 1_000  # Lua unpacks a command's arguments onto a stack of about 8,000
_STATUS: dict[type, ExecutionStatus] = {
    e.IntentReceived: ExecutionStatus.ACCEPTED,
    e.ExecutionStarted: ExecutionStatus.RUNNING,
    e.StepSuspended: ExecutionStatus.WAITING,
    e.StepResumed: ExecutionStatus.RUNNING,
    e.StepCancelled: ExecutionStatus.RUNNING,
    e.IntentRejected: ExecutionStatus.REJECTED,
    e.ExecutionSucceeded: ExecutionStatus.SUCCEEDED,
    e.ExecutionFailed: ExecutionStatus.FAILED,
    e.ExecutionCancelled: ExecutionStatus.CANCELLED,
    e.CompensationStarted: ExecutionStatus.COMPENSATING,
    e.ExecutionStuck: ExecutionStatus.STUCK,
    e.StepRetryRequested: ExecutionStatus.RUNNING,
    e.ExecutionCompensated: ExecutionStatus.COMPENSATED,
}
_UNDOING: dict[type, ExecutionStatus] = {e.StepRetryRequested: ExecutionStatus.COMPENSATING}
_OF_A_HANDLER = frozenset({e.StepSuspended, e.StepResumed, e.StepCancelled, e.StepRetryRequested})


class Projected(msgspec.Struct, frozen=True):
    """The commands of one record, and whom they concern: (execution id, status, key) or None.

    The key is that of the document once the execution has ended: waiters then need not ask for it.
    """

    commands: list[Command]
    change: tuple[str, str, str] | None


class Projection:
    """Projects one partition's valid records."""

    def __init__(self, keys: Keys, retention_ms: int) -> None:
        """Ended executions stay for `retention_ms` of journaled time."""
        self._keys = keys
        self._retention_ms = retention_ms

    def project(self, record: e.JournalRecord, offset: int) -> Projected:
        """The record's commands, in order."""
        if not record.execution_id:
            return Projected([], None)
        if isinstance(record.events[0], e.IntentRepeated):
            return Projected(self._events(record, offset), None)
        commands: list[Command] = []
        fields: dict[str, str] = {"as_of": str(offset)}
        status = ""
        for event in record.events:
            status = self._event(commands, fields, record, offset, event) or status
        key = self._keys.execution(record.execution_id)
        hset: Command = ["HSET", key]
        for name, value in fields.items():
            hset += (name, value)
        commands.append(hset)
        commands += self._events(record, offset)
        told = ""
        if status:
            root = self._keys.by_status(record.tenant_id, "")
            commands.append(["STATUS", key, status, record.execution_id, root, record.at])
            if ExecutionStatus(status).ended:
                told = key
                expiry = record.at + self._retention_ms
                events = self._keys.events(record.execution_id)
                commands.append(["PEXPIREAT", key, expiry])
                commands.append(["PEXPIREAT", events, expiry])
        return Projected(commands, (record.execution_id, status, told))

    def _event(
        self,
        commands: list[Command],
        fields: dict[str, str],
        record: e.JournalRecord,
        offset: int,
        event: e.Event,
    ) -> str:
        """Collect what one event changes; the status that it leads to, or empty."""
        match event:
            case e.IntentReceived():
                fields["head"] = _head(record, offset, event)
                self._index(commands, record, event)
            case e.SessionOpened():
                commands.append(self._session_opened(record, offset, event))
            case e.SessionClosed():
                key = self._keys.session(record.session_id)
                commands.append(
                    ["HSET", key, "status", "closed", "closed_at", record.at, "as_of", offset]
                )
            case e.IntentRejected() | e.ExecutionFailed():
                fields["error"] = _json(_error(event.error))
                fields["ended_at"] = str(record.at)
            case e.ExecutionSucceeded():
                fields["ended_at"] = str(record.at)
                if event.result:
                    fields["outcome"] = _json({"result": _raw(event.result)})
            case e.ExecutionCancelled():
                fields["ended_at"] = str(record.at)
            case e.StepSucceeded():
                name = "outcome" if _is_alone(record) else f"outcome:{event.step}"
                fields[name] = _outcome(record, event)
            case e.CapabilityResolved() if event.plan:
                fields["plan"] = _json([_planned(one) for one in event.plan])
            case _:
                _of_a_plan(fields, record, event)
        if type(event) in STEP_STATUS:
            _step(fields, event, record.at)
        undoing = type(event) in _OF_A_HANDLER and is_compensation(event.step)  # type: ignore[union-attr]
        return _UNDOING.get(type(event), "") if undoing else _STATUS.get(type(event), "")

    def _index(
        self, commands: list[Command], record: e.JournalRecord, event: e.IntentReceived
    ) -> None:
        for key in (
            self._keys.by_session(record.session_id),
            self._keys.by_tenant(record.tenant_id),
            self._keys.by_type(record.tenant_id, event.intent_type),
        ):
            commands.append(["ZADD", key, record.at, record.execution_id])

    def _session_opened(
        self, record: e.JournalRecord, offset: int, event: e.SessionOpened
    ) -> Command:
        head = {
            "session_id": record.session_id,
            "tenant_id": record.tenant_id,
            "user_id": event.principal,
            "opened_at": record.at,
            "attributes": _raw(event.attributes),
        }
        key = self._keys.session(record.session_id)
        return ["HSET", key, "head", _json(head), "status", "open", "as_of", str(offset)]

    def _events(self, record: e.JournalRecord, offset: int) -> list[Command]:
        key = self._keys.events(record.execution_id)
        documents: list[str | int] = [
            _json(event_document(record, self._keys.partition, offset, index, event))
            for index, event in enumerate(record.events)
        ]
        return [
            ["RPUSH", key, *documents[start : start + _PUSH_AT_ONCE]]
            for start in range(0, len(documents), _PUSH_AT_ONCE)
        ]


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
_JSON_MEMBERS = frozenset({"result", "data", "value", "attributes", "output"})


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
            value = _error(value)
        elif name == "plan":
            value = [_planned(one) for one in value]
        elif isinstance(value, bytes):
            value = _raw(value) if name in _JSON_MEMBERS else value.hex()
        members[name] = value
    return members


def _head(record: e.JournalRecord, offset: int, event: e.IntentReceived) -> str:
    return _json(
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
            "metadata": _raw(event.metadata),
            "wal": record.cause
            and {
                "topic": record.cause.topic,
                "partition": record.cause.partition,
                "offset": record.cause.offset,
            },
            "journal_offset": offset,
        }
    )


def _of_a_plan(fields: dict[str, str], record: e.JournalRecord, event: e.Event) -> None:
    """What was asked of an execution, and how its plan ends otherwise than well."""
    match event:
        case e.CancelRequested():
            fields["cancel"] = _asked(record, event)
        case e.CompensationRequested():
            fields["compensation"] = _asked(record, event)
        case e.ExecutionPaused():
            fields["paused"] = _asked(record, event)
        case e.ExecutionResumed():
            fields["paused"] = _json(None)
        case e.CompensationStarted() if event.error is not None:
            fields["error"] = _json(_error(event.error))
        case e.ExecutionStuck():
            fields["error"] = _json(_error(event.error))
        case e.StepRetryRequested() if not is_compensation(event.step):
            fields["error"] = _json(None)
        case e.ExecutionCompensated():
            fields["error"] = _json(event.error and _error(event.error))
            fields["ended_at"] = str(record.at)


def _is_alone(record: e.JournalRecord) -> bool:
    """Whether the step that succeeded answers the intent by itself: its result is the
    execution's."""
    return any(isinstance(one, e.ExecutionSucceeded) and not one.result for one in record.events)


def _planned(one: PlanStep) -> dict[str, Any]:
    """A step of a plan as every surface shows it."""
    return {
        "step": one.step,
        "intent_type": one.intent_type,
        "version": one.version,
        "realm": one.realm,
        "needs": one.needs,
        "condition": _raw(one.condition),
        "compensation": one.compensation or None,
    }


def _outcome(record: e.JournalRecord, event: e.StepSucceeded) -> str:
    """What the handler returned: it stands beside the success in the same decision."""
    return _json(
        {
            "at": record.at,
            "result": _raw(event.result),
            "artifacts": {
                one.name: reference_document(one.reference)
                for one in record.events
                if isinstance(one, e.ArtifactRecorded)
            },
            "events": [
                {"type": one.event_type, "data": _raw(one.data)}
                for one in record.events
                if isinstance(one, e.EventEmitted)
            ],
            "state_changes": [
                {"key": one.key, "value": _raw(one.value)}
                for one in record.events
                if isinstance(one, e.StateChanged)
            ],
        }
    )


# What a step shows after each event; one that closes an old delivery shows nothing new.
STEP_STATUS: dict[type, str] = {
    e.StepReady: "ready",
    e.StepDispatched: "dispatched",
    e.StepStarted: "started",
    e.StepCheckpointed: "started",
    e.StepProgressed: "started",
    e.StepSucceeded: "succeeded",
    e.StepFailed: "failed",
    e.StepRetryScheduled: "backing_off",
    e.StepHandedBack: "ready",
    e.StepSuspended: "suspended",
    e.StepResumed: "ready",
    e.StepCancelled: "cancelled",
    e.StepHeld: "held",
    e.StepSkipped: "skipped",
}


def _step(fields: dict[str, str], event: Any, at: int) -> None:
    """The step as its latest event tells it; beside it, who began its latest delivery and when,
    which later events of that do not say again."""
    name = f"step:{event.step}"
    document: dict[str, Any] = {"step": event.step, "status": STEP_STATUS[type(event)]}
    for member in ("attempt", "delivery", "worker", "started_at", "ended_at", "due_at"):
        if hasattr(event, member):
            document[member] = getattr(event, member)
    match event:
        case e.StepFailed():
            document |= {"error": _error(event.error), "ended_at": at}
        case e.StepRetryScheduled() if name in fields:  # why it is tried again
            failed = msgspec.json.decode(fields[name])
            document |= {"error": failed["error"]} if "error" in failed else {}
        case e.StepSuspended():
            document["waits"] = event.waits
        case e.StepStarted():
            began = {one: document[one] for one in ("delivery", "worker", "started_at")}
            fields[f"began:{event.step}"] = _json(began)
    fields[name] = _json(document)


def reference_document(reference: Reference) -> dict[str, Any]:
    """A reference as every surface shows it."""
    return {
        "uri": reference.uri,
        "sha256": reference.sha256.hex(),
        "size": reference.size,
        "media_type": reference.media_type,
    }


def _asked(
    record: e.JournalRecord,
    event: e.CancelRequested | e.CompensationRequested | e.ExecutionPaused,
) -> str:
    """Who asked for it, when, and why."""
    return _json({"reason": event.reason, "by": event.principal, "at": record.at})


def _error(error: Error) -> dict[str, Any]:
    return {name: getattr(error, name) for name in error.__struct_fields__}


def _json(value: Any) -> str:
    """JSON as text: the script's MessagePack knows no byte strings."""
    return _encoder.encode(value).decode()


def _raw(text: bytes) -> Any:
    """JSON as it is; null where a producer of another make wrote something else."""
    if not text:
        return None
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return msgspec.Raw(text)
