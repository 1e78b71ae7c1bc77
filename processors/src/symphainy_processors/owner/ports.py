"""What an owner needs of the world: logs to read and write, a group, a disk, time and chance.

The Kafka shell (`owner/kafka`) implements these, and so does the simulator; one contract suite
holds both to the promises written here. Everything is driven from one thread: callbacks come only
out of `serve`, `flush` and `poll`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from symphainy_runtime.state.store import Snapshot, Stores
from symphainy_schemas.records import (
    CancelNotice,
    Capability,
    DeadLetter,
    Error,
    Intent,
    PolicySet,
    StepReport,
    Task,
    Tenant,
)
from symphainy_schemas.state import State
from symphainy_transport.clock import Clock
from symphainy_transport.privacy.content import Content

Appended = Callable[[int | None, int], None]
Sent = Callable[[], None]
SentOnce = Callable[[bool], None]
MARKER_KEY = b"marker"  # of the `state` topic; ids begin with exe- or ses-


class Port(Protocol):
    """The log, as an owner writes it."""

    def append(self, partition: int, key: bytes, value: bytes, appended: Appended) -> None:
        """Append to the journal; `appended` gets the offset and the broker's append time (ms since
        the epoch), or (None, 0) when that is in doubt.

        Completions of a partition come in the order of its appends. A doubtful append may still
        land later.
        """
        ...

    def send(self, task: Task, sent: SentOnce) -> None:
        """Send a task, retried while Kafka certainly has not taken it; then call `sent`: with True
        when it is acknowledged, with False when that is in doubt.

        What is in doubt is not sent again: it would stand there twice, under one number.
        """
        ...

    def submit(self, partition: int, intent: Intent, sent: Sent) -> None:
        """State an intent on that partition of the write-ahead log, retried until Kafka
        acknowledges it; then call `sent`."""
        ...

    def notify(self, notice: CancelNotice) -> None:
        """Tell workers that what they may run is to end, retried until Kafka acknowledges it.

        It may be lost with the process: nothing depends on it.
        """
        ...

    def mark(self, partition: int, marker: StepReport) -> None:
        """Write a marker to the partition's steps; it may be lost, the owner writes another."""
        ...

    def dead_letter(self, letter: DeadLetter, sent: Sent) -> None:
        """Keep what could not be read, retried until Kafka acknowledges it; then call `sent`."""
        ...

    def next_turn(self) -> None:
        """What is sent from here on belongs to another turn of the loop."""
        ...

    def serve(self, timeout_s: float) -> None:
        """Run the completions that are there; wait at most `timeout_s` for the first.

        Raises:
            Unavailable: the client is broken for good; only a new process helps.
        """
        ...

    def flush(self, timeout_s: float) -> int:
        """Wait for completions; how many are still missing when the time is over.

        Raises:
            Unavailable: as `serve`.
        """
        ...

    def gather(self, pause_s: float) -> None:
        """Serve completions for `pause_s`, while inputs gather into a larger turn.

        Raises:
            Unavailable: as `serve`.
        """
        ...

    def __len__(self) -> int:
        """How many records await their completion."""
        ...


class Input(NamedTuple):
    """A record of `intents` or `steps`; `topic` is that short name."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class Intake(Protocol):
    """The inputs of the partitions that are owned, each topic in offset order."""

    def first_kept(self, partition: int) -> tuple[int, int]:
        """The first offsets that retention has left in `intents` and `steps`.

        Raises:
            Unavailable: Kafka did not answer, or has no such topic.
        """
        ...

    def start(self, partition: int, intents_next: int, steps_next: int) -> None:
        """Read from these offsets."""
        ...

    def hold(self, partition: int, held: bool) -> None:
        """Pause or resume the partition's intents; its steps go on."""
        ...

    def stop(self, partitions: Sequence[int]) -> None:
        """Read them no more; what was fetched of them is dropped."""
        ...

    def poll(self, timeout_s: float, most: int) -> Sequence[Input]:
        """What has come, at most `most` of it; waits at most `timeout_s` for the first.

        Raises:
            OperatorError: retention has passed what was not read yet.
            Unavailable: the client is broken for good; only a new process helps.
        """
        ...


class Membership(Protocol):
    """Which partitions the group gives this owner."""

    def poll(self) -> frozenset[int]:
        """The partitions that are ours now; runs the group's callbacks, and raises what they do.

        Raises:
            OperatorError: another process has our name.
        """
        ...

    def close(self) -> None:
        """Leave."""
        ...


# Called out of `Membership.poll` with what a rebalance takes away: hand it over before returning.
Revoked = Callable[[frozenset[int]], None]


class Journal(Protocol):
    """The journal, read back for restores and doubts. One read at a time."""

    def identity(self) -> str:
        """Which log this is: cluster and topic, by ids that are never used again.

        Raises:
            Unavailable: Kafka did not answer, or has no such topic.
        """
        ...

    def bounds(self, partition: int) -> tuple[int, int]:
        """(first offset kept, offset after the last).

        Raises:
            Unavailable: Kafka did not answer, or has no such topic.
        """
        ...

    def read(
        self, partition: int, start: int, end: int
    ) -> Generator[Sequence[tuple[int, bytes]], None, None]:
        """The records in [start, end) as (offset, value), in batches; an empty one: nothing yet.

        Closing the iterator ends the read.

        Raises:
            Unavailable: nothing has come for long, or the range is no longer kept.
        """
        ...


class StateBatch(NamedTuple):
    """What to write to `state`: every key changed since the last batch, and where it stands."""

    marker: State
    keys: Collection[str]
    store: Snapshot


@dataclass(frozen=True, slots=True)
class StateOpened:
    """Older writers of the partition are fenced off. `marker` is the last committed one."""

    partition: int
    marker: State | None


@dataclass(frozen=True, slots=True)
class StateWritten:
    """The batch is committed."""

    partition: int


@dataclass(frozen=True, slots=True)
class StateFailed:
    """Opening or writing failed. `overtaken`: a newer owner has fenced us off."""

    partition: int
    overtaken: bool
    reason: str


StateOutcome = StateOpened | StateWritten | StateFailed


class StateRows(Protocol):
    """The compacted `state` topic, read for restores."""

    def read(self, partition: int) -> Generator[Sequence[tuple[bytes, bytes | None]], None, None]:
        """Every committed record up to the end as of now, oldest first, in batches; an empty one:
        nothing yet. Closing the iterator ends the read.

        Raises:
            Unavailable: Kafka did not answer, or as `Journal.read`.
        """
        ...


class StateLog(StateRows, Protocol):
    """The compacted `state` topic: written in transactions, off the latency path (rule 16)."""

    def open(self, partition: int) -> None:
        """Begin to fence off older writers; `poll` tells when that is done, or failed."""
        ...

    def write(self, partition: int, batch: StateBatch) -> None:
        """Begin to write one batch as one transaction; `poll` tells the outcome. One at a time.

        The adapter releases `batch.store`, and reads nothing of the batch once its outcome is told.
        """
        ...

    def poll(self) -> Sequence[StateOutcome]:
        """What has come about since the last call."""
        ...

    def stop(self, partition: int) -> None:
        """Forget the partition: no outcome of what was begun comes any more, though it may still
        be committed."""
        ...


class World(Protocol):
    """Time, chance and configuration, read by the shell."""

    def now_ms(self) -> int:
        """Wall clock, ms since the epoch."""
        ...

    def token(self) -> str:
        """A fresh unguessable text."""
        ...

    def jitter(self) -> float:
        """A random number in [0, 1)."""
        ...

    def capability(self, intent_type: str) -> Capability | None:
        """The capability in force."""
        ...

    def tenant(self, tenant_id: str) -> Tenant | None:
        """The tenant with its limits, if it is known."""
        ...

    def policies(self, scope: str, version: int, sha256: bytes) -> PolicySet | None:
        """That version of a scope's policies; None if the configuration does not hold it.

        Raises:
            Unavailable: the configuration cannot be read, so nobody knows.
        """
        ...

    def refresh(self) -> None:
        """Take what has come of the configuration."""
        ...


# Why an intent does not count, which stands so in the log; of that tenant, at that time in ms.
Prove = Callable[[Intent, bytes, Tenant | None, int], Error | None]


def believed(intent: Intent, value: bytes, tenant: Tenant | None, now: int) -> Error | None:
    """No proof is asked for."""
    return None


@dataclass(frozen=True)
class Ports:
    """Everything outside one owner."""

    clock: Clock
    world: World
    port: Port
    intake: Intake
    membership: Callable[[Revoked], Membership]
    journal: Journal
    state_log: StateLog
    stores: Stores
    prove: Prove = believed
    content: Content = field(default_factory=Content)
