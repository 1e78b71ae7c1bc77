"""What a client may state as an intent, and the intent that it becomes in the write-ahead log.

Pure: time and a fresh id are arguments. The form is one msgspec Struct: it decodes a body in one
go, and its JSON Schema, which says everything that is wrong with one that it refuses, is the
schema that the OpenAPI document shows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from symphainy_gateway import bodies
from symphainy_gateway.callers import Caller, require_scope, require_tenant
from symphainy_gateway.contracts import Schema
from symphainy_gateway.problems import Refused
from symphainy_schemas import ids
from symphainy_schemas.records import Intent

RUNTIME_REALM = "runtime"
SHARED_PREFIXES = frozenset({"cross_realm", "solution"})
SOURCE = {"source": "http"}
SOURCE_BYTES = msgspec.json.encode(SOURCE)
# Python's $ also matches before a final newline, which JSON Schema's does not.
_NO_NEWLINE = r"(?!\n)"
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def _pattern(text: str, description: str) -> Meta:
    return Meta(pattern=f"^(?:{text})${_NO_NEWLINE}", description=description)


IntentId = Annotated[
    str,
    _pattern(
        ids.INTENT_ID.pattern,
        "The idempotency key within tenant and session; a UUIDv7 is made if there is none.",
    ),
]
SessionId = Annotated[
    str, _pattern("ses-[0-9]{1,6}-[0-9a-f]{32}", "As POST /v1/sessions returned it.")
]
IntentType = Annotated[
    str, _pattern(ids.INTENT_TYPE.pattern, "{realm}.{action}, cross_realm.… or solution.…")
]
RealmName = Annotated[
    str,
    _pattern("[a-z][a-z0-9_]{0,62}", "The part of the type before the dot, unless it is shared."),
]
CorrelationId = Annotated[
    str, _pattern("[!-~]{1,256}", "Groups what belongs together; the intent id by default.")
]
TenantId = Annotated[str, Meta(max_length=63, description="Must be the credential's, if given.")]
JsonObject = dict[str, Any]
Milliseconds = Annotated[int, Meta(ge=0, le=366 * 86_400_000)]
FormT = TypeVar("FormT", bound=Struct)


class IntentBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An intent as a client states it."""

    intent_type: IntentType
    session_id: SessionId
    payload: Annotated[JsonObject, Meta(description="What the capability's contract asks.")]
    intent_id: IntentId | UnsetType = UNSET
    metadata: JsonObject | UnsetType = UNSET
    solution_context: JsonObject | UnsetType = UNSET
    realm: RealmName | UnsetType = UNSET
    correlation_id: CorrelationId | UnsetType = UNSET
    tenant_id: TenantId | UnsetType = UNSET


class SessionBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session as a client asks for it."""

    attributes: Annotated[JsonObject, Meta(description="Kept with the session.")] = {}
    tenant_id: TenantId | UnsetType = UNSET
    idle_ms: Annotated[
        Milliseconds | UnsetType,
        Meta(description="It expires when nothing that policy allows was stated for so long."),
    ] = UNSET
    lifetime_ms: Annotated[
        Milliseconds | UnsetType, Meta(description="It expires so long after it was opened.")
    ] = UNSET
    at_expiry: Annotated[
        Literal["drain", "cancel"] | UnsetType,
        Meta(description="What runs then goes on, or is asked to end; drain by default."),
    ] = UNSET


class SessionPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client changes of a session."""

    attributes: Annotated[
        JsonObject, Meta(description="Merged into the session's (RFC 7396): null removes a member.")
    ]


class Submission(Struct, frozen=True, gc=False):
    """An intent that is ready for the log, its payload parsed, and whether its id was chosen."""

    intent: Intent
    payload: JsonObject
    chosen: bool


class Origin(Struct, frozen=True, kw_only=True):
    """What a submission takes from its request, not from its body."""

    caller: Caller
    now_ms: int
    fresh_id: str
    key: str = ""
    traceparent: str = ""


_intent_decoder = msgspec.json.Decoder(IntentBody)
_session_decoder = msgspec.json.Decoder(SessionBody)
_patch_decoder = msgspec.json.Decoder(SessionPatch)
_any_decoder = msgspec.json.Decoder()


def read_intent(body: bytes, origin: Origin) -> Submission:
    """The submission that an intent's body asks for.

    Raises:
        Refused: the body is not an intent, or not one that this caller may state here.
    """
    try:
        stated = bodies.decode(body, _intent_decoder)
    except msgspec.ValidationError as error:
        raise _explained(body, IntentBody, error) from error
    caller = origin.caller
    if stated.tenant_id is not UNSET:
        require_tenant(stated.tenant_id, caller)
    require_scope(caller, stated.intent_type)
    intent_id = _intent_id(stated, origin)
    return Submission(
        Intent(
            intent_id=intent_id,
            intent_type=stated.intent_type,
            realm=_realm(stated),
            session_id=stated.session_id,
            tenant_id=caller.tenant_id,
            principal=caller.principal,
            correlation_id=intent_id if stated.correlation_id is UNSET else stated.correlation_id,
            payload=bodies.encode_object(stated.payload, "/payload"),
            metadata=_metadata(stated.metadata),
            solution_context=b""
            if stated.solution_context is UNSET
            else bodies.encode_object(stated.solution_context, "/solution_context"),
            created_at=origin.now_ms,
            traceparent=origin.traceparent,
            roles=caller.roles,
            attributes=caller.attributes,
            authentication=caller.authentication,
            credential=caller.credential,
        ),
        stated.payload,
        intent_id != origin.fresh_id,
    )


def read_session(body: bytes, caller: Caller) -> JsonObject:
    """What a session's body asks for; an empty body asks for no attributes, and for no expiry.

    Raises:
        Refused: the body is not one of a session.
    """
    stated = optional(body, _session_decoder, SessionBody)
    if stated.tenant_id is not UNSET:
        require_tenant(stated.tenant_id, caller)
    expiry = {
        name: value
        for name in ("idle_ms", "lifetime_ms", "at_expiry")
        if (value := getattr(stated, name)) is not UNSET
    }
    return {"attributes": stated.attributes, **expiry}


def read_change(body: bytes) -> JsonObject:
    """What a body changes of a session's attributes.

    Raises:
        Refused: the body changes something else, or nothing.
    """
    return required(body, _patch_decoder, SessionPatch).attributes


def optional(body: bytes, decoder: msgspec.json.Decoder[FormT], form: type[FormT]) -> FormT:
    """The form that a body states; its defaults if there is no body.

    Raises:
        Refused: the body is not of that form.
    """
    return required(body, decoder, form) if body else form()


def required(body: bytes, decoder: msgspec.json.Decoder[FormT], form: type[FormT]) -> FormT:
    """The form that a body states.

    Raises:
        Refused: the body is not of that form.
    """
    try:
        return bodies.decode(body, decoder)
    except msgspec.ValidationError as error:
        raise _explained(body, form, error) from error


def idempotency_key(headers: list[tuple[bytes, bytes]]) -> str:
    """The Idempotency-Key of a request, plain or as a quoted string; empty if there is none.

    Source: draft-ietf-httpapi-idempotency-key-header.

    Raises:
        Refused: it is no intent id, or there are several.
    """
    found = [value for name, value in headers if name == b"idempotency-key"]
    if not found:
        return ""
    text = found[0].decode("latin-1")
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if len(found) > 1 or ids.INTENT_ID.fullmatch(text) is None:
        raise Refused(
            "Idempotency-Key is not one intent id.",
            code="invalid_parameter",
            field="/Idempotency-Key",
            cure="Send one, of 1 to 128 of A-Z a-z 0-9 . _ : ~ -; a UUIDv7 is best.",
        )
    return text


def traceparent(headers: Mapping[bytes, bytes]) -> str:
    """The W3C trace context of a request; one that is malformed counts as none (its rule)."""
    stated = headers.get(b"traceparent")
    if stated is None or _TRACEPARENT.fullmatch(stated) is None:
        return ""
    return stated.decode()


@cache
def schema_of(form: type[Struct]) -> JsonObject:
    """The form's JSON Schema, self-contained."""
    text = msgspec.json.encode(msgspec.json.schema(form)).decode()
    schema: JsonObject = msgspec.json.decode(text.replace("(?!\\\\n)", ""))
    known = schema["$defs"]
    inlined: JsonObject = _inlined(known[form.__name__], known)
    return inlined


def _inlined(part: Any, known: JsonObject) -> Any:
    """A part of a schema with its local references replaced by what they stand for."""
    if isinstance(part, list):
        return [_inlined(one, known) for one in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _inlined(known[part["$ref"].rpartition("/")[2]], known)
    return {name: _inlined(one, known) for name, one in part.items()}


def _explained(body: bytes, form: type[Struct], error: msgspec.ValidationError) -> Refused:
    """Everything that is wrong with a body that the decoder refused for its first fault."""
    try:
        violations = _compiled(form).violations(bodies.decode(body, _any_decoder))
    except msgspec.ValidationError:  # a number that no reader can hold
        violations = ()
    if not violations:
        return bodies.invalid("", str(error))
    first = violations[0]
    return Refused(
        first.message,
        code="invalid_request",
        field=first.field,
        cure="See the request's schema in /openapi.json.",
        errors=violations,
    )


@cache
def _compiled(form: type[Struct]) -> Schema:
    return Schema(schema_of(form))


def _intent_id(stated: IntentBody, origin: Origin) -> str:
    if stated.intent_id is UNSET:
        return origin.key or origin.fresh_id
    if origin.key and origin.key != stated.intent_id:
        raise Refused(
            "The body's intent_id and the Idempotency-Key differ.",
            code="invalid_parameter",
            field="/intent_id",
            cure="Send one of them, or the same twice.",
        )
    return stated.intent_id


def _realm(stated: IntentBody) -> str:
    prefix = stated.intent_type.partition(".")[0]
    if RUNTIME_REALM in (prefix, stated.realm):
        raise Refused(
            f"{stated.intent_type} in the realm {RUNTIME_REALM} is the runtime's own.",
            code="control_intent_not_allowed",
            field="/intent_type",
            cure="Use the routes of sessions and executions: see /openapi.json.",
        )
    if stated.realm is UNSET or stated.realm == prefix:
        return prefix
    if prefix not in SHARED_PREFIXES:
        raise bodies.invalid("/realm", f"{stated.intent_type} does not belong to {stated.realm}.")
    return stated.realm


def _metadata(stated: JsonObject | UnsetType) -> bytes:
    if stated is UNSET:
        return SOURCE_BYTES
    return bodies.encode_object(stated | SOURCE, "/metadata")
