"""What a check of an execution is; and the first: order and completeness of its events. Pure."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct, field

from symphainy_processors.replay.history import History, Kept
from symphainy_schemas import events as e

_ENDS = (
    e.IntentRejected,
    e.ExecutionSucceeded,
    e.ExecutionFailed,
    e.ExecutionCancelled,
    e.ExecutionCompensated,
)
_OF_A_DELIVERY = (e.StepStarted, e.StepCheckpointed, e.StepSucceeded, e.StepSuspended)


class Standing(StrEnum):
    """What a check says."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Check(Struct, kw_only=True):
    """One check: what it looked at, and what it found."""

    name: str
    looked_at: str
    faults: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def standing(self) -> Standing:
        """A fault outweighs what is not known."""
        if self.faults:
            return Standing.FAILED
        return Standing.UNKNOWN if self.unknown else Standing.PASSED


def order(history: History) -> Check:
    """From one admission to one end, in order, and nothing that does not follow."""
    following = _Following(history)
    for kept in history.records:
        following.take(kept)
    if not following.ended:
        following.check.faults.append("it has no end")
    return following.check


def is_repeat(record: e.JournalRecord) -> bool:
    """Whether a record tells that its intent was stated again, and changes nothing."""
    return any(isinstance(event, e.IntentRepeated) for event in record.events)


class _Following:
    """Where the events of an execution stand, one after the other."""

    def __init__(self, history: History) -> None:
        self.check = Check(name="order", looked_at=f"{len(history.records)} records, to its end")
        self.ended = ""
        self._begun = False
        self._at = -1
        self._dispatched: set[tuple[str, int]] = set()

    def take(self, kept: Kept) -> None:
        """The next record."""
        record = kept.record
        if record.at < self._at:
            self._fault(kept, f"journaled time runs back from {self._at}")
        self._at = max(self._at, record.at)
        if not self._begun and record.cause is None:
            self._fault(kept, "its admission names no intent as its cause")
        if not is_repeat(record):
            for event in record.events:
                self._event(kept, event)

    def _event(self, kept: Kept, event: e.Event) -> None:
        kind = e.event_type(event)
        if isinstance(event, e.IntentReceived):  # anew, where an earlier one was long forgotten
            self._begun, self.ended = True, ""
            self._dispatched.clear()
            return
        if not self._begun:
            self._fault(kept, f"{kind} stands before its admission")
        if isinstance(event, (*_ENDS, e.StepDispatched)) and self.ended:
            self._fault(kept, f"{kind} stands behind its end, {self.ended}")
        if isinstance(event, _ENDS):
            self.ended = kind
        elif isinstance(event, e.StepDispatched):
            self._dispatched.add((event.step, event.delivery))
        elif isinstance(event, _OF_A_DELIVERY):
            self._of_a_delivery(kept, kind, event.step, event.delivery)

    def _of_a_delivery(self, kept: Kept, kind: str, step: str, delivery: int) -> None:
        if delivery and (step, delivery) not in self._dispatched:
            self._fault(
                kept, f"{kind} is of delivery {delivery} of step {step}, which was never dispatched"
            )

    def _fault(self, kept: Kept, what: str) -> None:
        self.check.faults.append(f"offset {kept.offset}: {what}")
