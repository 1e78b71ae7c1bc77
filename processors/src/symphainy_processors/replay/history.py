"""One execution's records, and its state as of any of them. Pure.

The fold is `evolve_execution`, the one that owners restore and live by: what it yields here is what
an owner had in memory when the record was acknowledged.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from msgspec import Struct

from symphainy_processors.fold.evolve import SESSION_EVENTS, evolve_execution, evolve_session
from symphainy_schemas.errors import CallerError
from symphainy_schemas.events import IntentReceived, JournalRecord
from symphainy_schemas.state import (
    ExecutionState,
    ExecutionStatus,
    SessionState,
    StepStatus,
    TenantState,
)

Body = ExecutionState | SessionState | TenantState
_WRONG = frozenset(
    {
        ExecutionStatus.REJECTED,
        ExecutionStatus.FAILED,
        ExecutionStatus.STUCK,
        ExecutionStatus.COMPENSATING,
        ExecutionStatus.COMPENSATED,
        ExecutionStatus.CANCELLED,
    }
)
_STEP_WRONG = frozenset({StepStatus.FAILED, StepStatus.BACKING_OFF, StepStatus.CANCELLED})


class Kept(Struct, frozen=True, gc=False):
    """A record that counts: its offset, its stored bytes, and what they say."""

    offset: int
    value: bytes
    record: JournalRecord


class Moment(Struct, frozen=True, gc=False):
    """An execution after one of its records."""

    kept: Kept
    state: ExecutionState


class At(Struct, frozen=True, kw_only=True):
    """As of when: a journal offset, or journaled time in ms since the epoch, both inclusive.
    Neither: now."""

    offset: int | None = None
    at: int | None = None


class History(Struct, frozen=True, kw_only=True):
    """An execution's valid records in journal order, from its first on."""

    execution_id: str
    partition: int
    records: tuple[Kept, ...]

    @property
    def first(self) -> int:
        """The offset of its first record."""
        return self.records[0].offset

    @property
    def last(self) -> int:
        """The offset of its last one."""
        return self.records[-1].offset

    def moments(self) -> Iterator[Moment]:
        """Its state after each record."""
        state: ExecutionState | None = None
        for kept in self.records:
            state = fold(state, kept.record, kept.offset)
            assert state is not None, "a history begins with what was received"
            yield Moment(kept, state)

    def upto(self, asked: At) -> History:
        """What of it stood as of then.

        Raises:
            CallerError: `before_execution`; it had not begun by then.
        """
        end = len(self.records)
        if asked.offset is not None:
            end = bisect_right([kept.offset for kept in self.records], asked.offset)
        elif asked.at is not None:
            # Journaled time never runs back within one execution.
            end = bisect_right([kept.record.at for kept in self.records], asked.at)
        if end == 0:
            raise CallerError(
                f"Execution {self.execution_id} had not begun by then: its first record stands at "
                f"offset {self.first}, of {self.records[0].record.at} ms since the epoch.",
                code="before_execution",
                field="at_offset" if asked.offset is not None else "at",
                cure="Ask for a later offset or time.",
            )
        return History(
            execution_id=self.execution_id, partition=self.partition, records=self.records[:end]
        )


def fold(state: ExecutionState | None, record: JournalRecord, offset: int) -> ExecutionState | None:
    """The execution after all events of a valid record of it."""
    for event in record.events:
        state = evolve_execution(state, record, offset, event)
    return state


def fold_all(records: Iterable[Kept]) -> dict[str, Body]:
    """Every execution and session that valid records lead to, by id; nothing is forgotten here."""
    states: dict[str, Body] = {}
    for kept in records:
        record, name = kept.record, kept.record.execution_id
        if not name:
            continue
        found = states.get(name)
        state = found if isinstance(found, ExecutionState) else None
        for event in record.events:
            state = evolve_execution(state, record, kept.offset, event)
            if type(event) in SESSION_EVENTS:
                before = states.get(record.session_id)
                known = None if isinstance(before, ExecutionState) else before
                session = evolve_session(known, record, event)
                if session is not None:
                    states[record.session_id] = session
        if state is not None:
            states[name] = state
    return states


def history(execution_id: str, partition: int, records: Iterable[Kept]) -> History:
    """The history that an execution's records are.

    Raises:
        CallerError: `execution_not_found`, there is none; `history_expired`, the first is gone.
    """
    kept = tuple(records)
    if not kept:
        raise CallerError(
            f"The journal holds nothing of execution {execution_id}.",
            code="execution_not_found",
            field="execution_id",
            cure="Use the id as it was returned; history that Kafka no longer keeps is gone here.",
        )
    events = kept[0].record.events
    if not events or not isinstance(events[0], IntentReceived):
        raise expired(execution_id, kept[0].offset)
    return History(execution_id=execution_id, partition=partition, records=kept)


def expired(execution_id: str, first: int) -> CallerError:
    """The error of a history whose beginning is gone; `first` is what is kept of it."""
    return CallerError(
        f"The first records of execution {execution_id} are no longer kept: what is kept of it "
        f"begins at offset {first}, behind its admission.",
        code="history_expired",
        field="execution_id",
        cure="Ask an archive of the journal; retention.ms of the topic says how long Kafka keeps.",
    )


def last_good(moments: Iterable[Moment]) -> Moment | None:
    """The newest state in which nothing of the execution had gone wrong: it was not refused, had
    not failed, was not stuck, undone or cancelled, and no step of it had failed. None: it never
    was."""
    found: Moment | None = None
    for moment in moments:
        if is_good(moment.state):
            found = moment
    return found


def is_good(state: ExecutionState) -> bool:
    """Whether nothing of it has gone wrong, as far as this state says."""
    return state.status not in _WRONG and all(s.status not in _STEP_WRONG for s in state.steps)
