"""A partition's queues and timers, read back in pages, are what the journal says.

Whatever part of the state is flushed, and whatever of it was overtaken since: a page of ready steps
is the next of them in the order in which they became ready, and each timer comes once, in order.
"""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.samples import JOURNAL

from symphainy_processors.fold.evolve import EXECUTION_EVENTS
from symphainy_processors.fold.layout import DEADLINE, LineKey
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.fold.steps import STEP_EVENTS, StepEvent
from symphainy_runtime.journal.validity import Validity
from symphainy_schemas import events as e
from symphainy_schemas.state import ExecutionState

LINE = LineKey("content", "acme", 3)
STEP = "main"
NAMES = [f"exe-0-{number:04d}" for number in range(12)]
READY, SENT, SLEEPS, FLUSHED = "ready", "sent", "sleeps", "flushed"
DATED, OVERDUE = "dated", "overdue"
Deed = tuple[str, str]
DEEDS = st.one_of(
    st.tuples(st.sampled_from((READY, SENT, SLEEPS, DATED, OVERDUE)), st.sampled_from(NAMES)),
    st.just((FLUSHED, "")),
)
RECEIVED = e.IntentReceived(
    intent_id="i",
    intent_type="content.ingest_file",
    realm=LINE.realm,
    principal="p",
    causation_id="",
    payload=b"{}",
    payload_sha256=b"",
    metadata=b"{}",
    solution_context=b"",
    created_at=0,
    priority=LINE.priority,
)
DATED_EVENT = next(x for x in JOURNAL.events if isinstance(x, e.CapabilityResolved))
SENT_EVENT = e.StepDispatched(step=STEP, attempt=1, delivery=1, token="t", start_by=0, timeout_ms=0)


class _Journal:
    """Folds what happens, and keeps what is to be found."""

    def __init__(self) -> None:
        self.state = PartitionState(60_000)
        self.ready: dict[str, int] = {}
        self.due: dict[tuple[str, str], int] = {}
        self.overdue: set[str] = set()
        self._next = 0
        for name in NAMES:
            self._record(name, RECEIVED)
        self.state.flush()

    def _record(self, name: str, event: e.Event) -> None:
        offset = self._next
        self._next += 1
        record = replace(
            JOURNAL, execution_id=name, tenant_id=LINE.tenant_id, at=0, events=(event,)
        )
        self.state.settle(self.state.apply(record, Validity(0, offset, offset, b"")))

    def happens(self, deed: str, name: str) -> None:
        if deed == FLUSHED:
            self.state.flush()
            return
        if deed == DATED:
            self._dated(name)
            return
        if deed == OVERDUE:
            self.overdue.add(name)
            self.due.pop((name, DEADLINE), None)
            self._record(name, e.DeadlinePassed(due_at=0))
            return
        self.ready.pop(name, None)
        self.due.pop((name, STEP), None)
        if deed == READY:
            self.ready[name] = self._next
            self._record(name, e.StepReady(step=STEP, attempt=1))
        elif deed == SENT:
            self._record(name, SENT_EVENT)
        else:
            due_at = self.due[name, STEP] = 1_000 + self._next % 3
            self._record(name, e.StepRetryScheduled(step=STEP, attempt=1, due_at=due_at))

    def _dated(self, name: str) -> None:
        due_at = 1_000 + self._next % 3
        if name not in self.overdue:
            self.due[name, DEADLINE] = due_at
        event = replace(DATED_EVENT, realm=LINE.realm, deadline_ms=due_at)
        self._record(name, event)

    def pages(self, limit: int) -> Iterator[list[tuple[int, str]]]:
        place: tuple[int, str, str] | None = None
        while page := self.state.work.ready(LINE, place, limit):
            yield [(step.ready_at, state.execution_id) for state, step in page]
            last, step = page[-1]
            place = step.ready_at, last.execution_id, step.step


@settings(max_examples=150, deadline=None)
@given(st.lists(DEEDS, max_size=60), st.integers(1, 5))
def test_pages_hold_what_is_ready_in_order(deeds: list[Deed], limit: int) -> None:
    journal = _Journal()
    for deed, name in deeds:
        journal.happens(deed, name)
    pages = list(journal.pages(limit))
    assert all(len(page) == limit for page in pages[:-1])
    found = [entry for page in pages for entry in page]
    assert found == sorted((at, name) for name, at in journal.ready.items())


@settings(max_examples=150, deadline=None)
@given(st.lists(DEEDS, max_size=40), st.lists(DEEDS, max_size=40))
def test_each_timer_comes_once_in_order(before: list[Deed], after: list[Deed]) -> None:
    """`after` happens when the time to come has been looked at already."""
    journal = _Journal()
    for deed, name in before:
        journal.happens(deed, name)
    assert not list(journal.state.work.due(0, 100))
    for deed, name in after:
        journal.happens(deed, name)
    found = [
        (step.due_at, state.execution_id, step.step)
        if step is not None
        else (state.deadline_at, state.execution_id, DEADLINE)
        for state, step in journal.state.work.due(2_000, 100)
        if isinstance(state, ExecutionState)
    ]
    assert found == sorted((at, *of) for of, at in journal.due.items())
    assert not list(journal.state.work.due(2_000, 100))


def test_every_event_of_a_step_has_its_rule() -> None:
    assert frozenset(STEP_EVENTS) == frozenset(StepEvent.__args__)
    assert not STEP_EVENTS.keys() & EXECUTION_EVENTS.keys()
    assert STEP_EVENTS.keys() | EXECUTION_EVENTS.keys() < frozenset(e.Event.__args__)
