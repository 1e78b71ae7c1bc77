"""A model of one step with one checkpoint X: its words. Rules 12 to 15 of the journal protocol.

An owner (with takeovers) makes deliveries; two workers, one of which may be paused, run them and
report to a log that the owner reads in order. `steps_owner` and `steps_workers` say what happens.
"""

from __future__ import annotations

from enum import Enum, IntEnum, StrEnum, auto
from typing import NamedTuple

Move = tuple[str, "State"]


class Takeover(Enum):
    """What a new owner does about a delivery that may never have been sent."""

    RESEND = auto()  # the same delivery again, as it was
    DELIVER_AT_ONCE = auto()  # a new delivery, before it has read any report
    DELIVER_AFTER_MARKER = auto()  # a new delivery, after it has read back a marker


class GiveUp(Enum):
    """When an owner gives up a delivery whose time is up."""

    AT_ONCE = auto()
    AFTER_MARKER = auto()  # rule 14: after it has read back a marker written since


class HandBack(Enum):
    """What it means that a delivery was handed back by a worker which did not receive it first."""

    ENDS_IT = auto()
    MAY_STILL_RUN = auto()  # the first receiver may still start it, or run it


class Rules(NamedTuple):
    """One variant of the rules. The defaults are the right one."""

    takeover: Takeover = Takeover.DELIVER_AFTER_MARKER
    give_up: GiveUp = GiveUp.AFTER_MARKER
    hand_back: HandBack = HandBack.MAY_STILL_RUN
    workers_keep_start_by: bool = True  # rule 13: what is read late is handed back
    end_waits: bool = True  # rule 13: until no delivery can start or is within its time
    start_by_ends: bool = False  # a delivery that nobody reported as started by then is over
    marker_names_delivery: bool = True  # else it settles whatever is due when it is read
    skew_covers_pauses: bool = True  # no worker pauses for long between looking and starting


class Bounds(NamedTuple):
    """Where the state space is cut."""

    deliveries: int = 2
    takeovers: int = 1
    pauses: int = 1  # of worker 1
    moves: int = 1  # of worker 1's tasks to worker 2


class Claim(Enum):
    """What is promised of a step."""

    RUNS_ONCE = auto()  # X is not run any more after it was journaled; nobody promises that
    CARRIES = auto()  # G5: a delivery sent after X was journaled carries it
    READS_FIRST = auto()  # G5: what Kafka had when a delivery was given up is recorded first
    NO_LATE_START = auto()  # G7: no handler starts after the compensation was dispatched
    TIME_TO_END = auto()  # rule 13: and then none runs whose time is not up


PROMISED = frozenset(Claim) - {Claim.RUNS_ONCE}


class Kind(StrEnum):
    """What stands in the log of reports."""

    STARTED = "started"
    CHECKPOINT = "checkpoint X"
    SUCCEEDED = "success"
    FAILED = "failure"
    HANDED_BACK = "hand-back"  # by the worker that received it, unstarted
    FOUND = "hand-back by another"  # worker, which found it when it took over the tasks
    MARKER = "marker"


CLOSING = frozenset({Kind.SUCCEEDED, Kind.FAILED, Kind.HANDED_BACK})


class Report(NamedTuple):
    """One record; a marker names the delivery in question, and the owner by the takeovers left."""

    kind: Kind
    delivery: int
    owner: int = 0


class Phase(IntEnum):
    """How far a worker is with a task."""

    HELD = auto()
    LOOKED = auto()  # it saw that `start_by` is not past; told apart if a pause may follow
    RUNNING = auto()
    ANNOUNCED = auto()
    X_KNOWN = auto()  # X was run, and Kafka has it


RUNNING = frozenset({Phase.RUNNING, Phase.ANNOUNCED, Phase.X_KNOWN})


class Job(NamedTuple):
    """A task in the hands of a worker."""

    worker: int
    delivery: int
    carries_x: bool
    phase: Phase = Phase.HELD


class Status(IntEnum):
    """Of the step, in the journal."""

    OPEN = auto()
    SUCCEEDED = auto()
    FAILED = auto()  # it waits until it may end
    COMPENSATED = auto()
    CUT = auto()  # it would be delivered once more than the bounds allow


class Reason(StrEnum):
    """Why an owner wants to give up the current delivery."""

    NONE = ""
    TIMEOUT = "its time is up"
    START_BY = "nobody reported its start"
    TAKEOVER = "it may never have been sent"
    FOUND = "another worker found it"


class Step(NamedTuple):
    """What the owner knows: the journal's fold, and what it is about to do."""

    status: Status = Status.OPEN
    delivery: int = 1  # the current one
    attempt_from: int = 1  # the first delivery of the current attempt
    x_recorded: bool = False
    started: bool = False  # the current delivery, as far as it was read
    open: frozenset[int] = frozenset({1})  # deliveries that may still run
    reason: Reason = Reason.NONE
    owed: bool = False  # when it set out to give up, Kafka held something unread that counts
    marked: bool = False


class State(NamedTuple):
    """Everything at one moment."""

    step: Step
    tasks: tuple[tuple[int, bool], ...]  # (delivery, carries X), in the tasks' topic
    jobs: tuple[Job, ...]
    reports: tuple[Report, ...]  # not read yet
    expired: int  # deliveries up to this one are past their `start_by`
    spent: frozenset[int]  # deliveries whose run would have timed out by now
    takeovers: int
    pauses: int
    moves: int
    paused: bool = False  # worker 1
    broken: str = ""
