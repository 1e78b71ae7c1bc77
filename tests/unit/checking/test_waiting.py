"""Handlers that wait, broken one rule at a time.

- Waits: another time than the first, ended twice, ended early, by another's signal, by nobody's.
- Signals: applied twice, taken but had by nobody, refused but had, used up out of order.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.checking.logbook import execution
from tests.unit.checking.story import FINAL, Story, breaks, handed_back, holds, started

from symphainy_schemas import events as e
from symphainy_schemas.records import REDELIVERED, ReportKind, Task, Wait

GRANT = Wait("signal:grant:1", 0, "grant")


@pytest.fixture
def story() -> Story:
    one = Story()
    one.takeover()
    return one


def nap(story: Story, ms: int = 500) -> Wait:
    """A time from now on."""
    return Wait("sleep:1", story.now + ms)


def suspends(story: Story, task: Task, *waits: Wait) -> None:
    """Its handler waits."""
    event = e.StepSuspended(task.step, task.attempt, task.delivery, waits, "w1")
    story.answer(ReportKind.SUSPENDED, task, started(task), event, waits=waits)


def resumes(story: Story, number: int, *events: e.Event) -> Task:
    """What it waited for has come; its next delivery."""
    return story.send(story.record((*events, story.delivery(1, number)), execution()))


def timed(story: Story, wait: Wait, early_ms: int = 0) -> tuple[e.Event, ...]:
    """The time of a wait has come."""
    story.now = max(story.now, wait.until - early_ms)
    return (e.StepResumed("main", wait.name, b""),)


def granted(wait: Wait = GRANT, data: bytes = b"1", signal: str = "grant") -> e.StepResumed:
    """A signal ends a wait."""
    return e.StepResumed("main", wait.name, data, signal)


def signals(
    story: Story, intent_id: str = "s1", *, times: int = 1, taken: bool = True, data: bytes = b"1"
) -> None:
    """Somebody signals; the execution has it `times`, and the intent is `taken` or refused."""
    told = f'{{"execution_id":"{execution()}","name":"grant"}}'.encode()
    at = story.intent(intent_id, told, "runtime.signal")
    for _ in range(times):
        event = e.SignalReceived("grant", data, "ann")
        story.record((event,), execution(), ("intents", at), intents_next=at)
    received = replace(
        story.received(intent_id, told), intent_type="runtime.signal", realm="runtime"
    )
    end = e.ExecutionSucceeded() if taken else e.IntentRejected(error=FINAL)
    story.record((received, end), execution(intent_id), ("intents", at))


def test_a_wait_that_its_time_ends_holds(story: Story) -> None:
    task = story.admit(story.intent())
    wait = nap(story)
    suspends(story, task, wait)
    story.succeed(resumes(story, 2, *timed(story, wait)))
    holds(story)


def test_a_wait_that_its_signal_ends_holds(story: Story) -> None:
    task = story.admit(story.intent())
    suspends(story, task, GRANT)
    signals(story)
    story.succeed(resumes(story, 2, granted()))
    holds(story)


def test_one_that_was_given_up_and_lives_waits_for_nothing_else(story: Story) -> None:
    task = story.admit(story.intent())
    again = e.StepRetryScheduled(step="main", attempt=1, due_at=story.now + 60_000)
    back = replace(handed_back(task), reason=REDELIVERED)
    story.answer(ReportKind.HANDED_BACK, task, back, again)
    wait = nap(story)
    suspends(story, task, wait)
    story.succeed(resumes(story, 2, *timed(story, wait)))
    holds(story)


def test_a_wait_is_given_another_time(story: Story) -> None:
    task = story.admit(story.intent())
    wait = nap(story)
    suspends(story, task, wait, GRANT)
    signals(story)
    task = resumes(story, 2, granted())
    suspends(story, task, replace(wait, until=wait.until + 1))
    story.succeed(resumes(story, 3, *timed(story, replace(wait, until=wait.until + 1))))
    breaks(story, "G6", "was given another time")


def test_a_wait_ends_twice(story: Story) -> None:
    task = story.admit(story.intent())
    wait = nap(story)
    suspends(story, task, wait)
    task = resumes(story, 2, *timed(story, wait), *timed(story, wait))
    story.succeed(task)
    breaks(story, "G6", "ended twice")


def test_a_wait_ends_before_its_time(story: Story) -> None:
    task = story.admit(story.intent())
    wait = nap(story)
    suspends(story, task, wait)
    story.succeed(resumes(story, 2, *timed(story, wait, early_ms=400)))
    breaks(story, "G6", "ended before its time")


def test_a_wait_that_nobody_has_ends(story: Story) -> None:
    task = story.admit(story.intent())
    suspends(story, task, nap(story))
    story.succeed(resumes(story, 2, e.StepResumed("main", "other", b"")))
    breaks(story, "G6", "nobody waited for other")


def test_a_wait_ends_by_a_signal_that_it_is_not_for(story: Story) -> None:
    task = story.admit(story.intent())
    wait = nap(story)
    suspends(story, task, wait)
    signals(story)
    story.succeed(resumes(story, 2, granted(wait)))
    breaks(story, "G6", "ended by signal grant")


def test_a_handler_goes_on_although_nothing_came(story: Story) -> None:
    task = story.admit(story.intent())
    wait = nap(story)
    suspends(story, task, wait)
    story.succeed(resumes(story, 2))
    breaks(story, "G6", "goes on although nothing came")


def test_a_signal_is_used_that_was_not_received(story: Story) -> None:
    task = story.admit(story.intent())
    suspends(story, task, GRANT)
    story.succeed(resumes(story, 2, granted()))
    breaks(story, "G6", "signal grant is not the oldest that is left")


def test_a_later_signal_is_used_first(story: Story) -> None:
    task = story.admit(story.intent())
    suspends(story, task, GRANT)
    signals(story, "s1", data=b"1")
    signals(story, "s2", data=b"2")
    story.succeed(resumes(story, 2, granted(data=b"2")))
    breaks(story, "G6", "signal grant is not the oldest that is left")


@pytest.mark.parametrize(
    ("times", "taken", "phrase"),
    [(2, True, "applied twice"), (0, True, "nobody has it"), (1, False, "refused, but is had")],
)
def test_a_signal_is_had_as_often_as_it_is_taken(
    story: Story, times: int, taken: bool, phrase: str
) -> None:
    task = story.admit(story.intent())
    signals(story, times=times, taken=taken)
    story.succeed(task)
    breaks(story, "G6", phrase)
