"""What a history records of each step's handler, for running it again. Pure.

The state is rebuilt record by record; at each dispatch the task is made of it by the function that
made the one that was sent. What the handler got from its steps and waits is what the fold has kept
of the step, in its order.
"""

from __future__ import annotations

from msgspec import Struct, field

from symphainy_processors.fold.steps import LIMITS
from symphainy_processors.owner.tasks import task_for
from symphainy_processors.replay.history import History, Moment
from symphainy_schemas import events as e
from symphainy_schemas.errors import CallerError
from symphainy_schemas.recording import Recorded, Returned
from symphainy_schemas.records import Artifact, Checkpoint, DomainEvent, StateChange, Task
from symphainy_schemas.state import ExecutionState

_NO_SKEW_MS = 0
_ENDS: dict[type, str] = {
    e.ExecutionSucceeded: "succeeded",
    e.ExecutionFailed: "failed",
    e.ExecutionCancelled: "cancelled",
    e.ExecutionCompensated: "compensated",
    e.IntentRejected: "rejected",
}


Attributes = tuple[tuple[int, bytes], ...]
"""A session's, as JSON, each with the offset of the journal record that set them, in order."""


class _Step(Struct):
    """What is known of one step while its history is read."""

    tasks: dict[int, Task] = field(default_factory=dict)
    answers: tuple[Checkpoint, ...] = ()
    waits: tuple[str, ...] = ()
    delivery: int = 0
    returned: Returned | None = None
    end: str = ""
    took_ms: int = -1


class Recordings(Struct, frozen=True, kw_only=True):
    """An execution's handlers' calls, the last of each step, in the order of their dispatch."""

    execution_id: str
    tenant_id: str
    intent_type: str
    end: str
    steps: tuple[Recorded, ...]


def require_ended(history: History) -> None:
    """Raises `CallerError` (`execution_running`) for an execution that goes on."""
    state = _end_of(history).state
    if not state.status.ended:
        raise CallerError(
            f"Execution {history.execution_id} has not ended: it is {state.status}.",
            code="execution_running",
            field="execution_id",
            cure="Wait for its end; a replay of mode state_only shows where it stands.",
        )


def recordings(history: History, attributes: Attributes = ()) -> Recordings:
    """What is recorded of each step whose handler was called; `attributes` are its session's."""
    steps: dict[str, _Step] = {}
    last: Moment | None = None
    end = ""
    for moment in history.moments():
        _answers(steps, moment.state)
        for event in moment.kept.record.events:
            end = _ENDS.get(type(event), end)
            if isinstance(event, e.StepDispatched):
                place = history.partition, moment.kept.offset
                task = task_for(
                    moment.state, event, _as_of(attributes, place[1]), *place, _NO_SKEW_MS
                )
                _dispatched(steps, event, task)
            _take(steps, moment, event)
        last = moment
    assert last is not None
    first = history.records[0].record
    return Recordings(
        execution_id=history.execution_id,
        tenant_id=first.tenant_id,
        intent_type=last.state.intent_type,
        end=end,
        steps=tuple(_recorded(step, first.at) for step in steps.values() if step.tasks),
    )


def _as_of(attributes: Attributes, offset: int) -> bytes:
    """What the owner knew when it wrote the record at `offset`."""
    return next((value for at, value in reversed(attributes) if at < offset), b"")


def _answers(steps: dict[str, _Step], state: ExecutionState) -> None:
    """What the fold has of each step; an execution that has ended keeps nothing of them."""
    for step in state.steps:
        known = steps.setdefault(step.step, _Step())
        known.answers = step.checkpoints
        known.waits = tuple(wait.name for wait in step.waits)


def _dispatched(steps: dict[str, _Step], event: e.StepDispatched, task: Task) -> None:
    known = steps.setdefault(event.step, _Step())
    known.tasks[event.delivery] = task
    known.delivery, known.returned, known.end = event.delivery, None, ""
    known.took_ms = -1


def _take(steps: dict[str, _Step], moment: Moment, event: e.Event) -> None:
    match event:
        case e.StepSucceeded() if event.delivery:
            known = steps.setdefault(event.step, _Step())
            known.delivery, known.end = event.delivery, "succeeded"
            known.returned = _returned(moment.kept.record, event)
            known.took_ms = max(0, event.ended_at - event.started_at)
        case e.StepFailed():
            known = steps.setdefault(event.step, _Step())
            known.delivery, known.end = event.delivery, "failed"
            by_itself = bool(event.worker) and event.error.code not in LIMITS
            known.returned = Returned(error=event.error) if by_itself else None
        case e.StepCancelled():
            steps.setdefault(event.step, _Step()).end = "cancelled"
        case _:
            pass


def _returned(record: e.JournalRecord, event: e.StepSucceeded) -> Returned:
    """It stands beside the success in the same decision."""
    beside = record.events
    return Returned(
        result=event.result,
        artifacts=tuple(
            Artifact(one.name, one.reference)
            for one in beside
            if isinstance(one, e.ArtifactRecorded)
        ),
        events=tuple(
            DomainEvent(one.event_type, one.data)
            for one in beside
            if isinstance(one, e.EventEmitted)
        ),
        state_changes=tuple(
            StateChange(one.key, one.value) for one in beside if isinstance(one, e.StateChanged)
        ),
    )


def _recorded(step: _Step, begun_ms: int) -> Recorded:
    task = step.tasks.get(step.delivery) or list(step.tasks.values())[-1]
    return Recorded(
        task=task,
        answers=step.answers,
        waits=step.waits,
        end=step.end,
        begun_ms=begun_ms,
        returned=step.returned,
        took_ms=step.took_ms,
    )


def _end_of(history: History) -> Moment:
    last: Moment | None = None
    for moment in history.moments():
        last = moment
    assert last is not None
    return last
