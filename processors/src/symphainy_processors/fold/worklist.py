"""What is to be done in one partition: what is due, ready, with workers, or not sent yet."""

from __future__ import annotations

from collections.abc import Iterator

from symphainy_processors.fold import layout
from symphainy_processors.fold.agenda import Agenda
from symphainy_processors.fold.layout import LineKey
from symphainy_processors.fold.overlay import Overlay
from symphainy_processors.fold.plans import find_step
from symphainy_schemas.state import ExecutionState, SessionState, StepState, StepStatus

Due = tuple[ExecutionState, StepState]


class Worklist:
    """Reads the indexes of the store, and what lies over it."""

    def __init__(self, states: Overlay) -> None:
        """Of those states."""
        self._states = states
        self._store = states.store
        self.agenda = Agenda(states.store, states.timers)

    def due(
        self, now: int, limit: int
    ) -> Iterator[tuple[ExecutionState | SessionState, StepState | None]]:
        """Steps whose time has come, executions whose deadline has (no step), and sessions: those
        whose time is over, and those of which all that runs is to be asked to end. Earliest first,
        at most `limit`; each once, if nothing more is recorded of its execution or session."""
        for _ in range(limit):
            key = self.agenda.pop(now)
            if key is None:
                return
            state = self._states.get(key.execution_id)
            if isinstance(state, SessionState) and _is_due(state, key.number):
                yield state, None
            if not isinstance(state, ExecutionState):
                continue
            step = find_step(state, key.step)
            if step is not None and step.due_at == key.number:
                yield state, step
            elif key.step == layout.DEADLINE and layout.deadline_of(state) == key.number:
                yield state, None

    def running_in(
        self, session_id: str, behind: str, limit: int
    ) -> tuple[list[ExecutionState], str]:
        """What has not ended of a session, by ids behind `behind`, about `limit` of it; and up to
        which id that is all, or "" if nothing is left."""
        prefix = layout.live_prefix(session_id)
        start = prefix if not behind else layout.behind(prefix + behind.encode())
        stored = self._store.scan(start, prefix + b"\xff", limit)
        reached = stored[-1][0][len(prefix) :].decode() if len(stored) == limit else ""
        names = {key[len(prefix) :].decode() for key, _ in stored} | {
            name
            for name, body in self._states.unflushed.items()
            if layout.is_live(body)
            and body.session_id == session_id
            and behind < name <= (reached or "\xff")
        }
        found = [self._states.get(name) for name in sorted(names)]
        executions = [one for one in found if isinstance(one, ExecutionState)]
        return [one for one in executions if not one.status.ended], reached

    def runs_in(self, session_id: str) -> bool:
        """Whether anything of a session has not ended."""
        found, behind = self.running_in(session_id, "", 100)
        while behind and not found:
            found, behind = self.running_in(session_id, behind, 100)
        return bool(found)

    def outstanding(self) -> Iterator[Due]:
        """Steps that workers may have, in the order of their dispatch. All must be flushed."""
        start, end = layout.OUTSTANDING, layout.end_of(layout.OUTSTANDING)
        while found := self._store.scan(start, end, 1_000):
            for key, _ in found:
                place = layout.read_place(layout.OUTSTANDING, key)
                step = self.step(place.execution_id, place.step)
                if step is not None and step[1].dispatched_at == place.number:
                    yield step
            start = layout.behind(found[-1][0])

    def unsent(self, acted_to: int) -> Iterator[Due]:
        """Dispatched steps whose task may never have been sent (rule 11), where all up to
        `acted_to` was. All must be flushed."""
        for state, step in self.outstanding():
            if step.status is StepStatus.DISPATCHED and step.dispatched_at > acted_to:
                yield state, step

    def not_sent(self, acted_to: int) -> Iterator[int]:
        """Where intents were stated that may not stand in the write-ahead log yet (rule 11), in
        order. All must be flushed."""
        for at in self.called(acted_to):
            yield at.number

    def called(self, acted_to: int) -> Iterator[layout.StepKey]:
        """The same, with who stated them."""
        start = layout.at_number(layout.CALLED, acted_to + 1)
        end = layout.end_of(layout.CALLED)
        while found := self._store.scan(start, end, 1_000):
            for key, _ in found:
                yield layout.read_place(layout.CALLED, key)
            start = layout.behind(found[-1][0])

    def lines(self) -> Iterator[LineKey]:
        """The queues that hold ready steps. All must be flushed."""
        start, end = layout.READY, layout.READY + b"\xff"
        while found := self._store.scan(start, end, 1):
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
            stored = [key for key, _ in self._store.scan(start, end, limit)]
            fresh = self._states.ready(start, end, limit)
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
        state = self._states.get(execution_id)
        if not isinstance(state, ExecutionState):
            return None
        step = find_step(state, name)
        return None if step is None else (state, step)


def _is_due(session: SessionState, at: int) -> bool:
    return at == (session.closed_at if session.closing else session.due_at)


def _reached(found: list[bytes], end: bytes, limit: int) -> bytes:
    """Up to where a scan for at most `limit` keys has seen everything."""
    return end if len(found) < limit else layout.behind(found[-1])
