"""Which journal records count: a second opinion, written apart from the product's filter (G13).

Rule 2 says it: only under the newest term taken, only in sequence, nothing after a gap. Here the
journal is cut at every OwnershipTaken, and each piece is judged as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from symphainy_schemas.events import JournalRecord, OwnershipTaken


class Stood(NamedTuple):
    """A journal record that can be read, at its offset."""

    offset: int
    record: JournalRecord


def counting(stored: Sequence[Stood], term: int = -1, seq: int = -2) -> frozenset[int]:
    """The offsets of the records that count. A window that begins in the middle says under which
    term, after which seq; a negative seq says that nothing counts before the next term."""
    cuts = [index for index, stood in enumerate(stored) if takes_ownership(stood.record)]
    found: set[int] = set()
    if seq >= 0:
        found.update(_in_sequence(stored[: cuts[0] if cuts else len(stored)], term, seq))
    for cut, following in pairwise([*cuts, len(stored)]):
        own_term = stored[cut].offset
        found.add(own_term)
        found.update(_in_sequence(stored[cut + 1 : following], own_term, 0))
    return frozenset(found)


def _in_sequence(piece: Sequence[Stood], term: int, last: int) -> Iterator[int]:
    for offset, record in piece:
        if record.term != term or record.seq <= last:
            continue
        if record.seq > last + 1:
            return
        last = record.seq
        yield offset


def takes_ownership(record: JournalRecord) -> bool:
    """Whether the record begins a term."""
    return len(record.events) > 0 and isinstance(record.events[0], OwnershipTaken)
