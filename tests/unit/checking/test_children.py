"""Handlers that invoke others, broken one rule at a time.

- The intent: never stated, stated before it was invoked, as something else, by nobody.
- The ends: told twice, of nobody, otherwise than it was, not at all, to who takes it for another.
- The bond: goes on, or begins, when nobody waits; awaited by another; a success that hides a call.
"""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace
from tests.unit.checking.logbook import SESSION, TENANT, execution
from tests.unit.checking.story import FINAL, POLICY, Story, breaks, failed, holds, started

from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.codec import encode
from symphainy_schemas.records import Call, Checkpoint, Intent, ReportKind, Task, Wait
from symphainy_simulation.checking import check_all

NAME = "invoke:work.add:1"
CHILD_INTENT = ids.child_intent_id("token-1", NAME)
CHILD = execution(CHILD_INTENT)
WAIT = Wait(f"{NAME}:ended", 0, CHILD)
OUTCOME = b'{"status":"succeeded","result":1,"error":null}'
CALL = Call("work.add", "work", b"{}", awaited=True)


@pytest.fixture
def story() -> Story:
    one = Story()
    one.takeover()
    return one


def invoked(*, awaited: bool = True, name: str = NAME) -> e.ChildInvoked:
    """The event of an invocation."""
    intent_id = ids.child_intent_id("token-1", name)
    place = execution(intent_id), intent_id, "work.add", "work", b"{}", awaited
    return e.ChildInvoked("main", 1, 1, name, *place)


def invokes(story: Story, task: Task, *, awaited: bool = True) -> int:
    """A handler invokes another; the offset of that."""
    call = replace(CALL, awaited=awaited)
    told = started(task), invoked(awaited=awaited)
    return story.answer(ReportKind.INVOKED, task, *told, name=NAME, call=call)


def states(story: Story, invoked_at: int, **other: object) -> int:
    """The owner states the intent; its offset."""
    intent = Intent(
        intent_id=CHILD_INTENT,
        intent_type="work.add",
        realm="work",
        session_id=SESSION,
        tenant_id=TENANT,
        principal="ann",
        correlation_id="i1",
        causation_id=execution(),
        payload=b"{}",
        metadata=b'{"source":"handler"}',
        solution_context=b"",
        created_at=story.records()[invoked_at].at if invoked_at >= 0 else story.now,
    )
    return story.write(story.intents, encode(replace(intent, **other)))


def child_admitted(story: Story, at: int, awaited_by: str = execution()) -> Task:
    """It is decided; its task."""
    received = replace(
        story.received(CHILD_INTENT), causation_id=execution(), awaited_by=awaited_by
    )
    begins = (received, POLICY, e.ExecutionStarted(), story.delivery(1, 1, token="token-c"))
    return story.send(story.record(begins, CHILD, ("intents", at)))


def waits(story: Story, task: Task) -> None:
    """The handler waits for the end."""
    suspended = e.StepSuspended(task.step, task.attempt, task.delivery, (WAIT,), "w1")
    story.answer(ReportKind.SUSPENDED, task, suspended, waits=(WAIT,))


def tells(story: Story, end: int, outcome: bytes = OUTCOME, wait: Wait = WAIT) -> Task:
    """The parent is told of the end at that offset, and goes on; its next task."""
    resumed = e.StepResumed("main", wait.name, outcome, CHILD)
    events = (e.ChildEnded(CHILD, outcome), resumed, story.delivery(1, 2))
    offset = story.record(events, execution(), ("journal", end))
    recorded = Checkpoint(NAME, f'"{CHILD}"'.encode()), Checkpoint(wait.name, outcome)
    return story.send(offset, checkpoints=recorded)


def up_to_its_end(story: Story, **stated: object) -> int:
    """A child was invoked, and its parent waits for it; the offset of its end."""
    task = story.admit(story.intent())
    child = child_admitted(story, states(story, invokes(story, task), **stated))
    waits(story, task)
    return story.succeed(child)


def test_a_child_whose_end_is_told_holds(story: Story) -> None:
    story.succeed(tells(story, up_to_its_end(story)))
    holds(story)


def test_a_child_that_nobody_waits_for_holds(story: Story) -> None:
    task = story.admit(story.intent())
    child = child_admitted(story, states(story, invokes(story, task, awaited=False)), "")
    story.succeed(task)
    story.succeed(child)
    holds(story)


def test_an_intent_that_was_never_stated(story: Story) -> None:
    task = story.admit(story.intent())
    invokes(story, task, awaited=False)
    story.succeed(task)
    breaks(story, "G5", "was never stated", "and never received")


def test_an_intent_that_is_said_to_be_acknowledged_and_is_not(story: Story) -> None:
    task = story.admit(story.intent())
    offset = story.acted_to = invokes(story, task, awaited=False)
    story.succeed(task)
    child = child_admitted(story, states(story, offset), "")
    story.succeed(child)
    breaks(story, "G5", "but invoke:work.add:1")


@pytest.mark.parametrize("other", [{"priority": 1}, {"principal": "bob"}, {"created_at": 1}])
def test_an_intent_that_was_not_invoked_so(story: Story, other: dict[str, object]) -> None:
    story.succeed(tells(story, up_to_its_end(story, **other)))
    breaks(story, "G5", "is not what was invoked")


def test_an_intent_that_was_stated_before_it_was_invoked(story: Story) -> None:
    task = story.admit(story.intent())
    at = states(story, -1)
    invokes(story, task, awaited=False)
    child = child_admitted(story, at, "")
    story.succeed(task)
    story.succeed(child)
    breaks(story, "G5", "was stated before its invocation stood", "is not what was invoked")


def test_an_intent_that_nobody_invoked(story: Story) -> None:
    task = story.admit(story.intent())
    story.succeed(child_admitted(story, states(story, -1), ""))
    story.succeed(task)
    breaks(story, "G5", "but no journal record invokes it")


def test_an_id_that_is_not_its_attempts(story: Story) -> None:
    task = story.admit(story.intent())
    other = ids.child_intent_id("token-2", NAME)
    event = replace(invoked(awaited=False), intent_id=other, child=execution(other))
    told = {"name": NAME, "call": replace(CALL, awaited=False)}
    offset = story.answer(ReportKind.INVOKED, task, started(task), event, **told)
    at = states(story, offset, intent_id=other)
    received = replace(story.received(other), causation_id=execution())
    refused = e.IntentRejected(error=FINAL)
    story.record((received, refused), execution(other), ("intents", at))
    story.succeed(task)
    breaks(story, "G5", "is not its attempt's")


def test_a_success_that_hides_what_was_invoked(story: Story) -> None:
    task = story.admit(story.intent())
    story.start(task, ran=(NAME,))
    story.succeed(task)
    breaks(story, "G5", "is not journaled")


def test_a_child_that_is_not_awaited_by_who_waits(story: Story) -> None:
    task = story.admit(story.intent())
    child = child_admitted(story, states(story, invokes(story, task)), "")
    waits(story, task)
    story.succeed(tells(story, story.succeed(child)))
    breaks(story, "G5", "is awaited by ''")


# --- ends ---------------------------------------------------------------------------------------


def test_an_end_that_is_told_otherwise_than_it_was(story: Story) -> None:
    lie = b'{"status":"failed","result":null,"error":null}'
    story.succeed(tells(story, up_to_its_end(story), lie))
    breaks(story, "G7", "ended otherwise than it did")


def test_an_end_that_is_told_twice(story: Story) -> None:
    end = up_to_its_end(story)
    task = tells(story, end)
    story.record((e.ChildEnded(CHILD, OUTCOME),), execution(), ("journal", end))
    story.succeed(task)
    breaks(story, "G7", "is told twice")


def test_an_end_that_is_told_after_something_else(story: Story) -> None:
    end = up_to_its_end(story)
    story.record(())
    story.succeed(tells(story, end))
    breaks(story, "G7", "was not told")


def test_an_end_that_is_told_before_it_came(story: Story) -> None:
    task = story.admit(story.intent())
    offset = invokes(story, task)
    child = child_admitted(story, states(story, offset))
    waits(story, task)
    again = tells(story, offset)
    story.succeed(child)
    story.succeed(again)
    breaks(story, "G7", "which has not ended")


def test_an_end_that_is_taken_for_another(story: Story) -> None:
    end = up_to_its_end(story)
    other = replace(WAIT, name="signal:x:1")
    story.succeed(tells(story, end, wait=other))
    found = [violation.sentence for violation in check_all(story.history())]
    assert any("takes the end of" in sentence for sentence in found)


# --- the bond -----------------------------------------------------------------------------------


def fails(story: Story, task: Task) -> int:
    """The parent's handler fails for good."""
    end = e.ExecutionFailed(error=FINAL)
    told = failed(task, FINAL), end
    return story.answer(ReportKind.FAILED, task, *told, error=FINAL)


def test_a_child_that_is_asked_to_end_with_its_parent_holds(story: Story) -> None:
    task = story.admit(story.intent())
    child = child_admitted(story, states(story, invokes(story, task)))
    end = fails(story, task)
    story.record((e.CancelRequested(reason="no"),), CHILD, ("journal", end))
    story.succeed(child)
    holds(story)


def test_a_child_that_outlives_its_parent(story: Story) -> None:
    task = story.admit(story.intent())
    child = child_admitted(story, states(story, invokes(story, task)))
    fails(story, task)
    story.succeed(child)
    breaks(story, "G7", "waits no more")


def test_a_child_that_begins_after_its_parent(story: Story) -> None:
    task = story.admit(story.intent())
    at = states(story, invokes(story, task))
    fails(story, task)
    story.succeed(child_admitted(story, at))
    breaks(story, "G7", "although nobody waits for it any more", "waits no more")


@pytest.mark.parametrize("waits_still", [True, False])
def test_a_child_that_is_refused_because_nobody_waits(story: Story, waits_still: bool) -> None:
    task = story.admit(story.intent())
    at = states(story, invokes(story, task))
    if not waits_still:
        fails(story, task)
    received = replace(
        story.received(CHILD_INTENT), causation_id=execution(), awaited_by=execution()
    )
    refused = e.IntentRejected(error=replace(FINAL, code="parent_ended"))
    end = story.record((received, refused), CHILD, ("intents", at))
    if not waits_still:
        holds(story)
        return
    outcome = (
        b'{"status":"rejected","result":null,"error":' + msgspec.json.encode(refused.error) + b"}"
    )
    story.record((e.ChildEnded(CHILD, outcome),), execution(), ("journal", end))
    fails(story, task)
    breaks(story, "G7", "although it is waited for")
