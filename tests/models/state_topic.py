"""A model of rule 16: `state` is written by two owners who may both believe that they own.

The journal takes changes only from the newest term. Each owner writes, in one transaction, every
key that it knows to have changed since the last one, and a marker with the offset that it reflects.
An owner knows what changed since the place that it restored from: its disk, or the marker.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

OWNERS = "AB"
KEYS = (0, 1)
TAKE = -1  # in the journal, beside the keys that are changed
NOWHERE = -1
Step = tuple[str, "State"]


class Fence(Enum):
    """What keeps an older owner from writing."""

    NONE = auto()
    TRANSACTIONS = auto()  # initialising the producer fences; who is fenced initialises anew
    TRANSACTIONS_AND_MARKER = auto()  # and after it the marker's term is asked: higher means stop


class Gap(Enum):
    """What an owner whose disk is ahead of the marker does about the changes between."""

    FILLED = auto()  # reads from the journal what changed between
    FORGOTTEN = auto()


class Rules(NamedTuple):
    """One variant of rule 16. The defaults are the right one."""

    fence: Fence = Fence.TRANSACTIONS_AND_MARKER
    gap: Gap = Gap.FILLED


class Bounds(NamedTuple):
    """Where the state space is cut."""

    journal: int = 6  # records
    takes: int = 3  # of them
    disks: bool = True


class Owner(NamedTuple):
    """A process that took a term."""

    term: int
    base: int  # it knows every change behind this offset
    position: int  # it has folded to here
    open: bool = False  # it initialised its producer


class Topic(NamedTuple):
    """What a reader of `state` finds: per key the offset of the change, and the marker."""

    changes: tuple[int, ...] = (NOWHERE,) * len(KEYS)
    as_of: int = NOWHERE
    term: int = NOWHERE


class State(NamedTuple):
    """Everything at one moment."""

    journal: tuple[int, ...] = ()
    owners: tuple[Owner | None, ...] = (None, None)
    disks: tuple[int, ...] = (NOWHERE, NOWHERE)  # to where each local store reflects the journal
    topic: Topic = Topic()
    unfenced: int = NOWHERE  # who initialised its producer last


class StateTopicModel:
    """All that can happen under some rules, within bounds."""

    def __init__(self, rules: Rules, bounds: Bounds) -> None:
        self._rules = rules
        self._bounds = bounds

    def start(self) -> State:
        """Nothing is written, nobody owns."""
        return State()

    def successors(self, state: State) -> Iterator[Step]:
        """Every next step."""
        for i, owner in enumerate(state.owners):
            if owner is None:
                yield from self._takes(state, i)
                continue
            yield f"{OWNERS[i]} drops its memory", _with(state, i, None)
            if not owner.open:
                yield self._opens(state, i, owner)
                continue
            yield from self._changes(state, i, owner)
            if owner.position > owner.base:
                yield self._writes(state, i, owner)
            if self._bounds.disks and owner.position > state.disks[i]:
                disks = _replaced(state.disks, i, owner.position)
                label = f"{OWNERS[i]} flushes its local store at {owner.position}"
                yield label, state._replace(disks=disks)

    def _takes(self, state: State, i: int) -> Iterator[Step]:
        takes = sum(record == TAKE for record in state.journal)
        if takes == self._bounds.takes or len(state.journal) == self._bounds.journal:
            return
        term = len(state.journal)
        base = state.disks[i] if state.disks[i] != NOWHERE else state.topic.as_of
        where = "its disk" if state.disks[i] != NOWHERE else "the marker"
        label = f"{OWNERS[i]} restores from {where} at {base}, owns under term {term}"
        taken = state._replace(journal=(*state.journal, TAKE))
        yield label, _with(taken, i, Owner(term, base, term))

    def _opens(self, state: State, i: int, owner: Owner) -> Step:
        fenced = state._replace(unfenced=i)
        if self._rules.fence is Fence.TRANSACTIONS_AND_MARKER and state.topic.term > owner.term:
            return f"{OWNERS[i]} fences others, sees a higher term, stops", _with(fenced, i, None)
        base = owner.base
        if self._rules.gap is Gap.FILLED:
            base = min(base, state.topic.as_of)
        label = f"{OWNERS[i]} fences others, sees the marker at {state.topic.as_of}"
        return label, _with(fenced, i, owner._replace(open=True, base=base))

    def _changes(self, state: State, i: int, owner: Owner) -> Iterator[Step]:
        newest = max(at for at, record in enumerate(state.journal) if record == TAKE)
        if owner.term != newest or len(state.journal) == self._bounds.journal:
            return
        # The keys are alike, so the first to change is the first of them.
        for key in KEYS if KEYS[0] in state.journal else KEYS[:1]:
            at = len(state.journal)
            changed = state._replace(journal=(*state.journal, key))
            label = f"{OWNERS[i]} changes key {key} at {at}"
            yield label, _with(changed, i, owner._replace(position=at))

    def _writes(self, state: State, i: int, owner: Owner) -> Step:
        """One transaction: what changed behind the base, and the marker."""
        if self._rules.fence is not Fence.NONE and state.unfenced != i:
            return f"{OWNERS[i]} is fenced off", _with(state, i, owner._replace(open=False))
        changes = state.topic.changes
        for key in KEYS:
            changed = last_change(state.journal, key, owner.position)
            if changed > owner.base:
                changes = _replaced(changes, key, changed)
        topic = Topic(changes, owner.position, owner.term)
        label = f"{OWNERS[i]} writes what changed in {owner.base + 1}..{owner.position}"
        written = _with(state, i, owner._replace(base=owner.position))
        return label, written._replace(topic=topic)


def alike(state: State) -> State:
    """One of the two states that differ only in the owners' names."""
    keys = [
        (owner or (), disk, i == state.unfenced)
        for i, (owner, disk) in enumerate(zip(state.owners, state.disks, strict=True))
    ]
    if keys[0] <= keys[1]:
        return state
    unfenced = NOWHERE if state.unfenced == NOWHERE else 1 - state.unfenced
    return state._replace(owners=state.owners[::-1], disks=state.disks[::-1], unfenced=unfenced)


def last_change(journal: tuple[int, ...], key: int, to: int) -> int:
    """The offset of the last change of `key` at or before `to`."""
    return max((at for at in range(to + 1) if journal[at] == key), default=NOWHERE)


def reflects_the_journal(state: State) -> str | None:
    """Every key in `state` is as the journal has it at the marker."""
    for key in KEYS:
        expected = last_change(state.journal, key, state.topic.as_of)
        found = state.topic.changes[key]
        if found != expected:
            return (
                f"at marker {state.topic.as_of} key {key} is as changed at {found}; "
                f"the journal says {expected}"
            )
    return None


def _with(state: State, i: int, owner: Owner | None) -> State:
    owners = (owner, state.owners[1]) if i == 0 else (state.owners[0], owner)
    return state._replace(owners=owners)


def _replaced(values: tuple[int, ...], at: int, value: int) -> tuple[int, ...]:
    return (*values[:at], value, *values[at + 1 :])
