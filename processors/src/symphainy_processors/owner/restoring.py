"""Restoring a partition's state: local checkpoint, else `state`, then the journal's tail.

Generators: a `yield` lets the loop serve others. Nothing here decides or acts. What is trusted is
checked against the journal first (rule 17); what cannot be is rebuilt, or stops the partition.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass, field

from symphainy_processors.fold import layout
from symphainy_processors.fold.checkpoint import FORMAT, Checkpoint, unpack_checkpoint
from symphainy_processors.fold.evolve import EVOLVE_VERSION
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.owner.ports import Journal, StateRows
from symphainy_processors.owner.rows import Loading, checkpoint_of
from symphainy_runtime.journal.chain import Chain, JournalTampered
from symphainy_runtime.journal.validity import Validity, judge, record_hash, takes_ownership
from symphainy_runtime.state.store import StateStore
from symphainy_schemas.codec import decode
from symphainy_schemas.errors import OperatorError
from symphainy_schemas.events import JournalRecord

log = logging.getLogger(__name__)
Steps = Generator[None, None, None]


@dataclass
class Restored:
    """A partition's state, folded from valid records below `read_to`."""

    state: PartitionState
    standing: Validity
    read_to: int
    chain: Chain
    before_term: Validity = field(default_factory=Validity)


class Restoring:
    """Restores partitions of one journal."""

    def __init__(self, journal: Journal, state_log: StateRows, options: OwnerOptions) -> None:
        self._journal = journal
        self._state_log = state_log
        self._options = options

    def restore(self, p: int, store: StateStore) -> Generator[None, None, Restored]:
        """The state at the journal's end as of now, flushed into `store`.

        Raises:
            JournalTampered, JournalTooNew, OperatorError: only an operator can help.
            StoreBroken: the local state is of no use.
            Unavailable: Kafka does not answer.
        """
        identity = f"{self._journal.identity()}/{p}"
        low, high = self._journal.bounds(p)
        found = yield from self._trusted(p, store, identity, low, high)
        if found is None:
            store.clear()
            found = yield from self._from_state_topic(p, store, low)
            high = max(high, found.offset + 1)  # another owner may have gone on since it was asked
        state = PartitionState(self._options.dedupe_window_ms, store, found, identity)
        restored = Restored(state, found.standing, max(found.offset + 1, low), Chain(p))
        yield from self.fold(p, restored, high)
        return restored

    def fold(self, p: int, restored: Restored, end: int) -> Steps:
        """Fold the journal up to `end`, and flush."""
        state = restored.state
        for batch in self._records(p, restored.read_to, end):
            for offset, value in batch:
                before = restored.standing
                stored = judge(value, offset, before)
                restored.standing = stored.standing
                if stored.valid and stored.record is not None:
                    restored.chain.follow(stored.record, offset, state.settled.standing)
                    if takes_ownership(stored.record):
                        restored.before_term = state.settled.standing
                    state.settle(state.apply(stored.record, stored.standing))
            if state.unflushed >= self._options.flush_at:
                state.flush()
            yield
        restored.read_to = max(restored.read_to, end)
        state.flush()

    def records(
        self, p: int, offsets: AbstractSet[int]
    ) -> Generator[None, None, dict[int, JournalRecord]]:
        """The records at these offsets, which were folded: they are valid.

        Raises:
            OperatorError: retention has passed one.
        """
        found: dict[int, JournalRecord] = {}
        if not offsets:
            return found
        low, _ = self._journal.bounds(p)
        if min(offsets) < low:
            raise OperatorError(
                f"Journal partition {p} begins at {low}; gone is the decision at {min(offsets)}, "
                "whose effects Kafka may not have.",
                code="journal_expired",
                cure="See docs/operations.md, Expired positions.",
            )
        for batch in self._records(p, min(offsets), max(offsets) + 1):
            for offset, value in batch:
                if offset in offsets:
                    found[offset] = decode(value, JournalRecord)
            yield
        return found

    def changed_between(
        self, p: int, after: int, to: int
    ) -> Generator[None, None, dict[str, None]]:
        """The ids of what valid records in (after, to] may have changed."""
        names: dict[str, None] = {}
        standing = Validity()
        for batch in self._records(p, after + 1, to + 1):
            for offset, value in batch:
                # Validity cannot be told from the middle; a key too many does no harm.
                record = judge(value, offset, standing).record
                if record is not None:
                    both = (record.execution_id, record.session_id)
                    names.update((name, None) for name in both if name)
            yield
        return names

    # --- where to begin -------------------------------------------------------------------------

    def _trusted(
        self, p: int, store: StateStore, identity: str, low: int, high: int
    ) -> Generator[None, None, Checkpoint | None]:
        """The local checkpoint, if the journal confirms it."""
        value = store.get(layout.CHECKPOINT)
        found = None if value is None else unpack_checkpoint(value)
        if found is None or found.offset < 0:
            return None
        usable = (FORMAT, EVOLVE_VERSION, identity)
        if (found.format, found.evolve_version, found.identity) != usable:
            if made_anew(found.identity, identity):
                raise JournalTampered(
                    f"Journal partition {p}: the topic was deleted and made anew, but the local "
                    f"state reflects the former one up to {found.offset}: acknowledged records "
                    "are gone.",
                    cure="See docs/operations.md, A broken chain.",
                )
            log.warning(
                "partition %d: local state is another log's or version's (%s, not %s); rebuilding",
                p,
                (found.format, found.evolve_version, found.identity),
                usable,
            )
            return None
        if found.offset >= high:
            raise _cut(p, "the local state", found.offset, high)
        if found.offset + 1 < low:
            return None  # retention has passed what comes next
        if found.offset >= low:
            confirmed = yield from self._stands(p, found.offset, found.hash)
            if not confirmed:
                log.warning("partition %d: the journal does not confirm local state", p)
                return None
        return found

    def _from_state_topic(
        self, p: int, store: StateStore, low: int
    ) -> Generator[None, None, Checkpoint]:
        loading = Loading(store)
        with closing(self._state_log.read(p)) as batches:
            for batch in batches:
                loading.take(batch)
                yield
        if loading.marker is None:
            if low > 0:
                raise OperatorError(
                    f"Journal partition {p} begins at {low}, and `state` holds no marker: what "
                    "was decided before is gone.",
                    code="journal_expired",
                    cure="See docs/operations.md, Expired positions.",
                )
            store.clear()
            return Checkpoint()
        found = checkpoint_of(loading.marker, loading.live, loading.idle)
        _, high = self._journal.bounds(p)
        if found.offset >= high:
            raise _cut(p, "`state`", found.offset, high)
        if found.offset + 1 < low:
            raise OperatorError(
                f"Journal partition {p} begins at {low}, but `state` reflects it only up to "
                f"{found.offset}.",
                code="journal_expired",
                cure="See docs/operations.md, Expired positions.",
            )
        if found.offset >= low:
            confirmed = yield from self._stands(p, found.offset, found.hash)
            if not confirmed:
                raise JournalTampered(
                    f"Journal partition {p}: the record at {found.offset} is not the one that "
                    "`state` was folded from.",
                    cure="See docs/operations.md, A broken chain.",
                )
        return found

    def _stands(self, p: int, offset: int, expected: bytes) -> Generator[None, None, bool]:
        for batch in self._records(p, offset, offset + 1):
            for _, value in batch:
                return record_hash(value) == expected
            yield
        return False

    def _records(self, p: int, start: int, end: int) -> Iterator[list[tuple[int, bytes]]]:
        """The journal in slices, so that one turn folds a bounded number."""
        size = self._options.fold_slice
        with closing(self._journal.read(p, start, end)) as batches:
            for batch in batches:
                for at in range(0, max(len(batch), 1), size):
                    yield list(batch[at : at + size])


def made_anew(known: str, today: str) -> bool:
    """Whether the topic was deleted since, and another one has its name; as told by
    `Journal.identity`, with the partition behind it. Another cluster's topic is another log."""
    was, now = (told.rpartition("/")[0].split("/", 2) for told in (known, today))
    return was[:2] == now[:2] and was != now  # an id may itself hold a "/"


def _cut(p: int, what: str, offset: int, high: int) -> JournalTampered:
    return JournalTampered(
        f"Journal partition {p} ends before {high}, but {what} reflects it up to {offset}: "
        "acknowledged records are gone.",
        cure="See docs/operations.md, A broken chain.",
    )
