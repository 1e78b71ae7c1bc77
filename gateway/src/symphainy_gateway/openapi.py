"""The OpenAPI document: what each route takes, answers and refuses with. It answers nothing itself.

FastAPI composes the document; an `Operation` states what it cannot see, because routes read their
requests themselves. Problems are given by their codes, whose statuses `problems.KINDS` knows.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from symphainy_gateway import documents
from symphainy_gateway.documents import REF, JsonSchema
from symphainy_gateway.edge import Endpoint, answered
from symphainy_gateway.parameters import (
    CORRELATION_LIMIT,
    CURSOR_PATTERN,
    LIMIT_DEFAULT,
    LIMIT_MAX,
    MODES,
    SESSION_STATUSES,
    STATUSES,
    WAIT_PATTERN,
)
from symphainy_gateway.problems import KINDS, RETRIED
from symphainy_schemas.events import EVENT_TYPES

ANYWHERE = ("invalid_parameter", "method_not_allowed", "internal")
OF_TENANT = (
    *ANYWHERE,
    "unauthenticated",
    "invalid_token",
    "token_expired",
    "token_not_yet_valid",
    "token_audience",
    "token_issuer",
    "token_claims",
    "token_replayed",
    "out_of_scope",
    "identity_unavailable",
    "not_ready",
)
READING = (*OF_TENANT, "read_model_unavailable", "keys_unavailable")
BODY = ("body_too_large", "body_too_slow", "unsupported_media_type", "overloaded")
WITH_BODY = (*BODY, "malformed_json", "invalid_request")
APPENDING = (
    *OF_TENANT,
    "wal_unavailable",
    "unavailable",
    "too_large",
    "session_not_found",
    "backlogged",
    "kafka_busy",
    "too_many_waits",
    "over_quota",
    "budget_exhausted",
    "payload_too_large",
    "storage_exhausted",
    "policy_denied",
    "tenant_suspended",
    "credential_revoked",
    "content_shredded",
    "keys_unavailable",
)
SUBMITTING = (*APPENDING, *WITH_BODY, "tenant_mismatch", "session_closed", "session_expired")


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request and answers it, with no layer between."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint, with its errors answered."""
        endpoint: Endpoint = self.endpoint

        async def handle(request: Request) -> Response:
            return await answered(endpoint, request)

        return handle


_TEXT: JsonSchema = {"schema": {"type": "string"}}
_STANDING: dict[str, JsonSchema] = {
    "RateLimit-Policy": {
        **_TEXT,
        "description": "What the tenant may: `q` intents in `w` seconds. Only if it has limits.",
    },
    "RateLimit": {
        **_TEXT,
        "description": "`r` of them are left; in `t` seconds all are there again.",
    },
}
_LINK: dict[str, JsonSchema] = {
    "Link": {**_TEXT, "description": "`describedby`: the execution in which it stands who asked."}
}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path, as the document shows it.

    `answers` maps a status to what it means and the name of its schema; `body` is media type,
    schema name and example; `streams` the schema of each line, where NDJSON may be asked for.
    """

    method: str
    path: str
    tag: str
    answers: Mapping[int, tuple[str, str]]
    problems: tuple[str, ...]
    parameters: tuple[JsonSchema, ...] = ()
    body: tuple[str, str, Any] | None = None
    body_required: bool = True
    media_type: str = "application/json"
    streams: str = ""
    problem_schema: str = "Problem"
    located: tuple[int, ...] = ()
    metered: bool = False
    linked: bool = False
    open: bool = False

    def add(self, router: APIRouter, endpoint: Endpoint) -> None:
        """Add the route; its description is the endpoint's docstring."""
        router.add_api_route(
            self.path,
            endpoint,
            methods=[self.method],
            response_class=Response,
            response_model=None,
            status_code=min(self.answers),
            operation_id=getattr(endpoint, "__name__", self.path),
            tags=[self.tag],
            responses=self._responses(),
            openapi_extra=self._extra(),
        )

    def _responses(self) -> dict[int | str, dict[str, Any]]:
        responses: dict[int | str, dict[str, Any]] = {}
        for status, (meaning, schema) in self.answers.items():
            content = {self.media_type: {"schema": {"$ref": REF + schema}}}
            if self.streams:
                content["application/x-ndjson"] = {"schema": {"$ref": REF + self.streams}}
            responses[status] = {"description": meaning, "content": content}
            headers = {"Location": _TEXT} if status in self.located else {}
            headers |= _STANDING if self.metered else {}
            headers |= _LINK if self.linked else {}
            if headers:
                responses[status]["headers"] = headers
        by_status: dict[int, list[str]] = {}
        for code in self.problems:
            by_status.setdefault(KINDS[code].status, []).append(code)
        for status, codes in sorted(by_status.items()):
            responses[status] = _problem_response(status, codes, self.problem_schema)
        return responses

    def _extra(self) -> dict[str, Any]:
        extra: dict[str, Any] = {"parameters": list(self.parameters)}
        extra["security"] = [] if self.open else [{"apiKey": []}, {"jwt": []}]
        if self.body is not None:
            media_type, schema, example = self.body
            content = {media_type: {"schema": {"$ref": REF + schema}, "example": example}}
            extra["requestBody"] = {"required": self.body_required, "content": content}
        return extra


def _problem_response(status: int, codes: list[str], schema: str) -> dict[str, Any]:
    listed = "\n".join(f"- `{code}`: {KINDS[code].title}" for code in codes)
    response: dict[str, Any] = {
        "description": listed,
        "content": {"application/problem+json": {"schema": {"$ref": REF + schema}}},
    }
    if status in RETRIED:
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    elif status == 401:
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return response


def compose(app: FastAPI) -> dict[str, Any]:
    """The document of an application."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    document["components"] = {
        "schemas": documents.components(),
        "securitySchemes": {
            "apiKey": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "sym_<id>_<secret>",
                "description": "Tenant and principal come from it, never from a body. It may be "
                "for some intent types only, and for reading (`read`).",
            },
            "jwt": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "A signed token of an OpenID Connect issuer that this gateway "
                "accepts. Tenant, principal and roles are claims of it.",
            },
        },
    }
    return document


def _parameter(
    where: str, name: str, description: str, schema: JsonSchema, *, required: bool = False
) -> JsonSchema:
    return {
        "in": where,
        "name": name,
        "description": description,
        "required": required,
        "schema": schema,
    }


def _pattern(text: str, example: str) -> JsonSchema:
    return {"type": "string", "pattern": text, "examples": [example]}


_TIME: JsonSchema = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
    ]
}
EXECUTION_ID = _parameter(
    "path",
    "execution_id",
    "As it was returned.",
    _pattern("^exe-[0-9]{1,6}-[0-9a-f]{32}$", "exe-3-0192f0c1a2b37c4d8e5f60718293a4b5"),
    required=True,
)
SIGNAL_NAME = _parameter(
    "path",
    "name",
    "What the handler waits for.",
    _pattern("^[ -~]{1,200}$", "approved"),
    required=True,
)
STEP_NAME = _parameter(
    "path",
    "step",
    "As the saga shows it; `compensate:` and a step's name for what undoes it.",
    _pattern("^[ -~]{1,200}$", "charge"),
    required=True,
)
SESSION_ID = _parameter(
    "path",
    "session_id",
    "As it was returned.",
    _pattern("^ses-[0-9]{1,6}-[0-9a-f]{32}$", "ses-3-0192f0c1a2b37c4d8e5f60718293a4b5"),
    required=True,
)
WAIT = _parameter(
    "query",
    "wait",
    "How long to wait until it has ended or is stuck, at most 5 minutes.",
    _pattern(WAIT_PATTERN, "10s"),
)
IDEMPOTENCY_KEY = _parameter(
    "header",
    "Idempotency-Key",
    "The intent id, if the body does not say it.",
    _pattern("^[A-Za-z0-9._:~-]{1,128}$", "0192f0c1-a2b3-7c4d-8e5f-60718293a4b5"),
)
TRACEPARENT = _parameter(
    "header", "traceparent", "W3C trace context; carried into the log.", {"type": "string"}
)
LAST_EVENT_ID = _parameter(
    "header", "Last-Event-ID", "Resume after this event.", _pattern("^[0-9]{1,9}$", "4")
)
REASON = _parameter(
    "query", "reason", "Why; journaled.", {"type": "string", "minLength": 1, "maxLength": 200}
)
LISTING_TYPE = _parameter(
    "query",
    "type",
    "Only of this intent type.",
    _pattern("^[a-z][a-z0-9_]{0,62}[.][a-z][a-z0-9_]{0,62}$", "content.ingest_file"),
)
MODE = _parameter(
    "query",
    "mode",
    "drain: what runs goes on; cancel: it is asked to end.",
    {"type": "string", "enum": list(MODES), "default": MODES[0]},
)
LISTING = (
    _parameter("query", "session", "Only of this session.", SESSION_ID["schema"]),
    LISTING_TYPE,
    _parameter(
        "query", "status", "Only in this status.", {"type": "string", "enum": list(STATUSES)}
    ),
    _parameter("query", "from", "Started at or after.", _TIME),
    _parameter("query", "to", "Started at or before.", _TIME),
    _parameter(
        "query",
        "limit",
        "Items a page.",
        {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
    ),
    _parameter("query", "cursor", "Of the page before.", _pattern(CURSOR_PATTERN, "MTcz")),
)
_OFFSET: JsonSchema = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
WAL = (
    _parameter("query", "execution", "Only of this execution.", EXECUTION_ID["schema"]),
    _parameter("query", "session", "Only of this session.", SESSION_ID["schema"]),
    _parameter(
        "query",
        "correlation",
        "Only of this correlation: an execution, all that it invoked, and replays over HTTP.",
        {"type": "string", "maxLength": CORRELATION_LIMIT},
    ),
    _parameter(
        "query",
        "parent",
        "Only what this decision's effects led to: partition and offset, as rows tell it.",
        _pattern("^[0-9]{1,6}-[0-9]{1,18}$", "3-1204"),
    ),
    LISTING_TYPE,
    _parameter(
        "query", "event", "Only events of this type.", {"type": "string", "enum": list(EVENT_TYPES)}
    ),
    _parameter("query", "from", "Journaled at or after.", _TIME),
    _parameter("query", "to", "Journaled at or before.", _TIME),
    _parameter(
        "query",
        "partition",
        "Only of this partition of the journal.",
        {"type": "integer", "minimum": 0, "maximum": 99_999},
    ),
    _parameter("query", "offset", "From this offset on; needs `partition`.", _OFFSET),
    _parameter("query", "to_offset", "Up to before this offset; needs `partition`.", _OFFSET),
    _parameter(
        "query",
        "tenant",
        "The credential's own, or left out.",
        _pattern("^[a-z0-9][a-z0-9-]{0,62}$", "acme"),
    ),
    *LISTING[-2:],
)
SESSION_LISTING = (
    _parameter(
        "query", "status", "Only in this state.", {"type": "string", "enum": [*SESSION_STATUSES]}
    ),
    *(one for one in LISTING if one["name"] in ("from", "to", "limit", "cursor")),
)
INTENT_EXAMPLE = {
    "intent_type": "content.ingest_file",
    "session_id": "ses-3-0192f0c1a2b37c4d8e5f60718293a4b5",
    "payload": {"ref": "artifact://acme/9f86d081884c7d65"},
}
