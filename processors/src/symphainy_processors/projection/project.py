"""What a journal record changes in the read model, as Redis commands. Pure.

A command is a list whose first item is its name and whose second is its key. `STATUS`, `STARTED`,
`ENDED`, `OVER` and `TRIM` are the script's own: the first sets an execution's status and moves it
between the status indexes, the next two count the versions of capabilities that live executions
have, the next notes that a session is over, and the last takes out of the indexes what ended longer
ago than the retention, and such sessions with their documents.
"""

from __future__ import annotations

from typing import Any

import msgspec

from symphainy_processors.projection.documents import asked, head, is_over, of_session, outcome
from symphainy_runtime.journal.documents import (
    error_document,
    event_document,
    planned,
    raw,
    to_json,
)
from symphainy_runtime.policy.telling import decision_document
from symphainy_runtime.read_model.keys import Keys
from symphainy_schemas import events as e
from symphainy_schemas.ids import is_compensation
from symphainy_schemas.state import ExecutionStatus

Command = list[str | int]
TRIMMED_AT_ONCE = 1_000  # some 5 ms of Redis, and more than a batch can end
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
Governing = e.PolicyActivated | e.TenantSuspended | e.TenantResumed
_GOVERNING = (e.PolicyActivated, e.TenantSuspended, e.TenantResumed)
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
            # What has left the read model does not come back by half.
            return Projected([["RPUSHX", *one[1:]] for one in self._events(record, offset)], None)
        commands: list[Command] = []
        fields: dict[str, str] = {"as_of": str(offset)}
        status = ""
        for event in record.events:
            status = self._event(commands, fields, record, offset, event) or status
            if isinstance(event, _GOVERNING):
                commands.append(self._governed(event, offset))
        key = self._keys.execution(record.execution_id)
        hset: Command = ["HSET", key]
        for name, value in fields.items():
            hset += (name, value)
        commands.append(hset)
        started = any(isinstance(one, e.ExecutionStarted) for one in record.events)
        if started:
            commands.append(self._started(record))
            running = self._keys.running(record.session_id)
            commands.append(["ZADD", running, record.at, record.execution_id])
        commands += self._events(record, offset)
        told = ""
        if status:
            root = self._keys.by_status(record.tenant_id, "")
            commands.append(["STATUS", key, status, record.execution_id, root, record.at])
            if ExecutionStatus(status).ended:
                place: Command = [record.execution_id, record.session_id, status, record.tenant_id]
                commands.append(["ENDED", key, self._keys.ended, record.at, *place])
                if started or not isinstance(record.events[0], e.IntentReceived):
                    running = self._keys.running(record.session_id)
                    commands.append(["ZREM", running, record.execution_id])
                told = key
                expiry = record.at + self._retention_ms
                events = self._keys.events(record.execution_id)
                commands.append(["PEXPIREAT", key, expiry])
                commands.append(["PEXPIREAT", events, expiry])
        return Projected(commands, (record.execution_id, status, told))

    def trim(self, at: int) -> Command:
        """What takes out of the indexes what has expired at journaled time `at`, a bounded number
        a call."""
        expired = at - self._retention_ms
        return ["TRIM", self._keys.ended, self._keys.root, expired, TRIMMED_AT_ONCE, at]

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
                fields["head"] = head(record, offset, event)
                self._index(commands, record, event)
            case e.SessionOpened():
                commands += self._session_opened(record, offset, event)
            case e.SessionChanged() | e.SessionClosed() | e.SessionExpired() | e.SessionSwept():
                key = self._keys.session(record.session_id)
                commands.append(["HSET", key, "as_of", offset, *of_session(record, event)])
                if is_over(event):
                    place: Command = [record.at, record.session_id, record.tenant_id]
                    commands.append(["OVER", self._keys.ended, *place])
            case e.IntentRejected() | e.ExecutionFailed():
                fields["error"] = to_json(error_document(event.error))
                fields["ended_at"] = str(record.at)
            case e.ExecutionSucceeded():
                fields["ended_at"] = str(record.at)
                if event.result:
                    fields["outcome"] = to_json({"result": raw(event.result)})
            case e.ExecutionCancelled():
                fields["ended_at"] = str(record.at)
            case e.StepSucceeded():
                name = "outcome" if _is_alone(record) else f"outcome:{event.step}"
                fields[name] = outcome(record, event)
            case e.CapabilityResolved() if event.plan:
                fields["plan"] = to_json([planned(one) for one in event.plan])
            case _:
                _of_the_whole(fields, record, event)
        if type(event) in STEP_STATUS:
            _step(fields, event, record.at)
        undoing = type(event) in _OF_A_HANDLER and is_compensation(event.step)  # type: ignore[union-attr]
        return _UNDOING.get(type(event), "") if undoing else _STATUS.get(type(event), "")

    def _index(
        self, commands: list[Command], record: e.JournalRecord, event: e.IntentReceived
    ) -> None:
        for key in (
            self._keys.by_session(record.tenant_id, record.session_id),
            self._keys.by_tenant(record.tenant_id),
            self._keys.by_type(record.tenant_id, event.intent_type),
        ):
            commands.append(["ZADD", key, record.at, record.execution_id])

    def _started(self, record: e.JournalRecord) -> Command:
        """The versions of its capability, and of its steps', are the execution's until it ends."""
        versions = {
            f"{name}@{version}"
            for event in record.events
            if isinstance(event, e.CapabilityResolved)
            for name, version in (
                (event.name, event.version),
                *((one.intent_type, one.version) for one in event.plan),
            )
        }
        key = self._keys.execution(record.execution_id)
        return ["STARTED", key, to_json(sorted(versions))]

    def _session_opened(
        self, record: e.JournalRecord, offset: int, event: e.SessionOpened
    ) -> list[Command]:
        """Its document, without what an earlier session of that id left, and its place."""
        head = {
            "session_id": record.session_id,
            "tenant_id": record.tenant_id,
            "user_id": event.principal,
            "opened_at": record.at,
            "attributes": raw(event.attributes),
            "idle_ms": event.idle_ms,
            "expires_at": record.at + event.lifetime_ms if event.lifetime_ms else None,
            "at_expiry": "cancel" if event.cancels else "drain",
        }
        key = self._keys.session(record.session_id)
        own = self._keys.sessions(record.tenant_id)
        return [
            ["DEL", key],
            ["HSET", key, "head", to_json(head), "status", "open", "as_of", str(offset)],
            ["ZADD", own, record.at, record.session_id],
        ]

    def _governed(self, event: Governing, offset: int) -> Command:
        hset: Command = ["HSET", self._keys.governed(event.scope), "as_of", offset]
        if isinstance(event, e.PolicyActivated):
            return [*hset, "policy_version", event.version, "policy_sha256", event.sha256.hex()]
        suspended = isinstance(event, e.TenantSuspended)
        return [*hset, "suspended", int(suspended), "reason", event.reason if suspended else ""]

    def _events(self, record: e.JournalRecord, offset: int) -> list[Command]:
        key = self._keys.events(record.execution_id)
        documents: list[str | int] = [
            to_json(event_document(record, self._keys.partition, offset, index, event))
            for index, event in enumerate(record.events)
        ]
        return [
            ["RPUSH", key, *documents[start : start + _PUSH_AT_ONCE]]
            for start in range(0, len(documents), _PUSH_AT_ONCE)
        ]


def _of_the_whole(fields: dict[str, str], record: e.JournalRecord, event: e.Event) -> None:
    """What was decided and asked of an execution, and how its plan ends otherwise than well."""
    match event:
        case e.PolicyValidated():
            fields["decision"] = to_json(decision_document(event.decision))
        case e.CancelRequested():
            fields["cancel"] = asked(record, event)
        case e.CompensationRequested():
            fields["compensation"] = asked(record, event)
        case e.ExecutionPaused():
            fields["paused"] = asked(record, event)
        case e.ExecutionResumed():
            fields["paused"] = to_json(None)
        case e.CompensationStarted() if event.error is not None:
            fields["error"] = to_json(error_document(event.error))
        case e.ExecutionStuck():
            fields["error"] = to_json(error_document(event.error))
        case e.StepRetryRequested() if not is_compensation(event.step):
            fields["error"] = to_json(None)
        case e.ExecutionCompensated():
            fields["error"] = to_json(event.error and error_document(event.error))
            fields["ended_at"] = str(record.at)


def _is_alone(record: e.JournalRecord) -> bool:
    """Whether the step that succeeded answers the intent by itself: its result is the
    execution's."""
    return any(isinstance(one, e.ExecutionSucceeded) and not one.result for one in record.events)


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
            document |= {"error": error_document(event.error), "ended_at": at}
        case e.StepRetryScheduled() if name in fields:  # why it is tried again
            failed = msgspec.json.decode(fields[name])
            document |= {"error": failed["error"]} if "error" in failed else {}
        case e.StepSuspended():
            document["waits"] = event.waits
        case e.StepStarted():
            began = {one: document[one] for one in ("delivery", "worker", "started_at")}
            fields[f"began:{event.step}"] = to_json(began)
    fields[name] = to_json(document)
