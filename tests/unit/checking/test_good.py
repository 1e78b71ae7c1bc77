"""A history in which everything that may happen happens by the rules violates nothing.

- The whole story: checkpoints, retries, a timeout, a hand-back, a takeover, a repeat, garbage.
- A run that is not over yet owes no ends.
"""

from __future__ import annotations

from tests.unit.checking.logbook import execution
from tests.unit.checking.story import (
    FINAL,
    PASSING,
    Story,
    checkpoint,
    failed,
    handed_back,
    holds,
    started,
)

from symphainy_schemas import events as e
from symphainy_schemas.records import Error, ReportKind

TIMEOUT = Error(code="timeout", message="Too long.", retryable=True)


def test_a_story_by_the_rules_violates_nothing() -> None:
    story = Story()
    first_day(story)
    second_day(story)
    holds(story)


def first_day(story: Story) -> None:
    """A failure with a retry, a checkpoint that travels on, a result."""
    story.takeover()
    task = story.admit(story.intent())
    story.start(task, ran=("extract",))
    story.answer(
        ReportKind.CHECKPOINT,
        task,
        started(task),
        checkpoint(task, "extract"),
        name="extract",
        result=b"1",
    )
    story.photograph()
    at = story.report(ReportKind.FAILED, task, error=PASSING)
    retry = e.StepRetryScheduled(step="main", attempt=2, due_at=story.now + 10 + 80)
    story.record((failed(task, PASSING), retry), execution(), ("steps", at))
    story.now += 100
    fired = e.TimerFired(timer="retry:main", due_at=retry.due_at)
    task = story.send(story.record((fired, story.delivery(2, 2)), execution()))
    story.start(task)
    story.acted_to = story.last.offset if story.last else -1
    story.publish()
    story.succeed(task)
    story.photograph()
    repeat = story.intent()
    story.record((e.IntentRepeated(same_payload=True),), execution(), ("intents", repeat))
    letter = story.garbage("intents")
    story.letter("intents", letter)
    story.intents_next = letter + 1
    story.record(())
    story.publish()


def second_day(story: Story) -> None:
    """A takeover delivers anew; a hand-back; a timeout behind its marker; the end waits."""
    first = story.admit(story.intent("i2"), "i2")
    story.takeover()
    again = story.record((story.delivery(1, 2),), execution("i2"))
    second = story.send(again)
    story.answer(ReportKind.HANDED_BACK, first, e.DeliveryClosed(step="main", delivery=1))
    third = story.send(
        story.answer(
            ReportKind.HANDED_BACK, second, handed_back(second), story.delivery(1, 3), name="r"
        )
    )
    story.start(third)
    story.answer(ReportKind.STARTED, third, started(third))
    due_at = story.now + 1_000
    story.now += 2_000
    story.steps_next = story.marker() + 1
    fired = e.TimerFired(timer="timeout:main", due_at=due_at)
    retry = e.StepRetryScheduled(step="main", attempt=2, due_at=story.now + 10 + 100)
    story.record((fired, failed(third, TIMEOUT, ""), retry), execution("i2"))
    story.now += 200
    fired = e.TimerFired(timer="retry:main", due_at=retry.due_at)
    fourth = story.send(story.record((fired, story.delivery(2, 4)), execution("i2")))
    story.answer(
        ReportKind.FAILED,
        fourth,
        failed(fourth, FINAL),
        e.ExecutionFailed(error=FINAL),
        error=FINAL,
    )
    story.report(ReportKind.SUCCEEDED, third, result=b"late")
    story.steps_next += 1
    story.record(())
    story.photograph()
    story.publish()


def test_what_is_under_way_owes_no_end() -> None:
    story = Story()
    story.takeover()
    task = story.admit(story.intent())
    story.intent("i2")
    story.report(ReportKind.SUCCEEDED, task, result=b"1")
    holds(story, quiet=False)
