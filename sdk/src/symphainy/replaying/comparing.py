"""What a handler returns when it is run again, held against its record, field by field. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from symphainy.invocation import Failed, Succeeded
from symphainy.replaying.retelling import Retold
from symphainy_schemas.recording import Recorded, Returned
from symphainy_schemas.records import Error, Reference

MOST = 20
"""Differences of one step that are told; the first ones."""


class Verdict(StrEnum):
    """What came of a replay. `failed`: today's handler fails where the recorded one did not.
    `undetermined`: the record does not say what the handler had returned."""

    EQUAL = "equal"
    DIFFERENT = "different"
    FAILED = "failed"
    UNDETERMINED = "undetermined"


class Difference(Struct, frozen=True, gc=False):
    """One member that is not the same; `field` is a JSON pointer, absent members are null."""

    field: str
    recorded: Any
    replayed: Any


class Compared(Struct, frozen=True, kw_only=True):
    """One step: what came of its replay, and why. `took_ms` is the replay's, `recorded_ms` that of
    the recorded call, its steps and their waiting included, -1 where nothing says it."""

    step: str
    verdict: Verdict
    why: str = ""
    differences: tuple[Difference, ...] = ()
    took_ms: float = 0.0
    recorded_ms: int = -1


def compare(recorded: Recorded, told: Retold, took_ms: float) -> Compared:
    """The verdict on one step."""
    verdict, why, found = _judged(recorded, told)
    return Compared(
        step=recorded.task.step,
        verdict=verdict,
        why=why,
        differences=tuple(found[:MOST]),
        took_ms=took_ms,
        recorded_ms=recorded.took_ms,
    )


def _judged(recorded: Recorded, told: Retold) -> tuple[Verdict, str, list[Difference]]:
    was, answer = recorded.returned, told.answer
    succeeded = was is not None and was.error is None
    if isinstance(answer, Failed) and succeeded:
        why = told.difference or f"It fails ({answer.error.code}: {answer.error.message})."
        return Verdict.FAILED, why, [Difference("/error", None, _error(answer.error))]
    if told.difference:
        return Verdict.DIFFERENT, told.difference, []
    if was is None:
        why = f"What the handler would have returned is not recorded: its step {_ended(recorded)}."
        return Verdict.UNDETERMINED, why, []
    if answer is None:
        return _stands(was, told)
    differences = differ(_document(was), _answered(answer))
    if not differences:
        return Verdict.EQUAL, "", []
    if told.marked:
        why = "The handler had gone past a step that failed, and how is not recorded."
        return Verdict.UNDETERMINED, why, differences
    return Verdict.DIFFERENT, "It returns something else.", differences


def _ended(recorded: Recorded) -> str:
    return {
        "failed": "was given up by the runtime, not by its handler",
        "cancelled": "was cancelled",
    }.get(recorded.end, "has no end")


def _stands(was: Returned, told: Retold) -> tuple[Verdict, str, list[Difference]]:
    """It stands before something that is not recorded, as a step that has failed is not."""
    asked = ", ".join(told.pending)
    if was.error is None and not told.marked:
        return Verdict.DIFFERENT, f"It asks for {asked}, which is not recorded.", []
    why = f"It asks for {asked}; a step that failed is not recorded, and was the end of it."
    return Verdict.UNDETERMINED, why, []


def _answered(answer: Succeeded | Failed) -> dict[str, Any]:
    if isinstance(answer, Failed):
        return _document(Returned(error=answer.error))
    return _document(
        Returned(
            result=answer.result,
            artifacts=answer.artifacts,
            events=answer.events,
            state_changes=answer.state_changes,
        )
    )


def _document(one: Returned) -> dict[str, Any]:
    return {
        "result": _json(one.result),
        "artifacts": {artifact.name: _reference(artifact.reference) for artifact in one.artifacts},
        "events": [{"type": event.type, "data": _json(event.data)} for event in one.events],
        "state_changes": [
            {"key": change.key, "value": _json(change.value)} for change in one.state_changes
        ],
        "error": one.error and _error(one.error),
    }


def _json(data: bytes) -> Any:
    return msgspec.json.decode(data) if data else None


def _reference(reference: Reference) -> dict[str, Any]:
    return {
        "uri": reference.uri,
        "sha256": reference.sha256.hex(),
        "size": reference.size,
        "media_type": reference.media_type,
    }


def _error(error: Error) -> dict[str, Any]:
    """Without its step, which the owner adds."""
    return {name: getattr(error, name) for name in error.__struct_fields__ if name != "step"}


def differ(recorded: Any, replayed: Any, at: str = "") -> list[Difference]:
    """Where two JSON values differ, as deep as they are of one shape."""
    if isinstance(recorded, Mapping) and isinstance(replayed, Mapping):
        names = dict.fromkeys((*recorded, *replayed))
        found = []
        for name in names:
            pointer = f"{at}/{str(name).replace('~', '~0').replace('/', '~1')}"
            found += differ(recorded.get(name), replayed.get(name), pointer)
        return found
    if _is_list(recorded) and _is_list(replayed) and len(recorded) == len(replayed):
        pairs = enumerate(zip(recorded, replayed, strict=True))
        return [one for n, (a, b) in pairs for one in differ(a, b, f"{at}/{n}")]
    same = type(recorded) is type(replayed) and recorded == replayed
    return [] if same else [Difference(at, recorded, replayed)]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
