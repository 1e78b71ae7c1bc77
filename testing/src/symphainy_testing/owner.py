"""One partition under the runtime's own owner, on logs that are lists.

What is decided here is decided by `OwnedPartition`, as in production; only the log and the
configuration are stand-ins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Final

from symphainy_processors.admission.contracts import Contracts
from symphainy_processors.fold.family import STOPPED
from symphainy_processors.fold.layout import deadline_of
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.owner.deciding import Shell
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.owner.partition import OwnedPartition
from symphainy_processors.owner.ports import Appended, Input, Sent, SentOnce
from symphainy_runtime.journal.validity import Validity, judge
from symphainy_runtime.journal.writer import Positions, ownership_taken
from symphainy_schemas import ids
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.events import JournalRecord
from symphainy_schemas.records import (
    CancelNotice,
    Capability,
    DeadLetter,
    Intent,
    PolicySet,
    StepReport,
    Task,
    Tenant,
)
from symphainy_schemas.state import ExecutionState, ExecutionStatus, StepStatus
from symphainy_testing.time import VirtualTime
from symphainy_transport.topics import INTENTS, STEPS

PARTITION: Final = 0
_OPTIONS = OwnerOptions(partitions=1)


class World:
    """Time, chance and configuration of a test: nothing of them is left to chance."""

    def __init__(
        self, time: VirtualTime, capabilities: Iterable[Capability], jitter: float
    ) -> None:
        """`jitter` in [0, 1) is what every back-off gets."""
        self._capabilities: Mapping[str, Capability] = {c.name: c for c in capabilities}
        self._tokens = count(1)
        self._jitter = jitter
        self.now_ms = time.now_ms

    def token(self) -> str:
        """A fresh text."""
        return f"token-{next(self._tokens)}"

    def jitter(self) -> float:
        """What every back-off gets."""
        return self._jitter

    def capability(self, intent_type: str) -> Capability | None:
        """What the realms under test declare."""
        return self._capabilities.get(intent_type)

    def tenant(self, tenant_id: str) -> Tenant | None:
        """Every tenant exists, without limits."""
        return Tenant(tenant_id=tenant_id, version=1, display_name="", shard_size=0, created_at=0)

    def policies(self, scope: str, version: int, sha256: bytes) -> PolicySet | None:
        """The built-in ones decide."""
        return None

    def refresh(self) -> None:
        """The configuration of a test does not change."""


class Log:
    """The owner's port on logs that are lists: it loses nothing and acknowledges in order."""

    def __init__(self, time: VirtualTime, realms: Iterable[str]) -> None:
        self.journal: list[bytes] = []
        self.intents: list[bytes] = []
        self.steps: list[bytes] = []
        self.tasks: dict[str, list[bytes]] = {realm: [] for realm in realms}
        self.notices: dict[str, list[CancelNotice]] = {realm: [] for realm in self.tasks}
        self._time = time
        self._appending: deque[tuple[bytes, Appended]] = deque()
        self._sending: deque[tuple[Task, SentOnce]] = deque()
        self._stating: deque[tuple[Intent, Sent]] = deque()

    def append(self, partition: int, key: bytes, value: bytes, appended: Appended) -> None:
        """Append to the journal at the next `serve`."""
        self._appending.append((value, appended))

    def send(self, task: Task, sent: SentOnce) -> None:
        """Send a task at the next `serve`."""
        self._sending.append((task, sent))

    def submit(self, partition: int, intent: Intent, sent: Sent) -> None:
        """State an intent at the next `serve`."""
        self._stating.append((intent, sent))

    def notify(self, notice: CancelNotice) -> None:
        """Tell the realm's worker that what it may run is to end."""
        self.notices[notice.realm].append(notice)

    def mark(self, partition: int, marker: StepReport) -> None:
        """Write a marker to the steps."""
        self.steps.append(encode(marker))

    def dead_letter(self, letter: DeadLetter, sent: Sent) -> None:
        """Nobody writes what cannot be read."""
        raise AssertionError(f"{letter.topic} holds what cannot be read: {letter.message}")

    def next_turn(self) -> None:
        """Nothing depends on it."""

    def serve(self, timeout_s: float) -> None:
        """Everything that was written has come to stand."""
        while len(self):
            if self._appending:
                value, appended = self._appending.popleft()
                self.journal.append(value)
                appended(len(self.journal) - 1, self._time.now)
            elif self._stating:
                intent, sent = self._stating.popleft()
                self.intents.append(encode(intent))
                sent()
            else:
                task, told = self._sending.popleft()
                self.tasks[task.realm].append(encode(task))
                told(True)

    def flush(self, timeout_s: float) -> int:
        """As `serve`; nothing is missing then."""
        self.serve(timeout_s)
        return 0

    def gather(self, pause_s: float) -> None:
        """As `serve`."""
        self.serve(pause_s)

    def __len__(self) -> int:
        """How much is not acknowledged yet."""
        return len(self._appending) + len(self._sending) + len(self._stating)


class Owner:
    """The one owner of the one partition."""

    def __init__(self, log: Log, world: World) -> None:
        """Take the partition over, as an owner of an empty journal does."""
        self._log = log
        self._intents_read = self._steps_read = 0
        self._records: list[JournalRecord] = []
        self._known: dict[str, None] = {}
        self._state = PartitionState(_OPTIONS.dedupe_window_ms)
        before = Validity()
        log.journal.append(
            ownership_taken("owner", world.now_ms(), before, Positions(), self._state.acted_to)
        )
        taken = judge(log.journal[0], 0, before)
        assert taken.valid
        assert taken.record is not None
        self._state.settle(self._state.apply(taken.record, taken.standing))
        self._state.flush()
        shell = Shell("owner", log, world, Contracts(), _OPTIONS)
        self._owned = OwnedPartition(PARTITION, self._state, taken.standing, before, shell)
        self._owned.take_over()

    def state(self, intent: Intent) -> str:
        """Somebody states an intent, which is decided in the next turn; its execution's id."""
        self._log.intents.append(encode(intent))
        return self._know(intent)

    def _know(self, intent: Intent) -> str:
        name = ids.execution_id(intent.tenant_id, intent.session_id, intent.intent_id, PARTITION)
        self._known[name] = None
        return name

    def turn(self) -> bool:
        """Decide what has come and what is due; whether that led to anything."""
        log = self._log
        before = len(log.journal), len(log.steps), self._intents_read, self._steps_read
        self._intents_read = self._take(INTENTS, log.intents, self._intents_read)
        self._steps_read = self._take(STEPS, log.steps, self._steps_read)
        log.serve(0)
        while self._owned.tick():
            log.serve(0)
        log.serve(0)
        assert not self._owned.lost, "nothing may put the term of a test's owner in doubt"
        return before != (len(log.journal), len(log.steps), self._intents_read, self._steps_read)

    def _take(self, topic: str, records: list[bytes], position: int) -> int:
        for offset in range(position, len(records)):
            if topic == INTENTS:
                self._know(decode(records[offset], Intent))
            self._owned.take(Input(topic, PARTITION, offset, None, records[offset]))
            self._log.serve(0)
        return len(records)

    # --- what is known ------------------------------------------------------------------------

    def execution(self, execution_id: str) -> ExecutionState | None:
        """The execution as the journal has it."""
        return self._state.execution(execution_id)

    def family(self, execution_id: str) -> list[ExecutionState]:
        """The execution, and those whose end it waits for, directly or not, that have not ended."""
        found: list[ExecutionState] = []
        left = [execution_id]
        while left:
            state = self._state.execution(left.pop())
            if state is not None and not state.status.ended:
                found.append(state)
                left += (child.execution_id for child in state.children)
        return found

    def live(self) -> list[ExecutionState]:
        """The executions that have not ended."""
        found = (self._state.execution(name) for name in self._known)
        return [state for state in found if state is not None and not state.status.ended]

    def records(self) -> list[JournalRecord]:
        """The journal; the place in the list is the offset."""
        for value in self._log.journal[len(self._records) :]:
            self._records.append(decode(value, JournalRecord))
        return self._records


def due(state: ExecutionState | None) -> int | None:
    """When the owner next does something about an execution by itself, ms since the epoch."""
    if state is None or state.status.ended:
        return None
    deadline = deadline_of(state)
    moments = [step.due_at for step in state.steps if step.due_at]
    return min((*moments, deadline) if deadline else moments, default=None)


def rests(state: ExecutionState) -> bool:
    """Whether nothing of it goes on before a wait has ended, or somebody does something."""
    if state.status is ExecutionStatus.STUCK:
        return True
    if not state.plan:
        return state.status is ExecutionStatus.WAITING
    left = [step for step in state.steps if step.status not in STOPPED or step.open]
    return bool(left) and all(step.status in _IDLE for step in left)


_IDLE = frozenset({StepStatus.SUSPENDED, StepStatus.HELD})
