"""What a partition's journal tells of policy: each intent as it was judged, and what was decided.

Pure. It is fed with valid records in their order. A session's principal and the target of a control
intent are facts of policy that stand in earlier records: they are kept as they pass by, if a
candidate asks for them at all. What stands before the first record fed is never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from symphainy_runtime.policy.actions import CONTROLS, EXPIRE_SESSION, GOVERNANCE, REPLAY
from symphainy_runtime.policy.facts import Facts
from symphainy_schemas.events import (
    IntentReceived,
    IntentRejected,
    JournalRecord,
    PolicyValidated,
    SessionChanged,
    SessionOpened,
)
from symphainy_schemas.records import Intent, PolicyDecision, Tenant

_OF_SESSIONS = frozenset({SessionOpened, SessionChanged})
INTENTS = "intents"
"""The topic that the cause of an intent's decision names."""


class Unknown(Exception):
    """A fact that was asked may stand before what was read. `name` is the id of what it is of."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Session(Struct, frozen=True, gc=False):
    """What policy sees of a session; `opened_at` is journaled time, ms since the epoch, and
    `offset` the record's place, -1 where that is not known. `changed_at` is when its attributes
    became these; 0: they are those that it was opened with."""

    principal: str
    opened_at: int = 0
    offset: int = -1
    attributes: bytes = b"{}"
    changed_at: int = 0


class Target(Struct, frozen=True, gc=False):
    """What policy sees of an execution; time and place are of its admission. `window_ms` is its own
    dedupe window, 0 where it has none."""

    tenant_id: str
    intent_type: str
    principal: str
    realm: str
    opened_at: int = 0
    offset: int = -1
    window_ms: int = 0


Standing = Session | Target


class Reads(Struct, frozen=True):
    """How admission reads what an intent asks for, which is the deciders' to know.

    `target` answers the id of the execution of which a control intent asks something, or None;
    `scope` what an intent that governs would govern, or "". Both must be importable by name.
    """

    target: Callable[[Intent], str | None]
    scope: Callable[[Intent], str]


class Judged(Struct, frozen=True, gc=False, kw_only=True):
    """One intent of which policy was asked, or would have been.

    `offset` is the record's place in the journal, `intents_offset` the intent's in the write-ahead
    log (-1: not told); `at` is the decision's journaled time, ms since the epoch. `decision` is
    None where history is older than policies on record: then the intent was let pass.
    """

    offset: int
    intents_offset: int
    at: int
    execution_id: str
    intent: Intent
    decision: PolicyDecision | None
    accepted: bool  # admission refused it for no other reason either
    opens: bool  # its session did not exist before

    @property
    def tenant_id(self) -> str:
        """Whose intent it is."""
        return self.intent.tenant_id

    @property
    def intent_type(self) -> str:
        """Of what type."""
        return self.intent.intent_type


class Refused(Struct, frozen=True, gc=False):
    """An intent that was refused before policy was asked."""

    tenant_id: str
    intent_type: str
    intents_offset: int


def read(record: JournalRecord, offset: int) -> Judged | Refused | None:
    """What a valid record says of an intent's admission; None if it is about something else."""
    events = record.events
    if not events or type(events[0]) is not IntentReceived:
        return None
    received = events[0]
    if received.intent_type == EXPIRE_SESSION:  # of which policy is not asked
        return None
    second = events[1] if len(events) > 1 else None
    decision = second.decision if type(second) is PolicyValidated else None
    cause = record.cause
    place = cause.offset if cause is not None and cause.topic == INTENTS else -1
    if decision is None and type(second) is IntentRejected:
        return Refused(record.tenant_id, received.intent_type, place)
    return Judged(
        offset=offset,
        intents_offset=place,
        at=record.at,
        execution_id=record.execution_id,
        intent=_intent(record, received),
        decision=decision,
        accepted=type(events[-1]) is not IntentRejected,
        opens=SessionOpened in map(type, events),
    )


def _intent(record: JournalRecord, received: IntentReceived) -> Intent:
    return Intent(
        intent_id=received.intent_id,
        intent_type=received.intent_type,
        realm=received.realm,
        session_id=record.session_id,
        tenant_id=record.tenant_id,
        principal=received.principal,
        correlation_id=record.correlation_id,
        causation_id=received.causation_id,
        payload=received.payload,
        payload_ref=received.payload_ref,
        metadata=received.metadata,
        solution_context=received.solution_context,
        created_at=received.created_at,
        traceparent=received.traceparent,
        priority=received.priority,
        roles=received.roles,
        attributes=received.attributes,
        authentication=received.authentication,
        credential=received.credential,
    )


class Memory:
    """Sessions and executions of one partition, as far as a candidate asks for them."""

    def __init__(
        self, *, sessions: bool = True, targets: bool = True, window_ms: int, whole: bool
    ) -> None:
        """`whole`: nothing stands before the first record, so what was not seen is not there.

        An execution that was admitted longer ago than `window_ms` may be forgotten by its owner,
        and may not: that is not known here.
        """
        self._keep_sessions, self._keep_targets = sessions, targets
        self._window_ms = window_ms
        self._whole = whole
        self._seen: dict[str, Standing] = {}
        self._changed: dict[str, list[tuple[int, bytes]]] = {}  # where, and to what
        self._earlier: Mapping[str, Standing] | None = None

    def take(self, record: JournalRecord, offset: int) -> None:
        """Keep what a valid record brought, after its own intent was judged."""
        events = record.events
        if not events or type(events[0]) is not IntentReceived:
            return
        if self._keep_sessions and not _OF_SESSIONS.isdisjoint(map(type, events)):
            for event in events:
                if type(event) is SessionOpened:
                    opened = Session(event.principal, record.at, offset, event.attributes)
                    self._seen.setdefault(record.session_id, opened)
                elif type(event) is SessionChanged:
                    changes = self._changed.setdefault(record.session_id, [])
                    changes.append((offset, event.attributes))
        if self._keep_targets:  # whatever became of it, it is an execution of that id
            received = events[0]
            admitted = Target(
                record.tenant_id,
                received.intent_type,
                received.principal,
                received.realm,
                record.at,
                offset,
                received.dedupe_window_ms,
            )
            self._seen.setdefault(record.execution_id, admitted)

    def look_back(self, earlier: Mapping[str, Standing]) -> None:
        """From here on, what is not known is what stood before, or nothing can be said of it."""
        self._earlier = earlier

    def session(self, judged: Judged) -> Session | None:
        """The session of an intent when it was judged.

        Raises:
            Unknown: it may have been opened before what was read.
        """
        name = judged.intent.session_id
        found = None if judged.opens else self._find(name, judged)
        if not isinstance(found, Session):
            return None
        before = [x for x in self._changed.get(name, ()) if x[0] < judged.offset]
        if before:  # what is undetermined is asked once more, when later changes were read
            return replace(found, attributes=before[-1][1])
        if found.changed_at >= judged.at:  # `state` tells what became of it later
            raise Unknown(name)
        return found

    def target(self, judged: Judged, name: str | None) -> Target | None:
        """The execution `name`, of which the intent asks something.

        Raises:
            Unknown: it may have been admitted before what was read, or forgotten since.
        """
        found = None if name is None else self._find(name, judged)
        if not isinstance(found, Target):
            return None
        # Of the others, who was accepted has found it. A replay need not.
        forgettable = not judged.accepted or judged.intent_type == REPLAY
        if forgettable and judged.at - found.opened_at > (found.window_ms or self._window_ms):
            raise Unknown(found.intent_type)
        return found

    def _find(self, name: str, judged: Judged) -> Standing | None:
        seen = self._seen.get(name)
        if seen is not None:  # an id is given once: what comes later was not there before
            return seen if seen.offset < judged.offset else None
        if self._whole:
            return None
        found = None if self._earlier is None else self._earlier.get(name)
        if found is None or found.opened_at == judged.at:
            raise Unknown(name)
        return found if found.opened_at < judged.at else None


class RecordedFacts(Facts):
    """An intent as policies saw it when it was judged."""

    def __init__(
        self, judged: Judged, memory: Memory, reads: Reads, tenant: Callable[[str], Tenant | None]
    ) -> None:
        """`tenant` answers what `config` holds of a tenant; None if nothing."""
        intent = judged.intent
        self._governs = intent.intent_type in GOVERNANCE
        scope = reads.scope(intent) if self._governs else ""
        super().__init__(
            intent, judged.at, tenant(scope if self._governs else intent.tenant_id), scope=scope
        )
        self._judged, self._memory, self._reads = judged, memory, reads

    def session(self) -> Session | None:
        """The session, as in `Facts`.

        Raises:
            Unknown: it may stand before what was read of the journal.
        """
        return None if self._governs else self._memory.session(self._judged)

    def target(self) -> Target | None:
        """The target, as in `Facts`.

        Raises:
            Unknown: it may stand before what was read of the journal.
        """
        intent = self.intent
        if intent.intent_type not in CONTROLS:
            return None
        return self._memory.target(self._judged, self._reads.target(intent))
