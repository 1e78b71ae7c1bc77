"""The checker of sessions finds what it is for, and nothing else.

- Taken although it is over; over before its time, or never; changed after; swept too soon.
- What runs is asked to end only where it was to be, and a task tells the attributes of the moment.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.checking.logbook import execution
from tests.unit.checking.story import POLICY, Story, breaks, holds

from symphainy_schemas import events as e
from symphainy_schemas.records import Task

ASKED = e.CancelRequested(reason="its session was closed", principal="runtime")
MINE = b'{"a":1}'


@pytest.fixture
def story() -> Story:
    """A partition that is owned."""
    one = Story()
    one.takeover()
    return one


def asks(story: Story, verb: str, *events: e.Event, payload: bytes = b"{}") -> None:
    """Somebody asks something of the session; `events` are what comes of it."""
    kind = f"runtime.{verb}_session"
    at = story.intent(verb, payload, kind)
    received = replace(story.received(verb, payload), intent_type=kind, realm="runtime")
    by_policy = verb != "expire"
    story.record((received, *events), execution(verb), ("intents", at), by_policy=by_policy)


def opens(story: Story, **more: int | bool) -> None:
    opened = e.SessionOpened(principal="ann", attributes=MINE)
    asks(story, "open", replace(opened, **more), e.ExecutionSucceeded())


def begins(story: Story, session: bytes = MINE) -> Task:
    """An intent is taken, and its task sent."""
    events = (story.received(), POLICY, e.ExecutionStarted(), story.delivery(1, 1))
    offset = story.record(events, execution(), ("intents", story.intent()))
    return story.send(offset, session=session)


def works(story: Story, session: bytes = MINE) -> None:
    """The same, and it succeeds."""
    story.succeed(begins(story, session))


def expires(story: Story, due_at: int, *, idle: bool = False, cancels: bool = False) -> None:
    over = e.SessionExpired(due_at=due_at, idle=idle, cancels=cancels)
    asks(story, "expire", *((over,) if cancels else (over, e.ExecutionSucceeded())))


def closes(story: Story, cancels: bool, mode: str) -> None:
    closed = e.SessionClosed(reason="", cancels=cancels)
    events = (closed,) if cancels else (closed, e.ExecutionSucceeded())
    asks(story, "close", *events, payload=b'{"mode":"%s"}' % mode.encode())


def test_a_session_that_lives_and_ends_holds(story: Story) -> None:
    opens(story)
    works(story)
    closes(story, cancels=True, mode="cancel")
    story.record((e.SessionSwept(), e.ExecutionSucceeded()), execution("close"))
    holds(story)


def test_what_is_taken_after_the_end_is_found(story: Story) -> None:
    opens(story)
    closes(story, cancels=False, mode="drain")
    works(story)
    breaks(story, "G14", "is over, and takes")


def test_an_expiry_in_time_holds(story: Story) -> None:
    opens(story, lifetime_ms=100)
    due_at = story.now + 100
    story.now += 500
    expires(story, due_at)
    holds(story)


@pytest.mark.parametrize("late", [-60, 500])
def test_an_expiry_at_another_time_is_found(story: Story, late: int) -> None:
    opens(story, lifetime_ms=100)
    due_at = story.now + 100
    story.now += 100 + late
    expires(story, due_at if late < 0 else due_at + 1)
    breaks(story, "G14", "its time is")


def test_a_use_puts_an_idle_session_s_expiry_off(story: Story) -> None:
    opens(story, idle_ms=300)
    due_at = story.now + 300
    story.now += 200
    works(story)
    story.now += 500
    expires(story, due_at, idle=True)
    breaks(story, "G14", "its time is")


def test_a_session_that_never_expires_is_found(story: Story) -> None:
    opens(story, lifetime_ms=100)
    story.now += 10_000
    works(story)
    breaks(story, "G14", "it did not expire")


def test_what_is_changed_after_the_end_is_found(story: Story) -> None:
    opens(story)
    closes(story, cancels=False, mode="drain")
    changed = e.SessionChanged(attributes=b"{}", principal="ann")
    asks(story, "change", changed, e.ExecutionSucceeded())
    breaks(story, "G14", "is over, and changes")


def test_what_was_not_asked_to_end_is_found(story: Story) -> None:
    opens(story)
    task = begins(story)
    closes(story, cancels=True, mode="cancel")
    story.record((e.SessionSwept(), e.ExecutionSucceeded()), execution("close"))
    story.succeed(task)
    breaks(story, "G14", "was not asked to end")


def test_a_session_that_is_never_swept_is_found(story: Story) -> None:
    opens(story)
    closes(story, cancels=True, mode="cancel")
    story.record((e.ExecutionSucceeded(),), execution("close"))
    breaks(story, "G14", "not all that ran was asked")


def test_another_end_than_was_asked_is_found(story: Story) -> None:
    opens(story)
    closes(story, cancels=False, mode="cancel")
    breaks(story, "G14", "ends otherwise")


def test_who_is_asked_although_all_was_to_go_on_is_found(story: Story) -> None:
    opens(story)
    task = begins(story)
    closes(story, cancels=False, mode="drain")
    story.record((ASKED,), execution())
    story.succeed(task)
    breaks(story, "G14", "was not closed so")


def test_a_task_with_other_attributes_is_found(story: Story) -> None:
    opens(story)
    works(story, session=b"{}")
    breaks(story, "G14", "other attributes")
