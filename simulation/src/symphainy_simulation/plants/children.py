"""Planted bugs around handlers that invoke others, and what binds the two."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from symphainy_processors.admission import decide as admission
from symphainy_processors.fold import evolve, steps
from symphainy_processors.fold.partition import PartitionState
from symphainy_processors.owner.following import Following
from symphainy_processors.owner.ledger import Ledger
from symphainy_processors.saga import calling, family, retrying, waiting
from symphainy_processors.saga import decide as saga
from symphainy_schemas import events as e
from symphainy_schemas import ids
from symphainy_schemas.records import INVOKED
from symphainy_schemas.state import Signal
from symphainy_simulation.plants.plant import Patch, Plant


def _states_nothing(original: Any) -> Any:
    return lambda self, offset, calls: None


def _finishes_nothing(original: Any) -> Any:
    return lambda self, turn: None


def _follows_nothing(original: Any) -> Any:
    """As if every turn ended with the decision about its input."""
    return lambda self, record, offset, changes: ()


def _hears_the_current_alone(original: Any) -> Any:
    def invoked(state: Any, step: Any, report: Any, moment: Any) -> Any:
        return original(state, step, report, moment) if report.delivery == step.delivery else ()

    return invoked


def _drawn_anew(original: Any) -> Any:
    def invoked(state: Any, step: Any, report: Any) -> Any:
        said = original(state, step, report)
        if not isinstance(said, tuple) or not said:
            return said
        intent_id = ids.child_intent_id(f"{step.token}/{report.delivery}", report.name)
        partition = ids.partition_of(state.execution_id)
        child = ids.execution_id(state.tenant_id, state.session_id, intent_id, partition)
        return (replace(said[0], intent_id=intent_id, child=child),)

    return invoked


def _knows_no_names(original: Any) -> Any:
    return lambda state, step, report: original(state, replace(step, checkpoints=()), report)


def _always_begins(original: Any) -> Any:
    return lambda parent, execution_id: None


def _cancels_nobody(original: Any) -> Any:
    def owed(state: Any, events: Any) -> Any:
        return [debt for debt in original(state, events) if isinstance(debt, family.Ended)]

    return owed


def _tells_nobody_of_a_cancel(original: Any) -> Any:
    """The end of what was cancelled is not told."""

    def owed(state: Any, events: Any) -> Any:
        cancelled = state.cancel_reason is not None
        debts = original(state, events)
        return [x for x in debts if not (cancelled and isinstance(x, family.Ended))]

    return owed


def _whoever_waits(original: Any) -> Any:
    """The end of any goes to whoever waits for some end."""

    def come(step: Any, waits: Any, signals: Any, now: int) -> Any:
        ends = [x for x in signals if ids.is_execution_id(x.name)]
        others = [x for x in signals if not ids.is_execution_id(x.name)]
        for wait in waits:
            if ids.is_execution_id(wait.signal) and ends:
                others.append(Signal(wait.signal, ends.pop(0).data))
        return original(step, waits, tuple(others), now)

    return come


def _keeps_nothing(original: Any) -> Any:
    def child_ended(state: Any, record: Any, event: Any) -> Any:
        return replace(told(state, record, event), signals=state.signals)

    told = original[e.ChildEnded]
    return {**original, e.ChildEnded: child_ended}


def _always_well(original: Any) -> Any:
    return lambda state, **told: original(state, result=told.get("result", b""))


def _stated_at_once(original: Any) -> Any:
    def record(self: Any, *args: Any) -> None:
        original(self, *args)
        pending = self._pending[-1]
        for intent in pending.calls:
            self._port.submit(self.partition, intent, lambda: None)
        pending.calls = ()

    return record


def _not_waited_for(original: Any) -> Any:
    def appended(self: Any, offset: Any, at: int) -> None:
        pending = self._pending[0]
        calls, pending.calls = pending.calls, ()
        original(self, offset, at)
        if not self.lost:
            for intent in calls:
                self._port.submit(self.partition, intent, lambda: None)

    return appended


def _forgets_nothing(original: Any) -> Any:
    return lambda state, step: ()


def _forgets_all(original: Any) -> Any:
    """Whatever was invoked is invoked anew, also what succeeded."""
    return lambda state, step: tuple(
        known.name for known in step.checkpoints if known.name.startswith(INVOKED)
    )


def _waits_as_before(original: Any) -> Any:
    def retry_requested(step: Any, *told: Any) -> Any:
        return replace(asked(step, *told), waits=step.waits)

    asked = original[e.StepRetryRequested]
    return {**original, e.StepRetryRequested: retry_requested}


PLANTS = (
    Plant(
        "invoked-forgotten-at-takeover",
        "11",
        "What handlers invoked is not stated again by whoever takes over.",
        (Patch(Ledger, "send_again", _states_nothing),),
    ),
    Plant(
        "turn-left-unfinished",
        "",
        "Whoever takes over does not finish the last turn: who waits is not told, who is not "
        "wanted goes on.",
        (Patch(Following, "finish", _finishes_nothing),),
    ),
    Plant(
        "turn-not-remembered",
        "",
        "A turn's decisions are forgotten before all that follows from them stands.",
        (Patch(PartitionState, "_go_on", _follows_nothing),),
    ),
    Plant(
        "invoked-in-vain",
        "12",
        "An invocation counts only from the current delivery, a success from any.",
        (Patch(saga, "_invoked", _hears_the_current_alone),),
    ),
    Plant(
        "child-drawn-anew",
        "12",
        "Every delivery of an attempt states an intent of its own.",
        (Patch(calling, "invoked", _drawn_anew),),
    ),
    Plant(
        "invoked-twice",
        "12",
        "What is invoked under a name that is recorded is invoked again.",
        (Patch(calling, "invoked", _knows_no_names),),
    ),
    Plant(
        "child-of-nobody",
        "",
        "What was invoked begins, although nobody waits for it any more.",
        (Patch(admission, "parent_problem", _always_begins),),
    ),
    Plant(
        "child-outlives",
        "",
        "What was invoked goes on when nobody waits for it any more.",
        (Patch(family, "owed", _cancels_nobody),),
    ),
    Plant(
        "cancelled-child-untold",
        "",
        "The end of what was cancelled is not told to whoever waits for it.",
        (Patch(family, "owed", _tells_nobody_of_a_cancel),),
    ),
    Plant(
        "ends-mixed",
        "",
        "The end of one child is taken for that of another.",
        (Patch(waiting, "_come", _whoever_waits),),
    ),
    Plant(
        "end-not-kept",
        "",
        "An end that comes before its parent waits for it is forgotten.",
        (Patch(evolve, "EXECUTION_EVENTS", _keeps_nothing),),
    ),
    Plant(
        "ends-well",
        "",
        "Who waits is told that all went well.",
        (Patch(family, "_told", _always_well),),
    ),
    Plant(
        "stated-too-early",
        "3",
        "What a handler invoked is stated before that stands.",
        (Patch(Ledger, "record", _stated_at_once),),
    ),
    Plant(
        "invoked-not-waited-for",
        "11",
        "Effects are said to be acknowledged before what was invoked stands.",
        (Patch(Ledger, "_appended", _not_waited_for),),
    ),
    Plant(
        "tried-again-in-vain",
        "",
        "Whom an operator has tried again meets the end of what it had invoked in vain.",
        (Patch(retrying, "forgotten", _forgets_nothing),),
    ),
    Plant(
        "tried-again-whole",
        "",
        "Whom an operator has tried again invokes anew also what has succeeded.",
        (Patch(retrying, "forgotten", _forgets_all),),
    ),
    Plant(
        "old-child-waited-for",
        "",
        "Whom an operator has tried again waits for the end of what it invoked before.",
        (Patch(steps, "STEP_EVENTS", _waits_as_before),),
    ),
)
