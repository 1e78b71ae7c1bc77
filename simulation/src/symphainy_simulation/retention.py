"""What the broker may take from the front of a partition's logs, by what `state` says; as its
settings must see to (docs/journal-protocol.md, "The broker's part")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symphainy_processors.owner.ports import MARKER_KEY
from symphainy_processors.owner.rows import read_row
from symphainy_schemas.state import ExecutionState, StateMarker
from symphainy_transport.topics import INTENTS, JOURNAL, STEPS

Rows = Sequence[tuple[bytes, bytes | None]]


def may_go(rows: Rows) -> Iterator[tuple[str, int]]:
    """The topics, and up to where: what is decided and, of the journal, what `state` reflects and
    of which a successor has nothing to finish."""
    marker = next((value for key, value in reversed(rows) if key == MARKER_KEY), None)
    if marker is None:
        return
    row = read_row(marker)
    assert isinstance(row.body, StateMarker)
    yield JOURNAL, min((row.as_of, *_needed(row.body, rows)))
    yield INTENTS, row.body.intents_next
    yield STEPS, row.body.steps_next


def _needed(marker: StateMarker, rows: Rows) -> Iterator[int]:
    """The decisions of which something may be left undone."""
    yield from marker.turn
    for key, value in rows:
        body = None if key == MARKER_KEY or value is None else read_row(value).body
        if isinstance(body, ExecutionState):
            yield from (offset for offset in body.called if offset > marker.acted_to)
