"""What a seed expands to: a scenario, what is stated, and what goes wrong.

All of it is drawn beforehand, so that a part of it can be left out and the rest stays: a `Token`
names a seed and which of its choices are kept. Times are milliseconds of the run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from symphainy_simulation.actors.programs import INVOKES, Line, Many, Part

TENANTS = ("acme", "bolt", "cord")
SESSIONS = 3


class Kind(StrEnum):
    """What is put into a log."""

    INTENT = "states"
    AGAIN = "repeats"
    OTHER = "repeats with another payload"
    OPEN = "opens"
    CLOSE = "closes"
    CHANGE = "changes the attributes of"
    EXPIRE = "says that it is over"
    GARBAGE = "writes what nobody can read"
    FORGED = "forges a report"
    MISPLACED = "states on the wrong partition"
    WRONG = "states what is refused"
    SIGNAL = "signals"
    CANCEL = "cancels"
    PAUSE = "pauses"
    RESUME = "resumes"
    RETRY = "has a step tried again"
    UNDO = "has all undone"
    REPLAY = "replays"
    SKIP = "leaves the marker of a transaction"
    GOVERN = "governs"


@dataclass(frozen=True, slots=True)
class Governs:
    """What is broadcast to every partition, in the governing session of a scope."""

    intent_type: str
    scope: str
    version: int = 0
    """Of the policies that are put in force."""
    key_id: str = ""
    spoilt: str = ""
    """What is wrong with it; empty: nothing."""
    order: int = 0
    """Which order the partitions are reached in."""
    apart_ms: int = 0
    crashes_after: int = -1
    """So many partitions; -1: who broadcasts it does not crash."""
    again_ms: int = 0
    """After so long it is broadcast anew after a crash; 0: never."""


@dataclass(frozen=True, slots=True)
class Stated:
    """Something that is put into `intents` or `steps`."""

    number: int
    at_ms: int
    kind: Kind
    tenant: str
    session: int
    of: int = -1
    """The number of what is repeated, forged, signalled or replayed."""
    intent_type: str = ""
    key: str = ""
    """The concurrency key, the signal's name, or the mode of a replay."""
    priority: int = 3
    lines: tuple[Line, ...] = ()
    parts: tuple[tuple[str, Part], ...] = ()
    """What the steps of a plan do, by their names."""
    many: Many | None = None
    """What the steps do that are run for each element of a list, if there are such steps."""
    step: str = ""
    """Which step is tried again; with other `lines`, if there are any."""
    roles: tuple[str, ...] = ()
    credential: str = ""
    governs: Governs | None = None
    idle_ms: int = 0
    """Of a session that is opened: when it expires unused; 0: never."""
    lifetime_ms: int = 0
    """The same, however it is used."""
    cancels: bool = False
    """Whether what runs in a session is asked to end when that is closed, or expires."""
    fate: str = ""
    """What becomes of it on its way to Kafka, the first time; empty: nothing strange."""
    variant: int = 0

    @property
    def has_steps(self) -> bool:
        """Whether its handler runs steps, and nothing else is special about it."""
        return self.kind is Kind.INTENT and self.intent_type.endswith(".steps")

    @property
    def invokes(self) -> bool:
        """Whether a handler of it invokes others."""
        own = (self.lines, *(lines for _, part in self.parts for lines in (part.lines, part.undo)))
        return any(line.do in INVOKES for lines in own for line in lines)


class Harm(StrEnum):
    """What goes wrong."""

    KILL_OWNER = "kill owner"
    PAUSE_OWNER = "pause owner"
    STOP_OWNER = "stop owner"
    CUT_OWNER = "cut owner"
    PREEMPT = "preempt owner"
    EXPIRE_OWNER = "expire owner"
    SHUFFLE_OWNERS = "shuffle owners"
    OUTAGE = "outage"
    APPEND = "append"
    SEND = "send"
    STORE = "store"
    STATE = "state"
    CLOCK = "clock"
    SLOW = "slow network"
    RETENTION = "retention"
    COMPACT = "compact"
    KILL_WORKER = "kill worker"
    PAUSE_WORKER = "pause worker"
    STOP_WORKER = "stop worker"
    CUT_WORKER = "cut worker"
    EXPIRE_WORKER = "expire worker"
    SHUFFLE_WORKERS = "shuffle workers"
    REPORT = "report"
    INTENT = "intent of a handler"
    CONFIG = "late configuration"
    FOLLOW = "lose what follows"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    number: int
    at_ms: int
    harm: Harm
    target: int
    """Which owner, worker or partition, modulo how many there are."""
    calls: int
    """Which of its next calls into the world it hits, or which of its next records."""
    ms: int
    """For how long, or by how much."""
    variant: str
    share: float
    """A number in [0, 1) for whatever else there is to choose."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a run consists of, and every time and size that it goes by."""

    owners: int
    partitions: int
    workers: int
    realms: int
    concurrency: int
    skew_ms: int
    clocks_kept: bool
    start_by_ms: int
    dedupe_window_ms: int
    position_every_inputs: int
    position_every_ms: int
    due_per_tick: int
    flush_every_ms: int
    flush_at: int
    state_every_ms: int
    max_in_flight: int
    max_live: int
    fold_slice: int
    renew_term_ms: int
    marker_again_ms: int
    tenant_limit: int
    key_limit: int
    attempts: int
    timeout_ms: int
    tight: bool
    """Whether caches and look-ahead are tiny too."""
    told: bool = True
    """Whether workers hear what is to end."""
    tenant_window_ms: int = 0
    """The first tenant's own dedupe window; 0: it has none."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a run is given."""

    seed: int
    scenario: Scenario
    stated: tuple[Stated, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """A seed, and which of its choices are kept; None keeps all."""

    seed: int
    stated: frozenset[int] | None = None
    faults: frozenset[int] | None = None

    def __str__(self) -> str:
        if self.stated is None and self.faults is None:
            return str(self.seed)
        return f"{self.seed}:{_mask(self.stated)}:{_mask(self.faults)}"

    @classmethod
    def read(cls, text: str) -> Token:
        """The token in `text`.

        Raises:
            ValueError: it is none.
        """
        seed, *masks = text.split(":")
        if len(masks) not in (0, 2):
            raise ValueError(f"{text!r} is no seed and no token")
        return cls(int(seed), *(_unmask(mask) for mask in masks))

    def of(self, whole: Plan) -> Plan:
        """What is kept of what the seed expands to."""
        return replace(
            whole,
            stated=tuple(s for s in whole.stated if self.stated is None or s.number in self.stated),
            faults=tuple(f for f in whole.faults if self.faults is None or f.number in self.faults),
        )


def _mask(kept: frozenset[int] | None) -> str:
    return "*" if kept is None else f"{sum(1 << number for number in kept):x}"


def _unmask(mask: str) -> frozenset[int] | None:
    if mask == "*":
        return None
    bits = int(mask, 16)
    return frozenset(n for n in range(bits.bit_length()) if bits >> n & 1)
