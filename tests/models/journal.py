"""A model of the journal: two owners, pipelined appends, and everything a log does to them.

Of the log only what a reader knows of it is kept: whether a record counts depends on nothing behind
it. Rules 1 to 4 of the journal protocol are `Rules`; the wrong ones are here to be found wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, IntEnum, auto
from typing import NamedTuple

OWNERS = "AB"
Step = tuple[str, "State"]


class Filter(Enum):
    """Which records of the newest term a reader takes."""

    TERM = auto()
    TERM_AND_OFFSET = auto()  # those at the offset that they were counted for
    TERM_AND_SEQ = auto()  # rule 2: the next in sequence, and nothing after a gap
    TERM_AND_SEQ_WITHOUT_END = auto()  # the next in sequence, also after a gap


class Doubt(Enum):
    """What an owner does about a failed append or an acknowledgement at another offset."""

    DROP = auto()  # ADR 3: forget everything, restore, take a new term
    READ_BACK = auto()  # ask the reader of rule 2; go on if the record counts
    IGNORE = auto()


class Positions(Enum):
    """What an OwnershipTaken, which was written before its predecessor's last records, says."""

    GREATER = auto()  # what is greater, so nothing: it may be older than what stands before it
    BELIEVED = auto()  # the input position that its writer knew


class Rules(NamedTuple):
    """One variant of the protocol. The defaults are the right one."""

    filter: Filter = Filter.TERM_AND_SEQ
    doubt: Doubt = Doubt.DROP
    positions: Positions = Positions.GREATER
    folds_to_term: bool = True  # rule 1; else it decides on what it restored before
    takes_again: bool = True  # rule 4; else an overtaken owner waits to be named anew


class Bounds(NamedTuple):
    """Where the state space is cut."""

    inputs: int = 2  # that can be decided
    takes: int = 3  # OwnershipTaken records
    timeouts: int = 1  # appends reported as failed; they may land all the same
    duplicates: int = 1  # appends that land twice
    moves: int = 0  # of the partition to the other owner
    pipeline: int = 2  # appends of one owner in flight
    named: str = OWNERS  # whom the group names at first; both: whoever wants may take


class Take(NamedTuple):
    """An OwnershipTaken; `next_input` is what its writer restored before."""

    next_input: int

    def __str__(self) -> str:
        return "OwnershipTaken"


class Decision(NamedTuple):
    """The decision of one input."""

    term: int
    seq: int
    input: int

    def __str__(self) -> str:
        return f"decision {self.input} (term {self.term}, seq {self.seq})"


Record = Take | Decision
GAP = -2  # no seq follows it


class Reader(NamedTuple):
    """What a reader at the end of the log knows."""

    length: int = 0
    term: int = -1
    seq: int = GAP
    decided: int = 0  # valid decisions
    next_input: int = 1


class Fate(IntEnum):
    """What became of an append."""

    QUEUED = auto()
    LANDED = auto()
    FAILED = auto()  # so it is reported


class Append(NamedTuple):
    """An append whose report is awaited."""

    record: Record
    fate: Fate = Fate.QUEUED
    offset: int = -1
    valid: bool = False
    next_input: int = 0  # of a reader right after it


class Owner(NamedTuple):
    """One process. Without a term it owns nothing; with `appends` and no term it takes one."""

    term: int = -1
    seq: int = 0
    next_input: int = 0
    appends: tuple[Append, ...] = ()
    barred: bool = False  # from taking again, under the wrong rule 4

    @property
    def idle(self) -> bool:
        """Whether it neither owns nor takes."""
        return self.term < 0 and not self.appends


class State(NamedTuple):
    """Everything at one moment."""

    reader: Reader
    owners: tuple[Owner, ...]
    late: tuple[tuple[Record, ...], ...]  # what left producers still deliver, each in order
    named: str
    takes: int
    timeouts: int
    duplicates: int
    moves: int
    broken: str = ""
    served: bool = False  # in calm: the owner that the group names has acted


class JournalModel:
    """All that can happen under some rules, within bounds."""

    def __init__(self, rules: Rules, bounds: Bounds) -> None:
        self._rules = rules
        self._bounds = bounds

    def start(self) -> State:
        """An empty log and two owners that own nothing."""
        b = self._bounds
        return State(
            Reader(), (Owner(), Owner()), (), b.named, b.takes, b.timeouts, b.duplicates, b.moves
        )

    def successors(self, state: State) -> Iterator[Step]:
        """Every next step, faults included."""
        for i in range(len(OWNERS)):
            if state.takes:
                yield from self._takes(state._replace(takes=state.takes - 1), i)
                yield from self._crashes(state, i)
            yield from self._decides(state, i, self._bounds.inputs)
            yield from self._lands(state, i)
            yield from self._reports(state, i)
            yield from self._fails(state, i)
            yield from self._lands_twice(state, i)
        yield from self._late(state)
        if state.moves:
            yield _moves(state)

    def calm(self, state: State) -> Iterator[Step]:
        """What the owner that the group names does by itself: no faults, no help from anybody."""
        for i in range(len(OWNERS)):
            if OWNERS[i] in state.named:
                yield from self._takes(state, i)
                if not state.owners[i].appends:
                    yield from self._decides(state, i, state.owners[i].next_input)
                yield from self._lands(state, i)
                yield from self._reports(state, i)

    # --- an owner -------------------------------------------------------------------------------

    def _takes(self, state: State, i: int) -> Iterator[Step]:
        owner = state.owners[i]
        if owner.idle and not owner.barred and OWNERS[i] in state.named:
            taking = Owner(appends=(Append(Take(state.reader.next_input)),))
            yield f"{OWNERS[i]} restores and sends OwnershipTaken", _with(state, i, taking)

    def _decides(self, state: State, i: int, inputs: int) -> Iterator[Step]:
        owner = state.owners[i]
        if owner.term < 0 or owner.next_input > inputs:
            return
        if len(owner.appends) < self._bounds.pipeline:
            record = Decision(owner.term, owner.seq + 1, owner.next_input)
            decided = owner._replace(
                seq=record.seq,
                next_input=owner.next_input + 1,
                appends=(*owner.appends, Append(record)),
            )
            yield f"{OWNERS[i]} sends {record}", _with(state, i, decided)

    def _reports(self, state: State, i: int) -> Iterator[Step]:
        """The report of the oldest append, and what the owner makes of it."""
        owner = state.owners[i]
        if not owner.appends or owner.appends[0].fate is Fate.QUEUED:
            return
        append, name = owner.appends[0], OWNERS[i]
        rest = owner._replace(appends=owner.appends[1:])
        if append.fate is Fate.FAILED:
            if owner.term >= 0 and self._rules.doubt is Doubt.IGNORE:
                yield f"{name} ignores that an append failed", _with(state, i, rest)
            else:
                yield from _drops(state, i, rest, Owner(), "an append failed")
        elif isinstance(append.record, Take):
            yield self._takes_term(state, i, append)
        elif self._trusts(append, append.record):
            label = f"{name} acts on {append.record} at {append.offset}"
            yield label, _acted(_with(state, i, rest), name, append)
        else:
            left = Owner(barred=not self._rules.takes_again)
            yield from _drops(state, i, rest, left, f"{append.record} is at {append.offset}")

    def _takes_term(self, state: State, i: int, append: Append) -> Step:
        if OWNERS[i] not in state.named:
            return f"{OWNERS[i]} is no longer named", _with(state, i, Owner())
        assert isinstance(append.record, Take)
        known = append if self._rules.folds_to_term else append.record
        owner = Owner(term=append.offset, next_input=known.next_input)
        return f"{OWNERS[i]} owns under term {append.offset}", _with(state, i, owner)

    def _trusts(self, append: Append, record: Decision) -> bool:
        match self._rules.doubt:
            case Doubt.DROP:
                return append.offset == record.term + record.seq
            case Doubt.READ_BACK:
                return append.valid
            case Doubt.IGNORE:
                return True

    def _crashes(self, state: State, i: int) -> Iterator[Step]:
        if not state.owners[i].idle:
            for how, following in _leaves(state, i, state.owners[i], Owner()):
                yield f"{OWNERS[i]} crashes{how}", following

    # --- the log --------------------------------------------------------------------------------

    def _lands(self, state: State, i: int) -> Iterator[Step]:
        """A producer sends in order."""
        for at, append in enumerate(state.owners[i].appends):
            if append.fate is Fate.QUEUED:
                yield self._land(state, i, at, "lands")
                return

    def _lands_twice(self, state: State, i: int) -> Iterator[Step]:
        """Sent again under a new producer epoch, which the log takes for another record."""
        landed = _last_landed(state.owners[i])
        if state.duplicates and landed >= 0:
            again = state._replace(duplicates=state.duplicates - 1)
            yield self._land(again, i, landed, "is sent again and lands again")

    def _land(self, state: State, i: int, at: int, how: str) -> Step:
        record = state.owners[i].appends[at].record
        landed, append = self._append(state, record)
        label = f"{record} of {OWNERS[i]} {how} at {append.offset}"
        return label, _with_append(landed, i, at, append)

    def _fails(self, state: State, i: int) -> Iterator[Step]:
        """A time-out says nothing: the record stands already, or lands late, or never."""
        if not state.timeouts:
            return
        failing = state._replace(timeouts=state.timeouts - 1)
        for at, append in enumerate(state.owners[i].appends):
            if append.fate is Fate.FAILED:
                continue
            label = f"{append.record} of {OWNERS[i]} times out"
            failed = _with_append(failing, i, at, Append(append.record, Fate.FAILED))
            if append.fate is Fate.QUEUED:
                failed = _with_late(failed, (append.record,))
            yield label, failed

    def _late(self, state: State) -> Iterator[Step]:
        for at, queue in enumerate(state.late):
            if at and queue == state.late[at - 1]:
                continue
            rest = state._replace(late=state.late[:at] + state.late[at + 1 :])
            yield f"late records are lost, {queue[0]} first", rest
            landed, append = self._append(rest, queue[0])
            yield f"late {queue[0]} lands at {append.offset}", _with_late(landed, queue[1:])

    def _append(self, state: State, record: Record) -> tuple[State, Append]:
        reader = state.reader
        following, valid = self.read(reader, record)
        append = Append(record, Fate.LANDED, reader.length, valid, following.next_input)
        broken = state.broken
        if valid and isinstance(record, Decision) and record.input != following.decided:
            broken = f"{record} counts as decision number {following.decided}"
        return state._replace(reader=following, broken=broken), append

    def read(self, reader: Reader, record: Record) -> tuple[Reader, bool]:
        """The reader behind the record, and whether it counts."""
        offset, behind = reader.length, reader._replace(length=reader.length + 1)
        if isinstance(record, Take):
            next_input = max(reader.next_input, record.next_input)
            if self._rules.positions is Positions.BELIEVED:
                next_input = record.next_input
            return behind._replace(term=offset, seq=0, next_input=next_input), True
        if record.term != reader.term:
            return behind, False
        if self._counts(reader, record, offset):
            taken = behind._replace(
                seq=record.seq, decided=reader.decided + 1, next_input=record.input + 1
            )
            return taken, True
        if self._rules.filter is Filter.TERM_AND_SEQ and record.seq > reader.seq + 1:
            return behind._replace(seq=GAP), False
        return behind, False

    def _counts(self, reader: Reader, record: Decision, offset: int) -> bool:
        match self._rules.filter:
            case Filter.TERM:
                return True
            case Filter.TERM_AND_OFFSET:
                return record.term + record.seq == offset
            case Filter.TERM_AND_SEQ | Filter.TERM_AND_SEQ_WITHOUT_END:
                return record.seq == reader.seq + 1


def alike(state: State) -> State:
    """One of the two states that differ only in the owners' names, which mean nothing while the
    group names both."""
    one, other = state.owners
    if state.named != OWNERS or one <= other:
        return state
    return state._replace(owners=(other, one))


def broken(state: State) -> str | None:
    """What must not be, if it is."""
    return state.broken or None


def served(state: State) -> bool:
    """Whether the owner that the group names has acted on a new decision."""
    return state.served


def _acted(state: State, name: str, append: Append) -> State:
    if not append.valid:
        sentence = f"{name} acted on {append.record} at {append.offset}, which does not count"
        return state._replace(broken=sentence)
    return state._replace(served=name in state.named)


def _drops(state: State, i: int, owner: Owner, left: Owner, why: str) -> Iterator[Step]:
    for how, following in _leaves(state, i, owner, left):
        yield f"{OWNERS[i]} drops its memory: {why}{how}", following


def _leaves(state: State, i: int, owner: Owner, left: Owner) -> Iterator[Step]:
    """The owner forgets; its producer still delivers what it holds, the last perhaps again."""
    queue = tuple(x.record for x in owner.appends if x.fate is Fate.QUEUED)
    gone = _with(state, i, left)
    yield "", _with_late(gone, queue)
    landed = _last_landed(owner)
    if state.duplicates and landed >= 0:
        again = owner.appends[landed].record
        fewer = gone._replace(duplicates=state.duplicates - 1)
        yield ", while its producer repeats itself", _with_late(fewer, (again, *queue))


def _moves(state: State) -> Step:
    other = OWNERS[1 - OWNERS.index(state.named)]
    moved = state._replace(named=other, moves=state.moves - 1)
    owner = moved.owners[OWNERS.index(other)]._replace(barred=False)
    return f"the group names {other}", _with(moved, OWNERS.index(other), owner)


def _last_landed(owner: Owner) -> int:
    landed = [at for at, append in enumerate(owner.appends) if append.fate is Fate.LANDED]
    return landed[-1] if landed else -1


def _with(state: State, i: int, owner: Owner) -> State:
    owners = (owner, state.owners[1]) if i == 0 else (state.owners[0], owner)
    return state._replace(owners=owners)


def _with_append(state: State, i: int, at: int, append: Append) -> State:
    owner = state.owners[i]
    appends = (*owner.appends[:at], append, *owner.appends[at + 1 :])
    return _with(state, i, owner._replace(appends=appends))


def _with_late(state: State, queue: tuple[Record, ...]) -> State:
    return state._replace(late=tuple(sorted((*state.late, queue)))) if queue else state
