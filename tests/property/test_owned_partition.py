"""One partition under fire: workers that lie, brokers that redeliver, owners that die.

Invariants, checked after every step:
- fold(journal) equals the live state once everything is acknowledged (G8);
- an intent is received once, and an execution ends at most once (G2);
- a task is sent only after its dispatch stands in the journal, under a number of its own (G4, G13);
- positions never pass an input that is not decided (G1);
- when all is quiet, every execution whose worker answered has ended (G1, G5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.owner.partition import OwnedPartition
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_runtime.journal.writer import Positions, ownership_taken
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.codec import encode
from symphainy_schemas.records import (
    Capability,
    DeadLetter,
    Determinism,
    Error,
    Intent,
    ReportKind,
    StepReport,
    Task,
)

WINDOW_MS = 10**12
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

    def tenant_exists(self, tenant_id: str) -> bool:
        return tenant_id == "acme"


class Log:
    """The journal with its appends in flight, the tasks, the steps: a log that loses nothing
    acknowledged, and an owner's port on it."""

    def __init__(self) -> None:
        self.journal: list[bytes] = []
        self.steps: list[bytes] = []
        self.tasks: list[Task] = []
        self.letters: list[DeadLetter] = []
        self.flying: list[tuple[bytes, Callable[[int | None], None]]] = []
        self.sending: list[tuple[Task, Callable[[], None]]] = []

    def append(
        self, partition: int, key: bytes, value: bytes, appended: Callable[[int | None], None]
    ) -> None:
        self.flying.append((value, appended))

    def send(self, task: Task, sent: Callable[[], None]) -> None:
        self.sending.append((task, sent))

    def mark(self, partition: int, marker: StepReport) -> None:
        self.steps.append(encode(marker))

    def dead_letter(self, letter: DeadLetter) -> None:
        self.letters.append(letter)

    def land(self) -> None:
        value, appended = self.flying.pop(0)
        self.journal.append(value)
        appended(len(self.journal) - 1)

    def deliver(self) -> None:
        task, sent = self.sending.pop(0)
        self.tasks.append(task)
        sent()


def valid_records(journal: list[bytes]) -> tuple[list[tuple[int, e.JournalRecord]], Validity]:
    """What every reader takes."""
    standing, found = Validity(), []
    for offset, value in enumerate(journal):
        stored = judge(value, offset, standing)
        standing = stored.standing
        if stored.valid and stored.record is not None:
            found.append((offset, stored.record))
    return found, standing


def folded(journal: list[bytes]) -> tuple[PartitionState, Validity]:
    """State as a restart sees it."""
    records, standing = valid_records(journal)
    state = PartitionState(WINDOW_MS)
    for offset, record in records:
        state.apply(record, offset)
    return state, standing


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
        state, standing = folded(self.log.journal)
        self.log.journal.append(
            ownership_taken(
                "o",
                self.world.now,
                standing,
                Positions(state.intents_next, state.steps_next),
                state.acted_to,
            )
        )
        state, standing = folded(self.log.journal)
        owned = OwnedPartition(0, state, standing, self.log, self.world, Contracts(), "o")
        owned.take_over()
        return owned

    def _intent(self, intent_type: str, intent_id: str, payload: dict[str, int]) -> None:
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
        take = self.owned.on_step if steps else self.owned.on_intent
        if repeat and offset:
            take(offset - 1, b"", source[offset - 1])
        if offset < len(source):
            take(offset, b"", source[offset])

    @rule()
    @precondition(lambda self: self.log.flying)
    def kafka_acknowledges_an_append(self) -> None:
        self.log.land()

    @rule()
    @precondition(lambda self: self.log.sending)
    def kafka_acknowledges_a_task(self) -> None:
        self.log.deliver()

    @rule(landing=st.integers(0, 3), sent=st.integers(0, 3), late=st.integers(0, 2))
    def owner_dies(self, landing: int, sent: int, late: int) -> None:
        """Some of what flew lands before the successor's term, some after it, some never."""
        ghosts = [value for value, _ in self.log.flying]
        self.log.journal += ghosts[:landing]
        self.log.tasks += [task for task, _ in self.log.sending[:sent]]
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
        lost(None)
        self._settle()

    def _settle(self) -> None:
        while self.log.flying:
            self.log.land()
        if self.owned.lost or self.owned.in_flight:
            self.log.sending = []
        self.owned = self._take()

    # --- what must hold -----------------------------------------------------------------------

    @invariant()
    def replay_equals_memory(self) -> None:
        if self.log.flying or self.owned.lost:
            return
        state, _ = folded(self.log.journal)
        assert state.executions == self.owned.state.executions
        assert state.sessions == self.owned.state.sessions

    @invariant()
    def an_intent_is_decided_once(self) -> None:
        received, ended = Counter[str](), Counter[str]()
        causes = Counter[e.Position]()
        for _, record in valid_records(self.log.journal)[0]:
            if record.cause is not None:
                causes[record.cause] += 1
            for event in record.events:
                received[record.execution_id] += isinstance(event, e.IntentReceived)
                ended[record.execution_id] += isinstance(
                    event, e.IntentRejected | e.ExecutionSucceeded | e.ExecutionFailed
                )
        assert all(n <= 1 for n in received.values())
        assert all(n <= 1 for n in ended.values())
        assert all(n == 1 for n in causes.values())

    @invariant()
    def tasks_stand_in_the_journal_each_under_its_number(self) -> None:
        journaled = {
            (record.execution_id, event.attempt, event.delivery): offset
            for offset, record in valid_records(self.log.journal)[0]
            for event in record.events
            if isinstance(event, e.StepDispatched)
        }
        sent = [*self.log.tasks, *(task for task, _ in self.log.sending)]
        numbers = [(task.execution_id, task.attempt, task.delivery) for task in sent]
        assert len(set(numbers)) == len(numbers)
        for task, number in zip(sent, numbers, strict=True):
            assert journaled[number] == task.dispatched_at

    @invariant()
    def no_intent_is_passed_over(self) -> None:
        causes = {
            record.cause.offset
            for _, record in valid_records(self.log.journal)[0]
            if record.cause is not None and record.cause.topic == "intents"
        }
        letters = {letter.offset for letter in self.log.letters if letter.topic == "intents"}
        state, _ = folded(self.log.journal)
        assert set(range(state.intents_next)) <= causes | letters

    def teardown(self) -> None:
        """Once all is quiet and workers answer honestly, every execution ends."""
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
            open_ones = [s for s in self.owned.state.executions.values() if not s.status.ended]
            if not open_ones and not self.log.flying:
                return
            for state in open_ones:
                self._answer(state.execution_id)
            self.world.now += 50
            self.owned.tick()
        raise AssertionError("an execution never ends")

    def _read_everything(self) -> None:
        positions = self.owned.positions
        while positions.intents_next < len(self.intents):
            offset = positions.intents_next
            self.owned.on_intent(offset, b"", self.intents[offset])
        while positions.steps_next < len(self.log.steps):
            offset = positions.steps_next
            self.owned.on_step(offset, b"", self.log.steps[offset])

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


TestPartitionUnderFire = PartitionUnderFire.TestCase
TestPartitionUnderFire.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_the_session_is_on_the_partition_under_test() -> None:
    assert ids.partition_of(SESSION) == 0
