"""G5, broken one rule at a time.

- Results: a second one, anything after it, one that was not reported, one of an unknown token.
- Numbers: deliveries that repeat or skip, tokens that change or are shared, tasks sent twice.
- Checkpoints: twice, from an old delivery, not carried, run again.
- Reports that are passed over; what is given up before the marker.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.checking.logbook import execution
from tests.unit.checking.story import (
    FINAL,
    PASSING,
    Story,
    breaks,
    checkpoint,
    failed,
    handed_back,
    holds,
    started,
    succeeded,
)

from symphainy_schemas import events as e
from symphainy_schemas.records import ReportKind, Task


@pytest.fixture
def story() -> Story:
    one = Story()
    one.takeover()
    return one


def again(story: Story, number: int, **other: object) -> Task:
    """A new delivery of attempt 1, as a takeover makes one."""
    return story.send(story.record((story.delivery(1, number, **other),), execution()))


def test_a_second_result(story: Story) -> None:
    task = story.admit(story.intent())
    at = story.report(ReportKind.SUCCEEDED, task, result=b"1")
    twice = (*succeeded(task), succeeded(task)[1], e.ExecutionSucceeded())
    story.record(twice, execution(), ("steps", at))
    breaks(story, "G5", "a second result of a step after its result")


def test_a_step_that_goes_on_after_its_result(story: Story) -> None:
    task = story.admit(story.intent())
    at = story.report(ReportKind.SUCCEEDED, task, result=b"1")
    told = e.StepProgressed(step="main", attempt=1, delivery=1, message="")
    story.record((*succeeded(task), told, e.ExecutionSucceeded()), execution(), ("steps", at))
    breaks(story, "G5", "StepProgressed of a step after its result")


def test_a_success_after_the_failure_that_gave_up(story: Story) -> None:
    task = story.admit(story.intent())
    second = again(story, 2)
    story.answer(ReportKind.FAILED, second, failed(second, FINAL), error=FINAL)
    story.succeed(task)
    breaks(story, "G5", "a second result", "StepStarted of a step after its result")


@pytest.mark.parametrize("number", [1, 3])
def test_delivery_numbers_that_repeat_or_skip(story: Story, number: int) -> None:
    story.admit(story.intent())
    third = again(story, number, token="token-1")
    story.tasks.pop()
    story.succeed(third)
    breaks(story, "G5", f"delivery {number} follows 1")


def test_a_token_that_changes_within_an_attempt(story: Story) -> None:
    story.admit(story.intent())
    story.succeed(again(story, 2, token="fresh"))
    breaks(story, "G5", "the token changes within attempt 1")


def test_attempts_that_share_a_token(story: Story) -> None:
    task = story.admit(story.intent())
    at = story.report(ReportKind.FAILED, task, error=PASSING)
    retry = e.StepRetryScheduled(step="main", attempt=2, due_at=story.now + 10 + 100)
    story.record((failed(task, PASSING), retry), execution(), ("steps", at))
    story.now += 200
    offset = story.record((story.delivery(2, 2, token="token-1"),), execution())
    story.succeed(story.send(offset))
    breaks(story, "G5", "two attempts have one token")


def test_a_start_that_counts_from_an_old_delivery(story: Story) -> None:
    task = story.admit(story.intent())
    second = again(story, 2)
    story.answer(ReportKind.STARTED, task, started(task))
    story.succeed(second)
    breaks(story, "G5", "StepStarted counts from delivery 1, but 2 is current")


# --- what is recorded was reported --------------------------------------------------------------


def test_a_result_without_a_report(story: Story) -> None:
    task = story.admit(story.intent())
    story.record((*succeeded(task), e.ExecutionSucceeded()), execution())
    breaks(story, "G5", "StepSucceeded without a report")


@pytest.mark.parametrize("reported", [{"result": b"2"}, {"delivery": 2}])
def test_a_result_that_is_not_what_was_reported(story: Story, reported: dict[str, object]) -> None:
    task = story.admit(story.intent())
    events = (*succeeded(task), e.ExecutionSucceeded())
    story.answer(ReportKind.SUCCEEDED, task, *events, **({"result": b"1"} | reported))
    breaks(story, "G5", "StepSucceeded is not what was reported")


def test_a_result_of_a_report_of_another_kind(story: Story) -> None:
    task = story.admit(story.intent())
    events = (*succeeded(task), e.ExecutionSucceeded())
    story.answer(ReportKind.PROGRESS, task, *events, result=b"1")
    breaks(story, "G5", "StepSucceeded is not what was reported")


def test_a_result_from_who_does_not_know_the_token(story: Story) -> None:
    task = story.admit(story.intent())
    story.succeed(replace(task, token="guessed"))
    breaks(story, "G5", "does not know the delivery's token")


def test_a_result_from_a_delivery_that_never_was(story: Story) -> None:
    task = story.admit(story.intent())
    story.succeed(replace(task, delivery=2))
    breaks(story, "G5", "from delivery 2, which was never dispatched")


# --- tasks --------------------------------------------------------------------------------------


def test_a_task_sent_again_under_its_old_number(story: Story) -> None:
    task = story.admit(story.intent())
    story.send(task.dispatched_at)
    story.succeed(task)
    breaks(story, "G5", "1 tasks were sent again under their old delivery number")
    holds(story, task_duplicates=1)
    holds(story, task_duplicates=None)


def test_two_different_tasks_under_one_number(story: Story) -> None:
    task = story.admit(story.intent())
    story.send(task.dispatched_at, correlation_id="other")
    story.succeed(task)
    breaks(story, "G5", "two different tasks were sent as delivery 1", task_duplicates=1)


# --- checkpoints --------------------------------------------------------------------------------


def recorded(story: Story, task: Task, name: str) -> None:
    events = (started(task), checkpoint(task, name))
    story.answer(ReportKind.CHECKPOINT, task, *events, name=name, result=b"1")


def test_a_checkpoint_recorded_twice(story: Story) -> None:
    task = story.admit(story.intent())
    recorded(story, task, "extract")
    recorded(story, task, "extract")
    story.succeed(task)
    breaks(story, "G5", "checkpoint extract was recorded twice")


def test_a_checkpoint_from_an_old_delivery(story: Story) -> None:
    task = story.admit(story.intent())
    second = again(story, 2)
    story.answer(
        ReportKind.CHECKPOINT, task, checkpoint(task, "extract"), name="extract", result=b"1"
    )
    story.succeed(second)
    breaks(story, "G5", "StepCheckpointed counts from delivery 1, but 2 is current")


def test_a_task_that_lacks_a_checkpoint(story: Story) -> None:
    task = story.admit(story.intent())
    recorded(story, task, "extract")
    offset = story.record((story.delivery(1, 2),), execution())
    story.succeed(story.send(offset, checkpoints=()))
    breaks(story, "G5", "carries checkpoints []; recorded before its dispatch were ['extract']")


def test_a_start_that_lacks_a_checkpoint(story: Story) -> None:
    task = story.admit(story.intent())
    recorded(story, task, "extract")
    second = again(story, 2)
    story.start(second, carried=())
    story.succeed(second)
    breaks(story, "G5", "was started without checkpoints ['extract']")


def test_a_step_that_runs_again(story: Story) -> None:
    task = story.admit(story.intent())
    story.start(task, ran=("extract",))
    recorded(story, task, "extract")
    second = again(story, 2)
    story.start(second, ran=("extract", "load"))
    story.succeed(second)
    breaks(story, "G5", "ran ['extract'] again")


# --- what is passed over ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        (ReportKind.SUCCEEDED, {}),
        (ReportKind.FAILED, {}),
        (ReportKind.HANDED_BACK, {}),
        (ReportKind.STARTED, {}),
        (ReportKind.CHECKPOINT, {"name": "extract"}),
        (ReportKind.PROGRESS, {}),
    ],
)
def test_a_report_that_matters_is_passed_over(
    story: Story, kind: ReportKind, other: dict[str, object]
) -> None:
    task = story.admit(story.intent())
    story.steps_next = story.report(kind, task, **other) + 1
    story.record(())
    story.succeed(task)
    breaks(story, "G5", f"the report {kind} of")


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        (ReportKind.SUCCEEDED, {"token": "guessed"}),
        (ReportKind.SUCCEEDED, {"attempt": 2}),
        (ReportKind.SUCCEEDED, {"step": "side"}),
        (ReportKind.SUCCEEDED, {"tenant_id": "other"}),
        (ReportKind.SUCCEEDED, {"execution_id": "exe-0-unknown"}),
        (ReportKind.STARTED, {"delivery": 1}),
        (ReportKind.CHECKPOINT, {"delivery": 1, "name": "extract"}),
    ],
)
def test_what_is_late_or_nobodys_may_be_passed_over(
    story: Story, kind: ReportKind, other: dict[str, object]
) -> None:
    story.admit(story.intent())
    second = again(story, 2)
    story.steps_next = story.report(kind, second, **other) + 1
    story.record(())
    story.succeed(second)
    holds(story)


@pytest.mark.parametrize("marker", [None, {"at": 0}, {"dispatched_at": 99}])
def test_what_is_given_up_before_the_marker(story: Story, marker: dict[str, object] | None) -> None:
    task = story.admit(story.intent())
    story.answer(ReportKind.STARTED, task, started(task))
    due_at = story.now + 1_000
    story.now += 2_000
    if marker is not None:
        story.steps_next = story.marker(**marker) + 1
    fired = e.TimerFired(timer="timeout:main", due_at=due_at)
    retry = e.StepRetryScheduled(step="main", attempt=2, due_at=story.now + 10 + 100)
    story.record((fired, failed(task, PASSING, ""), retry), execution())
    story.now += 200
    story.succeed(story.send(story.record((story.delivery(2, 2),), execution())))
    breaks(story, "G5", "was given up (timeout:main) before what workers had reported was read")


def test_a_lost_delivery_given_up_before_the_marker(story: Story) -> None:
    task = story.admit(story.intent())
    due_at = task.start_by + 100
    story.now = due_at + 1
    fired = e.TimerFired(timer="start_by:main", due_at=due_at)
    closed = e.DeliveryClosed(step="main", delivery=1)
    offset = story.record((fired, closed, story.delivery(1, 2)), execution())
    story.succeed(story.send(offset))
    breaks(story, "G5", "was given up (start_by:main) before what workers had reported was read")


def test_a_hand_back_is_recorded_as_reported(story: Story) -> None:
    task = story.admit(story.intent())
    offset = story.answer(ReportKind.HANDED_BACK, task, handed_back(task), story.delivery(1, 2))
    story.succeed(story.send(offset))
    holds(story)
