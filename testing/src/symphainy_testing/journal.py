"""An execution's events, as the journal has them and as every surface shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from symphainy_runtime.journal.documents import event_document
from symphainy_schemas import events as e
from symphainy_schemas.records import Error


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of the journal.

    `type` is its name on every surface ("step_checkpointed"), `at` when it was decided, in ms since
    the epoch; `event` holds its members, payloads included.
    """

    type: str
    at: int
    event: e.Event
    _record: e.JournalRecord
    _place: tuple[int, int, int]

    def __repr__(self) -> str:
        return f"Happened({self.type}, {_words(self.event)})"

    @property
    def document(self) -> dict[str, Any]:
        """As `symphainy executions show --json` and `GET /v1/executions/{id}/events` have it."""
        document = event_document(self._record, *self._place, self.event)
        shown: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
        return shown

    @property
    def data(self) -> dict[str, Any]:
        """The event's own members, as JSON values."""
        data: dict[str, Any] = self.document["data"]
        return data


def happened(
    records: Iterable[tuple[int, e.JournalRecord]], partition: int
) -> tuple[Happened, ...]:
    """The events of records, each with its offset."""
    return tuple(
        Happened(e.event_type(event), record.at, event, record, (partition, offset, index))
        for offset, record in records
        for index, event in enumerate(record.events)
    )


def check_type(name: str) -> str:
    """`name`, if an event has it.

    Raises:
        ValueError: none has; the message lists those that there are.
    """
    if name not in e.EVENT_TYPES:
        raise ValueError(f"No event is called {name!r}. There are: {', '.join(e.EVENT_TYPES)}.")
    return name


def story(events: Iterable[Happened]) -> str:
    """The events for people, one a line, with the time since the first."""
    told = list(events)
    begun = told[0].at if told else 0
    return "\n".join(
        f"  {_span(one.at - begun):>14}  {one.type:<22}{_words(one.event)}".rstrip() for one in told
    )


def _words(event: e.Event) -> str:
    words = _WORDS.get(type(event))
    return "" if words is None else words(event)


def _error(error: Error) -> str:
    where = f" at {error.field}" if error.field else ""
    cure = f" ({error.cure})" if error.cure else ""
    return f"{error.code}{where}: {error.message}{cure}"


def _text(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    return text if len(text) <= 200 else text[:199] + "…"


def _span(ms: int) -> str:
    """A time since the beginning, exactly: `+1 d 2 m 0.75 s`."""
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        whole, ms = divmod(ms, size)
        if whole:
            parts.append(f"{whole} {unit}")
    if ms or not parts:
        parts.append(f"{ms / 1_000:g} s")
    return "+" + " ".join(parts)


def _of(event: Any) -> str:
    """Of which step, where there is more than one."""
    return "" if event.step == "main" else f"{event.step}: "


_WORDS: Mapping[type, Callable[[Any], str]] = {
    e.IntentReceived: lambda x: f"{x.intent_type} {_text(x.payload)}",
    e.IntentRejected: lambda x: _error(x.error),
    e.ExecutionFailed: lambda x: _error(x.error),
    e.ExecutionCancelled: lambda x: x.reason,
    e.StepReady: lambda x: _of(x).removesuffix(": "),
    e.StepStarted: lambda x: _of(x).removesuffix(": "),
    e.StepDispatched: lambda x: _of(x) + f"attempt {x.attempt}, delivery {x.delivery}",
    e.StepCheckpointed: lambda x: _of(x) + (f"{x.name} = {_text(x.result)}"),
    e.StepProgressed: lambda x: _of(x) + x.message,
    e.StepSuspended: lambda x: _of(x) + ("waits for " + ", ".join(wait.name for wait in x.waits)),
    e.StepResumed: lambda x: _of(x) + (f"{x.name} = {_text(x.result) or 'time is up'}"),
    e.StepSucceeded: lambda x: _of(x) + _text(x.result),
    e.StepFailed: lambda x: _of(x) + (f"attempt {x.attempt}: {_error(x.error)}"),
    e.StepRetryScheduled: lambda x: _of(x) + f"attempt {x.attempt}",
    e.StepHandedBack: lambda x: _of(x) + x.reason,
    e.StepSkipped: lambda x: x.step,
    e.CompensationStarted: lambda x: "" if x.error is None else _error(x.error),
    e.ExecutionCompensated: lambda x: "" if x.error is None else _error(x.error),
    e.ExecutionStuck: lambda x: f"{x.error.step}: {_error(x.error)}",
    e.StepRetryRequested: lambda x: x.step,
    e.CompensationRequested: lambda x: x.reason,
    e.SignalReceived: lambda x: f"{x.name} {_text(x.data)}",
    e.CancelRequested: lambda x: x.reason,
    e.ExecutionPaused: lambda x: x.reason,
    e.ExecutionResumed: lambda x: x.reason,
    e.TimerFired: lambda x: x.timer,
    e.EventEmitted: lambda x: f"{x.event_type} {_text(x.data)}",
    e.StateChanged: lambda x: f"{x.key} = {_text(x.value)}",
    e.ArtifactRecorded: lambda x: x.name,
}
"""What an event says in a story, beside its name."""
