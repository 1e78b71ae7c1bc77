"""G8: live state, checkpoints and `state` in Kafka are the fold of the journal, wherever named.

The fold here is a dictionary and the released `evolve` functions: no overlay, no store, no flush.
It forgets nothing; what has left its dedupe window may be gone elsewhere: an ended execution, and a
session that is over, in which nothing runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

from symphainy_processors.fold.evolve import evolve_execution, evolve_session
from symphainy_schemas import events as e
from symphainy_schemas.state import ExecutionState, SessionState
from symphainy_simulation.checking.history import Body, Snapshot
from symphainy_simulation.checking.lives import Book
from symphainy_simulation.checking.logs import Entry, PartitionLogs
from symphainy_simulation.checking.opinion import takes_ownership
from symphainy_simulation.checking.violation import Place, Violation
from symphainy_transport.topics import JOURNAL

G = "G8"
States = dict[str, Body]


def walk(logs: PartitionLogs) -> Iterator[tuple[Entry, Mapping[str, Body]]]:
    """Each valid record with the states before it. The mapping moves on with the walk."""
    states = dict(logs.before.states)
    for entry in logs.valid:
        yield entry, states
        fold(states, entry)


def fold(states: States, entry: Entry) -> list[str]:
    """Fold one valid record; the ids of what it changed."""
    record, changed = entry.record, []
    for event in record.events if record.execution_id else ():
        found = states.get(record.execution_id)
        before = found if isinstance(found, ExecutionState) else None
        after = evolve_execution(before, record, entry.offset, event)
        if after is not None and after is not before:
            states[record.execution_id] = after
            changed.append(record.execution_id)
        kept = states.get(record.session_id)
        session = None if isinstance(kept, ExecutionState) else kept
        opened = evolve_session(session, record, event)
        if opened is not None and opened is not session:
            states[record.session_id] = opened
            changed.append(record.session_id)
    return changed


def forgotten(body: Body | None, at: int, window_ms: int, states: Mapping[str, Body]) -> bool:
    """Whether at journaled time `at`, among `states`, it has left the dedupe window."""
    if isinstance(body, SessionState):
        over = 0 < body.closed_at < at - window_ms and not body.closing
        return over and not any(_runs_in(body, one) for one in states.values())
    if not isinstance(body, ExecutionState) or not body.status.ended:
        return False
    return body.ended_at < at - (body.dedupe_window_ms or window_ms)


def _runs_in(session: SessionState, body: Body) -> bool:
    if not isinstance(body, ExecutionState) or body.status.ended:
        return False
    return body.session_id == session.session_id


def check(book: Book) -> Iterator[Violation]:
    """Snapshots are the fold; time never runs back; the chain of hashes is whole."""
    for logs, _ in book.partitions():
        yield from _time(book, logs)
        yield from _chain(logs)
        live = book.history.live.get(logs.partition, ())
        yield from _snapshots(logs, live, book.history.dedupe_window_ms)


def _time(book: Book, logs: PartitionLogs) -> Iterator[Violation]:
    latest = logs.before.at
    for entry in logs.valid:
        at = entry.record.at
        # A takeover is written before its writer has seen the last owner's very last records.
        if at < latest and not takes_ownership(entry.record):
            sentence = f"journaled time runs back from {latest} to {at}"
            yield Violation(G, sentence, (entry.place,))
        elif book.history.clocks_kept and at > entry.at_ms + book.history.skew_ms:
            ahead = at - entry.at_ms
            sentence = f"journaled time is {ahead} ms ahead of the broker's, although clocks agree"
            yield Violation(G, sentence, (entry.place,))
        latest = max(latest, at)


# --- the chain of hashes (rules 18 and 21) ------------------------------------------------------


def _chain(logs: PartitionLogs) -> Iterator[Violation]:
    before = logs.before
    stood: dict[int, tuple[int, bytes]] = {
        before.journal_offset: (before.term, before.journal_hash)
    }
    last, before_term = before.journal_offset, before.journal_offset
    for entry in logs.valid:
        record = entry.record
        term = entry.offset if takes_ownership(record) else record.term
        if takes_ownership(record):
            before_term = last
            if not _takeover_follows(record, stored=stood, last=last):
                yield Violation(
                    G, "a takeover does not follow what stands before it", (entry.place,)
                )
        else:
            if record.prev_hash != stood[last][1]:
                places = (Place(JOURNAL, logs.partition, last), entry.place)
                yield Violation(G, "the chain of hashes is broken", places)
            if record.seq == 1 and not _names(record.previous, before_term, stood):
                sentence = "a term's first record does not name what stood before its takeover"
                yield Violation(G, sentence, (entry.place,))
        stood[entry.offset] = (term, sha256(entry.value).digest())
        last = entry.offset


def _takeover_follows(
    record: e.JournalRecord, stored: Mapping[int, tuple[int, bytes]], last: int
) -> bool:
    """It names the last record that its writer knew, which may be older than the last of all."""
    named = record.previous
    if named is None:
        return record.prev_hash == b""
    if named.offset > last:
        return False
    known = stored.get(named.offset)
    if known is None:  # a record that does not count, unless it stands before this window
        return named.offset < min(stored)
    return known == (named.term, record.prev_hash)


def _names(
    named: e.Predecessor | None, offset: int, stood: Mapping[int, tuple[int, bytes]]
) -> bool:
    if named is None:
        return False
    return named.offset == offset and stood[offset] == (named.term, named.hash or b"")


# --- snapshots ----------------------------------------------------------------------------------


def _snapshots(
    logs: PartitionLogs, live: Sequence[Snapshot], window_ms: int
) -> Iterator[Violation]:
    wanted: dict[int, list[Snapshot]] = {}
    for snapshot in live:
        wanted.setdefault(snapshot.as_of, []).append(snapshot)
    states = dict(logs.before.states)
    for snapshot in wanted.pop(logs.before.journal_offset, ()):
        yield from _differences(logs, snapshot, states, logs.before.at, window_ms)
    at = logs.before.at
    for entry in logs.valid:
        fold(states, entry)
        at = max(at, entry.record.at)  # a takeover may name an earlier time than stands before it
        for snapshot in wanted.pop(entry.offset, ()):
            yield from _differences(logs, snapshot, states, at, window_ms)
    for as_of in wanted:
        place = Place(JOURNAL, logs.partition, as_of)
        yield Violation(
            G, "state is said to reflect a journal record that does not count", (place,)
        )


def _differences(
    logs: PartitionLogs, snapshot: Snapshot, states: States, at: int, window_ms: int
) -> Iterator[Violation]:
    place = (Place(JOURNAL, logs.partition, snapshot.as_of),)
    for name in sorted(states.keys() | snapshot.states.keys()):
        folded, kept = states.get(name), snapshot.states.get(name)
        if kept is None and forgotten(folded, at, window_ms, states):
            continue
        if kept != folded:
            yield Violation(G, f"{name}: live state {difference(kept, folded)}", place)


def difference(kept: Body | None, folded: Body | None) -> str:
    """What is wrong with a kept state, in words."""
    if kept is None:
        return "lacks it, the journal's fold has it"
    if folded is None:
        return "has it, the journal's fold does not"
    if type(kept) is not type(folded):
        return "and the journal's fold are of two kinds"
    names = [n for n in folded.__struct_fields__ if getattr(kept, n) != getattr(folded, n)]
    told = ", ".join(f"{n} is {getattr(kept, n)!r}, not {getattr(folded, n)!r}" for n in names[:3])
    return f"is not the journal's fold: {told}"
