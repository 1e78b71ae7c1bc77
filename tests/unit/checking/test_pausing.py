"""The checker of executions that rest finds what it is for, and nothing else.

- Dispatched while it rests, held while it does not, asked for what it does already.
- Resumed, and does not go on.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.checking.logbook import execution
from tests.unit.checking.story import PASSING, Story, breaks, failed, handed_back, holds

from symphainy_schemas import events as e
from symphainy_schemas.records import REDELIVERED, ReportKind, Task

PAUSED = e.ExecutionPaused(reason="closed", principal="ann")
RESUMED = e.ExecutionResumed(reason="open", principal="ann")
HELD = e.StepHeld(step="main", attempt=2)


@pytest.fixture
def story() -> Story:
    """A partition that is owned."""
    one = Story()
    one.takeover()
    return one


def asks(story: Story, verb: str, *events: e.Event) -> int:
    """Somebody asks; `events` are what comes of it. Their offset."""
    told = f'{{"execution_id":"{execution()}","reason":"asked"}}'.encode()
    at = story.intent(verb, told, f"runtime.{verb}")
    offset = story.record(events, execution(), ("intents", at), intents_next=at)
    received = replace(story.received(verb, told), intent_type=f"runtime.{verb}", realm="runtime")
    story.record((received, e.ExecutionSucceeded()), execution(verb), ("intents", at))
    return offset


def fails(story: Story) -> Task:
    """A handler fails, to be tried again."""
    task = story.admit(story.intent())
    again = e.StepRetryScheduled(step="main", attempt=2, due_at=story.now + 100)
    story.answer(ReportKind.FAILED, task, failed(task, PASSING), again, error=PASSING)
    story.now += 200
    return task


def test_what_rests_and_goes_on_holds(story: Story) -> None:
    fails(story)
    asks(story, "pause", PAUSED)
    story.record((HELD,), execution())
    story.succeed(story.send(asks(story, "resume", RESUMED, story.delivery(2, 2))))
    holds(story)


def test_what_is_handed_back_while_it_is_held_goes_on_by_its_time(story: Story) -> None:
    task = story.admit(story.intent())
    asks(story, "pause", PAUSED)
    for _ in range(2):
        back = replace(handed_back(task), reason=REDELIVERED)
        again = e.StepRetryScheduled(step="main", attempt=1, due_at=story.now + 10)
        story.answer(ReportKind.HANDED_BACK, task, back, again)
        story.now += 20
        story.record((replace(HELD, attempt=1),), execution())
    back = replace(handed_back(task), reason=REDELIVERED)
    story.answer(ReportKind.HANDED_BACK, task, back, replace(again, due_at=story.now + 10))
    asks(story, "resume", RESUMED)
    story.now += 20
    story.succeed(story.send(story.record((story.delivery(1, 2),), execution())))
    holds(story)


def test_it_begins_something_although_it_rests(story: Story) -> None:
    fails(story)
    asks(story, "pause", PAUSED)
    story.succeed(story.send(story.record((story.delivery(2, 2),), execution())))
    breaks(story, "G7", "although it rests")


def test_it_is_held_although_it_does_not_rest(story: Story) -> None:
    fails(story)
    story.record((HELD,), execution())
    story.succeed(story.send(story.record((story.delivery(2, 2),), execution())))
    breaks(story, "G7", "although it does not rest")


def test_it_is_resumed_and_does_not_go_on(story: Story) -> None:
    fails(story)
    asks(story, "pause", PAUSED)
    story.record((HELD,), execution())
    asks(story, "resume", RESUMED)
    story.succeed(story.send(story.record((story.delivery(2, 2),), execution())))
    breaks(story, "G7", "was resumed, and does not go on")


def test_it_is_resumed_although_it_does_not_rest(story: Story) -> None:
    task = story.admit(story.intent())
    asks(story, "resume", RESUMED)
    story.succeed(task)
    breaks(story, "G7", "is asked for what it does already")
