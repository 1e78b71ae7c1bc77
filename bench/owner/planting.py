"""Waiting executions, written into the journal while no owner runs: by the real deciders and the
real writer, under a term like an owner's. It is the quickest way to many of them.

What an owner folds cannot be told from what it decided itself; only `intents` and `steps` hold
nothing of it, so no position moves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from confluent_kafka import KafkaError, Message, TopicPartition

from bench.owner.feeding import STALL_S, Stalled
from symphainy_processors.admission.decide import Known, admit
from symphainy_processors.fold.evolve import evolve_execution
from symphainy_processors.fold.plans import MAIN_STEP, find_step
from symphainy_processors.moment import Moment
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.saga import decide as saga
from symphainy_runtime.journal.validity import Validity, judge, record_hash
from symphainy_runtime.journal.writer import Heading, JournalWriter, Positions, ownership_taken
from symphainy_runtime.policy.defaults import BUILT_IN
from symphainy_runtime.policy.engine import Policies
from symphainy_runtime.policy.facts import Facts
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas import ids
from symphainy_schemas.codec import decode
from symphainy_schemas.events import Event, JournalRecord, StepReady
from symphainy_schemas.records import (
    Capability,
    Error,
    Intent,
    PolicyDecision,
    ReportKind,
    StepReport,
)
from symphainy_schemas.state import ExecutionState, SessionState
from symphainy_transport.clients import bounds, consumer, producer
from symphainy_transport.clock import SystemClock
from symphainy_transport.topics import DAY_MS, JOURNAL, Topics

OWNER = "bench-planter"
NOTE = "x" * 240  # a payload of about 300 bytes, as in the other benchmarks
_NOT_YET = Error(code="retryable_error", message="not yet", step=MAIN_STEP, retryable=True)
Due = Callable[[int], int]  # of the n-th execution: ms since the epoch, 0 for ready at once


def waiting(every: int, partitions: int, now: int) -> Due:
    """One in so many of every partition sleeps for a day, the others are ready."""
    return lambda n: 0 if n // partitions % every else now + DAY_MS + n


class Planter:
    """Writes executions of one capability into all partitions. No owner may run meanwhile."""

    def __init__(self, settings: RuntimeSettings, tenant: str, capability: Capability) -> None:
        """The tenant and the capability are in `config` already."""
        self._settings = settings
        self._tenant = tenant
        self._policies = Policies(BUILT_IN, None)
        self._capability = capability
        self._topic = Topics(settings.topic_prefix).name(JOURNAL)
        self._clock = SystemClock()
        self._start_by_ms = OwnerOptions().start_by_ms
        self.planted = 0

    def plant(self, count: int, due: Due = lambda _: 0) -> None:
        """Plant so many, spread evenly: ready and waiting for their turn, or asleep until due.

        Raises:
            Stalled: Kafka did not take them.
        """
        partitions = self._settings.partitions
        for p in range(partitions):
            self._plant(p, range(self.planted + p, self.planted + count, partitions), due)
        self.planted += count

    def _plant(self, p: int, numbers: range, due: Due) -> None:
        bed = _Bed(self._settings, self._topic, p, self._clock.now_ms)
        session = f"ses-{p}-{self._clock.now_ms():032x}"
        opened = self._open(bed, session)
        for number in numbers:
            for heading, events in self._decisions(p, opened, number, due(number)):
                bed.write(heading, events)
        bed.close()

    def _open(self, bed: _Bed, session: str) -> SessionState:
        intent = self._intent(session, f"open-{session}", "runtime.open_session", {})
        bed.write(
            self._heading(intent, bed.partition), admit(intent, self._known(bed.partition, intent))
        )
        return SessionState(
            session_id=session,
            tenant_id=self._tenant,
            principal="bench",
            attributes=b"{}",
            opened_at=self._clock.now_ms(),
        )

    def _decisions(
        self, p: int, session: SessionState, number: int, due_at: int
    ) -> Iterator[tuple[Heading, tuple[Event, ...]]]:
        payload = {"number": number, "note": NOTE, "until": due_at}
        intent = self._intent(
            session.session_id, f"planted-{number:09d}", self._capability.name, payload
        )
        heading = self._heading(intent, p)
        events = admit(intent, self._known(p, intent, session))
        events += saga.on_admitted(events)
        if not due_at:
            yield heading, events
            return
        now = self._clock.now_ms()
        start_by = now + self._start_by_ms
        ready = events[-1]
        assert isinstance(ready, StepReady)
        timeout_ms = self._capability.timeout_ms
        dispatched = saga.delivery(None, ready, timeout_ms, f"{number:022d}", start_by)
        events = (*events[:-1], dispatched)
        yield heading, events
        state = _folded(heading, events, now)
        yield heading, saga.on_report(state, self._failed(state, due_at - now), Moment(now, 0.5))

    def _failed(self, state: ExecutionState, after_ms: int) -> StepReport:
        step = find_step(state, MAIN_STEP)
        assert step is not None
        return StepReport(
            kind=ReportKind.FAILED,
            execution_id=state.execution_id,
            session_id=state.session_id,
            tenant_id=state.tenant_id,
            step=step.step,
            attempt=step.attempt,
            delivery=step.delivery,
            token=step.token,
            dispatched_at=step.dispatched_at,
            worker="bench",
            at=0,
            error=_NOT_YET,
            retry_after_ms=after_ms,
        )

    def _decide(self, intent: Intent) -> PolicyDecision:
        return self._policies.decide(Facts(intent, intent.created_at))

    def _known(self, p: int, intent: Intent, session: SessionState | None = None) -> Known:
        return Known(
            partition=p,
            execution=None,
            session=session,
            tenant_exists=True,
            decide=lambda: self._decide(intent),
            capability=self._capability,
            contract=None,
        )

    def _intent(self, session: str, intent_id: str, intent_type: str, payload: object) -> Intent:
        return Intent(
            intent_id=intent_id,
            intent_type=intent_type,
            realm=intent_type.split(".")[0],
            session_id=session,
            tenant_id=self._tenant,
            principal="bench",
            correlation_id=intent_id,
            payload=msgspec.json.encode(payload),
            metadata=b"{}",
            solution_context=b"",
            created_at=self._clock.now_ms(),
        )

    def _heading(self, intent: Intent, p: int) -> Heading:
        return Heading(
            tenant_id=self._tenant,
            session_id=intent.session_id,
            execution_id=ids.execution_id(self._tenant, intent.session_id, intent.intent_id, p),
            correlation_id=intent.correlation_id,
        )


def _folded(heading: Heading, events: tuple[Event, ...], now: int) -> ExecutionState:
    record = JournalRecord(
        term=0,
        seq=0,
        at=now,
        intents_next=0,
        steps_next=0,
        acted_to=-1,
        prev_hash=b"",
        tenant_id=heading.tenant_id,
        session_id=heading.session_id,
        execution_id=heading.execution_id,
        correlation_id=heading.correlation_id,
        events=events,
    )
    state = None
    for event in events:
        state = evolve_execution(state, record, 0, event)
    assert state is not None
    return state


class _Bed:
    """One partition's journal under a term of ours."""

    def __init__(
        self, settings: RuntimeSettings, topic: str, partition: int, clock: Callable[[], int]
    ) -> None:
        self.partition = partition
        self._topic = topic
        self._clock = clock
        self._producer = producer(settings, OWNER, linger_ms=5, batch_size=1_000_000)
        self._doubt: list[str] = []
        before, self._positions, acted_to = _last(settings, topic, partition)
        taken = ownership_taken(OWNER, clock(), before, self._positions, acted_to)
        self._next = before.offset + 1
        self._produce(b"", taken)
        term = judge(taken, self._next - 1, before).standing
        self._writer = JournalWriter(term, before)

    def write(self, heading: Heading, events: tuple[Event, ...]) -> None:
        """One decision. No task of it was sent, and none must be sent again."""
        _, value = self._writer.write(
            self._clock(), heading, events, self._positions, self._next - 1
        )
        self._produce(heading.execution_id.encode(), value)

    def _produce(self, key: bytes, value: bytes) -> None:
        expected, self._next = self._next, self._next + 1

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None or message.offset() != expected:
                self._doubt.append(f"{error}, {message.offset()} instead of {expected}")

        while True:
            try:
                self._producer.produce(
                    self._topic, value, key or None, self.partition, on_delivery=delivered
                )
            except BufferError:
                self._producer.poll(1.0)
            else:
                self._producer.poll(0.0)
                return

    def close(self) -> None:
        """Wait until everything stands."""
        if self._producer.flush(STALL_S) or self._doubt:
            raise Stalled(f"the journal did not take it: {self._doubt[:1]}")


def _last(settings: RuntimeSettings, topic: str, p: int) -> tuple[Validity, Positions, int]:
    """Where the journal stands; its last record counts, since nobody else writes."""
    reading = consumer(settings, f"{OWNER}-last")
    try:
        _, end = bounds(reading, TopicPartition(topic, p))
        if not end:
            return Validity(), Positions(), -1
        reading.assign([TopicPartition(topic, p, end - 1)])
        message = reading.poll(STALL_S)
        value = None if message is None else message.value()
        if value is None:
            raise Stalled(f"the end of {topic}/{p} cannot be read")
        record = decode(value, JournalRecord)
        standing = Validity(record.term, record.seq, end - 1, record_hash(value))
        if record.term < 0:  # an OwnershipTaken: its offset is its term
            standing = judge(value, end - 1, Validity()).standing
        return standing, Positions(record.intents_next, record.steps_next), record.acted_to
    finally:
        reading.close()
