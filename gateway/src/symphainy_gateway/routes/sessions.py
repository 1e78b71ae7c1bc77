"""/v1/sessions: opened and closed by control intents, like any other intent; read, replayed."""

from __future__ import annotations

from hashlib import blake2b

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from symphainy_gateway import bodies, openapi, parameters
from symphainy_gateway.callers import Caller
from symphainy_gateway.controls import control, require_inline
from symphainy_gateway.explaining import explained_events
from symphainy_gateway.gateway import Gateway
from symphainy_gateway.intents import JsonObject, Origin, read_change, read_session
from symphainy_gateway.openapi import APPENDING, READING, SUBMITTING, Operation
from symphainy_gateway.problems import Refused, rejection
from symphainy_gateway.replies import json_reply
from symphainy_gateway.submitting import DECISION_WAIT_S, Acknowledged, Answer
from symphainy_runtime.policy.actions import CHANGE_SESSION, CLOSE_SESSION, OPEN_SESSION
from symphainy_runtime.read_model.reader import Document
from symphainy_schemas import ids
from symphainy_transport.credentials import READ

REASON_MAX = 200
RUNNING_MAX = 100
"""Of what runs in a session, so many are shown with it; the rest is a listing's."""
_CLOSING = frozenset({"reason", "mode"})


class SessionRoutes:
    """Opens, shows, closes and replays sessions."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        OPEN.add(router, self.open_session)
        LIST.add(router, self.list_sessions)
        SHOW.add(router, self.show_session)
        CHANGE.add(router, self.change_session)
        CLOSE.add(router, self.close_session)
        EVENTS.add(router, self.session_events)

    async def open_session(self, request: Request) -> Response:
        """Open a session.

        With an Idempotency-Key, a repeat gets the same session. 202 says that the session was not
        seen open in time: it will be, unless its execution says otherwise.
        """
        gateway = self._gateway
        headers = dict(request.scope["headers"])
        caller = await gateway.caller(request)
        parameters.query(request.scope["query_string"])
        origin = gateway.origin(request, caller)
        with gateway.pressure.body(caller.tenant_id, headers):
            body = await gateway.body(request, headers)
            if body:
                bodies.require_json(headers)
            return await self._open(caller, origin, read_session(body, caller))

    async def _open(self, caller: Caller, origin: Origin, payload: JsonObject) -> Response:
        gateway = self._gateway
        session_id = self._new_id(origin)
        submission = control(OPEN_SESSION, session_id, payload, origin)
        limit = gateway.backend.settings.inline_limit_bytes
        require_inline(submission, limit, "/attributes", "The attributes are")
        answer = await gateway.submitter.submit(submission, DECISION_WAIT_S)
        told = gateway.metering.told(caller.tenant_id)
        location = ((b"location", b"/v1/sessions/" + session_id.encode()), *told)
        session = await self._session_after(answer, caller, session_id)
        if session is None:
            return json_reply(202, answer, location)
        return json_reply(201, session, location)

    async def list_sessions(self, request: Request) -> Response:
        """List sessions, newest first."""
        caller = await self._gateway.caller(request, READ)
        found = parameters.query(request.scope["query_string"], parameters.SESSION_LISTING)
        what = parameters.session_listing(found)
        try:
            page = await self._gateway.backend.read_model.sessions(caller.tenant_id, what)
        except OverflowError as error:  # a cursor of our alphabet, but not of our making
            raise parameters.no_cursor() from error
        return json_reply(200, {"items": page.items, "cursor": page.cursor})

    async def show_session(self, request: Request) -> Response:
        """Show a session, with how many executions run in it, and the first hundred of them."""
        caller = await self._gateway.caller(request, READ)
        parameters.query(request.scope["query_string"])
        session = await self._session(caller, request.path_params["session_id"])
        reading = self._gateway.backend.read_model
        count, names = await reading.running(session["session_id"], RUNNING_MAX)
        found = await reading.executions(caller.tenant_id, names)
        running = [_brief(found[one]) for one in names if one in found]
        return json_reply(200, {**session, "running": count, "executions": running})

    async def change_session(self, request: Request) -> Response:
        """Change a session's attributes, by a merge patch."""
        gateway = self._gateway
        headers = dict(request.scope["headers"])
        caller = await gateway.caller(request)
        parameters.query(request.scope["query_string"])
        origin = gateway.origin(request, caller)
        session_id = _existing(request.path_params["session_id"])
        with gateway.pressure.body(caller.tenant_id, headers):
            body = await gateway.body(request, headers)
            bodies.require_json(headers)
            payload = {"attributes": read_change(body)}
            submission = control(CHANGE_SESSION, session_id, payload, origin)
            limit = gateway.backend.settings.inline_limit_bytes
            require_inline(submission, limit, "/attributes", "The attributes are")
            answer = await gateway.submitter.submit(submission, DECISION_WAIT_S)
        session = await self._session_after(answer, caller, session_id)
        told = gateway.metering.told(caller.tenant_id)
        return json_reply(202, answer, told) if session is None else json_reply(200, session, told)

    async def close_session(self, request: Request) -> Response:
        """Close a session: it takes no more intents. What runs goes on, or is asked to end."""
        gateway = self._gateway
        caller = await gateway.caller(request)
        found = parameters.query(request.scope["query_string"], _CLOSING)
        origin = gateway.origin(request, caller)
        session_id = _existing(request.path_params["session_id"])
        payload = {"reason": _reason(found), "mode": parameters.mode(found)}
        submission = control(CLOSE_SESSION, session_id, payload, origin)
        gateway.foresight.forget_session(caller.tenant_id, session_id)
        answer = await gateway.submitter.submit(submission, DECISION_WAIT_S)
        session = await self._session_after(answer, caller, session_id)
        told = gateway.metering.told(caller.tenant_id)
        if session is None:
            return json_reply(202, answer, told)
        return json_reply(200, session, told)

    async def session_events(self, request: Request) -> Response:
        """Replay a session: the events of its executions, in journal order."""
        caller = await self._gateway.caller(request, READ)
        parameters.query(request.scope["query_string"])
        session_id = request.path_params["session_id"]
        reading = self._gateway.backend.read_model
        events = await reading.session_events(caller.tenant_id, _existing(session_id))
        if events is None:
            raise _no_session(session_id)
        told = explained_events(caller, events)
        return json_reply(200, {"session_id": session_id, "events": told})

    def _new_id(self, origin: Origin) -> str:
        """A session id; the same one for the same Idempotency-Key."""
        backend = self._gateway.backend
        tenant_id = origin.caller.tenant_id
        tenant = backend.configuration.tenants.get(tenant_id)
        shard_size = tenant.shard_size if tenant else 0
        partitions = backend.publisher.partitions
        if not origin.key:
            return ids.new_session_id(tenant_id, partitions, shard_size)
        unique = blake2b(f"{tenant_id}\0{origin.key}".encode(), digest_size=16).hexdigest()
        return f"ses-{ids.route(tenant_id, unique, partitions, shard_size)}-{unique}"

    async def _session_after(
        self, answer: Answer, caller: Caller, session_id: str
    ) -> Document | None:
        """The session as its control intent left it; None while that has not ended."""
        if isinstance(answer, Acknowledged):
            return None
        if not answer.document["success"]:
            raise rejection(answer.document)
        return await self._session(caller, session_id)

    async def _session(self, caller: Caller, session_id: str) -> Document:
        reading = self._gateway.backend.read_model
        session = await reading.session(caller.tenant_id, _existing(session_id))
        if session is None:
            raise _no_session(session_id)
        return session


def _brief(execution: Document) -> Document:
    return {
        name: execution[name] for name in ("execution_id", "intent_type", "status", "started_at")
    }


def _existing(session_id: str) -> str:
    if not (session_id.isascii() and ids.is_session_id(session_id)):
        raise _no_session(session_id)
    return session_id


def _no_session(session_id: str) -> Refused:
    return Refused(
        f"There is no session {session_id[:80]!r}.",
        code="session_not_found",
        cure="Open one: POST /v1/sessions.",
    )


def _reason(found: parameters.Query) -> str:
    reason = found.get("reason", "closed by its user")
    if not (0 < len(reason) <= REASON_MAX and reason.isprintable()):
        raise parameters.refused(
            "reason", "The reason is not printable text.", f"At most {REASON_MAX} characters."
        )
    return reason


OPEN = Operation(
    method="POST",
    path="/v1/sessions",
    tag="sessions",
    answers={
        201: ("The session is open.", "Session"),
        202: ("The session is about to open.", "Acknowledged"),
    },
    problems=(*SUBMITTING, "read_model_unavailable", "idempotency_conflict", "session_exists"),
    parameters=(openapi.IDEMPOTENCY_KEY, openapi.TRACEPARENT),
    body=("application/json", "SessionBody", {"attributes": {"purpose": "quarterly report"}}),
    body_required=False,
    located=(201, 202),
    metered=True,
)
SHOW = Operation(
    method="GET",
    path="/v1/sessions/{session_id}",
    tag="sessions",
    answers={200: ("The session.", "Session")},
    problems=(*READING, "session_not_found"),
    parameters=(openapi.SESSION_ID,),
)
LIST = Operation(
    method="GET",
    path="/v1/sessions",
    tag="sessions",
    answers={200: ("One page, newest first.", "SessionPage")},
    problems=(*READING, "malformed_cursor"),
    parameters=openapi.SESSION_LISTING,
)
CHANGE = Operation(
    method="PATCH",
    path="/v1/sessions/{session_id}",
    tag="sessions",
    answers={
        200: ("The session, with its new attributes.", "Session"),
        202: ("The session is about to change.", "Acknowledged"),
    },
    problems=(
        *SUBMITTING,
        "read_model_unavailable",
        "idempotency_conflict",
        "contract_violation",
    ),
    parameters=(openapi.SESSION_ID, openapi.IDEMPOTENCY_KEY, openapi.TRACEPARENT),
    body=("application/json", "SessionPatch", {"attributes": {"stage": "review"}}),
    metered=True,
)
CLOSE = Operation(
    method="DELETE",
    path="/v1/sessions/{session_id}",
    tag="sessions",
    answers={
        200: ("The session is closed.", "Session"),
        202: ("The session is about to close.", "Acknowledged"),
    },
    problems=(
        *APPENDING,
        "read_model_unavailable",
        "idempotency_conflict",
        "session_closed",
        "session_expired",
    ),
    parameters=(
        openapi.SESSION_ID,
        openapi.REASON,
        openapi.MODE,
        openapi.IDEMPOTENCY_KEY,
        openapi.TRACEPARENT,
    ),
    metered=True,
)
EVENTS = Operation(
    method="GET",
    path="/v1/sessions/{session_id}/events",
    tag="sessions",
    answers={200: ("The events, in journal order.", "SessionEvents")},
    problems=(*READING, "session_not_found"),
    parameters=(openapi.SESSION_ID,),
)
