"""Journal records as every surface shows them, read without making their events first. Pure.

A log of rows has to do with far more events than anything else here. An event that is shown is a
struct of what `documents.members` says of it, which encodes as that: made by the reader itself, in
place of the event, it saves the event, a dict, and looking each member up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, get_type_hints

import msgspec
from msgspec import Struct

from symphainy_runtime.journal.documents import HIDDEN, JSON_MEMBERS, raw, told
from symphainy_runtime.policy.telling import decision_document
from symphainy_schemas import events as e
from symphainy_schemas.avro_code import Instead, Retelling
from symphainy_schemas.codec import retelling
from symphainy_schemas.records import PolicyDecision

_encode = msgspec.json.Encoder().encode
_AS_THEY_STAND = (str, int, bool, float, PolicyDecision)


class Shown(Struct, frozen=True, gc=False):
    """An event as it is shown; a class of its own for each type of events, whose members are those
    that are shown. Encoded, it is the row's `data`."""


class ShownRecord(Struct, frozen=True, gc=False):
    """Of a journal record what rows say."""

    term: int
    seq: int
    at: int
    cause: e.Position | None
    parent: int
    tenant_id: str
    session_id: str
    execution_id: str
    correlation_id: str
    events: tuple[Shown, ...]


def _class_of(event: type[e.Event]) -> type[Shown]:
    names = [name for name in event.__struct_fields__ if name not in HIDDEN]
    shown: Any = msgspec.defstruct(
        f"Shown{event.__name__}",
        [(name, Any) for name in names],
        bases=(Shown,),
        frozen=True,
        gc=False,
    )
    made: type[Shown] = shown
    return made


CLASSES: Mapping[type[e.Event], type[Shown]] = {
    event: _class_of(event) for event in e.Event.__args__
}
TAKES_OWNERSHIP = CLASSES[e.OwnershipTaken]
RECEIVED = CLASSES[e.IntentReceived]
_NAMES: Mapping[type[Shown], str] = {
    shown: e.EVENT_TYPES[at] for at, shown in enumerate(CLASSES.values())
}


def shown_type(event: Shown) -> str:
    """The event's name on every surface, as `event_type` says."""
    return _NAMES[type(event)]


def read_shown(value: bytes) -> ShownRecord:
    """The record in `value`, as it is shown.

    Raises:
        UnreadableRecord: as `decode`, for the same bytes.
    """
    record: ShownRecord = _reader()(value)
    return record


@cache
def _reader() -> Callable[[bytes], Any]:
    heading = Retelling(ShownRecord, ShownRecord.__struct_fields__)
    decision = Retelling(_decision, PolicyDecision.__struct_fields__)
    instead: Instead = {
        e.JournalRecord: heading,
        PolicyDecision: decision,
        **{event: _retelling(event, shown) for event, shown in CLASSES.items()},
    }
    return retelling(e.JournalRecord, instead)


def _retelling(event: type[e.Event], shown: type[Shown]) -> Retelling:
    hints = get_type_hints(event)
    names = shown.__struct_fields__
    turned = {name: _turn(name, hints[name]) for name in names if hints[name] not in _AS_THEY_STAND}
    return Retelling(shown, names, turned)


def _turn(name: str, hint: Any) -> Callable[[Any], Any]:
    if hint is bytes:
        return raw if name in JSON_MEMBERS else bytes.hex
    return partial(told, name)


def _decision(*members: Any) -> msgspec.Raw:
    """Few differ: the reader remembers them, and so what they are as JSON."""
    names = PolicyDecision.__struct_fields__
    decision = PolicyDecision(**dict(zip(names, members, strict=True)))
    return msgspec.Raw(_encode(decision_document(decision)))
