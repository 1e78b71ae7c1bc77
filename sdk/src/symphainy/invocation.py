"""One call of a handler: payload in, success or structured failure out. Knows no Kafka.

Any exception that leaves a handler is retryable, except `TerminalError`. What breaks the declared
contract is terminal, with a stable code and a message that says what to change.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from symphainy.artifacts import belongs_to
from symphainy.called import Called, called_for
from symphainy.context import Context
from symphainy.errors import Cancelled, ContractViolation, RetryableError, TerminalError
from symphainy.handlers import Handler
from symphainy.outcome import Event, Outcome, StateChange
from symphainy.supervision import Supervision
from symphainy.values import check_size, to_json
from symphainy_schemas import records
from symphainy_schemas.errors import OperatorError, SymphainyError

NAME_LIMIT = 200
MESSAGE_LIMIT = 2_000
# A final report becomes one journal record, with more beside it, of at most 1 MiB.
OUTCOME_LIMIT_BYTES = 524_288
_REFERENCE_BYTES = 250
# The least time between attempts of code that does not match its journal: long enough for a rolling
# restart to take another worker further, or for somebody to begin a rollback. With the default of
# five attempts there are four such pauses; with less, they are over before anybody has looked.
MISMATCH_PAUSE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Succeeded:
    """A handler's answer, as records hold it."""

    result: bytes
    artifacts: tuple[records.Artifact, ...] = ()
    events: tuple[records.DomainEvent, ...] = ()
    state_changes: tuple[records.StateChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """Why an attempt failed; `retry_after_ms` is the delay that the handler asked for, or -1."""

    error: records.Error
    retry_after_ms: int = -1
    cause: BaseException | None = None


async def invoke(
    handler: Handler[Any, Any],
    context: Context,
    supervision: Supervision,
    payload: bytes,
    inline_limit_bytes: int,
) -> Succeeded | Failed:
    """Call the handler, or its compensation if the task is for that, and judge what comes of it.

    A cancellation of the calling task goes through.
    """
    try:
        called, given = called_for(handler, context, payload)
    except (ContractViolation, RetryableError) as error:
        return failed(error)
    try:
        if called.is_async:
            returned = await called.function(context, given)
        else:
            returned = await supervision.in_handler_thread(partial(called.function, context, given))
        replay = supervision.steps().replay
        if replay.missing:
            await asyncio.sleep(0)  # a branch that was begun and left has asked by then
        replay.returned()
        return succeeded(called, context.tenant_id, returned, inline_limit_bytes)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # The handler awaited something that was cancelled.
        return _mismatched(called, supervision) or failed(error)
    except (Exception, SystemExit, Cancelled, BaseExceptionGroup) as error:
        # A group that is no Exception: a task group's, of `Cancelled`.
        return _mismatched(called, supervision) or failed(error)


def succeeded(
    handler: Called, tenant_id: str, returned: object, inline_limit_bytes: int
) -> Succeeded:
    """What a handler or a compensation returned, as records hold it.

    Raises:
        ContractViolation: it is not what was declared, or cannot be recorded.
    """
    if not isinstance(returned, handler.returns):
        declared = " | ".join(kind.__name__ for kind in handler.returns)
        raise ContractViolation(
            f"{handler.name} returned {type(returned).__name__}; it declares {declared}.",
            code="wrong_return_type",
            cure="Return what the annotation says, or change the annotation.",
        )
    outcome = returned if isinstance(returned, Outcome) else Outcome(result=returned)
    result = to_json(outcome.result, "The result")
    answer = Succeeded(
        check_size(result, inline_limit_bytes, "The result", "result_too_large"),
        tuple(_artifact(name, ref, tenant_id) for name, ref in outcome.artifacts.items()),
        tuple(_event(event, inline_limit_bytes) for event in outcome.events),
        tuple(_state_change(change, inline_limit_bytes) for change in outcome.state_changes),
    )
    if answer.artifacts or answer.events or answer.state_changes:
        _check_total(answer)
    return answer


def failed(error: BaseException) -> Failed:
    """An exception as a structured error."""
    if isinstance(error, TerminalError):
        return Failed(_structured(error, retryable=False), -1, error)
    if isinstance(error, SymphainyError):
        after = error.after_ms if isinstance(error, RetryableError) else -1
        return Failed(_structured(error, retryable=True), after, error)
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    code = "handler_cancelled" if isinstance(error, asyncio.CancelledError) else "handler_error"
    code = "cancelled" if isinstance(error, Cancelled) else code
    return Failed(records.Error(code=code, message=_text(message), retryable=True), -1, error)


def _mismatched(handler: Called, supervision: Supervision) -> Failed | None:
    """The failure of code that does not match its journal, whatever it made of that itself."""
    mismatch = supervision.steps().replay.mismatch
    if mismatch is None:
        return None
    pause_ms = max(MISMATCH_PAUSE_MS, handler.options.retry.maximum_ms)
    return replace(failed(mismatch), retry_after_ms=pause_ms)


def timed_out(timeout_ms: int) -> Failed:
    """The attempt took longer than its timeout."""
    message = f"The handler did not end within {timeout_ms} ms."
    return Failed(records.Error(code="timeout", message=message, retryable=True))


def silent(heartbeat_ms: int) -> Failed:
    """The attempt showed no sign of life for longer than its heartbeat."""
    error = records.Error(
        code="heartbeat_timeout",
        message=f"The handler showed no sign of life for {heartbeat_ms} ms.",
        cure="Call ctx.progress or ctx.step more often, or declare a longer heartbeat.",
        retryable=True,
    )
    return Failed(error)


def _structured(error: SymphainyError, *, retryable: bool) -> records.Error:
    operator = isinstance(error, OperatorError)
    return records.Error(
        code=error.code,
        message=_text(error.message),
        field=_text(error.field),
        cure="" if operator else _text(error.cure),
        retryable=retryable,
        operator_action=_text(error.cure or str(error)) if operator else "",
    )


def _text(text: str) -> str:
    """Text that fits a record: valid Unicode, of bounded length."""
    if len(text) > MESSAGE_LIMIT:
        text = text[: MESSAGE_LIMIT - 1] + "…"
    return text.encode("utf-8", "replace").decode()


def _artifact(name: str, reference: object, tenant_id: str) -> records.Artifact:
    if not isinstance(reference, records.Reference):
        raise ContractViolation(
            f"Artifact {name!r:.80} is a {type(reference).__name__}, not a reference.",
            code="not_a_reference",
            cure="Store it with ctx.artifacts.put(…) and return the reference.",
        )
    if not belongs_to(reference, tenant_id):
        raise ContractViolation(
            f"Artifact {name!r:.80} is not an artifact of this tenant.",
            code="foreign_artifact",
            cure="Return references that were made for the same tenant.",
        )
    return records.Artifact(_name(name, "An artifact's name"), reference)


def _event(event: object, limit: int) -> records.DomainEvent:
    if not isinstance(event, Event):
        raise _not_a(Event, event)
    kind = _name(event.type, "An event's type")
    what = f"The data of event {kind}"
    return records.DomainEvent(
        kind, check_size(to_json(event.data, what), limit, what, "event_too_large")
    )


def _state_change(change: object, limit: int) -> records.StateChange:
    if not isinstance(change, StateChange):
        raise _not_a(StateChange, change)
    key = _name(change.key, "A state change's key")
    what = f"The value of state {key}"
    return records.StateChange(
        key, check_size(to_json(change.value, what), limit, what, "state_too_large")
    )


def _not_a(wanted: type, found: object) -> ContractViolation:
    return ContractViolation(
        f"The outcome holds a {type(found).__name__} where a {wanted.__name__} belongs.",
        code="wrong_return_type",
        cure=f"Use symphainy.{wanted.__name__}(…).",
    )


def _name(name: object, what: str) -> str:
    if isinstance(name, str) and 0 < len(name) <= NAME_LIMIT and name.isprintable():
        return name
    raise ContractViolation(
        f"{what} is {name!r:.80}.",
        code="bad_name",
        cure=f"Use 1 to {NAME_LIMIT} printable characters.",
    )


def _check_total(answer: Succeeded) -> None:
    total = len(answer.result)
    total += sum(len(artifact.name) + _REFERENCE_BYTES for artifact in answer.artifacts)
    total += sum(len(event.type) + len(event.data) for event in answer.events)
    total += sum(len(change.key) + len(change.value) for change in answer.state_changes)
    if total > OUTCOME_LIMIT_BYTES:
        raise ContractViolation(
            f"The outcome has about {total} bytes; the limit is {OUTCOME_LIMIT_BYTES}.",
            code="outcome_too_large",
            cure="Store large parts with ctx.artifacts.put(…) and return references.",
        )
