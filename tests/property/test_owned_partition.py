"""One partition under fire: workers that lie, brokers that redeliver, owners that die.

Invariants, checked after every step:
- fold(journal) equals the live state once everything is acknowledged (G8);
- an intent is received once, and an execution ends at most once (G2);
- a signal is had once if it was taken, and never if it was refused (G6);
- what is to end begins nothing more, and ends as cancelled unless it had succeeded or failed (G7);
- what rests begins nothing until it is resumed (G7);
- workers are told to end only what a request that stands is about (G7);
- a task is sent only after its dispatch stands in the journal, under a number of its own (G4, G13);
- positions never pass an input that is not decided (G1);
- when all is quiet, every execution whose worker answered has ended (G1, G5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import count

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.fold.layout import is_idle, is_live
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.owner.deciding import Shell
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.owner.partition import OwnedPartition
from symphainy_processors.owner.ports import Appended, Input, Sent, SentOnce
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_runtime.journal.writer import Positions, ownership_taken
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.codec import encode
from symphainy_schemas.records import (
    CancelNotice,
    Capability,
    DeadLetter,
    Determinism,
    Error,
    Intent,
    PolicySet,
    ReportKind,
    StepReport,
    Task,
    Tenant,
    Wait,
)
from symphainy_schemas.state import ExecutionState
from symphainy_transport.topics import INTENTS, STEPS

WINDOW_MS = 10**12
APPENDED_AT = 10**12  # the broker's clock is never behind
OPTIONS = OwnerOptions(partitions=1, dedupe_window_ms=WINDOW_MS, start_by_ms=1_000, skew_ms=100)
SESSION = "ses-0-" + "0" * 32
CAPABILITY = Capability(
    name="work.do",
    version=1,
    realm="work",
    handler="do",
    description="",
    input_contract=b'{"type":"object","required":["n"]}',
    output_contract=b"",
    determinism=Determinism.DETERMINISTIC,
    timeout_ms=50,
    attempts=3,
    backoff_ms=10,
    backoff_factor=2.0,
    backoff_max_ms=100,
    registered_at=0,
    registered_by="test",
)
GRANT = Wait("signal:grant:1", 0, "grant")
ACME = Tenant(tenant_id="acme", version=1, display_name="", shard_size=0, created_at=0)


class World:
    """Time and chance under the test's hand."""

    def __init__(self) -> None:
        self.now = 1_000
        self._tokens = count()

    def now_ms(self) -> int:
        return self.now

    def token(self) -> str:
        return f"token-{next(self._tokens)}"

    def jitter(self) -> float:
        return 0.5

    def capability(self, intent_type: str) -> Capability | None:
        return CAPABILITY if intent_type == CAPABILITY.name else None

    def tenant(self, tenant_id: str) -> Tenant | None:
        return ACME if tenant_id == "acme" else None

    def policies(self, scope: str, version: int, sha256: bytes) -> PolicySet | None:
        return None

    def refresh(self) -> None:
        """Nothing changes."""


class Log:
    """The journal with its appends in flight, the tasks, the steps: a log that loses nothing
    acknowledged, and an owner's port on it."""

    def __init__(self) -> None:
        self.journal: list[bytes] = []
        self.steps: list[bytes] = []
        self.tasks: list[Task] = []
        self.letters: list[DeadLetter] = []
        self.notices: list[CancelNotice] = []
        self.flying: list[tuple[bytes, Appended]] = []
        self.sending: list[tuple[Task | DeadLetter, SentOnce]] = []

    def append(self, partition: int, key: bytes, value: bytes, appended: Appended) -> None:
        self.flying.append((value, appended))

    def send(self, task: Task, sent: SentOnce) -> None:
        self.sending.append((task, sent))

    def submit(self, partition: int, intent: Intent, sent: Sent) -> None:
        raise AssertionError("nothing is invoked")

    def notify(self, notice: CancelNotice) -> None:
        self.notices.append(notice)

    def mark(self, partition: int, marker: StepReport) -> None:
        self.steps.append(encode(marker))

    def dead_letter(self, letter: DeadLetter, sent: Sent) -> None:
        self.sending.append((letter, lambda _: sent()))

    def next_turn(self) -> None:
        """Nothing depends on it."""

    def serve(self, timeout_s: float) -> None:
        """The test completes what it will."""

    def flush(self, timeout_s: float) -> int:
        return len(self)

    def gather(self, pause_s: float) -> None:
        """The test completes what it will."""

    def __len__(self) -> int:
        return len(self.flying) + len(self.sending)

    def land(self) -> None:
        value, appended = self.flying.pop(0)
        self.journal.append(value)
        appended(len(self.journal) - 1, APPENDED_AT)

    def deliver(self) -> None:
        one, sent = self.sending.pop(0)
        self.arrive(one)
        sent(True)

    def doubt(self, arrives: bool) -> None:
        """A task's delivery report says lost; it may stand there all the same."""
        one, sent = self.sending.pop(0)
        if arrives:
            self.arrive(one)
        sent(False)

    def arrive(self, one: Task | DeadLetter) -> None:
        if isinstance(one, Task):
            self.tasks.append(one)
        else:
            self.letters.append(one)


def valid_records(journal: list[bytes]) -> list[tuple[Validity, e.JournalRecord]]:
    """What every reader takes, each with the standing after it."""
    standing, found = Validity(), []
    for offset, value in enumerate(journal):
        stored = judge(value, offset, standing)
        standing = stored.standing
        if stored.valid and stored.record is not None:
            found.append((standing, stored.record))
    return found


def folded(journal: list[bytes]) -> PartitionState:
    """State as a restart sees it."""
    state = PartitionState(WINDOW_MS)
    for standing, record in valid_records(journal):
        state.settle(state.apply(record, standing))
    state.flush()
    return state


class PartitionUnderFire(RuleBasedStateMachine):
    """Everything that can happen to one partition."""

    def __init__(self) -> None:
        super().__init__()
        self.world, self.log = World(), Log()
        self.intents: list[bytes] = []
        self.number = count()
        self.owned = self._take()
        self._intent("runtime.open_session", "open", {})

    def _take(self) -> OwnedPartition:
        state = folded(self.log.journal)
        before = state.settled.standing
        self.log.journal.append(
            ownership_taken(
                "o",
                self.world.now,
                before,
                Positions(state.intents_next, state.steps_next),
                state.acted_to,
            )
        )
        state = folded(self.log.journal)
        shell = Shell("o", self.log, self.world, Contracts(), OPTIONS)
        owned = OwnedPartition(0, state, state.settled.standing, before, shell)
        owned.take_over()
        return owned

    def _intent(self, intent_type: str, intent_id: str, payload: Mapping[str, object]) -> None:
        self.intents.append(
            encode(
                Intent(
                    intent_id=intent_id,
                    intent_type=intent_type,
                    realm=intent_type.split(".")[0],
                    session_id=SESSION,
                    tenant_id="acme",
                    principal="ann",
                    correlation_id=intent_id,
                    payload=msgspec.json.encode(payload),
                    metadata=b"{}",
                    solution_context=b"",
                    created_at=0,
                )
            )
        )

    # --- the world ----------------------------------------------------------------------------

    @rule(again=st.booleans(), good=st.booleans())
    def producer_states_an_intent(self, again: bool, good: bool) -> None:
        number = next(self.number)
        name = f"intent-{max(0, number - 1) if again else number}"
        self._intent("work.do", name, {"n": 1} if good else {})

    @rule(size=st.integers(2, 5), landing=st.integers(0, 5), sent=st.integers(0, 5))
    def a_burst_is_decided(self, size: int, landing: int, sent: int) -> None:
        """Several decisions in flight at once, some of them acknowledged, some of those sent."""
        for _ in range(size):
            self._intent("work.do", f"intent-{next(self.number)}", {"n": 1})
        self._read_everything()
        for _ in range(min(landing, len(self.log.flying))):
            self.log.land()
        for _ in range(min(sent, len(self.log.sending))):
            self.log.deliver()

    @rule(numbers=st.lists(st.integers(0, 5), min_size=1, max_size=3), landing=st.integers(0, 7))
    def signals_are_decided_and_the_owner_dies(self, numbers: list[int], landing: int) -> None:
        """A death may come between the two records of a signal."""
        for number in numbers:
            target = ids.execution_id("acme", SESSION, f"intent-{number}", 0)
            told = {"execution_id": target, "name": "grant", "data": number}
            self._intent("runtime.signal", f"signal-{next(self.number)}", told)
        self._read_everything()
        self.owner_dies(landing, 0, 0)

    @rule(
        verb=st.sampled_from(("cancel", "pause", "pause", "resume", "resume")),
        number=st.integers(0, 5),
        dies=st.booleans(),
        landing=st.integers(0, 7),
    )
    def somebody_asks(self, verb: str, number: int, dies: bool, landing: int) -> None:
        target = ids.execution_id("acme", SESSION, f"intent-{number}", 0)
        told = {"execution_id": target, "reason": "why not"}
        self._intent(f"runtime.{verb}", f"{verb}-{next(self.number)}", told)
        if dies:
            self._read_everything()
            self.owner_dies(landing, 0, 0)

    @rule(garbage=st.binary(min_size=1, max_size=20))
    def somebody_writes_garbage(self, garbage: bytes) -> None:
        self.intents.append(garbage)
        self.log.steps.append(garbage)

    @rule(data=st.data())
    @precondition(lambda self: self.log.tasks)
    def worker_reports(self, data: st.DataObject) -> None:
        """Any task ever sent may be answered, late, twice, or by a worker that lies."""
        task = data.draw(st.sampled_from(self.log.tasks))
        kind = data.draw(st.sampled_from(list(ReportKind)))
        honest = data.draw(st.integers(0, 9)) > 0
        error = Error(code="x", message="x", retryable=data.draw(st.booleans()))
        nap = Wait("sleep:1", self.world.now + data.draw(st.integers(0, 100)))
        waits = data.draw(st.sampled_from([(), (nap,), (GRANT,), (nap, GRANT)]))
        self.log.steps.append(
            encode(
                StepReport(
                    kind=kind,
                    execution_id=task.execution_id,
                    session_id=task.session_id,
                    tenant_id="acme" if honest else "evil",
                    step=task.step,
                    attempt=task.attempt,
                    delivery=task.delivery,
                    token=task.token if honest else "guess",
                    dispatched_at=task.dispatched_at,
                    worker="w",
                    at=self.world.now,
                    name=data.draw(st.sampled_from(["a", "b"])),
                    result=b"1",
                    error=error if kind is ReportKind.FAILED else None,
                    waits=waits if kind is ReportKind.SUSPENDED else (),
                )
            )
        )

    @rule(ms=st.integers(0, 200))
    def time_passes(self, ms: int) -> None:
        self.world.now += ms
        self.owned.tick()

    @rule(steps=st.booleans(), repeat=st.booleans())
    def owner_reads(self, steps: bool, repeat: bool) -> None:
        source = self.log.steps if steps else self.intents
        positions = self.owned.positions
        offset = positions.steps_next if steps else positions.intents_next
        topic = STEPS if steps else INTENTS
        if repeat and offset:
            self._take_in(topic, offset - 1, source)
        if offset < len(source):
            self._take_in(topic, offset, source)

    @rule()
    @precondition(lambda self: self.log.flying)
    def kafka_acknowledges_an_append(self) -> None:
        self.log.land()

    @rule()
    @precondition(lambda self: self.log.sending)
    def kafka_acknowledges_a_task(self) -> None:
        self.log.deliver()

    @rule(arrives=st.booleans())
    @precondition(lambda self: self.log.sending and isinstance(self.log.sending[0][0], Task))
    def a_task_times_out(self, arrives: bool) -> None:
        self.log.doubt(arrives)

    @rule(landing=st.integers(0, 3), sent=st.integers(0, 3), late=st.integers(0, 2))
    def owner_dies(self, landing: int, sent: int, late: int) -> None:
        """Some of what flew lands before the successor's term, some after it, some never."""
        ghosts = [value for value, _ in self.log.flying]
        self.log.journal += ghosts[:landing]
        for one, _ in self.log.sending[:sent]:
            self.log.arrive(one)
        self.log.flying, self.log.sending = [], []
        self.owned = self._take()
        self.log.journal += ghosts[landing : landing + late]
        if late and ghosts[landing : landing + late]:
            # Our next append then stands elsewhere than counted for: doubt, and a new term.
            self._settle()

    @rule()
    @precondition(lambda self: self.log.flying)
    def an_append_times_out(self) -> None:
        """Its delivery report says lost; those behind it land all the same (rule 2)."""
        _, lost = self.log.flying.pop(0)
        lost(None, 0)
        self._settle()

    def _settle(self) -> None:
        while self.log.flying:
            self.log.land()
        if self.owned.lost or self.owned.ledger.in_flight:
            self.log.sending = []
        self.owned = self._take()

    # --- what must hold -----------------------------------------------------------------------

    @invariant()
    def replay_equals_memory(self) -> None:
        if self.log.flying or self.owned.lost:
            return
        everything = self.owned.state.everything()
        assert folded(self.log.journal).everything() == everything
        counted = [sum(map(count, everything.values())) for count in (is_live, is_idle)]
        assert counted == [self.owned.state.live, self.owned.state.idle]

    @invariant()
    def an_intent_is_decided_once(self) -> None:
        received, ended = Counter[str](), Counter[str]()
        causes = Counter[e.Position]()
        for _, record in valid_records(self.log.journal):
            if record.cause is not None and not _applies(record):
                causes[record.cause] += 1
            for event in record.events:
                received[record.execution_id] += isinstance(event, e.IntentReceived)
                ended[record.execution_id] += isinstance(
                    event,
                    e.IntentRejected
                    | e.ExecutionSucceeded
                    | e.ExecutionFailed
                    | e.ExecutionCancelled,
                )
        assert all(n <= 1 for n in received.values())
        assert all(n <= 1 for n in ended.values())
        assert all(n == 1 for n in causes.values())

    @invariant()
    def a_signal_is_had_once_if_it_is_taken(self) -> None:
        had = Counter[e.Position]()
        for _, record in valid_records(self.log.journal):
            if record.cause is None:
                continue
            if any(isinstance(event, e.SignalReceived) for event in record.events):
                had[record.cause] += 1
            elif any(
                isinstance(x, e.IntentReceived) and x.intent_type == "runtime.signal"
                for x in record.events
            ):
                taken = isinstance(record.events[-1], e.ExecutionSucceeded)
                assert had[record.cause] == taken
        assert all(n == 1 for n in had.values())

    @invariant()
    def what_is_to_end_begins_nothing_more(self) -> None:
        asked: set[str] = set()
        begins = e.StepReady | e.StepDispatched | e.StepRetryScheduled
        for _, record in valid_records(self.log.journal):
            for event in record.events:
                if isinstance(event, e.CancelRequested):
                    assert record.execution_id not in asked
                    asked.add(record.execution_id)
                elif isinstance(event, begins):
                    assert record.execution_id not in asked
                elif isinstance(event, e.ExecutionCancelled):
                    assert record.execution_id in asked

    @invariant()
    def what_rests_begins_nothing_until_it_is_resumed(self) -> None:
        rests: set[str] = set()
        for _, record in valid_records(self.log.journal):
            for event in record.events:
                if isinstance(event, e.ExecutionPaused):
                    assert record.execution_id not in rests
                    rests.add(record.execution_id)
                elif isinstance(event, e.ExecutionResumed):
                    rests.remove(record.execution_id)
                elif isinstance(event, e.StepReady | e.StepDispatched):
                    assert record.execution_id not in rests
                elif isinstance(event, e.StepHeld):
                    assert record.execution_id in rests

    @invariant()
    def who_is_told_to_end_was_asked_to(self) -> None:
        """By a request that stands, of a delivery that stands."""
        asked: set[str] = set()
        deliveries: set[tuple[str, str, int]] = set()
        for _, record in valid_records(self.log.journal):
            for event in record.events:
                if isinstance(event, e.CancelRequested | e.DeadlinePassed):
                    asked.add(record.execution_id)
                elif isinstance(event, e.StepDispatched):
                    deliveries.add((record.execution_id, event.step, event.delivery))
        for notice in self.log.notices:
            assert notice.execution_id in asked
            assert (notice.execution_id, notice.step, notice.delivery) in deliveries

    @invariant()
    def tasks_stand_in_the_journal_each_under_its_number(self) -> None:
        journaled = {
            (record.execution_id, event.attempt, event.delivery): standing.offset
            for standing, record in valid_records(self.log.journal)
            for event in record.events
            if isinstance(event, e.StepDispatched)
        }
        sent = [*self.log.tasks, *(one for one, _ in self.log.sending if isinstance(one, Task))]
        numbers = [(task.execution_id, task.attempt, task.delivery) for task in sent]
        assert len(set(numbers)) == len(numbers)
        for task, number in zip(sent, numbers, strict=True):
            assert journaled[number] == task.dispatched_at

    @invariant()
    def no_intent_is_passed_over(self) -> None:
        causes = {
            record.cause.offset
            for _, record in valid_records(self.log.journal)
            if record.cause is not None and record.cause.topic == "intents" and not _applies(record)
        }
        letters = {letter.offset for letter in self.log.letters if letter.topic == "intents"}
        state = folded(self.log.journal)
        assert set(range(state.intents_next)) <= causes | letters

    def teardown(self) -> None:
        """Once all is quiet, workers answer honestly and nothing rests, every execution ends, and
        every effect is acknowledged."""
        while self.log.flying:
            self.log.land()
        if self.owned.lost:
            self.log.sending = []
            self.owned = self._take()
        for _ in range(400):
            while self.log.flying:
                self.log.land()
            while self.log.sending:
                self.log.deliver()
            self._read_everything()
            everything = self.owned.state.everything().values()
            open_ones = [
                s for s in everything if isinstance(s, ExecutionState) and not s.status.ended
            ]
            ledger = self.owned.ledger
            all_acted = ledger.acted_to == ledger.next_offset - 1
            if not open_ones and not self.log.flying and all_acted:
                return
            for state in open_ones:
                if state.paused:
                    told = {"execution_id": state.execution_id}
                    self._intent("runtime.resume", f"resume-{next(self.number)}", told)
                self._answer(state.execution_id)
            self.world.now += 50
            self.owned.tick()
        raise AssertionError("an execution never ends, or an effect is never acknowledged")

    def _read_everything(self) -> None:
        """As far as nothing waits for a dead letter."""
        for topic, source in ((INTENTS, self.intents), (STEPS, self.log.steps)):
            for offset in range(self._position(topic), len(source)):
                self._take_in(topic, offset, source)

    def _position(self, topic: str) -> int:
        positions = self.owned.positions
        return positions.intents_next if topic == INTENTS else positions.steps_next

    def _take_in(self, topic: str, offset: int, source: list[bytes]) -> None:
        self.owned.take(Input(topic, 0, offset, b"", source[offset]))

    def _answer(self, execution_id: str) -> None:
        tasks = [task for task in self.log.tasks if task.execution_id == execution_id]
        for task in tasks[-1:]:
            self.log.steps.append(
                encode(
                    StepReport(
                        kind=ReportKind.SUCCEEDED,
                        execution_id=execution_id,
                        session_id=SESSION,
                        tenant_id="acme",
                        step=task.step,
                        attempt=task.attempt,
                        delivery=task.delivery,
                        token=task.token,
                        dispatched_at=task.dispatched_at,
                        worker="w",
                        at=self.world.now,
                    )
                )
            )


def _applies(record: e.JournalRecord) -> bool:
    """Whether it does to an execution what a control intent asks; another record decides that."""
    asks = e.SignalReceived | e.CancelRequested | e.ExecutionPaused | e.ExecutionResumed
    return any(isinstance(event, asks) for event in record.events)


TestPartitionUnderFire = PartitionUnderFire.TestCase
TestPartitionUnderFire.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


def test_the_session_is_on_the_partition_under_test() -> None:
    assert ids.partition_of(SESSION) == 0
