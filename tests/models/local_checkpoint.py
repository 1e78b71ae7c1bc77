"""A model of rule 17: an owner's disk may hold a state that the journal never confirmed.

Two owners, each with a disk. An owner writes its state to its disk, with the offset and the hash of
the last record in it, and begins from there when it takes again.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

OWNERS = "AB"
GAP = -2  # no seq follows it
QUEUED, LOST = -1, -2  # where an append stands that did not land
Step = tuple[str, "State"]


class Trust(Enum):
    """When the state on the disk is used; otherwise the whole journal is folded."""

    ALWAYS = auto()
    HASH = auto()  # if the journal's record at its offset has its hash
    HASH_AND_VALIDITY = auto()  # rule 17: and if that record counts


class Flush(Enum):
    """What an owner writes to its disk."""

    ACKNOWLEDGED = auto()  # rule 17: only what stands where it was counted for
    SPECULATION = auto()  # also what it has only sent


class Rules(NamedTuple):
    """One variant of rule 17. The defaults are the right one."""

    trust: Trust = Trust.HASH_AND_VALIDITY
    flush: Flush = Flush.ACKNOWLEDGED


class Bounds(NamedTuple):
    """Where the state space is cut."""

    journal: int = 6  # offsets
    takes: int = 3  # OwnershipTaken records
    decisions: int = 2  # of one term
    timeouts: int = 1  # appends that never land
    # Decisions that a broken broker takes back from the journal's end. It may take back no
    # OwnershipTaken: that term would be given away twice, which no rule of checkpoints mends.
    tails_lost: int = 0


class Record(NamedTuple):
    """A record; an OwnershipTaken has seq 0. No two are equal, so it is its own hash."""

    owner: str
    term: int
    seq: int

    def __str__(self) -> str:
        return f"{self.owner}{self.term}.{self.seq}"


class Stored(NamedTuple):
    """A state on a disk: what was folded into it, and the offset of the last of those."""

    offset: int
    folded: tuple[Record, ...]


class Owner(NamedTuple):
    """A process under its term."""

    acked: int  # the offset of the last acknowledged record
    folded: tuple[Record, ...]  # all up to there
    sent: tuple[tuple[Record, int], ...] = ()  # appends, and where they stand


class State(NamedTuple):
    """Everything at one moment."""

    takes: int
    timeouts: int
    tails: int
    journal: tuple[Record, ...] = ()
    owners: tuple[Owner | None, ...] = (None, None)
    disks: tuple[Stored | None, ...] = (None, None)
    broken: str = ""


class LocalCheckpointModel:
    """All that can happen under some rules, within bounds."""

    def __init__(self, rules: Rules, bounds: Bounds) -> None:
        self._rules = rules
        self._bounds = bounds

    def start(self) -> State:
        """An empty journal, two processes with empty disks."""
        return State(self._bounds.takes, self._bounds.timeouts, self._bounds.tails_lost)

    def successors(self, state: State) -> Iterator[Step]:
        """Every next step."""
        for i, owner in enumerate(state.owners):
            if owner is None:
                yield from self._takes(state, i)
                continue
            yield f"{OWNERS[i]} drops its memory", _with(state, i, None)
            yield from self._decides(state, i, owner)
            yield from self._lands(state, i, owner)
            yield from _times_out(state, i, owner)
            yield from _acknowledged(state, i, owner)
            yield from self._flushes(state, i, owner)
        if state.tails and state.journal and state.journal[-1].seq:
            lost = state._replace(journal=state.journal[:-1], tails=state.tails - 1)
            yield f"the broker loses offset {len(lost.journal)}", lost

    def _takes(self, state: State, i: int) -> Iterator[Step]:
        """Restore, and take a term."""
        if not state.takes or len(state.journal) == self._bounds.journal:
            return
        stored, truth = state.disks[i], tuple(valid(state.journal))
        folded, how = truth, "the journal"
        if stored is not None and self._trusts(stored, state.journal):
            behind = valid(state.journal, stored.offset + 1, stored.folded[-1])
            folded, how = (*stored.folded, *behind), f"its disk at {stored.offset}"
        take = Record(OWNERS[i], len(state.journal), 0)
        taken = _with(state, i, Owner(take.term, (*folded, take)))._replace(
            journal=(*state.journal, take), takes=state.takes - 1
        )
        if folded != truth:
            sentence = f"{OWNERS[i]} restored {_named(folded)}, the journal holds {_named(truth)}"
            taken = taken._replace(broken=sentence)
        yield f"{OWNERS[i]} restores from {how}, owns under term {take.term}", taken

    def _trusts(self, stored: Stored, journal: tuple[Record, ...]) -> bool:
        if self._rules.trust is Trust.ALWAYS:
            return True
        last = stored.folded[-1]
        if stored.offset >= len(journal) or journal[stored.offset] != last:
            return False
        return self._rules.trust is Trust.HASH or last in valid(journal)

    def _decides(self, state: State, i: int, owner: Owner) -> Iterator[Step]:
        last = owner.sent[-1][0] if owner.sent else owner.folded[-1]
        if last.seq < self._bounds.decisions:
            record = last._replace(seq=last.seq + 1)
            sending = owner._replace(sent=(*owner.sent, (record, QUEUED)))
            yield f"{OWNERS[i]} sends {record}", _with(state, i, sending)

    def _lands(self, state: State, i: int, owner: Owner) -> Iterator[Step]:
        offset = len(state.journal)
        for at, (record, place) in enumerate(owner.sent):
            if place == QUEUED and offset < self._bounds.journal:
                landed = _with(state, i, _placed(owner, at, offset))
                label = f"{record} lands at {offset}"
                yield label, landed._replace(journal=(*state.journal, record))
                return

    def _flushes(self, state: State, i: int, owner: Owner) -> Iterator[Step]:
        """The state in memory, as of the last record in it."""
        stored = Stored(owner.acked, owner.folded)
        if self._rules.flush is Flush.SPECULATION:
            hoped = tuple(record for record, _ in owner.sent)
            stored = Stored(owner.acked + len(hoped), (*owner.folded, *hoped))
        if stored != state.disks[i]:
            disks = (stored, state.disks[1]) if i == 0 else (state.disks[0], stored)
            label = f"{OWNERS[i]} flushes {_named(stored.folded)} as of offset {stored.offset}"
            yield label, state._replace(disks=disks)


def valid(
    journal: tuple[Record, ...], start: int = 0, last: Record | None = None
) -> Iterator[Record]:
    """The records from `start` on that count behind `last` (rule 2)."""
    term, seq = (-1, GAP) if last is None else (last.term, last.seq)
    for record in journal[start:]:
        if record.seq == 0:
            term, seq = record.term, 0
            yield record
        elif record.term == term and record.seq == seq + 1:
            seq = record.seq
            yield record
        elif record.term == term and record.seq > seq + 1:
            seq = GAP


def broken(state: State) -> str | None:
    """An owner began from a state that the journal does not hold."""
    return state.broken or None


def _times_out(state: State, i: int, owner: Owner) -> Iterator[Step]:
    for at, (record, place) in enumerate(owner.sent):
        if place == QUEUED and state.timeouts:
            lost = _with(state, i, _placed(owner, at, LOST))
            label = f"{record} is lost"
            yield label, lost._replace(timeouts=state.timeouts - 1)


def _acknowledged(state: State, i: int, owner: Owner) -> Iterator[Step]:
    """The report of the oldest append; any doubt drops the memory, never the disk."""
    if not owner.sent or owner.sent[0][1] == QUEUED:
        return
    (record, place), rest = owner.sent[0], owner.sent[1:]
    if place != owner.acked + 1:
        yield f"{OWNERS[i]} is in doubt, drops its memory", _with(state, i, None)
    else:
        acked = Owner(place, (*owner.folded, record), rest)
        yield f"{record} is acknowledged", _with(state, i, acked)


def _named(records: tuple[Record, ...]) -> str:
    return " ".join(map(str, records)) or "nothing"


def _placed(owner: Owner, at: int, place: int) -> Owner:
    moved = (owner.sent[at][0], place)
    return owner._replace(sent=(*owner.sent[:at], moved, *owner.sent[at + 1 :]))


def _with(state: State, i: int, owner: Owner | None) -> State:
    owners = (owner, state.owners[1]) if i == 0 else (state.owners[0], owner)
    return state._replace(owners=owners)
