"""Which members of which records are content, and what of them is sealed. Pure, but for ciphers.

Content is what a tenant states and what handlers return: payload, metadata of its own, solution
context, a signal's data, a step's input; results, checkpoints, data of events, values of the state
surface, payloads of what handlers invoke, texts of errors and of progress. Names, types, ids,
reasons of operators, attributes of sessions and principals are not: they govern, and are indexed.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec
from msgspec.structs import replace

from symphainy_schemas.records import Error, Intent, ReportKind, StepReport, Task
from symphainy_transport.privacy.content import Opener, Standing
from symphainy_transport.privacy.marking import SEALED_SUFFIX, is_sealed, sealed_in

_RUNTIME = "runtime."
_CONTENT_OF: Mapping[str, str] = {"runtime.signal": "data", "runtime.retry_step": "input"}
"""Of what the runtime itself is asked, the one member that is content."""
_ABOUT = frozenset({"source"})


def sealed_intent(opener: Opener, intent: Intent) -> Intent:
    """An intent as it goes into the log; a payload that was claim-checked is sealed already.

    Raises:
        ContentShredded: the tenant's keys were destroyed.
    """
    if opener.standing in (Standing.CLEAR, Standing.UNKNOWN):
        return intent
    place = f"{intent.session_id}/{intent.intent_id}"
    return replace(
        intent,
        payload=_sealed_payload(opener, intent, place),
        metadata=_sealed_metadata(opener, intent.metadata, place),
        solution_context=opener.seal(f"{place}/context", intent.solution_context),
    )


def opened_intent(opener: Opener, intent: Intent) -> Intent:
    """An intent as it was stated, as far as deciding about it needs that: its payload.

    Of what the runtime is asked, content stays sealed: it is passed on.

    Raises: as `Opener.open`.
    """
    if not is_sealed(intent.payload) or intent.intent_type.startswith(_RUNTIME):
        return intent
    return replace(intent, payload=opener.open(intent.payload))


def payload_digests(opener: Opener, intent: Intent, *, large: bool) -> set[bytes]:
    """What the intent's payload may hash to where it stands: in the log, or in the object store if
    it is `large`; once for each key it may be sealed with, and once in the clear."""
    place = f"{intent.session_id}/{intent.intent_id}"
    found = {sha256(intent.payload).digest()}
    for one in opener.of_each_key():
        sealed = one.seal_bytes(intent.payload) if large else _sealed_payload(one, intent, place)
        found.add(sha256(sealed or b"").digest())
    return found


def is_in_clear(intent: Intent) -> bool:
    """Whether content of the intent stands in it unsealed."""
    if intent.payload_ref is not None:
        return not intent.payload_ref.uri.endswith(SEALED_SUFFIX)
    if not intent.intent_type.startswith(_RUNTIME):
        return not is_sealed(intent.payload)
    stated = _object(intent.payload).get(_CONTENT_OF.get(intent.intent_type, ""))
    return stated is not None and sealed_in(stated) is None


def opened_task(opener: Opener, task: Task) -> Task:
    """A task as its handler gets it.

    Raises: as `Opener.open`; ContentShredded for every task of a shredded tenant, sealed or not.
    """
    stated = task.payload, task.metadata, task.solution_context, task.result or b""
    opener = opener.with_keys_of(*stated, *(one.result for one in task.checkpoints))
    if opener.standing is Standing.CLEAR:
        return task
    opener.require_readable()
    return replace(
        task,
        payload=opener.open(task.payload),
        metadata=opener.open(task.metadata),
        solution_context=opener.open(task.solution_context),
        checkpoints=tuple(replace(one, result=opener.open(one.result)) for one in task.checkpoints),
        result=None if task.result is None else opener.open(task.result),
    )


def sealed_report(opener: Opener, report: StepReport) -> StepReport:
    """What a worker tells, as it goes into the log. Without keys nothing of it is a handler's: it
    was not called."""
    if opener.standing is not Standing.SEALED:
        return report
    place = f"{report.execution_id}/{report.step}/"
    call = report.call
    if call is not None:
        call = replace(call, payload=opener.seal(f"{place}call/{report.name}", call.payload))
    told = report.kind is ReportKind.PROGRESS  # the words stand in its name
    return replace(
        report,
        name=opener.seal_text(f"{place}progress", report.name) if told else report.name,
        result=opener.seal(f"{place}result/{report.name}", report.result),
        events=tuple(
            replace(one, data=opener.seal(f"{place}event/{number}", one.data))
            for number, one in enumerate(report.events)
        ),
        state_changes=tuple(
            replace(one, value=opener.seal(f"{place}state/{one.key}", one.value))
            for one in report.state_changes
        ),
        error=None if report.error is None else sealed_error(opener, report.error, place),
        call=call,
    )


def sealed_error(opener: Opener, error: Error, place: str) -> Error:
    """An error whose text may repeat content: handlers, and checkers of contracts, write them."""
    return replace(
        error,
        message=opener.seal_text(f"{place}message", error.message),
        cure=opener.seal_text(f"{place}cure", error.cure),
        operator_action=opener.seal_text(f"{place}action", error.operator_action),
    )


def _sealed_payload(opener: Opener, intent: Intent, place: str) -> bytes:
    if not intent.intent_type.startswith(_RUNTIME):
        return opener.seal(f"{place}/payload", intent.payload)
    member = _CONTENT_OF.get(intent.intent_type)
    stated = _object(intent.payload)
    if member is None or stated.get(member) is None:
        return intent.payload
    raw = opener.seal(f"{place}/{member}", msgspec.json.encode(stated[member]))
    return msgspec.json.encode({**stated, member: msgspec.Raw(raw)})


def _sealed_metadata(opener: Opener, metadata: bytes, place: str) -> bytes:
    if _object(metadata).keys() <= _ABOUT:
        return metadata
    return opener.seal(f"{place}/metadata", metadata)


def _object(raw: bytes) -> dict[str, Any]:
    """A JSON object's members; what is none has none: whoever decides about it says so."""
    try:
        read = msgspec.json.decode(raw) if raw else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
