"""Rows of the `state` topic: made from a store's snapshot, and loaded into an empty store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import islice

from symphainy_processors.fold import layout
from symphainy_processors.fold.checkpoint import Checkpoint
from symphainy_processors.fold.evolve import EVOLVE_VERSION
from symphainy_processors.fold.layout import Body
from symphainy_processors.owner.ports import MARKER_KEY, StateBatch
from symphainy_runtime.state.store import StateStore
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.errors import JournalTooNew, UnreadableRecord
from symphainy_schemas.state import State, StateMarker

# Names sorted at a time, in a millisecond. A sort keeps the interpreter to itself: over a million
# names the owner's loop would stand still for a second.
SLICE = 4_000


def marker_of(checkpoint: Checkpoint) -> State:
    """The marker that says: everything up to here is written (rule 16)."""
    return State(
        as_of=checkpoint.offset,
        term=checkpoint.term,
        seq=checkpoint.seq,
        evolve_version=EVOLVE_VERSION,
        body=StateMarker(
            hash=checkpoint.hash,
            intents_next=checkpoint.intents_next,
            steps_next=checkpoint.steps_next,
            acted_to=checkpoint.acted_to,
            at=checkpoint.at,
            turn=checkpoint.turn,
        ),
    )


def checkpoint_of(marker: State, live: int, idle: int) -> Checkpoint:
    """Where a state that was loaded up to `marker` stands."""
    body = marker.body
    assert isinstance(body, StateMarker)
    return Checkpoint(
        term=marker.term,
        seq=marker.seq,
        offset=marker.as_of,
        hash=body.hash,
        intents_next=body.intents_next,
        steps_next=body.steps_next,
        acted_to=body.acted_to,
        at=body.at,
        turn=body.turn,
        live=live,
        idle=idle,
    )


def rows(
    batch: StateBatch, pause: Callable[[], None] = lambda: None
) -> Iterator[tuple[bytes, bytes | None]]:
    """The records of one transaction: every changed key, None for what is gone; the marker last.

    In the order of names: the same batch makes the same records, and what lies together in the
    In the order of names: the same batch makes the same records, and what lies together in the
    store is read together, which costs less. `pause` is called between any two rows, and between
    any two slices that are sorted before the first.
    """
    marker = batch.marker
    for name in _in_order(batch.keys, pause):
        pause()
        value = batch.store.get(layout.state_key(name))
        if value is None:
            yield name.encode(), None
            continue
        row = State(
            as_of=marker.as_of,
            term=marker.term,
            seq=marker.seq,
            evolve_version=EVOLVE_VERSION,
            body=layout.unpack(value),
        )
        yield name.encode(), encode(row)
    yield MARKER_KEY, encode(marker)


def _in_order(names: Iterable[str], pause: Callable[[], None]) -> Iterator[str]:
    rest = iter(names)
    runs: list[Iterator[str]] = []  # iterators: each lets go of its run when that has ended
    while run := sorted(islice(rest, SLICE)):
        runs.append(iter(dict.fromkeys(run)))  # which, unlike lists, the collector leaves alone
        pause()
    return merge(*runs)


class Loading:
    """Fills a store from rows of `state`, oldest first; later rows of a key win."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self.marker: State | None = None
        self.live = self.idle = 0

    def take(self, found: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Write one batch of rows.

        Raises:
            JournalTooNew: a row is newer than this process can read.
            UnreadableRecord: a row is damaged.
        """
        latest = dict(found)
        batch: list[tuple[bytes, bytes | None]] = []
        for key, value in latest.items():
            row = None if value is None else read_row(value)
            if key == MARKER_KEY:
                self.marker = row
            else:
                body = None if row is None else row.body
                assert not isinstance(body, StateMarker)
                batch += self._replacing(key.decode(), body)
        self._store.write(batch)

    def _replacing(self, name: str, new: Body | None) -> Iterator[tuple[bytes, bytes | None]]:
        key = layout.state_key(name)
        stored = self._store.get(key)
        old = None if stored is None else layout.unpack(stored)
        self.live += layout.is_live(new) - layout.is_live(old)
        self.idle += layout.is_idle(new) - layout.is_idle(old)
        yield from layout.changed_keys(old, new)
        yield key, None if new is None else layout.pack(new)


def read_row(value: bytes) -> State:
    """A row of `state`.

    Raises:
        JournalTooNew: it is newer than this process can read.
        UnreadableRecord: it is damaged.
    """
    try:
        row = decode(value, State)
    except UnreadableRecord as error:
        if error.code != "unknown_schema":
            raise
        raise JournalTooNew(error.message, cure="Upgrade this process.") from error
    if row.evolve_version > EVOLVE_VERSION:
        raise JournalTooNew(
            f"State was folded by evolve version {row.evolve_version}; this process has "
            f"{EVOLVE_VERSION}.",
            cure="Upgrade this process; nothing was touched.",
        )
    return row
