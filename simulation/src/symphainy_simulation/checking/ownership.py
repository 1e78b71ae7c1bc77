"""G13: one owner's decisions count at any offset, for every reader; and only they act."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from symphainy_runtime.journal.standing import is_of, sure_from
from symphainy_runtime.journal.validity import Validity
from symphainy_simulation.checking.lives import Book
from symphainy_simulation.checking.logs import PartitionLogs
from symphainy_simulation.checking.opinion import takes_ownership
from symphainy_simulation.checking.violation import Place, Violation
from symphainy_transport.topics import JOURNAL

G = "G13"


def check(book: Book) -> Iterator[Violation]:
    """Two opinions agree, from every start; effects come from what counts."""
    for text in book.logs.broken:
        yield Violation(G, f"the journal cannot be read on: {text}")
    for logs, _ in book.partitions():
        yield from _opinions(logs)
        yield from _from_any_takeover(logs)
        yield from _from_what_was_acted_on(logs)
    for found in book.logs.tasks:
        task = found.record
        stands = None if task is None else book.logs.partitions.get(task.partition)
        if task is None or stands is None:
            continue
        at = task.dispatched_at
        if at in stands.entries and at not in stands.counts:
            sentence = f"a task of {task.execution_id} was sent for a record that does not count"
            places = (found.place, Place(JOURNAL, task.partition, at))
            yield Violation(G, sentence, places)


def _opinions(logs: PartitionLogs) -> Iterator[Violation]:
    for offset in sorted(logs.accepted ^ logs.counts):
        whose = "the product's filter" if offset in logs.accepted else "the second opinion"
        place = Place(JOURNAL, logs.partition, offset)
        yield Violation(G, f"only {whose} counts this journal record", (place,))


def _from_any_takeover(logs: PartitionLogs) -> Iterator[Violation]:
    """A reader that begins at a takeover takes, up to the next one, what the others take. From
    there on it stands where they stand."""
    entries = list(logs.entries.values())
    starts = [i for i, entry in enumerate(entries) if takes_ownership(entry.record)]
    for start, following in pairwise([*starts, len(entries)]):
        standing = Validity()
        for entry in entries[start : min(following + 1, len(entries))]:
            accepted = standing.accept(entry.record, entry.offset, entry.value)
            standing = standing.after(entry.record) if accepted is None else accepted
            if (accepted is not None) != (entry.offset in logs.counts):
                sentence = "a reader that begins at a takeover judges otherwise"
                yield Violation(G, sentence, (entries[start].place, entry.place))


def _from_what_was_acted_on(logs: PartitionLogs) -> Iterator[Violation]:
    """Where a record says that reading may begin to know whether it counts, one counts if it is of
    its term; be the record itself what it may."""
    for entry in logs.entries.values():
        at, term = sure_from(entry.record, entry.offset), entry.record.term
        named = logs.entries.get(at)
        if named is None or at == entry.offset or not is_of(named.record, at, term):
            continue
        if at not in logs.counts:
            sentence = "effects are said to be acknowledged up to a record that does not count"
            yield Violation(G, sentence, (named.place, entry.place))
