"""A long run is checked window by window; what the next one needs of the last is small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from symphainy_schemas.state import ExecutionState, ExecutionStatus, digest
from symphainy_simulation.checking.folding import States, fold, forgotten
from symphainy_simulation.checking.history import Carried, Written
from symphainy_simulation.checking.lives import Book
from symphainy_simulation.checking.logs import PartitionLogs
from symphainy_simulation.checking.opinion import takes_ownership
from symphainy_simulation.checking.surface import last_marker

_GAP = -2


def carry(book: Book) -> dict[int, Carried]:
    """Where each partition stands at the end of a quiet window.

    Raises:
        ValueError: an execution has neither ended nor is stuck, so the window is not quiet.
    """
    return {p: _carried(book, logs) for p, logs in book.logs.partitions.items()}


def _carried(book: Book, logs: PartitionLogs) -> Carried:
    history, before, p = book.history, logs.before, logs.partition
    states: States = dict(before.states)
    for entry in logs.valid:
        fold(states, entry)
    marked_to, unmarked = last_marker(logs)
    rest = Carried(
        *logs.reached,
        journal_next=_end(history.journal[p], before.journal_next),
        state_next=_end(history.state.get(p, ()), before.state_next),
        term=before.term,
        seq=before.seq,
        journal_offset=before.journal_offset,
        journal_hash=before.journal_hash,
        at=before.at,
        marked_to=marked_to,
        unmarked=unmarked,
    )
    if logs.valid:
        last = logs.valid[-1]
        term = last.offset if takes_ownership(last.record) else last.record.term
        later = [e for offset, e in logs.entries.items() if offset > last.offset]
        # What landed behind a gap ended the term: nothing more of it will count.
        gap = any(e.record.term == term and e.record.seq > last.record.seq for e in later)
        rest = replace(
            rest,
            term=term,
            seq=_GAP if gap else last.record.seq,
            journal_offset=last.offset,
            journal_hash=sha256(last.value).digest(),
            at=max(before.at, *(entry.record.at for entry in logs.valid)),
        )
    kept = _remembered(states, rest.at, history.dedupe_window_ms)
    gone = {name: digest(body) for name, body in states.items() if name not in kept}
    return replace(rest, states=kept, gone={**before.gone, **gone})


def _remembered(states: States, at: int, window_ms: int) -> States:
    kept = {
        name: body for name, body in states.items() if not forgotten(body, at, window_ms, states)
    }
    for name, body in kept.items():
        if isinstance(body, ExecutionState) and not _rests(body):
            raise ValueError(f"{name} has not ended: the window is not quiet")
    return kept


def _rests(state: ExecutionState) -> bool:
    """Whether nothing happens to it unless an operator acts."""
    return state.status.ended or state.status is ExecutionStatus.STUCK


def _end(written: Sequence[Written], otherwise: int) -> int:
    return written[-1].offset + 1 if written else otherwise
