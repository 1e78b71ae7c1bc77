"""G1 and G2, broken one rule at a time.

- Lost, changed, undecided, misdecided: an acknowledged intent.
- Positions: passing an intent, garbage without its letter, running back, not reaching the end.
- An end that never comes.
- Two decisions of one input, two receptions of one id, a repeat told wrongly, two ends.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.checking.logbook import execution
from tests.unit.checking.story import FINAL, WINDOW_MS, Story, breaks, holds, succeeded

from symphainy_schemas import events as e
from symphainy_schemas.records import ReportKind


@pytest.fixture
def story() -> Story:
    one = Story()
    one.takeover()
    one.succeed(one.admit(one.intent()))
    return one


def test_an_acknowledged_intent_that_is_gone(story: Story) -> None:
    story.acknowledged.append(replace(story.acknowledged[0], intent_id="lost", offset=7))
    breaks(story, "G1", "was acknowledged, but is not there")


def test_an_acknowledged_intent_of_unknown_place_that_is_gone(story: Story) -> None:
    story.acknowledged[0] = replace(story.acknowledged[0], offset=-1)
    holds(story)
    story.acknowledged[0] = replace(story.acknowledged[0], payload_sha256=b"another")
    breaks(story, "G1", "was acknowledged, but is not there")


def test_an_acknowledged_intent_that_was_changed(story: Story) -> None:
    story.acknowledged[0] = replace(story.acknowledged[0], payload_sha256=b"another")
    breaks(story, "G1", "something else stands")


def test_an_intent_decided_under_another_id_than_was_told(story: Story) -> None:
    story.acknowledged[0] = replace(story.acknowledged[0], execution_id=execution("other"))
    breaks(story, "G1", "but decided as")


def test_an_intent_that_is_never_decided(story: Story) -> None:
    story.intent("i2")
    breaks(story, "G1", "was acknowledged, but never decided", "intents is read only up to 1 of 2")


def test_a_position_that_passes_an_undecided_intent(story: Story) -> None:
    story.acknowledged.clear()
    story.intents_next = story.intent("i2") + 1
    story.acknowledged.clear()
    story.record(())
    breaks(story, "G1", "the position passes intent i2, which is not decided", quiet=False)


def test_an_intent_decided_after_the_position_had_passed_it(story: Story) -> None:
    late = story.intent("i2")
    story.intents_next = late + 1
    story.record(())
    story.succeed(story.admit(late, "i2"))
    breaks(story, "G1", "the position passes intent i2, which is not decided")


@pytest.mark.parametrize("topic", ["intents", "steps"])
def test_garbage_passed_without_a_dead_letter(story: Story, topic: str) -> None:
    offset = story.garbage(topic)
    setattr(story, f"{topic}_next", offset + 1)
    story.record(())
    breaks(story, "G1", "no dead letter keeps it")
    story.letter(topic, offset)
    breaks(story, "G1", "before its dead letter was there")


def test_positions_that_run_back(story: Story) -> None:
    story.record((), intents_next=0)
    story.record(())
    breaks(story, "G1", "the positions of the inputs run back")


def test_a_decision_whose_position_is_not_behind_its_input(story: Story) -> None:
    at = story.intent("i2")
    task = story.admit(at, "i2", intents_next=at)
    story.intents_next = at + 1
    story.succeed(task)
    breaks(story, "G1", "a decision stands with its input's next position at 1")


def test_a_decision_of_an_input_that_is_not_there(story: Story) -> None:
    # The journal knows a success that no worker reported: G5 misses the report, too.
    task = story.admit(story.intent("i2"), "i2")
    events = (*succeeded(task), e.ExecutionSucceeded())
    story.record(events, task.execution_id, ("steps", 9), steps_next=10)
    breaks(story, "G1", "names an input that is not there")


def test_reports_that_are_never_read(story: Story) -> None:
    task = story.admit(story.intent("i2"), "i2")
    story.succeed(task)
    story.report(ReportKind.SUCCEEDED, task)
    breaks(story, "G1", "steps is read only up to 2 of 3")


def test_an_execution_that_never_ends(story: Story) -> None:
    story.admit(story.intent("i2"), "i2")
    breaks(story, "G1", "never ended; the last that happened to it is StepDispatched")


# --- G2 -----------------------------------------------------------------------------------------


def test_an_input_that_is_decided_twice(story: Story) -> None:
    at = story.intent()
    story.record((e.IntentRepeated(same_payload=True),), execution(), ("intents", at))
    story.record((e.IntentRepeated(same_payload=True),), execution(), ("intents", at))
    breaks(story, "G2", "intents[0]@1 was decided twice")


def test_an_id_received_twice_within_the_window(story: Story) -> None:
    story.now += WINDOW_MS - 1_000
    story.salt = "anew"
    story.succeed(story.admit(story.intent()))
    breaks(story, "G2", "was received twice within its dedupe window")


def test_an_id_received_anew_after_the_window(story: Story) -> None:
    story.now += WINDOW_MS + 1_000
    story.salt = "anew"
    story.photograph()
    story.succeed(story.admit(story.intent()))
    holds(story)


def test_a_repeat_of_what_was_never_received(story: Story) -> None:
    at = story.intent("i2")
    story.record((e.IntentRepeated(same_payload=True),), execution("i2"), ("intents", at))
    breaks(story, "G2", "which was never received")


@pytest.mark.parametrize(("payload", "told"), [(b"{}", False), (b'{"a":1}', True)])
def test_a_repeat_that_tells_the_payload_wrongly(story: Story, payload: bytes, told: bool) -> None:
    at = story.intent(payload=payload)
    story.record((e.IntentRepeated(same_payload=told),), execution(), ("intents", at))
    breaks(story, "G2", "a repeat of")


def test_an_intent_decided_for_another_execution(story: Story) -> None:
    at = story.intent("i2")
    story.acknowledged.pop()
    received = story.received("i2")
    story.record((received, e.IntentRejected(error=FINAL)), execution("i3"), ("intents", at))
    breaks(story, "G2", "intent i2 was decided as")


def test_a_report_decided_for_another_execution(story: Story) -> None:
    task = story.admit(story.intent("i2"), "i2")
    other = replace_execution(task.execution_id)
    at = story.report(ReportKind.SUCCEEDED, task, execution_id=other, result=b"1")
    events = (*succeeded(task), e.ExecutionSucceeded())
    story.record(events, task.execution_id, ("steps", at))
    breaks(story, "G2", "was decided for another execution")


def replace_execution(name: str) -> str:
    return name[:-1] + ("0" if name[-1] != "0" else "1")


def test_an_intent_answered_twice_in_one_decision(story: Story) -> None:
    at = story.intent("i2")
    twice = (story.received("i2"), e.IntentRepeated(same_payload=True))
    story.record((*twice, e.IntentRejected(error=FINAL)), execution("i2"), ("intents", at))
    breaks(story, "G2", "answered 2 times in one decision")


def test_an_intent_received_with_another_payload(story: Story) -> None:
    at = story.intent("i2")
    received = story.received("i2", b"another")
    story.record((received, e.IntentRejected(error=FINAL)), execution("i2"), ("intents", at))
    breaks(story, "G2", "received with another payload")


def test_a_reception_that_no_intent_caused(story: Story) -> None:
    story.record((story.received("i2"), e.IntentRejected(error=FINAL)), execution("i2"))
    breaks(story, "G2", "was received without an intent")


def test_an_execution_that_ends_twice(story: Story) -> None:
    story.record((e.ExecutionSucceeded(),), execution())
    breaks(story, "G2", "ended more than once", "after its end")


def test_an_execution_that_ends_twice_in_one_decision(story: Story) -> None:
    at = story.intent("i2")
    ends = (e.IntentRejected(error=FINAL), e.ExecutionFailed(error=FINAL))
    story.record((story.received("i2"), *ends), execution("i2"), ("intents", at))
    breaks(story, "G2", "ended more than once")


def test_something_that_happens_after_the_end(story: Story) -> None:
    story.record((e.StateChanged(key="k", value=b"1"),), execution())
    breaks(story, "G2", "after its end")
