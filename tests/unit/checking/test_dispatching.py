"""G3 and G4, broken one rule at a time.

- Policy: decided twice, after the dispatch, another limit than was decided.
- Tasks: unreadable, without a dispatch, different from it, before it.
- Starts: without a dispatch, of another attempt, before it, past `start_by`.
- `acted_to` ahead of the tasks.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.checking.logbook import STEP_MS, execution
from tests.unit.checking.story import POLICY, SKEW_MS, Story, breaks, holds

from symphainy_schemas import events as e


@pytest.fixture
def story() -> Story:
    one = Story()
    one.takeover()
    return one


def test_a_policy_decided_twice(story: Story) -> None:
    task = story.admit(story.intent())
    story.record((POLICY,), execution())
    story.succeed(task)
    breaks(story, "G3", "CapabilityResolved was decided 2 times")


def test_a_dispatch_before_the_policy(story: Story) -> None:
    at = story.intent()
    events = (story.received(), story.delivery(1, 1), POLICY, e.ExecutionStarted())
    story.succeed(story.send(story.record(events, execution(), ("intents", at))))
    breaks(story, "G3", "was dispatched before it was decided that it may run")


def test_a_dispatch_under_another_limit(story: Story) -> None:
    at = story.intent()
    given = (story.received(), POLICY, e.ExecutionStarted(), story.delivery(1, 1, timeout_ms=9))
    story.succeed(story.send(story.record(given, execution(), ("intents", at))))
    breaks(story, "G3", "was dispatched with a limit of 9 ms; 1000 ms was decided")


# --- G4: tasks ----------------------------------------------------------------------------------


def test_a_task_that_cannot_be_read(story: Story) -> None:
    story.succeed(story.admit(story.intent()))
    story.write(story.tasks, b"garbage")
    breaks(story, "G4", "a task cannot be read")


def test_a_task_without_a_dispatch(story: Story) -> None:
    task = story.admit(story.intent())
    story.succeed(task)
    story.send(task.dispatched_at, dispatched_at=77, delivery=2)
    breaks(story, "G4", "that no journal record dispatches")


def test_a_task_for_a_record_that_dispatches_something_else(story: Story) -> None:
    task = story.admit(story.intent())
    other = story.admit(story.intent("i2"), "i2")
    story.send(task.dispatched_at, dispatched_at=other.dispatched_at, delivery=2)
    story.succeed(task)
    story.succeed(other)
    breaks(story, "G4", "that no journal record dispatches")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("attempt", 2, "attempt"),
        ("token", "guessed", "token"),
        ("timeout_ms", 5, "timeout_ms"),
        ("start_by", 2**40, "start_by"),
        ("handler", "other", "capability"),
        ("realm", "play", "capability, topic"),
        ("payload", b"[]", "intent"),
    ],
)
def test_a_task_that_differs_from_its_dispatch(
    story: Story, name: str, value: object, told: str
) -> None:
    at = story.intent()
    events = (story.received(), POLICY, e.ExecutionStarted(), story.delivery(1, 1))
    offset = story.record(events, execution(), ("intents", at))
    task = story.send(offset, **{name: value})
    story.succeed(replace(task, attempt=1, token="token-1"))
    breaks(story, "G4", f"differs from its dispatch: {told}")


def test_a_task_sent_before_its_dispatch_stood(story: Story) -> None:
    task = story.admit(story.intent())
    early = story.tasks[0]
    story.tasks[0] = early.__class__(
        early.partition, early.offset, early.key, early.value, early.at_ms - 2 * STEP_MS
    )
    story.succeed(task)
    breaks(story, "G4", "was sent before its dispatch stood")


# --- G4: starts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [{"delivery": 2}, {"token": "guessed"}, {"step": "side"}])
def test_a_start_without_a_dispatch(story: Story, other: dict[str, Any]) -> None:
    task = story.admit(story.intent())
    story.start(task, **other)
    story.succeed(task)
    breaks(story, "G4", "that no journal record dispatches")


def test_a_start_of_another_attempt(story: Story) -> None:
    task = story.admit(story.intent())
    story.start(task, attempt=2)
    story.succeed(task)
    breaks(story, "G4", "as attempt 2, not 1")


def test_a_start_before_its_dispatch(story: Story) -> None:
    at = story.now
    task = story.admit(story.intent())
    story.start(task, at_ms=at)
    story.succeed(task)
    breaks(story, "G4", "before its dispatch stood")


def test_a_start_past_its_time(story: Story) -> None:
    task = story.admit(story.intent())
    story.start(task, at_ms=task.start_by + SKEW_MS)
    story.succeed(task)
    holds(story)
    story.start(task, at_ms=task.start_by + SKEW_MS + 1)
    breaks(story, "G4", "1 ms after the time by which it had to be")
    holds(story, clocks_kept=False)


# --- G4: the outbox -----------------------------------------------------------------------------


def test_effects_said_to_be_acknowledged_that_are_not(story: Story) -> None:
    task = story.admit(story.intent())
    kept = story.tasks.pop()
    story.acted_to = task.dispatched_at
    story.record(())
    breaks(story, "G4", "the task of", quiet=False)
    late = kept.__class__(0, 0, None, kept.value, story.now + 1)
    story.tasks.append(late)
    breaks(story, "G4", "the task of", quiet=False)
    story.tasks[0] = kept
    holds(story, quiet=False)


def test_a_dispatch_that_a_takeover_replaced_needs_no_task(story: Story) -> None:
    story.admit(story.intent())
    story.tasks.clear()
    story.takeover()
    again = story.send(story.record((story.delivery(1, 2),), execution()))
    story.acted_to = again.dispatched_at
    story.record(())
    holds(story, quiet=False)
