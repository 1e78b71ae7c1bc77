"""What a run left behind: everything that the checkers look at.

A simulated run fills it from its logs, a real one from Kafka. Nothing here is judged.
All times are milliseconds since the epoch. `at_ms` is true time: the broker's append time of a
record, and for handlers the one clock of the machine (real) or of the simulation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from symphainy_schemas.records import PolicySet
from symphainy_schemas.state import ExecutionState, SessionState, TenantState

Body = ExecutionState | SessionState | TenantState


@dataclass(frozen=True, slots=True)
class Written:
    """A record as it stands in a topic; `value` None is a tombstone or an empty record."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """An intent that Kafka acknowledged to its producer, with the place that it was told.

    `offset` is -1 if it was told none. A 503 or a time-out is no acknowledgement. `payload_sha256`
    is of the payload's bytes as stored, or of what its reference names.
    """

    tenant_id: str
    session_id: str
    intent_id: str
    execution_id: str
    partition: int
    offset: int
    payload_sha256: bytes


@dataclass(frozen=True, slots=True)
class HandlerStart:
    """A handler was called with a task.

    `carried` names the checkpoints that came with the task; `ran` the `ctx.step`s whose body the
    handler really ran (not those that a checkpoint answered), up to its end or its crash.
    """

    execution_id: str
    step: str
    attempt: int
    delivery: int
    token: str
    at_ms: int
    carried: tuple[str, ...] = ()
    ran: tuple[str, ...] = ()


class Snapshot(NamedTuple):
    """Live state, or a checkpoint on disk, as of the valid journal record at `as_of`.

    `states` holds every execution and session that the owner knew then, by id.
    """

    as_of: int
    states: Mapping[str, Body]


@dataclass(frozen=True, slots=True)
class Carried:
    """Where an earlier window of a partition's history ended, quiet; a later one begins there.

    `term`, `seq`, `journal_offset` and `journal_hash` are the last valid record's, `at` its
    journaled time; `states` the fold up to it, without what has left its dedupe window, of which
    `gone` keeps the digests. `marked_to` is the offset that the last committed marker of `state`
    names, `unmarked` what changed after it. The `…_next` are the first offsets of the new window.
    """

    intents_next: int = 0
    steps_next: int = 0
    journal_next: int = 0
    state_next: int = 0
    term: int = -1
    seq: int = -2
    journal_offset: int = -1
    journal_hash: bytes = b""
    at: int = 0
    marked_to: int = -1
    unmarked: frozenset[str] = frozenset()
    states: Mapping[str, Body] = field(default_factory=dict)
    gone: Mapping[str, bytes] = field(default_factory=dict)


ByPartition = Mapping[int, Sequence[Written]]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The logs of a run to their ends, and what its producers and handlers saw.

    Each sequence of records is in offset order. Only partitions that are keys of `journal` are
    checked, so a window may hold one partition of many. `state` holds what `read_committed` shows.
    `tasks` is by topic name without the prefix (`tasks.<realm>`); a record's `partition` there is
    the topic's own, not the owner's.
    """

    partitions: int
    intents: ByPartition
    steps: ByPartition
    journal: ByPartition
    state: ByPartition = field(default_factory=dict)
    tasks: Mapping[str, Sequence[Written]] = field(default_factory=dict)
    dead_letters: Sequence[Written] = ()
    acknowledged: Sequence[Acknowledged] = ()
    starts: Sequence[HandlerStart] = ()
    live: Mapping[int, Sequence[Snapshot]] = field(default_factory=dict)
    before: Mapping[int, Carried] = field(default_factory=dict)
    dedupe_window_ms: int
    """How long an intent id is remembered after its execution ended."""
    skew_ms: int
    """The allowed difference between any two clocks of owners, workers and brokers."""
    clocks_kept: bool = True
    """Whether all clocks stayed within `skew_ms`; what depends on it is checked only then."""
    quiet: bool = True
    """The run ended with everything healed and idle: nothing is under way any more."""
    tenant_limits: Mapping[str, int] = field(default_factory=dict)
    """Most steps of a tenant that may be outstanding in one partition, if that never changed."""
    policies: Mapping[tuple[str, int], PolicySet] = field(default_factory=dict)
    """What `config` holds of policies, by scope and version, beside what is built in."""
    tenants: frozenset[str] | None = None
    """Those that there are, if that never changed."""
    config_late: bool = False
    """Some owner was for a while without what `config` holds."""
    task_duplicates: int | None = 0
    """How many extra copies of tasks the transport itself may have made; None: any number."""
