"""What the suites need beside the ports themselves: the world around the owners.

An adapter's tests make one for every test, with logs of its own that nobody else uses: `PARTITIONS`
partitions of each partitioned topic, all empty, and `tasks.<REALM>`. Topics go by short names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from tests.samples import TASK

from symphainy_processors.fold import layout
from symphainy_processors.fold.checkpoint import Checkpoint
from symphainy_processors.owner.ports import Ports, StateBatch
from symphainy_processors.owner.rows import marker_of
from symphainy_runtime.state.memory import MemoryStore
from symphainy_runtime.state.store import Snapshot
from symphainy_schemas.state import SessionState

PARTITIONS = 4
REALM = TASK.realm
PATIENCE_MS = 60_000


class Entry(NamedTuple):
    """A record as an outsider finds it."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class Harness(Protocol):
    """The world around owners, real or simulated."""

    def owner(self, name: str) -> Ports:
        """The ports of one more owner."""
        ...

    def now_ms(self) -> int:
        """The world's clock."""
        ...

    def go_on(self) -> None:
        """Let some ms of the world's time pass, or more."""
        ...

    def write(
        self, topic: str, partition: int, records: Sequence[tuple[bytes | None, bytes | None]]
    ) -> None:
        """Append (key, value) records as others do; returns when they are acknowledged."""
        ...

    def read(self, topic: str) -> list[Entry]:
        """Every committed record; those of a partition in order."""
        ...

    def expire(self, topic: str, partition: int, first_kept: int) -> None:
        """Remove what stands below `first_kept`, as retention does."""
        ...

    def half_write_state(self, partition: int, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Begin a transaction on `state` as the partition's newest writer, write the rows, and
        never end it: that writer is dead."""
        ...

    def freeze(self) -> None:
        """From here on the log answers nobody; it does not know that time passes."""
        ...

    def thaw(self) -> None:
        """It answers again."""
        ...


def until(
    harness: Harness, condition: Callable[[], object], sentence: str, drive: Callable[[], object]
) -> None:
    """Drive until the condition holds, or fail by the sentence that was to become true."""
    deadline = harness.now_ms() + PATIENCE_MS
    while not condition():
        assert harness.now_ms() < deadline, f"never came true: {sentence}"
        drive()


def session(number: int, version: int = 0) -> SessionState:
    """A state to write, told apart by its number and version."""
    return SessionState(
        session_id=f"ses-0-{number:032x}",
        tenant_id="acme",
        principal="ann",
        attributes=b"%d" % version,
        opened_at=1,
    )


class WatchedSnapshot:
    """Counts how often it was let go."""

    def __init__(self, inner: Snapshot) -> None:
        self.released = 0
        self._inner = inner

    def get(self, key: bytes) -> bytes | None:
        """As the inner one."""
        return self._inner.get(key)

    def release(self) -> None:
        """Count, and pass on."""
        self.released += 1
        self._inner.release()


def state_batch(
    as_of: int, sessions: Sequence[SessionState], gone: Sequence[str] = (), term: int = 1
) -> tuple[StateBatch, WatchedSnapshot]:
    """A batch that says: these are the sessions as of this journal offset; those are no more."""
    store = MemoryStore()
    store.write([(layout.state_key(x.session_id), layout.pack(x)) for x in sessions])
    snapshot = WatchedSnapshot(store.snapshot())
    marker = marker_of(Checkpoint(term=term, seq=1, offset=as_of, hash=b"\x07" * 32))
    return StateBatch(
        marker, frozenset(gone) | {x.session_id for x in sessions}, snapshot
    ), snapshot
