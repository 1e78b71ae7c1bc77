"""G8, rule 16: the committed `state` topic is the fold of the journal, batch by batch.

A batch is what stands up to a marker; it reflects the journal up to the record that the marker
names. The topic must not have been compacted since the window began.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from symphainy_schemas.codec import decode
from symphainy_schemas.errors import UnreadableRecord
from symphainy_schemas.state import State, StateMarker, digest
from symphainy_simulation.checking.folding import States, difference, fold, forgotten
from symphainy_simulation.checking.history import Body
from symphainy_simulation.checking.lives import Book
from symphainy_simulation.checking.logs import Entry, PartitionLogs
from symphainy_simulation.checking.opinion import takes_ownership
from symphainy_simulation.checking.violation import Place, Violation
from symphainy_transport.topics import JOURNAL, STATE

G = "G8"
MARKER_KEY = b"marker"


@dataclass(frozen=True)
class Batch:
    """One transaction: its rows by id, and its marker."""

    place: Place
    rows: dict[str, State | None]
    marker: State


class Folding:
    """The fold as far as it was asked for, and what changed since the last marker."""

    def __init__(self, logs: PartitionLogs) -> None:
        self.states: States = dict(logs.before.states)
        self.changed: set[str] = set(logs.before.unmarked)
        self.kept: States = {n: b for n, b in self.states.items() if n not in self.changed}
        self.at = logs.before.at
        self._gone = logs.before.gone
        self._left = iter(logs.valid)
        self._reached = -1

    def to(self, entry: Entry) -> None:
        """Fold up to this valid record. A batch may come twice: its commit was not answered."""
        if entry.offset <= self._reached:
            return
        self._reached = entry.offset
        for one in self._left:
            self.changed.update(fold(self.states, one))
            self.at = max(self.at, one.record.at)
            if one is entry:
                return

    def is_gone(self, name: str, kept: Body | None) -> bool:
        """Whether that is how an execution ended that was forgotten before the window. Who goes on
        from an old disk has it once more, until it finds that its time is over."""
        return kept is not None and self._gone.get(name) == digest(kept)


def check(book: Book) -> Iterator[Violation]:
    """Every committed batch against the fold as of its marker."""
    for logs, _ in book.partitions():
        broken: list[Violation] = []
        batches = list(_batches(logs, broken))
        yield from broken
        yield from _reflect(logs, batches, book.history.dedupe_window_ms)


def last_marker(logs: PartitionLogs) -> tuple[int, frozenset[str]]:
    """(the offset that the last committed marker names, the ids of what changed after it)."""
    batches = list(_batches(logs, []))
    marked_to = batches[-1].marker.as_of if batches else logs.before.marked_to
    states, changed = dict(logs.before.states), set(logs.before.unmarked)
    for entry in logs.valid:
        names = fold(states, entry)
        if entry.offset > marked_to:
            changed.update(names)
        elif entry.offset == marked_to:
            changed.clear()
    return marked_to, frozenset(changed)


def _batches(logs: PartitionLogs, broken: list[Violation]) -> Iterator[Batch]:
    rows: dict[str, State | None] = {}
    for written in logs.states:
        place = Place(STATE, logs.partition, written.offset)
        try:
            row = None if written.value is None else decode(written.value, State)
        except UnreadableRecord as error:
            broken.append(Violation(G, f"a row of `state` cannot be read: {error}", (place,)))
            continue
        if written.key != MARKER_KEY:
            rows[(written.key or b"").decode(errors="replace")] = row
        elif row is None or not isinstance(row.body, StateMarker):
            broken.append(Violation(G, "a marker of `state` is none", (place,)))
        else:
            yield Batch(place, rows, row)
            rows = {}
    if rows:
        place = Place(STATE, logs.partition, logs.states[-1].offset)
        broken.append(Violation(G, "`state` ends with rows that no marker closes", (place,)))


def _reflect(logs: PartitionLogs, batches: list[Batch], window_ms: int) -> Iterator[Violation]:
    folding = Folding(logs)
    by_offset = {entry.offset: entry for entry in logs.valid}
    marked_to = logs.before.marked_to
    for batch in batches:
        as_of = batch.marker.as_of
        if as_of < marked_to:
            sentence = f"`state` goes back: a marker of {as_of} follows one of {marked_to}"
            yield Violation(G, sentence, (batch.place,))
            return  # what follows would be told as different for this one reason
        marked_to = as_of
        entry = by_offset.get(as_of)
        if entry is None:
            if as_of != logs.before.journal_offset:
                place = Place(JOURNAL, logs.partition, as_of)
                sentence = "a marker of `state` names a journal record that does not count"
                yield Violation(G, sentence, (batch.place, place))
                return
        else:
            folding.to(entry)
            if not _names(batch.marker, entry):
                sentence = "a marker of `state` does not say what its journal record says"
                yield Violation(G, sentence, (batch.place, entry.place))
        yield from _rows(batch, folding, window_ms)


def _names(marker: State, entry: Entry) -> bool:
    record, body = entry.record, marker.body
    if not isinstance(body, StateMarker):
        return False
    takes = takes_ownership(record)
    term = entry.offset if takes else record.term
    if (marker.term, marker.seq, body.hash) != (term, record.seq, sha256(entry.value).digest()):
        return False
    # A takeover is written before its writer has seen the last owner's very last records.
    return takes or (body.intents_next, body.steps_next, body.acted_to, body.at) == (
        record.intents_next,
        record.steps_next,
        record.acted_to,
        record.at,
    )


def _rows(batch: Batch, folding: Folding, window_ms: int) -> Iterator[Violation]:
    marker = batch.marker
    for name, row in batch.rows.items():
        if row is None:
            folding.kept.pop(name, None)
        elif isinstance(row.body, StateMarker):
            yield Violation(G, f"{name}: the row of `state` is a marker", (batch.place,))
        else:
            folding.kept[name] = row.body
            if (row.as_of, row.term, row.seq) != (marker.as_of, marker.term, marker.seq):
                sentence = f"{name}: the row of `state` names another place than its marker"
                yield Violation(G, sentence, (batch.place,))
    for name in sorted(folding.changed | batch.rows.keys()):
        folded, kept = folding.states.get(name), folding.kept.get(name)
        if folded is None and folding.is_gone(name, kept):
            continue
        gone = kept is None and forgotten(folded, folding.at, window_ms, folding.states)
        if kept != folded and not gone:
            sentence = f"{name}: `state` {difference(kept, folded)}"
            yield Violation(G, sentence, (batch.place,))
    folding.changed.clear()
