"""What leaves the store: ended executions, and sessions that are over, after their dedupe window;
and what stands in the write-ahead log by now."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from symphainy_processors.fold import layout
from symphainy_processors.fold.checkpoint import Checkpoint
from symphainy_processors.fold.layout import Body
from symphainy_processors.fold.worklist import Worklist
from symphainy_runtime.state.store import StateStore, Write
from symphainy_schemas.state import SessionState

LEAVING_A_FLUSH = 2_000  # bounds one flush; at four a second 8,000 executions a second leave


class Change(Struct, frozen=True, gc=False):
    """One state before and after a record."""

    name: str
    before: Body | None
    after: Body


class Leaving:
    """Finds what has left the dedupe window, by settled time."""

    def __init__(self, store: StateStore, work: Worklist, window_ms: int) -> None:
        """Of that store; what has no window of its own has one of `window_ms`."""
        self._store = store
        self._work = work
        self._window_ms = window_ms

    def of(self, settled: Checkpoint, dirty: Mapping[str, Change]) -> tuple[list[Write], list[str]]:
        """What to write when `dirty` is flushed, and the ids of what is gone then.

        A session in which something runs is looked at again after another window.
        """
        entries = self._entries(settled, dirty)
        asks = any(layout.is_session(name) for _, name in entries)
        live = (
            {x.after.session_id for x in dirty.values() if layout.is_live(x.after)} if asks else ()
        )
        batch: list[Write] = [(key, None) for key in self._sent(settled)]
        gone = []
        for key, name in entries:
            batch.append((key, None))
            session = self._session(name)
            if session is not None and not self._is_over(session, settled):
                continue  # it was opened anew since
            if session is not None and (name in live or self._has_live(name)):
                batch.append((layout.expiry_key(settled.at, name), b""))
                continue
            batch.append((layout.state_key(name), None))
            gone.append(name)
        return batch, gone

    def _entries(self, settled: Checkpoint, dirty: Mapping[str, Change]) -> list[tuple[bytes, str]]:
        """What ended a window ago, with its index keys, a bounded number; nothing of which a
        successor may still need something."""
        if settled.turn:
            return []
        end = layout.expiry_key(max(0, settled.at - self._window_ms), "")
        own_end = layout.own_expiry_key(settled.at, "")
        found = [
            *self._store.scan(layout.EXPIRY, end, LEAVING_A_FLUSH),
            *self._store.scan(layout.OWN_EXPIRY, own_end, LEAVING_A_FLUSH),
        ]
        entries = [(key, layout.read_expiry_key(key)) for key, _ in found]
        called = self._work.called(settled.acted_to) if entries else ()
        kept = {at.execution_id for at in called}
        return [(key, name) for key, name in entries if name not in dirty and name not in kept]

    def _sent(self, settled: Checkpoint) -> list[bytes]:
        """Index keys of intents that stand in the write-ahead log by now, a bounded number."""
        end = layout.at_number(layout.CALLED, settled.acted_to + 1)
        return [key for key, _ in self._store.scan(layout.CALLED, end, LEAVING_A_FLUSH)]

    def _session(self, name: str) -> SessionState | None:
        value = self._store.get(layout.state_key(name)) if layout.is_session(name) else None
        body = None if value is None else layout.unpack(value)
        return body if isinstance(body, SessionState) else None

    def _is_over(self, session: SessionState, settled: Checkpoint) -> bool:
        return layout.was_over(session, settled.at - self._window_ms)

    def _has_live(self, session_id: str) -> bool:
        """Whether something runs in it, or did before what is flushed now."""
        prefix = layout.live_prefix(session_id)
        return bool(self._store.scan(prefix, prefix + b"\xff", 1))
