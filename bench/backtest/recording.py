"""A million recorded intents in minutes: what an owner writes, without running one.

The real admission, deciders, fold, journal writer and codecs decide and write each partition's
`intents` and `journal`; only workers and `steps` are left out. Of ten executions eight report
their start and success at once, two record three `ctx.step` results first. What one process has
recorded it writes to several partitions: a copy says nothing new, but costs its reader the same.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from itertools import count

import msgspec
from confluent_kafka import KafkaError, Message
from msgspec.structs import replace

from bench.owner.feeding import STALL_S, Stalled
from symphainy_processors.admission.decide import Known, admit
from symphainy_processors.fold.evolve import evolve_execution
from symphainy_processors.fold.plans import MAIN_STEP, find_step
from symphainy_processors.moment import Moment
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.saga import decide as saga
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_runtime.journal.writer import Heading, JournalWriter, Positions, ownership_taken
from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.facts import Facts
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.codec import encode
from symphainy_schemas.events import Event, JournalRecord, Position, StepReady
from symphainy_schemas.records import Capability, Determinism, Intent, ReportKind, StepReport
from symphainy_schemas.state import ExecutionState, SessionState
from symphainy_transport.clients import producer
from symphainy_transport.clock import SystemClock
from symphainy_transport.topics import INTENTS, JOURNAL, Topics

OWNER = "bench-recorder"
TYPES, PRINCIPALS, ROLES, SESSIONS, CUSTOMERS = 20, 50, 10, 64, 50
NOTE = "x" * 200  # a payload of about 300 bytes, as in the other benchmarks
CHECKPOINTS = ("extract", "transform", "load")
_clock = SystemClock()


class Wish(msgspec.Struct, frozen=True):
    """What is recorded: so many intents of a tenant, whose payloads hold so many numbers; `copies`
    partitions hold the same."""

    settings: RuntimeSettings
    tenant: str
    intents: int
    numbers: int
    copies: int


def record(wish: Wish, processes: int) -> int:
    """Write all partitions of new topics; the number of journal records.

    Raises:
        Stalled: Kafka did not take them.
    """
    partitions = wish.settings.partitions
    groups = [range(p, min(p + wish.copies, partitions)) for p in range(0, partitions, wish.copies)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return sum(pool.starmap(_record, [(wish, group) for group in groups], chunksize=1))


def _record(wish: Wish, partitions: range) -> int:
    recording = _Recording(wish, partitions[0])
    recording.record(wish.intents // wish.settings.partitions)
    for p in partitions:
        for topic, values in ((INTENTS, recording.intents), (JOURNAL, recording.journal)):
            _write(wish.settings, topic, p, values)
    return len(partitions) * len(recording.journal)


def _write(settings: RuntimeSettings, topic: str, p: int, values: list[bytes]) -> None:
    """Into a partition of a new topic; what does not stand where it is expected is told."""
    name, expected = Topics(settings.topic_prefix).name(topic), count()
    doubt: list[str] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None or message.offset() != next(expected):
            doubt.append(f"{error}, at {message.offset()}")

    out = producer(settings, OWNER, linger_ms=20, batch_size=1_000_000)
    for value in values:
        while True:
            try:
                out.produce(name, value, partition=p, on_delivery=delivered)
                break
            except BufferError:
                out.poll(1.0)
        out.poll(0.0)
    if out.flush(STALL_S) or doubt:
        raise Stalled(f"{name} did not take it: {doubt[:1]}")


class _Recording:
    def __init__(self, wish: Wish, p: int) -> None:
        self._wish, self._p = wish, p
        self._policies = Policies(BUILT_IN, None)
        self.intents: list[bytes] = []
        self.journal: list[bytes] = []
        self._positions = Positions()
        self._capabilities = [_capability(number) for number in range(TYPES)]
        self._start_by_ms = OwnerOptions().start_by_ms
        taken = ownership_taken(OWNER, _clock.now_ms(), Validity(), self._positions, -1)
        self.journal.append(taken)
        self._writer = JournalWriter(judge(taken, 0, Validity()).standing, Validity())

    def record(self, intents: int) -> None:
        """Open sessions, and run so many executions to their end."""
        sessions = [self._open(f"ses-{self._p}-{number:032x}") for number in range(SESSIONS)]
        for number in range(intents - SESSIONS):
            intent = self._intent(number, sessions[number % SESSIONS].session_id)
            self._run(number, intent, sessions[number % SESSIONS])

    def _open(self, session_id: str) -> SessionState:
        intent = replace(
            self._intent(0, session_id),
            intent_id=f"open-{session_id}",
            correlation_id=f"open-{session_id}",
            intent_type="runtime.open_session",
            realm="runtime",
            payload=b"{}",
        )
        heading = self._heading(intent)
        self._decide(heading, admit(intent, self._known(intent, None, None)), intent.created_at)
        return SessionState(
            session_id=session_id,
            tenant_id=intent.tenant_id,
            principal=intent.principal,
            attributes=b"{}",
            opened_at=intent.created_at,
        )

    def _run(self, number: int, intent: Intent, session: SessionState) -> None:
        capability = self._capabilities[number % TYPES]
        now = intent.created_at
        heading = self._heading(intent)
        events = admit(intent, self._known(intent, session, capability))
        events += saga.on_admitted(events)
        ready = events[-1]
        assert isinstance(ready, StepReady), events
        dispatched = saga.delivery(
            None, ready, capability.timeout_ms, f"{number:022d}", now + self._start_by_ms
        )
        state = self._decide(heading, (*events[:-1], dispatched), now)
        for report in _reports(number, state, now):
            state = self._decide(
                replace(heading, cause=None),
                saga.on_report(state, report, Moment(now, 0.5)),
                now,
                state,
            )

    def _decide(
        self,
        heading: Heading,
        events: tuple[Event, ...],
        now: int,
        state: ExecutionState | None = None,
    ) -> ExecutionState:
        offset = len(self.journal)
        written, value = self._writer.write(now, heading, events, self._positions, offset - 1)
        self.journal.append(value)
        return _folded(state, written, offset)

    def _heading(self, intent: Intent) -> Heading:
        """Of the decision of an intent, which comes into the write-ahead log here."""
        offset = len(self.intents)
        self.intents.append(encode(intent))
        self._positions.intents_next = offset + 1
        return Heading(
            cause=Position(INTENTS, self._p, offset),
            tenant_id=intent.tenant_id,
            session_id=intent.session_id,
            execution_id=ids.execution_id(
                intent.tenant_id, intent.session_id, intent.intent_id, self._p
            ),
            correlation_id=intent.correlation_id,
        )

    def _known(
        self, intent: Intent, session: SessionState | None, capability: Capability | None
    ) -> Known:
        return Known(
            partition=self._p,
            execution=None,
            session=session,
            tenant_exists=True,
            decide=lambda: self._policies.decide(Facts(intent, intent.created_at)),
            capability=capability,
            contract=None,
        )

    def _intent(self, number: int, session: str) -> Intent:
        payload = {
            "number": number % self._wish.numbers,
            "run": number,
            "customer": f"customer-{number // 7 % CUSTOMERS:03d}",
            "note": NOTE,
        }
        intent_id = f"i{number:09d}"
        return Intent(
            intent_id=intent_id,
            intent_type=f"bench.one_{number % TYPES}",
            realm="bench",
            session_id=session,
            tenant_id=self._wish.tenant,
            principal=f"p{number // 3 % PRINCIPALS}",
            correlation_id=intent_id,
            payload=msgspec.json.encode(payload),
            metadata=b"{}",
            solution_context=b"",
            created_at=_clock.now_ms(),
            roles=(f"role{number // 3 % PRINCIPALS % ROLES}",),
            attributes=b'{"department":"sales","level":3}',
            authentication="api_key",
        )


def _reports(number: int, state: ExecutionState, now: int) -> Iterator[StepReport]:
    step = find_step(state, MAIN_STEP)
    assert step is not None
    kinds = [(ReportKind.SUCCEEDED, "")]
    if number % 10 < 2:
        kinds = [*((ReportKind.CHECKPOINT, name) for name in CHECKPOINTS), *kinds]
    for kind, name in kinds:
        yield StepReport(
            kind=kind,
            execution_id=state.execution_id,
            session_id=state.session_id,
            tenant_id=state.tenant_id,
            step=step.step,
            attempt=step.attempt,
            delivery=step.delivery,
            token=step.token,
            dispatched_at=step.dispatched_at,
            worker="bench-worker",
            at=now,
            started_at=now,
            name=name,
            result=b'{"ok":true,"step":1}',
        )


def _folded(state: ExecutionState | None, record: JournalRecord, offset: int) -> ExecutionState:
    for event in record.events:
        state = evolve_execution(state, record, offset, event)
    assert state is not None
    return state


def _capability(number: int) -> Capability:
    return Capability(
        name=f"bench.one_{number}",
        version=1,
        realm="bench",
        handler="one",
        description="",
        input_contract=b'{"type":"object"}',
        output_contract=b"",
        determinism=Determinism.DETERMINISTIC,
        timeout_ms=300_000,
        attempts=5,
        backoff_ms=10,
        backoff_factor=1.0,
        backoff_max_ms=10,
        registered_at=0,
        registered_by="bench",
    )
