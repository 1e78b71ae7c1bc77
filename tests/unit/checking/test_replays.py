"""The checker of replays finds what it is for, and nothing else.

- Something recorded about what was replayed; a replay that is told of in two records.
- A record that says something else than what was asked for, or names a mode that there is not.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.checking.logbook import execution
from tests.unit.checking.story import Story, breaks, holds, told

from symphainy_schemas import events as e
from symphainy_simulation.checking import check_all


@pytest.fixture
def story() -> Story:
    """A partition that is owned, with an execution that runs."""
    one = Story()
    one.takeover()
    one.admit(one.intent())
    return one


def asked(mode: str = "events_only") -> bytes:
    """What a replay of it states."""
    return f'{{"execution_id":"{execution()}","mode":"{mode}"}}'.encode()


def looks(story: Story, end: e.Event | None = None, mode: str = "events_only") -> int:
    """Somebody replays it; where that was stated."""
    payload = asked(mode)
    at = story.intent("r1", payload, "runtime.replay")
    received = replace(story.received("r1", payload), intent_type="runtime.replay", realm="runtime")
    done = end or e.ExecutionSucceeded(result=payload)
    story.record((received, done), execution("r1"), ("intents", at))
    return at


def test_who_looks_has_one_record(story: Story) -> None:
    looks(story)
    holds(story, quiet=False)


def test_what_is_looked_at_is_changed(story: Story) -> None:
    payload = asked()
    at = story.intent("r1", payload, "runtime.replay")
    paused = e.ExecutionPaused(reason="", principal="ann")
    story.record((paused,), execution(), ("intents", at), intents_next=at)
    received = replace(story.received("r1", payload), intent_type="runtime.replay", realm="runtime")
    done = e.ExecutionSucceeded(result=payload)
    story.record((received, done), execution("r1"), ("intents", at))
    breaks(story, "G8", "was changed by who replayed it", quiet=False)


def test_it_goes_on_in_another_record(story: Story) -> None:
    at = looks(story)
    story.record((e.EventEmitted(event_type="x", data=b"1"),), execution("r1"), ("intents", at))
    found = told(check_all(story.history(quiet=False)))  # others complain of that, too
    assert "is not told of in one record" in found


def test_its_record_names_another_mode(story: Story) -> None:
    looks(story, e.ExecutionSucceeded(result=asked("full")))
    breaks(story, "G8", "not recorded as it was asked for", quiet=False)


def test_its_mode_is_none(story: Story) -> None:
    looks(story, mode="half")
    breaks(story, "G8", "not recorded as it was asked for", quiet=False)
