"""What is remembered of a plan's step, so that it is undone if it may have been done.

- What a limit gave up stays unknown when a later attempt fails.
- A success that comes after the step's failure was recorded is told of, and counts as done.
- A handler that was stopped before it was announced has run.
- A new attempt that waits for its turn has no token; what undoes a step gets its own correction.
"""

from __future__ import annotations

from msgspec.structs import replace
from tests.samples import JOURNAL, PLAN, REPORT
from tests.unit.processors.test_saga import NOW, STEP, execution

from symphainy_processors.fold import plans
from symphainy_processors.fold.steps import evolve_step
from symphainy_processors.saga import decide as saga
from symphainy_schemas import events as e
from symphainy_schemas.ids import compensation_of
from symphainy_schemas.records import Error, ReportKind, StepReport
from symphainy_schemas.state import ExecutionState, StepState, StepStatus

UNDOABLE = next(one for one in PLAN if one.compensation)
OWN = replace(STEP, step=UNDOABLE.step)
FINAL = Error(code="no", message="No.")


def planned(step: StepState = OWN) -> ExecutionState:
    """An execution of one step that can be undone."""
    return replace(
        execution(step), plan=(replace(UNDOABLE, needs=(), condition=b"", for_each=b""),)
    )


def failed(attempt: int, worker: str) -> e.StepFailed:
    """The event of a failed attempt."""
    return e.StepFailed(step=OWN.step, attempt=attempt, delivery=3, worker=worker, error=FINAL)


def told(kind: ReportKind, **changes: object) -> StepReport:
    """A report of the step's delivery."""
    plain = replace(REPORT, step=OWN.step, attempt=2, delivery=3, token="tok")
    return replace(plain, kind=kind, **changes)


def undone(step: StepState) -> list[str]:
    """What would be undone if it stood so."""
    return list(plans.to_undo(planned(step)))


def test_what_a_limit_gave_up_stays_unknown() -> None:
    state = planned()
    lost = evolve_step(OWN, state, JOURNAL, 7, failed(2, ""))
    later = evolve_step(lost, state, JOURNAL, 8, failed(3, "w"))
    assert undone(later) == [OWN.step]
    assert undone(evolve_step(replace(OWN, begun=True), state, JOURNAL, 7, failed(2, "w"))) == []


def test_a_success_after_the_failure_is_told_of() -> None:
    step = replace(OWN, status=StepStatus.FAILED, error=FINAL, delivery=4, open=(3, 4))
    events = saga.on_report(planned(step), told(ReportKind.SUCCEEDED), NOW)
    assert events[0] == e.DeliveryClosed(step=OWN.step, delivery=3, begun=True)
    after = evolve_step(step, planned(step), JOURNAL, 7, events[0])
    assert undone(replace(after, open=())) == [OWN.step]


def test_a_handler_that_was_stopped_has_run() -> None:
    step = replace(OWN, status=StepStatus.DISPATCHED)
    stopped = told(ReportKind.HANDED_BACK, name="stopping", started_at=5)
    kinds = [type(x) for x in saga.on_report(planned(step), stopped, NOW)]
    assert kinds[:2] == [e.StepStarted, e.StepHandedBack]
    unstarted = replace(stopped, started_at=0)
    assert e.StepStarted not in map(type, saga.on_report(planned(step), unstarted, NOW))


def test_a_new_attempt_has_no_token_yet() -> None:
    ready = e.StepReady(step=OWN.step, attempt=3)
    assert evolve_step(OWN, planned(), JOURNAL, 7, ready).token == ""
    assert evolve_step(OWN, planned(), JOURNAL, 7, replace(ready, attempt=2)).token == "tok"


def test_what_undoes_a_step_gets_its_own_correction() -> None:
    own, undoing = replace(OWN, input=b'{"a":1}'), compensation_of(OWN.step)
    state = planned(own)
    assert plans.input_of(state, undoing) == b'{"a":1}'
    corrected = replace(OWN, step=undoing, input=b'{"a":2}')
    assert plans.input_of(replace(state, steps=(own, corrected)), undoing) == b'{"a":2}'


def test_a_delivery_beside_the_one_that_succeeded_is_waited_for() -> None:
    step = replace(OWN, delivery=4, open=(3, 4))
    done = e.StepSucceeded(
        step=OWN.step, attempt=2, delivery=4, worker="w", started_at=0, ended_at=0, result=b"1"
    )
    after = evolve_step(step, planned(step), JOURNAL, 7, done)
    assert (after.open, after.due_at > 0) == ((3,), True)
    assert saga.needs_marker(planned(after), after)
