"""A model of rule 11: what Kafka has not acknowledged is folded state, and a takeover repeats it.

Owners follow each other; each may die at any moment, and what it had appended may land late. One
owner at a time is enough: what an overtaken one still sends can only help. Steps are dispatched in
order; a takeover dispatches anew, under a new number, whatever may not have been sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

Step = tuple[str, "State"]
NEVER = -1  # an offset that is none
GAP = -2  # no seq follows it


class ActedTo(Enum):
    """When `acted_to` moves during a takeover."""

    HELD = auto()  # once all that the takeover delivers anew stands in the journal
    WITH_THE_FIRST = auto()  # like at any other time, so with the first new delivery


class Outbox(Enum):
    """What a takeover knows of dispatches before its local checkpoint."""

    KEPT = auto()  # the outbox is part of the state that the checkpoint holds
    FORGOTTEN = auto()  # only the journal behind the checkpoint is asked


class Ownership(Enum):
    """What the `acted_to` of an OwnershipTaken, which may land late, does."""

    KEEPS = auto()  # nothing
    REWINDS = auto()  # it counts, though it may be older than the one before it


class Rules(NamedTuple):
    """One variant of rule 11. The defaults are the right one."""

    acted_to: ActedTo = ActedTo.HELD
    outbox: Outbox = Outbox.KEPT
    ownership: Ownership = Ownership.KEEPS


class Bounds(NamedTuple):
    """Where the state space is cut."""

    steps: int = 2  # that are dispatched
    takes: int = 3  # OwnershipTaken records
    records: int = 4  # of one term
    pipeline: int = 2  # appends in flight, beside those of the takeover


class Take(NamedTuple):
    """An OwnershipTaken."""

    acted_to: int


class Dispatch(NamedTuple):
    """A delivery of a step, or with step -1 a record that only carries `acted_to`."""

    term: int
    seq: int
    step: int
    acted_to: int


Record = Take | Dispatch
# A late record of an older term: it counts for nobody, but takes a place. One of them is enough.
STALE = Dispatch(NEVER, 0, NEVER, NEVER)


class Fold(NamedTuple):
    """What a reader knows at the journal's end."""

    length: int = 0
    term: int = NEVER
    seq: int = GAP
    acted_to: int = NEVER
    dispatched: tuple[int, ...] = ()  # per step, the offset of its newest valid delivery


class Owner(NamedTuple):
    """The process that owns, under its term."""

    term: int = NEVER
    seq: int = 0
    acked: int = NEVER
    recorded: int = NEVER  # the newest `acted_to` that it wrote down
    dispatched: int = 0  # steps that its memory knows as dispatched
    waiting: tuple[tuple[Dispatch, int], ...] = ()  # appends, and where they landed or NEVER
    unsent: tuple[tuple[int, int], ...] = ()  # (offset, step) whose task is under way
    held_at: int = NEVER
    held_until: int = NEVER


class State(NamedTuple):
    """Everything at one moment."""

    fold: Fold
    takes: int
    owner: Owner | None = None
    taking: Take | None = None
    late: tuple[tuple[Record, ...], ...] = ()  # what dead owners' producers hold, each in order
    sent: frozenset[int] = frozenset()  # steps of which Kafka has a task
    checkpoint: int = NEVER  # the local one


class OutboxModel:
    """All that can happen under some rules, within bounds."""

    def __init__(self, rules: Rules, bounds: Bounds) -> None:
        self._rules = rules
        self._bounds = bounds

    def start(self) -> State:
        """An empty journal that nobody owns."""
        return State(Fold(dispatched=(NEVER,) * self._bounds.steps), self._bounds.takes)

    def successors(self, state: State) -> Iterator[Step]:
        """Every next step."""
        yield from self._lands_late(state)
        if state.owner is None:
            yield from self._takes(state)
            yield from _dies_taking(state)
        else:
            yield from self._dispatches(state, state.owner)
            yield from self._writes_down(state, state.owner)
            yield from self._lands(state, state.owner)
            yield from self._checkpoints(state, state.owner)
            yield from _acts(state, state.owner)
            yield from _sends(state, state.owner)
            yield from _dies(state, state.owner)

    def calm(self, state: State) -> Iterator[Step]:
        """What an owner does by itself when nothing fails and nothing new is asked."""
        if state.owner is None:
            yield from self._takes(state._replace(takes=max(state.takes, 1)))
        else:
            yield from self._lands(state, state.owner)
            yield from _acts(state, state.owner)
            yield from _sends(state, state.owner)

    # --- the owner ------------------------------------------------------------------------------

    def _takes(self, state: State) -> Iterator[Step]:
        """Restore and send; then land, fold to it, and deliver anew in one go."""
        if state.taking is None and state.takes:
            taking = Take(state.fold.acted_to)
            label = "an owner restores and sends OwnershipTaken"
            yield label, state._replace(taking=taking, takes=state.takes - 1)
        elif state.taking is not None:
            term = state.fold.length
            landed = self._append(state._replace(taking=None), state.taking)
            owner = self._takes_over(landed, term)
            anew = [record.step + 1 for record, _ in owner.waiting]
            label = f"it owns under term {term} and delivers anew {anew}"
            yield label, landed._replace(owner=owner)

    def _takes_over(self, state: State, term: int) -> Owner:
        fold = state.fold
        known = sum(offset >= 0 for offset in fold.dispatched)
        acted_to = fold.acted_to
        owner = Owner(term=term, acked=term, dispatched=known, recorded=acted_to, held_at=acted_to)
        if self._rules.acted_to is ActedTo.HELD:
            owner = owner._replace(held_until=term + 10)  # beyond all that it delivers anew
        behind = state.checkpoint if self._rules.outbox is Outbox.FORGOTTEN else NEVER
        for step, offset in enumerate(fold.dispatched):
            if offset > max(acted_to, behind):
                owner = _record(owner, step)
        if self._rules.acted_to is ActedTo.HELD:
            owner = owner._replace(held_until=term + owner.seq)
        return owner

    def _dispatches(self, state: State, owner: Owner) -> Iterator[Step]:
        if owner.dispatched < self._bounds.steps and self._has_room(owner):
            decided = _record(owner, owner.dispatched)
            decided = decided._replace(dispatched=owner.dispatched + 1)
            label = f"it dispatches step {owner.dispatched + 1}, acted_to {decided.recorded}"
            yield label, state._replace(owner=decided)

    def _writes_down(self, state: State, owner: Owner) -> Iterator[Step]:
        """A record for `acted_to` alone, when nothing else is in flight."""
        news = _acted_to(owner) > owner.recorded
        if news and not owner.waiting and self._has_room(owner):
            noted = _record(owner, NEVER)
            yield f"it writes down acted_to {noted.recorded}", state._replace(owner=noted)

    def _has_room(self, owner: Owner) -> bool:
        return owner.seq < self._bounds.records and len(owner.waiting) < self._bounds.pipeline

    def _checkpoints(self, state: State, owner: Owner) -> Iterator[Step]:
        """It only matters to those who forget what stands before it."""
        if self._rules.outbox is Outbox.FORGOTTEN and owner.acked > state.checkpoint:
            label = f"a local checkpoint at {owner.acked}"
            yield label, state._replace(checkpoint=owner.acked)

    # --- the journal ----------------------------------------------------------------------------

    def _lands(self, state: State, owner: Owner) -> Iterator[Step]:
        """A producer sends in order."""
        for at, (record, offset) in enumerate(owner.waiting):
            if offset == NEVER:
                landed = (record, state.fold.length)
                waiting = (*owner.waiting[:at], landed, *owner.waiting[at + 1 :])
                following = self._append(state, record)
                following = following._replace(owner=owner._replace(waiting=waiting))
                yield f"its append (seq {record.seq}) lands at {state.fold.length}", following
                return

    def _lands_late(self, state: State) -> Iterator[Step]:
        for at, queue in enumerate(state.late):
            rest = state._replace(late=state.late[:at] + state.late[at + 1 :])
            yield "late records are lost", rest
            landed = self._append(_with_late(rest, queue[1:]), queue[0])
            yield f"a late record lands at {state.fold.length}", landed

    def _append(self, state: State, record: Record) -> State:
        landed = state._replace(fold=self._read(state.fold, record))
        if isinstance(record, Dispatch):
            return landed
        late = {queue if isinstance(queue[0], Take) else (STALE,) for queue in state.late}
        return landed._replace(late=tuple(sorted(late)))

    def _read(self, fold: Fold, record: Record) -> Fold:
        offset, behind = fold.length, fold._replace(length=fold.length + 1)
        if isinstance(record, Take):
            rewinds = self._rules.ownership is Ownership.REWINDS
            acted_to = record.acted_to if rewinds else fold.acted_to
            return behind._replace(term=offset, seq=0, acted_to=acted_to)
        if record.term != fold.term or record.seq != fold.seq + 1:
            gap = record.term == fold.term and record.seq > fold.seq + 1
            return behind._replace(seq=GAP) if gap else behind
        dispatched = fold.dispatched
        if record.step >= 0:
            dispatched = (*dispatched[: record.step], offset, *dispatched[record.step + 1 :])
        return behind._replace(seq=record.seq, acted_to=record.acted_to, dispatched=dispatched)


def settled(state: State) -> bool:
    """Whether an owner has done all that it had to."""
    owner = state.owner
    return owner is not None and not owner.waiting and not owner.unsent


def all_sent(state: State) -> str | None:
    """Once an owner has nothing left to do, every valid dispatch was sent."""
    unsent = [s for s, at in enumerate(state.fold.dispatched) if at >= 0 and s not in state.sent]
    owner = state.owner
    # Under a lost term it has not learnt yet that it must do it all again.
    if unsent and owner is not None and settled(state) and owner.term == state.fold.term:
        return f"the owner has nothing left to do, but step {unsent[0] + 1} was never sent"
    return None


def acted_to_is_true(state: State) -> str | None:
    """What stands at or before `acted_to` was sent."""
    for step, offset in enumerate(state.fold.dispatched):
        if 0 <= offset <= state.fold.acted_to and step not in state.sent:
            return f"acted_to is {state.fold.acted_to}, but step {step + 1} was never sent"
    return None


def _acted_to(owner: Owner) -> int:
    if owner.acked < owner.held_until:
        return owner.held_at
    return owner.unsent[0][0] - 1 if owner.unsent else owner.acked


def _record(owner: Owner, step: int) -> Owner:
    acted_to = _acted_to(owner)
    record = Dispatch(owner.term, owner.seq + 1, step, acted_to)
    return owner._replace(
        seq=record.seq, recorded=acted_to, waiting=(*owner.waiting, (record, NEVER))
    )


def _acts(state: State, owner: Owner) -> Iterator[Step]:
    """The oldest append is acknowledged; at an unexpected offset the owner drops everything."""
    if not owner.waiting or owner.waiting[0][1] == NEVER:
        return
    record, offset = owner.waiting[0]
    if offset != owner.acked + 1:
        yield f"it drops its memory: its append is at {offset}", _without_owner(state, owner)
        return
    acked = owner._replace(acked=offset, waiting=owner.waiting[1:])
    if record.step >= 0:
        acked = acked._replace(unsent=(*owner.unsent, (offset, record.step)))
    yield f"{offset} is acknowledged", state._replace(owner=acked)


def _sends(state: State, owner: Owner) -> Iterator[Step]:
    for at, (_, step) in enumerate(owner.unsent):
        left = owner._replace(unsent=owner.unsent[:at] + owner.unsent[at + 1 :])
        label = f"Kafka has the task of step {step + 1}"
        yield label, state._replace(owner=left, sent=state.sent | {step})


def _dies(state: State, owner: Owner) -> Iterator[Step]:
    yield "it dies", _without_owner(state, owner)


def _dies_taking(state: State) -> Iterator[Step]:
    if state.taking is not None and state.takes:
        gone = _with_late(state._replace(taking=None), (state.taking,))
        yield "it dies before its OwnershipTaken lands", gone


def _without_owner(state: State, owner: Owner) -> State:
    queue = tuple(record for record, offset in owner.waiting if offset == NEVER)
    return _with_late(state._replace(owner=None), queue)


def _with_late(state: State, queue: tuple[Record, ...]) -> State:
    return state._replace(late=tuple(sorted((*state.late, queue)))) if queue else state
