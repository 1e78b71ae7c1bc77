"""The checker of executions that are to end finds what it is for, and nothing else.

- Overdue before its time, or failed for a deadline that had not passed.
- Dispatched or tried again after it was asked to end; asked twice.
- Cancelled although nobody had asked, for another reason, or although it had succeeded.
- Ended by a worker, as asked, before that was asked.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.checking.logbook import execution
from tests.unit.checking.story import FINAL, PASSING, POLICY, Story, breaks, failed, holds, started

from symphainy.worker.admission import CANCELLED
from symphainy_schemas import events as e
from symphainy_schemas.records import Error, ReportKind, Task, Wait

STOPPED = e.StepCancelled(step="main")
ENDED = e.ExecutionCancelled(reason="asked")


@pytest.fixture
def story() -> Story:
    """A partition that is owned."""
    one = Story()
    one.takeover()
    return one


def cancels(story: Story, intent_id: str = "c1", *events: e.Event, times: int = 1) -> None:
    """Somebody cancels; `events` follow at once."""
    told = f'{{"execution_id":"{execution()}","reason":"asked"}}'.encode()
    at = story.intent(intent_id, told, "runtime.cancel")
    for _ in range(times):
        asked = (e.CancelRequested("asked", "ann"), *events)
        story.record(asked, execution(), ("intents", at), intents_next=at)
    received = replace(
        story.received(intent_id, told), intent_type="runtime.cancel", realm="runtime"
    )
    story.record((received, e.ExecutionSucceeded()), execution(intent_id), ("intents", at))


def test_what_ends_as_asked_holds(story: Story) -> None:
    task = story.admit(story.intent())
    cancels(story)
    cancels(story, "c2", times=0)  # once more changes nothing
    story.answer(ReportKind.FAILED, task, failed(task, FINAL), ENDED, error=FINAL)
    holds(story)


def test_a_success_stands(story: Story) -> None:
    task = story.admit(story.intent())
    cancels(story)
    story.succeed(task)
    holds(story)


def test_a_wait_of_what_was_cancelled_may_be_told_of_with_another_time(story: Story) -> None:
    task = story.admit(story.intent())
    for until in (1, 2):
        waits = (Wait("sleep:1", story.now + 60_000 * until),)
        suspended = e.StepSuspended(task.step, task.attempt, task.delivery, waits, "w1")
        events = (started(task), suspended) if until == 1 else (suspended, STOPPED, ENDED)
        story.answer(ReportKind.SUSPENDED, task, *events, waits=waits)
        if until == 1:
            cancels(story, "c1", STOPPED)
    holds(story)


def test_it_is_asked_twice(story: Story) -> None:
    task = story.admit(story.intent())
    cancels(story)
    cancels(story, "c2")
    story.succeed(task)
    breaks(story, "G7", "was asked for twice")


def test_it_is_tried_again(story: Story) -> None:
    task = story.admit(story.intent())
    cancels(story)
    error = replace(FINAL, retryable=True)
    again = e.StepRetryScheduled(step="main", attempt=2, due_at=story.now + 100)
    story.answer(ReportKind.FAILED, task, failed(task, error), again, error=error)
    story.record((STOPPED, ENDED), execution())
    breaks(story, "G7", "although it was to end before")


def test_nobody_had_asked(story: Story) -> None:
    task = story.admit(story.intent())
    story.answer(ReportKind.FAILED, task, failed(task, FINAL), ENDED, error=FINAL)
    breaks(story, "G7", "nobody had asked")


def test_it_ends_for_another_reason(story: Story) -> None:
    task = story.admit(story.intent())
    cancels(story)
    other = e.ExecutionCancelled(reason="because")
    story.answer(ReportKind.FAILED, task, failed(task, FINAL), other, error=FINAL)
    breaks(story, "G7", "for another reason")


@pytest.mark.parametrize("asked", [True, False])
def test_a_worker_ends_it_only_once_that_is_asked(story: Story, asked: bool) -> None:
    task = story.admit(story.intent())
    if asked:
        cancels(story)
    back = e.StepHandedBack(task.step, task.attempt, task.delivery, "w1", CANCELLED)
    story.answer(ReportKind.HANDED_BACK, task, back, STOPPED, ENDED, name=CANCELLED)
    if asked:
        holds(story)
    else:
        breaks(story, "G7", "before that was asked", "nobody had asked")


LIMIT_MS = 200
DATED = replace(POLICY, deadline_ms=LIMIT_MS)
OVERDUE = e.ExecutionFailed(error=Error(code="deadline_exceeded", message="Late."))


def test_what_is_overdue_fails_and_that_holds(story: Story) -> None:
    task = story.admit(story.intent(), policy=DATED)
    due_at = deadline(story, task)
    story.answer(ReportKind.FAILED, task, failed(task, PASSING), retry(story), error=PASSING)
    story.now = due_at
    story.record((e.DeadlinePassed(due_at=due_at), STOPPED, OVERDUE), execution())
    holds(story)


def test_a_deadline_passes_before_its_time(story: Story) -> None:
    task = story.admit(story.intent(), policy=DATED)
    story.record((e.DeadlinePassed(due_at=deadline(story, task)),), execution())
    story.succeed(task)
    breaks(story, "G7", "passed before its time")


def test_it_fails_for_a_deadline_that_had_not_passed(story: Story) -> None:
    task = story.admit(story.intent(), policy=DATED)
    story.answer(ReportKind.FAILED, task, failed(task, FINAL), OVERDUE, error=FINAL)
    breaks(story, "G7", "for a deadline that had not passed")


def deadline(story: Story, task: Task) -> int:
    """When the task's execution has to have ended."""
    return story.records()[task.dispatched_at].at + LIMIT_MS


def retry(story: Story) -> e.StepRetryScheduled:
    """The next attempt, as the policy says."""
    return e.StepRetryScheduled(step="main", attempt=2, due_at=story.now + 100)
