"""G6 and rule 13, broken one rule at a time.

- Attempts: counted by delivery, more than declared, not retried, retried without need.
- Delays: outside the policy's bounds, not what the handler asked for, begun too early.
- Timers that fire before their time; how late they fire is a figure.
- Ends while a delivery may still start; starts after the end.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.checking.logbook import STEP_MS, execution
from tests.unit.checking.story import (
    FINAL,
    PASSING,
    POLICY,
    Story,
    breaks,
    failed,
    handed_back,
    holds,
    started,
)

from symphainy_schemas import events as e
from symphainy_schemas.records import Error, ReportKind, Task
from symphainy_simulation.checking.lives import Book
from symphainy_simulation.checking.logs import read
from symphainy_simulation.checking.retries import bounds_ms, lateness_ms


@pytest.fixture
def story() -> Story:
    one = Story()
    one.takeover()
    return one


def retried(
    story: Story, task: Task, delay: int, error: Error = PASSING, after: int = -1, to: int = 2
) -> e.StepRetryScheduled:
    """The attempt fails and the next is scheduled after `delay`, as journaled."""
    at = story.report(ReportKind.FAILED, task, error=error, retry_after_ms=after)
    retry = e.StepRetryScheduled(step="main", attempt=to, due_at=story.now + STEP_MS + delay)
    story.record((failed(task, error), retry), execution(), ("steps", at))
    return retry


def second_attempt(story: Story, retry: e.StepRetryScheduled, number: int = 2) -> Task:
    """The timer fires 5 ms late."""
    story.now = retry.due_at + 5 - STEP_MS
    fired = e.TimerFired(timer="retry:main", due_at=retry.due_at)
    return story.send(story.record((fired, story.delivery(retry.attempt, number)), execution()))


def test_a_retry_by_the_policy_holds_and_its_lateness_is_told(story: Story) -> None:
    task = story.admit(story.intent())
    story.succeed(second_attempt(story, retried(story, task, 50)))
    holds(story)
    assert lateness_ms(Book(read(story.history()))) == [5]


def test_a_delivery_that_counts_as_an_attempt(story: Story) -> None:
    task = story.admit(story.intent())
    offset = story.answer(ReportKind.HANDED_BACK, task, handed_back(task), story.delivery(2, 2))
    story.succeed(story.send(offset))
    breaks(story, "G6", "StepDispatched is of attempt 2, but attempt 1 is in force")


def test_a_hand_back_that_schedules_another_attempt(story: Story) -> None:
    task = story.admit(story.intent())
    retry = e.StepRetryScheduled(step="main", attempt=2, due_at=story.now)
    story.answer(ReportKind.HANDED_BACK, task, handed_back(task), retry)
    story.succeed(story.send(story.record((story.delivery(2, 2),), execution())))
    breaks(story, "G6", "attempt 2 was scheduled in attempt 1, without a failure between them")


def test_a_failure_that_skips_an_attempt(story: Story) -> None:
    task = story.admit(story.intent())
    story.succeed(second_attempt(story, retried(story, task, 50, to=3)))
    breaks(story, "G6", "attempt 3 was scheduled in attempt 1")


def test_more_attempts_than_declared(story: Story) -> None:
    once = replace(POLICY, attempts=1)
    task = story.admit(story.intent(), policy=once)
    story.succeed(second_attempt(story, retried(story, task, 50)))
    breaks(story, "G6", "2 attempts, 1 were declared", "but all are used up")


def test_a_retry_of_what_cannot_be_retried(story: Story) -> None:
    task = story.admit(story.intent())
    story.succeed(second_attempt(story, retried(story, task, 50, FINAL)))
    breaks(story, "G6", "but the error is not retryable")


def test_a_retry_that_is_not_scheduled(story: Story) -> None:
    task = story.admit(story.intent())
    end = (failed(task, PASSING), e.ExecutionFailed(error=PASSING))
    story.answer(ReportKind.FAILED, task, *end, error=PASSING)
    breaks(story, "G6", "and no retry was scheduled")


@pytest.mark.parametrize("delay", [49, 101])
def test_a_delay_outside_the_policy(story: Story, delay: int) -> None:
    task = story.admit(story.intent())
    story.succeed(second_attempt(story, retried(story, task, delay)))
    breaks(story, "G6", f"the delay after attempt 1 is {delay} ms; the policy says 50 to 100 ms")


def test_a_delay_that_is_not_what_the_handler_asked_for(story: Story) -> None:
    task = story.admit(story.intent())
    story.succeed(second_attempt(story, retried(story, task, 700, after=700)))
    holds(story)
    other = Story()
    other.takeover()
    task = other.admit(other.intent())
    other.succeed(second_attempt(other, retried(other, task, 80, after=700)))
    breaks(other, "G6", "the delay after attempt 1 is 80 ms; the policy says 700 to 700 ms")


def test_the_policys_bounds_grow_to_the_largest_delay() -> None:
    assert [bounds_ms(POLICY, n, None) for n in (1, 2, 3, 99)] == [
        (50, 100),
        (75, 150),
        (75, 150),
        (75, 150),
    ]


def test_an_attempt_before_its_time(story: Story) -> None:
    task = story.admit(story.intent())
    retry = retried(story, task, 90)
    story.succeed(story.send(story.record((story.delivery(2, 2),), execution())))
    early = retry.due_at - story.records()[3].at
    breaks(story, "G6", f"attempt 2 came {early} ms too early")


def test_a_redelivery_before_its_time(story: Story) -> None:
    task = story.admit(story.intent())
    retry = e.StepRetryScheduled(step="main", attempt=1, due_at=story.now + 500)
    story.answer(ReportKind.HANDED_BACK, task, handed_back(task), retry)
    story.succeed(story.send(story.record((story.delivery(1, 2),), execution())))
    breaks(story, "G6", "attempt 1 came")


def test_a_timer_before_its_time(story: Story) -> None:
    story.record((e.TimerFired(timer="other", due_at=story.now + 100),))
    task = story.admit(story.intent())
    story.record((e.TimerFired(timer="other", due_at=story.now + 100),), execution())
    story.succeed(task)
    breaks(story, "G6", "other fired 90 ms too early")


def test_a_timeout_before_the_limit_has_passed(story: Story) -> None:
    task = story.admit(story.intent())
    story.answer(ReportKind.STARTED, task, started(task))
    begun, story.now = story.now, story.now + 500
    story.steps_next = story.marker() + 1
    fired = e.TimerFired(timer="timeout:main", due_at=story.now - 20)
    retry = e.StepRetryScheduled(step="main", attempt=2, due_at=story.now + 10 + 60)
    at = story.record((fired, failed(task, PASSING, ""), retry), execution())
    story.succeed(second_attempt(story, retry))
    early = begun + POLICY.timeout_ms - story.records()[at].at
    breaks(story, "G6", f"timeout:main fired {early} ms too early")


def test_a_delivery_given_up_before_its_start_by(story: Story) -> None:
    story.admit(story.intent())
    story.steps_next = story.marker() + 1
    fired = e.TimerFired(timer="start_by:main", due_at=story.now - 20)
    closed = e.DeliveryClosed(step="main", delivery=1)
    offset = story.record((fired, closed, story.delivery(1, 2)), execution())
    story.succeed(story.send(offset))
    breaks(story, "G6", "start_by:main fired")


# --- rule 13 ------------------------------------------------------------------------------------


def two_deliveries(story: Story) -> tuple[Task, Task]:
    first = story.admit(story.intent())
    second = story.send(story.record((story.delivery(1, 2),), execution()))
    return first, second


def test_a_failing_end_while_a_delivery_may_still_start(story: Story) -> None:
    _, second = two_deliveries(story)
    end = (failed(second, FINAL), e.ExecutionFailed(error=FINAL))
    story.answer(ReportKind.FAILED, second, *end, error=FINAL)
    breaks(story, "G7", "ended as ExecutionFailed while delivery 1 was open for")


def test_a_failing_end_that_waits(story: Story) -> None:
    first, second = two_deliveries(story)
    story.answer(ReportKind.FAILED, second, failed(second, FINAL), error=FINAL)
    end = (e.DeliveryClosed(step="main", delivery=1), e.ExecutionFailed(error=FINAL))
    story.answer(ReportKind.HANDED_BACK, first, *end)
    holds(story)


def test_a_failing_end_after_all_that_may_start(story: Story) -> None:
    _, second = two_deliveries(story)
    story.answer(ReportKind.FAILED, second, failed(second, FINAL), error=FINAL)
    due_at = second.start_by + 100 + POLICY.timeout_ms
    story.now = due_at
    fired = e.TimerFired(timer="closing:main", due_at=due_at)
    story.record((fired, e.ExecutionFailed(error=FINAL)), execution())
    holds(story)


def test_a_cancelled_end_while_a_delivery_may_still_start(story: Story) -> None:
    story.admit(story.intent())
    story.record((e.ExecutionCancelled(reason="asked"),), execution())
    open_, unasked = "ended as ExecutionCancelled while delivery 1 was open for", "nobody had asked"
    breaks(story, "G7", open_, unasked)


def test_a_start_after_the_failing_end(story: Story) -> None:
    task = story.admit(story.intent())
    end = (failed(task, FINAL), e.ExecutionFailed(error=FINAL))
    story.answer(ReportKind.FAILED, task, *end, error=FINAL)
    story.start(task)
    breaks(story, "G7", f"was started {STEP_MS} ms after ExecutionFailed")
    holds(story, clocks_kept=False)
