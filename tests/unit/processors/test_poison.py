"""Invariants of steps whose workers are lost: is it the step?

- Twice in a row it is delivered as ever, then alone; after three more it fails for good.
- What was not begun alone did not end its worker, and does not count.
- What fails or waits in between begins the count anew; what a limit gave up goes on alone.
- A worker that hands it back for another reason counts for nothing.
- It stays open as long as whoever had it may run it.
"""

from __future__ import annotations

from tests.unit.processors.plan_bench import LIMIT_MS, Bench, step

from symphainy_processors.fold.steps import LOST_IN_COMPANY
from symphainy_processors.owner.tasks import task_for
from symphainy_processors.saga.attempts import MOST_LOST
from symphainy_schemas import events as e
from symphainy_schemas.records import REDELIVERED, Error, ReportKind
from symphainy_schemas.state import StepStatus

ONE = (step("main", undo=False),)


def lose(bench: Bench, *, started: bool = True) -> None:
    """Its worker is gone, and another finds the task."""
    if started:
        bench.starts("main")
    bench.report("main", ReportKind.HANDED_BACK, name=REDELIVERED, started_at=0)
    bench.passes(30_000)


def is_alone(bench: Bench) -> bool:
    """Whether its newest delivery is to run with nothing beside it."""
    sent = [x for x in bench.told if isinstance(x, e.StepDispatched)]
    return task_for(bench.state, sent[-1], b"", 0, 1, 0).alone


def test_it_is_delivered_as_ever_then_alone_and_then_fails() -> None:
    bench = Bench(ONE)
    told = []
    for _ in range(MOST_LOST):
        told.append(is_alone(bench))
        lose(bench)
    assert told == [False] * LOST_IN_COMPANY + [True] * (MOST_LOST - LOST_IN_COMPANY)
    failed = next(x for x in bench.told if isinstance(x, e.StepFailed))
    assert failed.error.code == "poison_task"
    assert "5 workers in a row" in failed.error.message
    assert not failed.error.retryable
    assert bench.step("main").status is StepStatus.FAILED
    assert bench.step("main").open, "whoever had it may run it still"


def test_what_was_not_begun_alone_did_not_end_its_worker() -> None:
    bench = Bench(ONE)
    for _ in range(LOST_IN_COMPANY):
        lose(bench, started=False)  # it may have ended it before it was announced
    for _ in range(2 * MOST_LOST):
        assert is_alone(bench)
        lose(bench, started=False)
    assert bench.step("main").lost == LOST_IN_COMPANY


def test_another_outcome_begins_the_count_anew() -> None:
    bench = Bench(ONE)
    for _ in range(MOST_LOST - 1):
        lose(bench)
    assert bench.step("main").lost == MOST_LOST - 1
    bench.fails("main", Error(code="busy", message="Not now.", retryable=True))
    bench.passes(30_000)
    assert (bench.step("main").attempt, bench.step("main").lost) == (2, 0)


def test_what_a_limit_gave_up_goes_on_alone() -> None:
    bench = Bench(ONE)
    for _ in range(LOST_IN_COMPANY):
        lose(bench)
    bench.starts("main")
    bench.passes(LIMIT_MS + 1_000)
    assert (bench.step("main").attempt, is_alone(bench)) == (2, True)


def test_what_is_handed_back_for_another_reason_does_not_count() -> None:
    bench = Bench(ONE)
    for _ in range(MOST_LOST + 1):
        bench.report("main", ReportKind.HANDED_BACK, name="stopping", started_at=0)
        bench.passes(30_000)
    assert bench.step("main").lost == 0
    assert not any(isinstance(x, e.StepFailed) for x in bench.told)
