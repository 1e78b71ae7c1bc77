"""G8, broken one rule at a time.

- Live state: another value, missing, too much, as of what does not count.
- Journaled time: backwards, ahead of the broker.
- The chain of hashes: within a term, at a takeover, at a term's first record.
- `state`: rows wrong, missing, removed too early, going back, without a marker, garbage.
"""

from __future__ import annotations

from dataclasses import replace as changed

import pytest
from msgspec.structs import replace
from tests.unit.checking.logbook import SESSION, TENANT, execution
from tests.unit.checking.story import SKEW_MS, WINDOW_MS, Story, breaks, holds

from symphainy_schemas import events as e
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.state import ExecutionState, SessionState, State
from symphainy_simulation.checking import Snapshot

OTHER = SessionState(
    session_id="ses-0-" + "0f" * 16, tenant_id=TENANT, principal="ann", attributes=b"", opened_at=1
)


@pytest.fixture
def story() -> Story:
    one = Story()
    one.takeover()
    at = one.intent("open")
    opened = e.SessionOpened(principal="ann", attributes=b"{}")
    one.record(
        (one.received("open"), opened, e.ExecutionSucceeded()), execution("open"), ("intents", at)
    )
    one.succeed(one.admit(one.intent()))
    one.photograph()
    one.publish()
    holds(one)
    return one


# --- live state ---------------------------------------------------------------------------------


def test_live_state_that_differs(story: Story) -> None:
    state = story.states[execution()]
    assert isinstance(state, ExecutionState)
    kept = {**story.states, execution(): replace(state, ended_at=7)}
    story.live.append(Snapshot(story.live[0].as_of, kept))
    breaks(story, "G8", "live state is not the journal's fold: ended_at is 7")


def test_live_state_that_lacks_something(story: Story) -> None:
    kept = {name: body for name, body in story.states.items() if name != SESSION}
    story.live.append(Snapshot(story.live[0].as_of, kept))
    breaks(story, "G8", f"{SESSION}: live state lacks it")


def test_live_state_that_has_too_much(story: Story) -> None:
    story.live.append(Snapshot(story.live[0].as_of, {**story.states, "ses-0-x": OTHER}))
    breaks(story, "G8", "live state has it, the journal's fold does not")


def test_live_state_of_an_undecided_future(story: Story) -> None:
    early = story.records()[3]
    assert isinstance(early.events[-1], e.ExecutionSucceeded)
    story.live.append(Snapshot(2, dict(story.states)))
    breaks(story, "G8", "live state")


def test_live_state_as_of_what_does_not_count(story: Story) -> None:
    story.live.append(Snapshot(99, dict(story.states)))
    breaks(story, "G8", "state is said to reflect a journal record that does not count")


def test_what_has_left_its_window_may_be_forgotten(story: Story) -> None:
    story.now += WINDOW_MS + 1_000
    story.record(())
    story.live.append(Snapshot(4, {SESSION: story.states[SESSION]}))
    holds(story)
    story.live.append(Snapshot(3, {SESSION: story.states[SESSION]}))
    breaks(story, "G8", "live state lacks it")


# --- time ---------------------------------------------------------------------------------------


def test_journaled_time_that_runs_back(story: Story) -> None:
    story.record((), at=story.now - 500)
    breaks(story, "G8", "journaled time runs back")


def test_journaled_time_ahead_of_the_broker(story: Story) -> None:
    story.record((), at=story.now + 10 + SKEW_MS)
    holds(story)
    story.record((), at=story.now + 11 + SKEW_MS)
    breaks(story, "G8", f"journaled time is {SKEW_MS + 1} ms ahead of the broker's")
    holds(story, clocks_kept=False)


# --- the chain ----------------------------------------------------------------------------------


def test_a_record_on_top_of_another_one(story: Story) -> None:
    story.record((), prev_hash=b"\x01" * 32)
    breaks(story, "G8", "the chain of hashes is broken")


def test_a_journal_that_was_changed_behind_our_back(story: Story) -> None:
    stored = story.journal[1]
    record = decode(stored.value, e.JournalRecord)
    story.journal[1] = changed(stored, value=encode(replace(record, correlation_id="tampered")))
    # What was folded from it was another correlation: live state and `state` show it, too.
    breaks(story, "G8", "the chain of hashes is broken", "correlation_id")


def test_a_takeover_on_top_of_another_record(story: Story) -> None:
    story.takeover(prev_hash=b"\x01" * 32)
    breaks(story, "G8", "a takeover does not follow what stands before it")


def test_a_takeover_on_top_of_nothing(story: Story) -> None:
    story.takeover(previous=None)
    breaks(story, "G8", "a takeover does not follow what stands before it")


def test_a_takeover_on_top_of_the_future(story: Story) -> None:
    story.takeover(previous=e.Predecessor(story.term, 99))
    breaks(story, "G8", "a takeover does not follow what stands before it")


def test_a_takeover_that_knew_only_an_earlier_record(story: Story) -> None:
    assert story.last is not None
    known, hash_ = story.last, story.last.hash
    story.record(())
    story.takeover(previous=e.Predecessor(known.term, known.offset), prev_hash=hash_)
    story.record(())
    holds(story)


def test_a_first_record_that_names_another_predecessor(story: Story) -> None:
    story.takeover()
    story.record((), previous=e.Predecessor(0, 1, b""))
    breaks(story, "G8", "does not name what stood before its takeover")


# --- `state` ------------------------------------------------------------------------------------


def next_batch(story: Story) -> None:
    story.succeed(story.admit(story.intent("i2"), "i2"))
    story.publish()
    holds(story)


def row(story: Story, name: str) -> int:
    """Where the last row of that key stands."""
    return max(i for i, w in enumerate(story.state) if w.key == name.encode())


def test_a_row_that_differs(story: Story) -> None:
    next_batch(story)
    at = row(story, execution("i2"))
    state = decode(story.state[at].value, State)
    assert isinstance(state.body, ExecutionState)
    wrong = replace(state, body=replace(state.body, ended_at=7))
    story.state[at] = changed(story.state[at], value=encode(wrong))
    breaks(story, "G8", "`state` is not the journal's fold: ended_at is 7")


def test_a_row_that_is_missing(story: Story) -> None:
    next_batch(story)
    del story.state[row(story, execution("i2"))]
    breaks(story, "G8", f"{execution('i2')}: `state` lacks it")


def test_a_row_of_what_the_journal_does_not_know(story: Story) -> None:
    next_batch(story)
    at = row(story, execution("i2"))
    extra = replace(decode(story.state[at].value, State), body=OTHER)
    story.state.insert(at, changed(story.state[at], key=b"ses-0-x", value=encode(extra)))
    breaks(story, "G8", "ses-0-x: `state` has it, the journal's fold does not")


def test_a_row_that_names_another_place(story: Story) -> None:
    next_batch(story)
    at = row(story, execution("i2"))
    wrong = replace(decode(story.state[at].value, State), as_of=1)
    story.state[at] = changed(story.state[at], value=encode(wrong))
    breaks(story, "G8", "names another place than its marker")


def test_a_key_removed_within_its_window(story: Story) -> None:
    story.now += WINDOW_MS - 1_000
    story.record(())
    story.write(story.state, None, key=execution().encode())
    story.publish()
    breaks(story, "G8", f"{execution()}: `state` lacks it")


def test_a_key_removed_after_its_window(story: Story) -> None:
    story.now += WINDOW_MS + 1_000
    story.record(())
    story.write(story.state, None, key=execution().encode())
    story.publish()
    holds(story)


def test_state_that_goes_back(story: Story) -> None:
    story.record(())
    story.publish()
    story.publish(as_of=3, seq=3)
    breaks(story, "G8", "`state` goes back: a marker of 3 follows one of 4")


def test_a_marker_of_what_does_not_count(story: Story) -> None:
    story.publish(as_of=99)
    breaks(story, "G8", "names a journal record that does not count")


@pytest.mark.parametrize("other", [{"term": 3}, {"seq": 9}])
def test_a_marker_that_does_not_say_what_its_record_says(
    story: Story, other: dict[str, int]
) -> None:
    story.record(())
    story.publish(**other)
    breaks(story, "G8", "does not say what its journal record says")


def test_rows_that_no_marker_closes(story: Story) -> None:
    next_batch(story)
    story.state.pop()
    breaks(story, "G8", "`state` ends with rows that no marker closes")


def test_garbage_in_state(story: Story) -> None:
    story.write(story.state, b"garbage", key=b"exe")
    story.publish()
    breaks(story, "G8", "a row of `state` cannot be read")
