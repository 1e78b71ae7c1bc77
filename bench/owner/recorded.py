"""A journal as an owner writes it, recorded in memory: the real partition, on a log that
acknowledges at once, with workers that answer at once.

Of ten executions seven run one quick step, two record three `ctx.step` results, and one fails once
and is retried.
"""

from __future__ import annotations

from collections import deque
from itertools import count

from bench.payloads import encoded
from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.owner.deciding import Shell
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.owner.partition import OwnedPartition
from symphainy_processors.owner.ports import Appended, Input, Sent, SentOnce
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_runtime.journal.writer import Positions, ownership_taken
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
)
from symphainy_transport.topics import INTENTS, STEPS

TENANT = "bench"
BEGAN_MS = 1_790_000_000_000
SESSIONS = 64
BATCH = 100  # intents decided before their tasks are answered
CAPABILITY = Capability(
    name="bench.one",
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
_TENANT = Tenant(tenant_id=TENANT, version=1, display_name="", shard_size=0, created_at=0)
_FAILURE = Error(code="error", message="RuntimeError: not yet", step="main", retryable=True)


class _World:
    """Time under our hand. Implements `ports.World`."""

    def __init__(self) -> None:
        self.now = BEGAN_MS
        self._tokens = count()

    def now_ms(self) -> int:
        return self.now

    def token(self) -> str:
        return f"{next(self._tokens):022d}"

    def jitter(self) -> float:
        return 0.5

    def capability(self, intent_type: str) -> Capability | None:
        return CAPABILITY if intent_type == CAPABILITY.name else None

    def tenant(self, tenant_id: str) -> Tenant | None:
        return _TENANT

    def policies(self, scope: str, version: int, sha256: bytes) -> PolicySet | None:
        """The built-in ones decide."""
        return None

    def refresh(self) -> None:
        """Nothing changes."""


class _Log:
    """Acknowledges at once. Implements `ports.Port`."""

    def __init__(self) -> None:
        self.journal: list[bytes] = []
        self.tasks: deque[Task] = deque()
        self.now = BEGAN_MS

    def append(self, partition: int, key: bytes, value: bytes, appended: Appended) -> None:
        self.journal.append(value)
        appended(len(self.journal) - 1, BEGAN_MS)

    def send(self, task: Task, sent: SentOnce) -> None:
        self.tasks.append(task)
        sent(True)

    def submit(self, partition: int, intent: Intent, sent: Sent) -> None:
        raise AssertionError("nothing is invoked")

    def notify(self, notice: CancelNotice) -> None:
        raise AssertionError("nothing is cancelled")

    def mark(self, partition: int, marker: StepReport) -> None:
        raise AssertionError("nothing times out")

    def dead_letter(self, letter: DeadLetter, sent: Sent) -> None:
        raise AssertionError("everything is readable")

    def next_turn(self) -> None:
        """Nothing depends on it."""

    def serve(self, timeout_s: float) -> None:
        """Nothing is in flight."""

    def flush(self, timeout_s: float) -> int:
        return 0

    def gather(self, pause_s: float) -> None:
        """Nothing is in flight."""

    def __len__(self) -> int:
        return 0


class Recorder:
    """Runs executions through one partition and keeps its journal."""

    def __init__(self) -> None:
        self._log, self._world = _Log(), _World()
        options = OwnerOptions(partitions=1)
        state = PartitionState(options.dedupe_window_ms)
        taken = ownership_taken("bench", BEGAN_MS, Validity(), Positions(), -1)
        self._log.journal.append(taken)
        stored = judge(taken, 0, Validity())
        assert stored.record is not None
        state.settle(state.apply(stored.record, stored.standing))
        state.flush()
        shell = Shell("bench", self._log, self._world, Contracts(), options)
        self._owned = OwnedPartition(0, state, stored.standing, Validity(), shell)
        self._owned.take_over()
        self._offsets = {INTENTS: count(), STEPS: count()}
        self._sessions = [ids.new_session_id(TENANT, 1) for _ in range(SESSIONS)]
        self._number = 0

    def record(self, executions: int) -> list[bytes]:
        """The journal's values in order, after so many executions have ended."""
        for session in self._sessions:
            self._intend(session, f"open-{session}", "runtime.open_session", b"{}")
        while self._number < executions:
            for _ in range(min(BATCH, executions - self._number)):
                run = f"run-{self._number:08d}"
                session = self._sessions[self._number % SESSIONS]
                self._intend(session, run, CAPABILITY.name, encoded(run))
                self._number += 1
            self._answer_all()
            self._world.now += CAPABILITY.backoff_ms
            self._owned.tick()
            self._answer_all()
            self._owned.state.flush()
        assert self._owned.state.live == 0, f"{self._owned.state.live} executions did not end"
        return self._log.journal

    def _intend(self, session: str, intent_id: str, intent_type: str, payload: bytes) -> None:
        intent = Intent(
            intent_id=intent_id,
            intent_type=intent_type,
            realm=intent_type.split(".")[0],
            session_id=session,
            tenant_id=TENANT,
            principal="bench",
            correlation_id=intent_id,
            payload=payload,
            metadata=b"{}",
            solution_context=b"",
            created_at=self._world.now,
        )
        self._take(INTENTS, encode(intent))

    def _answer_all(self) -> None:
        while self._log.tasks:
            task = self._log.tasks.popleft()
            kind = int(task.intent_id[-1])
            if kind < 2:
                for name in ("extract", "transform", "load"):
                    self._report(task, ReportKind.CHECKPOINT, name=name)
            if kind == 2 and task.attempt == 1:
                self._report(task, ReportKind.FAILED)
            else:
                self._report(task, ReportKind.SUCCEEDED)

    def _report(self, task: Task, kind: ReportKind, name: str = "") -> None:
        report = StepReport(
            kind=kind,
            execution_id=task.execution_id,
            session_id=task.session_id,
            tenant_id=task.tenant_id,
            step=task.step,
            attempt=task.attempt,
            delivery=task.delivery,
            token=task.token,
            dispatched_at=task.dispatched_at,
            worker="bench-worker",
            at=self._world.now,
            started_at=self._world.now,
            name=name,
            result=b'{"ok":true,"step":1}',
            error=_FAILURE if kind is ReportKind.FAILED else None,
        )
        self._take(STEPS, encode(report))

    def _take(self, topic: str, value: bytes) -> None:
        self._owned.take(Input(topic, 0, next(self._offsets[topic]), None, value))
