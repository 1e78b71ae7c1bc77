"""G7: at the end of every turn, whoever waits was told of every end, and nothing goes on for which
nobody waits.

Followed over the fold, turn by turn: a turn is a decision about an input, and what follows from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec

from symphainy_schemas import events as e
from symphainy_schemas.ids import is_execution_id, undone_by
from symphainy_schemas.records import ENDED, Error, Recovery
from symphainy_schemas.state import Child, ExecutionState, StepStatus
from symphainy_simulation.checking.folding import States, fold, forgotten
from symphainy_simulation.checking.history import Body
from symphainy_simulation.checking.lives import Book, Life, Lives
from symphainy_simulation.checking.logs import Entry, PartitionLogs, Told
from symphainy_simulation.checking.opinion import takes_ownership
from symphainy_simulation.checking.violation import Place, Violation
from symphainy_transport.topics import JOURNAL

G = "G7"
_STOPPED = frozenset(
    {StepStatus.SUCCEEDED, StepStatus.SKIPPED, StepStatus.FAILED, StepStatus.CANCELLED}
)


def check(book: Book, logs: PartitionLogs, lives: Lives) -> Iterator[Violation]:
    """Every turn of a partition, every end that was told, and what was waited for."""
    states: States = dict(logs.before.states)
    touched: dict[str, None] = {}
    for entry in logs.valid:
        if not entry.follows and not takes_ownership(entry.record):
            yield from _owes_nothing(states, touched, entry.place)
            touched = {}
        yield from _begins(states, entry, book.history.dedupe_window_ms)
        fold(states, entry)
        touched[entry.record.execution_id] = None
    if book.history.quiet and logs.valid:
        yield from _owes_nothing(states, touched, logs.valid[-1].place)
    for life in lives.all():
        yield from _told(lives, life)
        yield from _waited(life)


def _owes_nothing(
    states: Mapping[str, Body], touched: Mapping[str, None], place: Place
) -> Iterator[Violation]:
    """Nothing is left of a turn for another execution than the one that it was about."""
    concerned: dict[str, None] = {}
    for name in touched:
        state = states.get(name)
        if isinstance(state, ExecutionState):
            concerned[name] = concerned[state.awaited_by] = None
    for name in concerned:
        parent = states.get(name)
        if isinstance(parent, ExecutionState):
            for child in parent.children:
                yield from _bound(parent, child, states.get(child.execution_id), place)


def _bound(
    parent: ExecutionState, child: Child, body: Body | None, place: Place
) -> Iterator[Violation]:
    if not isinstance(body, ExecutionState):
        return  # not received yet, or forgotten
    if not is_wanted(parent, child):
        if not body.status.ended and body.cancel_reason is None and not body.overdue:
            sentence = f"{body.execution_id} goes on, but {parent.execution_id} waits no more"
            yield Violation(G, sentence, (place,))
    elif body.status.ended:
        sentence = f"{body.execution_id} has ended, and {parent.execution_id} was not told"
        yield Violation(G, sentence, (place,))


def is_wanted(parent: ExecutionState, child: Child) -> bool:
    """Whether the step that invoked it goes on; of an execution that is to end, only what undoes
    something does."""
    step = next((step for step in parent.steps if step.step == child.step), None)
    if parent.status.ended or step is None or step.status in _STOPPED:
        return False
    if undone_by(child.step):
        return True
    failed = any(x.status is StepStatus.FAILED and not undone_by(x.step) for x in parent.steps)
    undone = parent.undo or (parent.plan and failed and parent.recovery is Recovery.COMPENSATE)
    return parent.cancel_reason is None and not parent.overdue and not undone


def _begins(states: Mapping[str, Body], entry: Entry, window_ms: int) -> Iterator[Violation]:
    """What nobody waits for any more does not begin, unless that is forgotten by then; what
    somebody does is not refused for that."""
    record = entry.record
    intent = next((x for x in record.events if isinstance(x, e.IntentReceived)), None)
    if intent is None:
        return
    parent = states.get(intent.causation_id) if intent.causation_id else None
    known = parent.children if isinstance(parent, ExecutionState) else ()
    child = next((one for one in known if one.execution_id == record.execution_id), None)
    refused = next((x.error.code for x in record.events if isinstance(x, e.IntentRejected)), "")
    useless = (
        child is not None and isinstance(parent, ExecutionState) and not is_wanted(parent, child)
    )
    if useless and not refused and not forgotten(parent, record.at, window_ms, states):
        sentence = f"{record.execution_id} begins, although nobody waits for it any more"
        yield Violation(G, sentence, (entry.place,))
    elif refused == "parent_ended" and not useless:
        sentence = f"{record.execution_id} is refused, although it is waited for"
        yield Violation(G, sentence, (entry.place,))


# --- what is told -------------------------------------------------------------------------------


def _told(lives: Lives, life: Life) -> Iterator[Violation]:
    """Each end once, of what was invoked and is awaited, behind that end, and as it was."""
    awaited: set[str] = set()
    times: Counter[str] = Counter()
    for told in life.told:
        event = told.event
        if isinstance(event, e.ChildInvoked) and event.awaited:
            awaited.add(event.child)
        if not isinstance(event, e.ChildEnded):
            continue
        times[event.child] += 1
        if times[event.child] > 1:
            yield _wrong(life, told, f"is told twice of the end of {event.child}")
        if event.child not in awaited:
            yield _wrong(life, told, f"is told of {event.child}, which it does not await")
        end = _end_that(lives, told.entry, event.child)
        if end is None:
            yield _wrong(life, told, f"is told of the end of {event.child}, which has not ended")
        elif not _is_so(msgspec.json.decode(event.outcome), end):
            yield _wrong(life, told, f"is told that {event.child} ended otherwise than it did")


def _end_that(lives: Lives, entry: Entry, child: str) -> Told | None:
    """The end that a record says it follows from. It may name the place for which that was counted:
    where something else stands there, the term is in doubt, but both count."""
    cause = entry.record.cause
    if cause is None or cause.topic != JOURNAL:
        return None
    for life in lives.by_id.get(child, ()):
        end = life.end
        if end is not None and end.entry.offset < entry.offset:
            record = end.entry.record
            if cause.offset in (end.entry.offset, record.term + record.seq):
                return end
    return None


def _is_so(outcome: object, end: Told) -> bool:
    """Whether an outcome is how an execution ended."""
    if not isinstance(outcome, dict):
        return False
    error = outcome["error"]
    if isinstance(error, dict) and error["code"] == "child_result_too_large":
        return isinstance(end.event, e.ExecutionSucceeded)
    match end.event:
        case e.ExecutionSucceeded(result=result):
            status, why = "succeeded", None
            only = next(
                (x.result for x in end.entry.record.events if isinstance(x, e.StepSucceeded)), b""
            )
            returned = result or only
            if outcome["result"] != (msgspec.json.decode(returned) if returned else None):
                return False
        case e.ExecutionFailed(error=failed):
            status, why = "failed", failed
        case e.IntentRejected(error=rejected):
            status, why = "rejected", rejected
        case e.ExecutionCompensated(error=cause):
            status, why = "compensated", cause
        case e.ExecutionCancelled(reason=reason):
            status, why = "cancelled", Error(code="cancelled", message=reason)
        case _:
            return False
    return bool((outcome["status"], error) == (status, msgspec.to_builtins(why)))


def _waited(life: Life) -> Iterator[Violation]:
    """An end is waited for by the step that invoked what has ended, under the name for that."""
    invoked: dict[str, e.ChildInvoked] = {}
    for told in life.told:
        event = told.event
        if isinstance(event, e.ChildInvoked):
            invoked[event.child] = event
        elif isinstance(event, e.StepResumed) and is_execution_id(event.signal):
            one = invoked.get(event.signal)
            if one is None or (event.step, event.name) != (one.step, one.name + ENDED):
                yield _wrong(life, told, f"takes the end of {event.signal} for something else")


def _wrong(life: Life, told: Told, what: str) -> Violation:
    return Violation(G, f"{life.execution_id} {what}", (told.entry.place,))
