"""The runtime's own intents as a client asks for them: of sessions, and of what runs.

Pure, as `intents` is. A control intent is journaled like any other: who asked, and why.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from symphainy_gateway import bodies
from symphainy_gateway.callers import require_scope
from symphainy_gateway.intents import (
    RUNTIME_REALM,
    SOURCE_BYTES,
    JsonObject,
    Origin,
    Submission,
    optional,
)
from symphainy_gateway.problems import Refused
from symphainy_schemas.records import Intent

Reason = Annotated[str, Meta(max_length=2_000, description="In words, for the record.")]


class SignalBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signal as a client sends it."""

    data: Annotated[Any, Meta(description="What the handler is told, as JSON.")] = None


class ReasonBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a client asks an execution to end, to rest, to go on, or to be undone."""

    reason: Reason = ""


class RetryBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a client wants a step tried again, and with what."""

    input: Annotated[
        JsonObject | None,
        Meta(description="In place of what the plan gives the step; null: as before."),
    ] = None
    reason: Reason = ""


_signal_decoder = msgspec.json.Decoder(SignalBody)
_reason_decoder = msgspec.json.Decoder(ReasonBody)
_retry_decoder = msgspec.json.Decoder(RetryBody)


def read_signal(body: bytes) -> Any:
    """The data that a signal's body carries; an empty body carries null.

    Raises:
        Refused: the body is not one of a signal.
    """
    return optional(body, _signal_decoder, SignalBody).data


def read_reason(body: bytes) -> str:
    """The reason that a body states; an empty body states none.

    Raises:
        Refused: the body states something else.
    """
    return optional(body, _reason_decoder, ReasonBody).reason


def read_retry(body: bytes) -> JsonObject:
    """What a retry's body states: `reason`, and `input` if it changes that.

    Raises:
        Refused: the body states something else.
    """
    stated = optional(body, _retry_decoder, RetryBody)
    changed = {} if stated.input is None else {"input": stated.input}
    return {"reason": stated.reason, **changed}


def control(
    intent_type: str,
    session_id: str,
    payload: JsonObject,
    origin: Origin,
    *,
    scope: str = "",
    correlation_id: str = "",
) -> Submission:
    """The submission of one of the runtime's own intents.

    `scope` is what the credential must be for, if not for the intent type; `correlation_id` with
    what it belongs together, if not with nothing.

    Raises:
        Refused: the caller's credential is not for it.
    """
    caller = origin.caller
    require_scope(caller, scope or intent_type)
    intent_id = origin.key or origin.fresh_id
    intent = Intent(
        intent_id=intent_id,
        intent_type=intent_type,
        realm=RUNTIME_REALM,
        session_id=session_id,
        tenant_id=caller.tenant_id,
        principal=caller.principal,
        correlation_id=correlation_id or intent_id,
        payload=bodies.encode_object(payload, ""),
        metadata=SOURCE_BYTES,
        solution_context=b"",
        created_at=origin.now_ms,
        traceparent=origin.traceparent,
        roles=caller.roles,
        attributes=caller.attributes,
        authentication=caller.authentication,
        credential=caller.credential,
    )
    return Submission(intent, payload, bool(origin.key))


def require_inline(submission: Submission, limit: int, field: str, what: str) -> None:
    """Raises `Refused` if a control intent's payload is too large for a record; no one would read
    it from anywhere else."""
    if len(submission.intent.payload) > limit:
        raise Refused(
            f"{what} larger than what a record holds inline.",
            code="too_large",
            field=field,
            cure="Store large data as an artifact and pass its reference.",
        )
