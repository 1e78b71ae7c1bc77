"""G5: no report that matters is passed over.

What an owner may pass in silence is late or repeated by the state that stood then. A timeout or a
lost `start_by` is decided only behind a marker (rule 14), so what Kafka had by then was read first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from symphainy_schemas import events as e
from symphainy_schemas.ids import undone_by
from symphainy_schemas.records import ReportKind, StepReport
from symphainy_schemas.state import ExecutionState, StepState, StepStatus
from symphainy_simulation.checking.folding import walk
from symphainy_simulation.checking.history import Body
from symphainy_simulation.checking.lives import Book
from symphainy_simulation.checking.logs import Entry, PartitionLogs, Read
from symphainy_simulation.checking.violation import Violation
from symphainy_transport.topics import STEPS

G = "G5"
_RESULTS = frozenset({ReportKind.SUCCEEDED, ReportKind.FAILED})
_CURRENT = frozenset({ReportKind.HANDED_BACK, ReportKind.PROGRESS})
_GIVEN_UP = ("timeout:", "start_by:", "heartbeat:")


def check(book: Book) -> Iterator[Violation]:
    """Reports that matter are decided, and before what they would change is given up."""
    for logs, _ in book.partitions():
        yield from _passed(logs)
        for entry, event in logs.told():
            if isinstance(event, e.TimerFired) and event.timer.startswith(_GIVEN_UP):
                yield from _marker(logs, entry, event)


def _passed(logs: PartitionLogs) -> Iterator[Violation]:
    """Everything that a record's position passes was read under the state right before it: had a
    record stood in between, that one would have passed it."""
    reached = logs.before.steps_next
    for entry, states in walk(logs):
        for offset in range(reached, entry.record.steps_next):
            found = logs.steps.get(offset)
            if found is None or found.record is None or (STEPS, offset) in logs.decided:
                continue
            if matters(states, found.record):
                sentence = (
                    f"the report {found.record.kind} of {found.record.execution_id}, delivery "
                    f"{found.record.delivery}, was passed over"
                )
                yield Violation(G, sentence, (found.place, entry.place))
        reached = max(reached, entry.record.steps_next)


def matters(states: Mapping[str, Body], report: StepReport) -> bool:
    """Whether a report read under these states must change them (rule 12)."""
    state = states.get(report.execution_id)
    if not isinstance(state, ExecutionState) or state.status.ended:
        return False
    if state.tenant_id != report.tenant_id:
        return False
    step = next((step for step in state.steps if step.step == report.step), None)
    if step is None or (_is_undone(state) and not undone_by(step.step)):
        return False  # what is told of it closes a delivery at most
    return _changes(step, report)


def _is_undone(state: ExecutionState) -> bool:
    return any(undone_by(step.step) for step in state.steps)


def _changes(step: StepState, report: StepReport) -> bool:
    if step.status in (StepStatus.SUCCEEDED, StepStatus.FAILED) or not step.token:
        return False
    if (report.attempt, report.token) != (step.attempt, step.token):
        return False
    if step.status is StepStatus.SUSPENDED and report.kind is ReportKind.FAILED:
        return report.delivery in step.open  # only that this delivery has ended
    if report.kind is ReportKind.INVOKED:  # from any delivery
        known = any(known.name == report.name for known in step.checkpoints)
        return report.call is not None and not known and report.delivery <= step.delivery
    if report.kind in _RESULTS:
        return report.delivery <= step.delivery
    if report.delivery != step.delivery or report.delivery not in step.open:
        return False
    if report.kind is ReportKind.CHECKPOINT:
        return all(known.name != report.name for known in step.checkpoints)
    if report.kind is ReportKind.STARTED:
        return step.status is StepStatus.DISPATCHED
    return report.kind in _CURRENT


def _marker(logs: PartitionLogs, entry: Entry, fired: e.TimerFired) -> Iterator[Violation]:
    record = entry.record
    settled = any(
        _settles(logs.steps.get(offset), record.term, fired.due_at)
        for offset in range(record.steps_next - 1, logs.before.steps_next - 1, -1)
    )
    if not settled:
        sentence = (
            f"{record.execution_id} was given up ({fired.timer}) before what workers had reported "
            "was read: no marker of this term stands behind the due time"
        )
        yield Violation(G, sentence, (entry.place,))


def _settles(found: Read[StepReport] | None, term: int, due_at: int) -> bool:
    report = None if found is None else found.record
    return (
        report is not None
        and report.kind is ReportKind.MARKER
        and report.dispatched_at == term
        and report.at >= due_at
    )
