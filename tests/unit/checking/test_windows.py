"""A long run is checked in windows, and a window knows what the ones before left.

- What holds as a whole holds in windows.
- A repeat, a second reception and a late event of an earlier window's execution are seen.
- A takeover may name a record that stands before the window.
- A gap behind the last valid record is carried; what is not quiet is refused. What is stuck is.
- `state`: what no marker named yet is still owed; what is no marker is told; what was forgotten
  before may come once more, as it was.
"""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.checking.logbook import SESSION, P, execution
from tests.unit.checking.story import (
    FINAL,
    POLICY,
    WINDOW_MS,
    Story,
    breaks,
    failed,
    holds,
    started,
)
from tests.unit.checking.test_good import first_day, second_day

from symphainy_schemas import events as e
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.records import PlanStep, Policy, Recovery, ReportKind, Task
from symphainy_schemas.state import ExecutionState, SessionState, State
from symphainy_simulation.checking import Snapshot, check_all
from symphainy_simulation.checking.lives import Book
from symphainy_simulation.checking.logs import read
from symphainy_simulation.checking.windows import carry

TOPICS = ("intents", "steps", "journal", "state")


@pytest.fixture
def story() -> Story:
    """One execution has ended; nothing of it is in `state` yet."""
    one = Story()
    one.takeover()
    one.succeed(one.admit(one.intent()))
    return one


class Window:
    """The history of what comes after now, with what is carried over."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._from = {name: len(getattr(story, name)) for name in TOPICS}
        story.tasks.clear()
        story.acknowledged.clear()
        self.carried = carry(Book(read(story.history())))[0]

    @property
    def rest(self) -> dict[str, Any]:
        """What replaces the whole in a history."""
        logs = {name: {P: getattr(self._story, name)[n:]} for name, n in self._from.items()}
        return {**logs, "before": {P: self.carried}}


def test_a_window_holds_as_the_whole_does_and_knows_what_came_before() -> None:
    story = Story()
    first_day(story)
    window = Window(story)
    assert window.carried.states == story.states
    assert story.last is not None
    assert window.carried.journal_offset == window.carried.marked_to == story.last.offset
    story.letters.clear()
    story.starts.clear()
    story.live.clear()
    second_day(story)
    holds(story, **window.rest)
    alone = check_all(story.history(**(window.rest | {"before": {}})))
    assert {violation.guarantee for violation in alone} >= {"G1", "G8"}


def test_a_repeat_across_windows(story: Story) -> None:
    window = Window(story)
    at = story.intent()
    story.record((e.IntentRepeated(same_payload=True),), execution(), ("intents", at))
    story.publish()
    holds(story, **window.rest)
    at = story.intent(payload=b"[]")
    story.record((e.IntentRepeated(same_payload=True),), execution(), ("intents", at))
    breaks(story, "G2", "is said to have the same payload", **window.rest)


def test_a_second_reception_across_windows(story: Story) -> None:
    window = Window(story)
    story.salt = "anew"
    story.succeed(story.admit(story.intent()))
    breaks(story, "G2", "was received twice within its dedupe window", **window.rest)


def test_something_after_the_end_across_windows(story: Story) -> None:
    window = Window(story)
    story.record((e.StateChanged(key="k", value=b"1"),), execution())
    breaks(story, "G2", "after its end", **window.rest)


def test_a_repeat_that_no_intent_caused(story: Story) -> None:
    story.record((e.IntentRepeated(same_payload=True),), execution())
    breaks(story, "G2", "a repeat was told without an intent")


def test_a_takeover_that_knew_only_what_stands_before_the_window(story: Story) -> None:
    assert story.last is not None
    known, hash_ = e.Predecessor(story.last.term, story.last.offset), story.last.hash
    story.record(())
    window = Window(story)
    story.takeover(previous=known, prev_hash=hash_)
    story.record(())
    holds(story, **window.rest)


def test_a_takeover_that_names_a_record_that_does_not_count(story: Story) -> None:
    assert story.last is not None
    counted = story.last, story.seq
    stale = story.record((), seq=9)
    story.last, story.seq = counted
    story.takeover(previous=e.Predecessor(0, stale))
    breaks(story, "G8", "a takeover does not follow what stands before it")


def test_a_first_record_that_names_nobody(story: Story) -> None:
    story.takeover()
    story.record((), previous=None)
    breaks(story, "G8", "does not name what stood before its takeover")


def test_a_gap_ends_the_term_for_the_next_window(story: Story) -> None:
    counted = story.last, story.seq
    story.record((), seq=9)
    story.last, story.seq = counted
    window = Window(story)
    assert window.carried.seq < 0
    story.record(())
    holds(story, **window.rest)


def test_a_window_that_is_not_quiet_is_refused(story: Story) -> None:
    story.admit(story.intent("i2"), "i2")
    with pytest.raises(ValueError, match="has not ended"):
        carry(Book(read(story.history())))


def stuck() -> tuple[Story, Task]:
    """The only step of a plan has failed, and an operator is to decide."""
    story = Story()
    story.takeover()
    step = PlanStep(
        step="main",
        intent_type="work.add",
        needs=(),
        input=b"",
        condition=b"",
        version=1,
        realm="work",
        handler="add",
        policy=Policy(
            timeout_ms=POLICY.timeout_ms,
            heartbeat_ms=0,
            attempts=3,
            backoff_ms=100,
            backoff_factor=2.0,
            backoff_max_ms=150,
        ),
    )
    plan = replace(POLICY, plan=(step,), recovery=Recovery.HOLD_FOR_OPERATOR)
    task = story.admit(story.intent(), policy=plan)
    end = (started(task), failed(task, FINAL), e.ExecutionStuck(error=FINAL))
    story.answer(ReportKind.FAILED, task, *end, error=FINAL)
    story.publish()
    return story, task


def test_what_is_stuck_is_at_rest() -> None:
    story, _ = stuck()
    holds(story)
    window = Window(story)
    assert window.carried.states == story.states
    story.record(())
    story.publish()
    holds(story, **window.rest)
    story.salt = "anew"
    story.succeed(story.admit(story.intent()))
    breaks(story, "G2", "was received twice within its dedupe window", **window.rest)


def test_what_was_stuck_goes_on_in_a_later_window_and_ends_once() -> None:
    story, first = stuck()
    window = Window(story)
    again = (
        e.StepRetryRequested(step="main", reason=""),
        e.StepReady(step="main", attempt=2),
        story.delivery(2, 2),
    )
    task = story.send(story.record(again, first.execution_id))
    story.start(task)
    story.succeed(task)
    story.publish()
    holds(story, **window.rest)
    story.record((e.StateChanged(key="k", value=b"1"),), execution())
    story.publish()
    breaks(story, "G2", "after its end", **window.rest)


def test_a_snapshot_of_where_the_window_begins(story: Story) -> None:
    states = dict(story.states)
    window = Window(story)
    story.live.append(Snapshot(window.carried.journal_offset, states))
    holds(story, **window.rest)
    story.live.append(Snapshot(window.carried.journal_offset, {}))
    breaks(story, "G8", "live state lacks it", **window.rest)


def test_live_state_of_another_kind(story: Story) -> None:
    session = SessionState(
        session_id=SESSION, tenant_id="acme", principal="ann", attributes=b"", opened_at=1
    )
    story.live.append(Snapshot(2, {execution(): session}))
    breaks(story, "G8", "are of two kinds")


def test_what_no_marker_named_yet_is_still_owed(story: Story) -> None:
    window = Window(story)
    assert window.carried.unmarked == {execution()}
    story.record(())
    story.publish()
    holds(story, **window.rest)
    del story.state[-2]
    breaks(story, "G8", f"{execution()}: `state` lacks it", **window.rest)


def test_markers_that_are_none(story: Story) -> None:
    story.publish()
    row = decode(story.state[0].value, State)
    story.write(story.state, encode(row), key=b"marker")
    breaks(story, "G8", "a marker of `state` is none")
    marker = decode(story.state[1].value, State)
    story.state[0] = changed(story.state[0], value=encode(replace(marker, as_of=marker.as_of)))
    story.state.pop()
    breaks(story, "G8", "the row of `state` is a marker", f"{execution()}: `state` lacks it")


def test_a_place_that_an_earlier_window_has_checked_may_be_told_again(story: Story) -> None:
    told_first = story.acknowledged[0]
    window = Window(story)
    story.acknowledged.append(told_first)
    holds(story, **window.rest)
    story.acknowledged.append(changed(told_first, offset=1, intent_id="lost"))
    breaks(story, "G1", "was acknowledged, but is not there", **window.rest)


def test_a_start_of_an_earlier_windows_execution_is_not_judged() -> None:
    story = Story()
    story.takeover()
    task = story.admit(story.intent())
    story.succeed(task)
    window = Window(story)
    story.start(task)
    holds(story, **window.rest)
    story.start(task, execution_id=execution("i2"))
    breaks(story, "G4", "that no journal record dispatches", **window.rest)


def test_a_takeover_may_be_older_than_what_it_lands_behind_but_nothing_after_it(
    story: Story,
) -> None:
    assert story.last is not None
    known, hash_, before = story.last, story.last.hash, story.now
    story.succeed(story.admit(story.intent("i2"), "i2"))
    old = {"previous": e.Predecessor(known.term, known.offset), "prev_hash": hash_}
    story.takeover(**old, intents_next=1, steps_next=1, at=before)
    story.publish()
    story.record(())
    holds(story)
    story.record((), intents_next=1, at=before)
    kinds = {violation.guarantee for violation in check_all(story.history())}
    assert kinds == {"G1", "G8"}


def test_what_was_forgotten_in_an_earlier_window_may_stand_in_state_once_more(
    story: Story,
) -> None:
    """Who goes on from an old disk folds it anew, and only then finds that its time is over."""
    story.publish()
    old = story.states[execution()]
    story.now += WINDOW_MS + 1
    story.record(())
    window = Window(story)
    assert execution() not in window.carried.states
    story.record(())
    story.changed.add(execution())
    story.publish()
    holds(story, **window.rest)
    assert isinstance(old, ExecutionState)
    story.states[execution()] = replace(old, payload=b"[]")
    story.changed.add(execution())
    story.publish()
    breaks(story, "G8", "`state` has it", **window.rest)
