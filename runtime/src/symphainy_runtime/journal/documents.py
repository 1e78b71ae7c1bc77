"""The journal's events as JSON: what every surface shows of them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple, get_type_hints

import msgspec
from msgspec.structs import asdict

from symphainy_runtime.policy.telling import decision_document
from symphainy_schemas import events as e
from symphainy_schemas.records import Error, PlanStep, PolicyDecision, Reference

_encoder = msgspec.json.Encoder()


def event_document(
    record: e.JournalRecord, partition: int, offset: int, index: int, event: e.Event
) -> dict[str, Any]:
    """An event as every surface shows it: what, where in the log, why, and its own members."""
    cause = record.cause
    return {
        "id": f"{partition}-{offset}-{index}",
        "type": e.event_type(event),
        "at": record.at,
        "topic": "journal",
        "partition": partition,
        "offset": offset,
        "index": index,
        "term": record.term,
        "seq": record.seq,
        "cause": cause
        and {"topic": cause.topic, "partition": cause.partition, "offset": cause.offset},
        "parent": f"{partition}-{record.parent}" if record.parent >= 0 else None,
        "tenant_id": record.tenant_id,
        "session_id": record.session_id,
        "execution_id": record.execution_id,
        "correlation_id": record.correlation_id,
        "data": members(event),
    }


HIDDEN = frozenset({"payload", "token", "solution_context", "metadata", "input"})
JSON_MEMBERS = frozenset({"result", "data", "value", "attributes", "output", "outcome"})


class _Layout(NamedTuple):
    """Of one type of events: what is shown, in order, and which of it not as it stands."""

    names: tuple[str, ...]
    values: Callable[[Any], tuple[Any, ...]]
    turned: tuple[str, ...]


def members(event: e.Event) -> dict[str, Any]:
    """The event's own members: references instead of payloads, no tokens."""
    layout = _layout(type(event))
    shown = dict(zip(layout.names, layout.values(event), strict=True))
    for name in layout.turned:
        shown[name] = told(name, shown[name])
    return shown


@cache
def _layout(event: type[e.Event]) -> _Layout:
    """A journal has far more events than types of them: what can be known of a type is kept."""
    hints = get_type_hints(event)
    names = tuple(name for name in event.__struct_fields__ if name not in HIDDEN)
    turned = tuple(name for name in names if hints[name] not in (str, int, bool, float))
    if not names:
        return _Layout((), lambda _: (), ())
    if len(names) == 1:
        only = attrgetter(names[0])
        return _Layout(names, lambda event: (only(event),), turned)
    return _Layout(names, attrgetter(*names), turned)


def told(name: str, value: Any) -> Any:
    """What is shown of a member that is not shown as it stands."""
    if isinstance(value, Reference):
        return reference_document(value)
    if isinstance(value, Error):
        return error_document(value)
    if isinstance(value, PolicyDecision):
        return decision_document(value)
    if name == "plan":
        return [planned(one) for one in value]
    if isinstance(value, bytes):
        return raw(value) if name in JSON_MEMBERS else value.hex()
    return value


def planned(one: PlanStep) -> dict[str, Any]:
    """A step of a plan as every surface shows it."""
    return {
        "step": one.step,
        "intent_type": one.intent_type,
        "version": one.version,
        "realm": one.realm,
        "needs": one.needs,
        "condition": raw(one.condition),
        "for_each": raw(one.for_each),
        "at_most": one.at_most or None,
        "compensation": one.compensation or None,
    }


def reference_document(reference: Reference) -> dict[str, Any]:
    """A reference as every surface shows it."""
    return {
        "uri": reference.uri,
        "sha256": reference.sha256.hex(),
        "size": reference.size,
        "media_type": reference.media_type,
    }


def error_document(error: Error) -> dict[str, Any]:
    return asdict(error)


def to_json(value: Any) -> str:
    """JSON as text: the script's MessagePack knows no byte strings."""
    return _encoder.encode(value).decode()


def raw(text: bytes) -> Any:
    """JSON as it is; null where a producer of another make wrote something else."""
    if not text:
        return None
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return msgspec.Raw(text)
