"""What a handler gives back: a result, references, domain events and state changes.

Handlers return these instead of acting on them; the runtime records and publishes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from symphainy_schemas import records


@dataclass(frozen=True, slots=True)
class Event:
    """A domain event: `type` such as "file.ingested", `data` a JSON value or pydantic model."""

    type: str
    data: object = None


@dataclass(frozen=True, slots=True)
class StateChange:
    """A change to the execution's state surface; a `value` of None removes the key."""

    key: str
    value: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A handler's whole answer. `result` is a JSON value or pydantic model, up to 64 KiB."""

    artifacts: Mapping[str, records.Reference] = field(default_factory=dict)
    events: Sequence[Event] = ()
    state_changes: Sequence[StateChange] = ()
    result: object = None
