"""Decide what handlers invoke, and what follows from one execution for another. Pure.

An intent that a handler states is decided like any other, in an execution of its own. Where the
handler waits, the two stay bound: the end of the one is told to the other, and what nobody waits
for any more is asked to end. An execution lives on the partition of its session, and so do those
that it invokes: what follows is decided in the same turn of the same owner.
"""

from __future__ import annotations

from typing import assert_never

import msgspec
from msgspec import Struct

from symphainy_processors.fold.family import child_of, is_wanted
from symphainy_processors.fold.plans import find_step
from symphainy_processors.saga import cancelling, waiting
from symphainy_processors.saga import decide as saga
from symphainy_schemas import events as e
from symphainy_schemas.records import Error
from symphainy_schemas.state import ExecutionState, ExecutionStatus

Events = tuple[e.Event, ...]
# It stands twice in one record of at most 1 MiB: as it was told, and as what the step waited for.
OUTCOME_BYTES = 393_216
UNWANTED = "Nobody waits for it any more."


class Ended(Struct, frozen=True, gc=False):
    """`parent` is to be told."""

    parent: str
    event: e.ChildEnded


class Unwanted(Struct, frozen=True, gc=False):
    """The execution is to be asked to end."""

    execution_id: str


Debt = Ended | Unwanted


def owed(state: ExecutionState, events: Events) -> list[Debt]:
    """What follows from a decision for other executions; `state` is after it."""
    debts: list[Debt] = [
        Unwanted(child.execution_id) for child in state.children if not is_wanted(state, child)
    ]
    if state.awaited_by and state.status.ended and (outcome := _outcome(state, events)):
        debts.append(Ended(state.awaited_by, e.ChildEnded(state.execution_id, outcome)))
    return debts


def paid(state: ExecutionState, debt: Debt, now: int) -> Events:
    """What a debt leads to for the execution that it concerns; nothing, if that is done already."""
    if state.status.ended:
        return ()
    match debt:
        case Unwanted():
            if state.to_end:
                return ()
            events = cancelling.requested(state, e.CancelRequested(reason=UNWANTED))
        case Ended():
            if child_of(state, debt.event.child) is None:
                return ()
            events = waiting.child_ended(state, _fitting(state, debt.event), now)
        case _:
            assert_never(debt)
    return saga.onwards(state, events, now)


def _outcome(state: ExecutionState, events: Events) -> bytes:
    """How it ended, if one of these events ended it."""
    for event in reversed(events):
        match event:
            case e.ExecutionSucceeded():
                return _told(state, result=event.result or _only_result(events))
            case e.ExecutionFailed() | e.IntentRejected() | e.ExecutionCompensated():
                return _told(state, error=event.error)
            case e.ExecutionCancelled():
                return _told(state, error=Error(code="cancelled", message=event.reason))
            case _:
                pass
    return b""


def _only_result(events: Events) -> bytes:
    """Of the one step whose success was the execution's."""
    found = (event.result for event in reversed(events) if isinstance(event, e.StepSucceeded))
    return next(found, b"")


def _told(state: ExecutionState, *, result: bytes = b"", error: Error | None = None) -> bytes:
    return msgspec.json.encode(
        {
            "status": state.status.value,
            "result": msgspec.Raw(result) if result else None,
            "error": error,
        }
    )


def has_succeeded(outcome: bytes) -> bool:
    """Whether that is the end of an execution whose result can be used."""
    told = msgspec.json.decode(outcome, type=_Outcome)
    return told.status is ExecutionStatus.SUCCEEDED and told.error is None


class _Outcome(Struct, frozen=True, gc=False):
    """As much of what `_told` wrote as is asked for here."""

    status: ExecutionStatus
    error: Error | None = None


def _fitting(state: ExecutionState, event: e.ChildEnded) -> e.ChildEnded:
    """As it can be kept: an outcome for which there is no room is told as an error."""
    child = child_of(state, event.child)
    step = None if child is None else find_step(state, child.step)
    kept = 0 if step is None else waiting.checkpoints_bytes(state, step)
    size = len(event.outcome)
    if size <= OUTCOME_BYTES and kept + size <= waiting.CHECKPOINTS_BYTES:
        return event
    error = Error(
        code="child_result_too_large",
        message=f"The result of {event.child} takes {size} bytes, beside {kept} that are recorded.",
        cure="Let it return a reference to an artifact.",
    )
    outcome = msgspec.json.encode({"status": "succeeded", "result": None, "error": error})
    return e.ChildEnded(event.child, outcome)
