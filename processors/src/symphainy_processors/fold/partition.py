"""The folded state of one partition: its executions, its sessions, its positions, what is due.

`apply` is the only way in. It is handed valid records in order and never looks at a clock. What it
yields runs ahead of the acknowledgement and lies in memory, over the store; `settle` says what is
acknowledged, and only that is ever flushed (rule 17).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace
from sortedcontainers import SortedSet

from symphainy_processors.fold import layout
from symphainy_processors.fold.agenda import Agenda
from symphainy_processors.fold.checkpoint import Checkpoint, pack_checkpoint
from symphainy_processors.fold.evolve import (
    EVOLVE_VERSION,
    evolve_execution,
    evolve_session,
)
from symphainy_processors.fold.family import may_owe
from symphainy_processors.fold.layout import Body, LineKey
from symphainy_processors.fold.plans import find_step
from symphainy_runtime.journal.validity import Validity, takes_ownership
from symphainy_runtime.state.memory import MemoryStore
from symphainy_runtime.state.store import StateStore
from symphainy_schemas.events import (
    ExecutionStarted,
    JournalRecord,
    SessionClosed,
    SessionOpened,
    follows,
)
from symphainy_schemas.state import ExecutionState, SessionState, StepState, StepStatus

_SESSION_EVENTS = frozenset({SessionOpened, SessionClosed, ExecutionStarted})
CACHED = 10_000  # states read or flushed lately: about 20 MB
EXPIRED_A_FLUSH = 2_000  # bounds one flush; at four a second 8,000 executions a second leave
Due = tuple[ExecutionState, StepState]


class Change(Struct, frozen=True, gc=False):
    """One state before and after a record."""

    name: str
    before: Body | None
    after: Body


class Applied(Struct, frozen=True, gc=False):
    """What one record did, to be settled once it is acknowledged."""

    checkpoint: Checkpoint
    changes: tuple[Change, ...]


class PartitionState:
    """What the journal of one partition says up to the last applied record."""

    def __init__(
        self,
        dedupe_window_ms: int,
        store: StateStore | None = None,
        checkpoint: Checkpoint | None = None,
        identity: str = "",
    ) -> None:
        """Go on from `checkpoint`, which `store` reflects.

        Ended executions are remembered for `dedupe_window_ms` of journaled time (rule 10).
        """
        self.store: StateStore = MemoryStore() if store is None else store
        self.settled = checkpoint or Checkpoint()
        self.intents_next = self.settled.intents_next
        self.steps_next = self.settled.steps_next
        self.acted_to = self.settled.acted_to
        self.last_at = self.settled.at
        self.live = self.settled.live
        self.idle = self.settled.idle
        self._turn = self.settled.turn
        # What `state` in Kafka must still be told: the ids flushed with changes after that offset.
        # A dict: the collector goes through a set, which holds a million ids after an outage.
        self.changed: dict[str, None] = {}
        self.changed_since = self.settled.offset
        self._identity = identity
        self._window_ms = dedupe_window_ms
        self._latest: dict[str, Body] = {}
        self._ready: SortedSet[bytes] = SortedSet()  # the ready keys of `_latest`
        self._cache: dict[str, Body] = {}
        self._dirty: dict[str, Change] = {}
        self._flushed_offset = self.settled.offset
        self._agenda = Agenda(self.store, self._unflushed_timers)

    # --- reading --------------------------------------------------------------------------------

    def execution(self, execution_id: str, now: int | None = None) -> ExecutionState | None:
        """The execution; None too if at journaled time `now` it is no longer remembered."""
        state = self._get(execution_id)
        if not isinstance(state, ExecutionState):
            return None
        if now is not None and state.status.ended and state.ended_at < now - self._window_ms:
            return None
        return state

    def session(self, session_id: str) -> SessionState | None:
        """The session."""
        state = self._get(session_id)
        return state if isinstance(state, SessionState) else None

    def everything(self) -> dict[str, Body]:
        """Every state that is still remembered, by id. For audits and tests: it reads it all."""
        found = {
            body_name: body
            for start, end in layout.STATES
            for body_name, body in self._stored(start, end)
        }
        found |= self._latest
        oldest = self.last_at - self._window_ms
        return {
            name: body
            for name, body in found.items()
            if isinstance(body, SessionState) or not body.status.ended or body.ended_at >= oldest
        }

    def _stored(self, start: bytes, end: bytes) -> Iterator[tuple[str, Body]]:
        while found := self.store.scan(start, end, 1_000):
            for _, value in found:
                body = layout.unpack(value)
                yield layout.name_of(body), body
            start = layout.behind(found[-1][0])

    def _get(self, name: str) -> Body | None:
        state = self._latest.get(name) or self._cache.get(name)
        if state is not None:
            return state
        value = self.store.get(layout.state_key(name))
        if value is None:
            return None
        state = layout.unpack(value)
        self._remember(name, state)
        return state

    def _remember(self, name: str, state: Body) -> None:
        if len(self._cache) >= CACHED:
            for oldest in list(islice(self._cache, CACHED // 10)):
                del self._cache[oldest]
        self._cache[name] = state

    # --- folding --------------------------------------------------------------------------------

    def apply(self, record: JournalRecord, standing: Validity) -> Applied:
        """Fold one valid record, after which the journal's standing is `standing`."""
        changes = self._changes(record, standing.offset) if record.execution_id else ()
        # An OwnershipTaken was written before its writer knew the last owner's very last records:
        # what it says of positions and time may be older than what stands before it.
        if record.intents_next > self.intents_next:
            self.intents_next = record.intents_next
        if record.steps_next > self.steps_next:
            self.steps_next = record.steps_next
        if record.acted_to > self.acted_to:
            self.acted_to = record.acted_to
        if record.at > self.last_at:
            self.last_at = record.at
        if self._turn or changes:
            self._turn = self._go_on(record, standing.offset, changes)
        for change in changes:
            self._take_up(change)
        return Applied(self._place(standing), changes)

    def _go_on(
        self, record: JournalRecord, offset: int, changes: tuple[Change, ...]
    ) -> tuple[int, ...]:
        """The turn after a record. An owner that takes over finishes its predecessor's first."""
        turn = self._turn if follows(record) or takes_ownership(record) else ()
        state = changes[0].after if changes else None
        owes = isinstance(state, ExecutionState) and may_owe(state)
        return (*turn, offset) if owes else turn

    def _take_up(self, change: Change) -> None:
        after = change.after
        overlaid = self._latest.get(change.name)
        self._latest[change.name] = after
        if not isinstance(after, ExecutionState):
            return
        self.live += layout.is_live(after) - layout.is_live(change.before)
        self.idle += layout.is_idle(after) - layout.is_idle(change.before)
        self._agenda.add(after)
        if overlaid is not None:
            self._no_longer_ready(overlaid, after)
        for key in layout.ready_keys(after, overlaid):
            self._ready.add(key)

    def _no_longer_ready(self, overlaid: Body, after: Body | None = None) -> None:
        for key in layout.ready_keys(overlaid, after):
            self._ready.discard(key)

    def _place(self, standing: Validity) -> Checkpoint:
        return Checkpoint(
            term=standing.term,
            seq=standing.seq,
            offset=standing.offset,
            hash=standing.hash,
            intents_next=self.intents_next,
            steps_next=self.steps_next,
            acted_to=self.acted_to,
            at=self.last_at,
            live=self.live,
            idle=self.idle,
            turn=self._turn,
        )

    def _changes(self, record: JournalRecord, offset: int) -> tuple[Change, ...]:
        before = self._get(record.execution_id)
        state = before if isinstance(before, ExecutionState) else None
        found, session_before = [], None
        session: SessionState | None = None
        for event in record.events:
            state = evolve_execution(state, record, offset, event)
            if type(event) in _SESSION_EVENTS:
                session_before = session_before or self.session(record.session_id)
                session = evolve_session(session or session_before, record, event)
        if state is not None and state is not before:
            found.append(Change(record.execution_id, before, state))
        if session is not None and session is not session_before:
            found.append(Change(record.session_id, session_before, session))
        return tuple(found)

    def settle(self, applied: Applied) -> None:
        """The record is acknowledged: what it did may be flushed. Called in journal order."""
        self.settled = applied.checkpoint
        for change in applied.changes:
            known = self._dirty.get(change.name)
            if known is not None:
                change = Change(change.name, known.before, change.after)
            self._dirty[change.name] = change

    @property
    def unflushed(self) -> int:
        """How many settled states the store does not have yet."""
        return len(self._dirty)

    def flush(self) -> None:
        """Write all that is settled, and where it stands, at once (rule 17).

        Raises:
            StoreBroken: the store cannot be written; it still holds the last flush, or nothing.
        """
        if self.settled.offset == self._flushed_offset:
            return
        batch: list[tuple[bytes, bytes | None]] = []
        for change in self._dirty.values():
            batch.append((layout.state_key(change.name), layout.pack(change.after)))
            batch += layout.changed_keys(change.before, change.after)
        expired = self._expired()
        for ended_at, name in expired:
            batch += [(layout.expiry_key(ended_at, name), None), (layout.state_key(name), None)]
        batch += [(key, None) for key in self._sent()]
        batch.append((layout.CHECKPOINT, pack_checkpoint(self._stamped())))
        self.store.write(batch)
        self._flushed(expired)

    def _flushed(self, expired: list[tuple[int, str]]) -> None:
        self._flushed_offset = self.settled.offset
        for name, change in self._dirty.items():
            latest = change.after
            if self._latest.get(name) is latest:
                del self._latest[name]
                self._no_longer_ready(latest)
                if layout.is_live(latest):
                    self._remember(name, latest)
                else:
                    self._cache.pop(name, None)
        self.changed.update(dict.fromkeys(self._dirty))
        self._dirty = {}
        for _, name in expired:
            self._cache.pop(name, None)
            self.changed[name] = None

    def _expired(self) -> list[tuple[int, str]]:
        """Ended executions that have left the dedupe window by settled time, a bounded number; none
        of which a successor may still need something."""
        if self.settled.turn:
            return []
        end = layout.expiry_key(max(0, self.settled.at - self._window_ms), "")
        found = self.store.scan(layout.EXPIRY, end, EXPIRED_A_FLUSH)
        entries = [layout.read_expiry_key(key) for key, _ in found]
        kept = {at.execution_id for at in self._called(self.settled.acted_to)} if entries else {}
        return [
            (ended_at, name)
            for ended_at, name in entries
            if name not in self._dirty and name not in kept
        ]

    def _sent(self) -> list[bytes]:
        """Index keys of intents that stand in the write-ahead log by now, a bounded number."""
        end = layout.at_number(layout.CALLED, self.settled.acted_to + 1)
        return [key for key, _ in self.store.scan(layout.CALLED, end, EXPIRED_A_FLUSH)]

    def _stamped(self) -> Checkpoint:
        return replace(self.settled, identity=self._identity, evolve_version=EVOLVE_VERSION)

    # --- what is to be done ---------------------------------------------------------------------

    def due(self, now: int, limit: int) -> Iterator[tuple[ExecutionState, StepState | None]]:
        """Steps whose time has come, and executions whose deadline has (no step), earliest first,
        at most `limit`; each once, if nothing more is recorded of its execution."""
        for _ in range(limit):
            key = self._agenda.pop(now)
            if key is None:
                return
            state = self.execution(key.execution_id)
            if state is None:
                continue
            step = find_step(state, key.step)
            if step is not None and step.due_at == key.number:
                yield state, step
            elif key.step == layout.DEADLINE and layout.deadline_of(state) == key.number:
                yield state, None

    def outstanding(self) -> Iterator[Due]:
        """Steps that workers may have, in the order of their dispatch. All must be flushed."""
        start, end = layout.OUTSTANDING, layout.end_of(layout.OUTSTANDING)
        while found := self.store.scan(start, end, 1_000):
            for key, _ in found:
                place = layout.read_place(layout.OUTSTANDING, key)
                step = self.step(place.execution_id, place.step)
                if step is not None and step[1].dispatched_at == place.number:
                    yield step
            start = layout.behind(found[-1][0])

    def unsent(self) -> Iterator[Due]:
        """Dispatched steps whose task may never have been sent (rule 11). All must be flushed."""
        for state, step in self.outstanding():
            if step.status is StepStatus.DISPATCHED and step.dispatched_at > self.acted_to:
                yield state, step

    def not_sent(self) -> Iterator[int]:
        """Where intents were stated that may not stand in the write-ahead log yet (rule 11), in
        order. All must be flushed."""
        for at in self._called(self.acted_to):
            yield at.number

    def _called(self, acted_to: int) -> Iterator[layout.StepKey]:
        start = layout.at_number(layout.CALLED, acted_to + 1)
        end = layout.end_of(layout.CALLED)
        while found := self.store.scan(start, end, 1_000):
            for key, _ in found:
                yield layout.read_place(layout.CALLED, key)
            start = layout.behind(found[-1][0])

    def lines(self) -> Iterator[LineKey]:
        """The queues that hold ready steps. All must be flushed."""
        start, end = layout.READY, layout.READY + b"\xff"
        while found := self.store.scan(start, end, 1):
            line = layout.read_line(found[0][0])
            yield line
            start = layout.end_of(layout.line_prefix(line))

    def ready(self, line: LineKey, place: tuple[int, str, str] | None, limit: int) -> list[Due]:
        """The ready steps of a queue behind `place`, in order, at most `limit`."""
        prefix = layout.line_prefix(line)
        start = prefix if place is None else layout.behind(layout.place_key(prefix, place))
        end = layout.end_of(prefix)
        found: list[Due] = []
        while start < end and len(found) < limit:
            stored = [key for key, _ in self.store.scan(start, end, limit)]
            fresh = list(islice(self._ready.irange(start, end, (True, False)), limit))
            reached = min(_reached(stored, end, limit), _reached(fresh, end, limit))
            for key in sorted({key for key in (*stored, *fresh) if key < reached}):
                at = layout.read_place(prefix, key)
                step = self.step(at.execution_id, at.step)
                if step and layout.is_ready(step[1]) and step[1].ready_at == at.number:
                    found.append(step)
            start = reached
        return found[:limit]

    def step(self, execution_id: str, name: str) -> Due | None:
        """A step of an execution, with its execution."""
        state = self.execution(execution_id)
        step = None if state is None else find_step(state, name)
        return None if state is None or step is None else (state, step)

    def _unflushed_timers(self) -> Iterator[bytes]:
        for body in self._latest.values():
            if isinstance(body, ExecutionState):
                yield from layout.timer_keys(body)


def _reached(found: list[bytes], end: bytes, limit: int) -> bytes:
    """Up to where a scan for at most `limit` keys has seen everything."""
    return end if len(found) < limit else layout.behind(found[-1])
