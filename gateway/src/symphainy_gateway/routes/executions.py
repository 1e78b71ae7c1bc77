"""/v1/executions: what became of intents, from the read model."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from symphainy_gateway import openapi, parameters
from symphainy_gateway.callers import Caller
from symphainy_gateway.documents import ExecutionStatus
from symphainy_gateway.explaining import explained, explained_events
from symphainy_gateway.gateway import Gateway
from symphainy_gateway.openapi import READING, Operation
from symphainy_gateway.replies import json_reply
from symphainy_gateway.streaming import EventStream
from symphainy_gateway.waiters import ended
from symphainy_runtime.read_model.reader import Document
from symphainy_transport.credentials import READ


class ExecutionRoutes:
    """Lists, shows and streams executions."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        SHOW.add(router, self.show_execution)
        STATUS.add(router, self.execution_status)
        EVENTS.add(router, self.execution_events)
        STREAM.add(router, self.stream_execution)
        LIST.add(router, self.list_executions)

    async def list_executions(self, request: Request) -> Response:
        """List executions, newest first."""
        caller = await self._gateway.caller(request, READ)
        found = parameters.query(request.scope["query_string"], parameters.LISTING_PARAMETERS)
        what = parameters.listing(found)
        try:
            page = await self._gateway.backend.read_model.listing(caller.tenant_id, what)
        except OverflowError as error:  # a cursor of our alphabet, but not of our making
            raise parameters.no_cursor() from error
        items = [explained(caller, one) for one in page.items]
        return json_reply(200, {"items": items, "cursor": page.cursor})

    async def show_execution(self, request: Request) -> Response:
        """Show everything known of an execution."""
        caller, document = await self._document(request)
        return json_reply(200, explained(caller, document))

    async def execution_status(self, request: Request) -> Response:
        """Show an execution's status: the short answer."""
        _, document = await self._document(request)
        answer = ExecutionStatus(
            execution_id=document["execution_id"],
            intent_id=document["intent_id"],
            status=document["status"],
            success=document["success"],
            ended=ended(document),
            as_of=document["as_of"],
            error=document["error"],
            execution_time_ms=document["execution_time_ms"],
        )
        return json_reply(200, answer)

    async def execution_events(self, request: Request) -> Response:
        """Show an execution's events, each with its place in the log."""
        caller, document = await self._document(request)
        reading = self._gateway.backend.read_model
        events = await reading.events(document["tenant_id"], document["execution_id"])
        told = explained_events(caller, events or ())
        return json_reply(200, {"execution_id": document["execution_id"], "events": told})

    async def stream_execution(self, request: Request) -> Response:
        """Stream an execution's events as they happen, as server-sent events.

        An event's id is its index: `Last-Event-ID` resumes after it. The last event is `end`, with
        the status; a stream that ends without it is to be resumed.
        """
        gateway = self._gateway
        headers = dict(request.scope["headers"])
        after = parameters.last_event_id(headers.get(b"last-event-id")) + 1
        caller, document = await self._document(request)
        chunks = gateway.events.chunks(caller, document["execution_id"], after)
        place = gateway.pressure.streaming(document["tenant_id"])
        return EventStream(chunks, gateway.stopping, place)

    async def _document(self, request: Request) -> tuple[Caller, Document]:
        caller = await self._gateway.caller(request, READ)
        parameters.query(request.scope["query_string"])
        found = await self._gateway.execution(caller, request.path_params["execution_id"])
        return caller, found


_ONE = (*READING, "execution_not_found")

LIST = Operation(
    method="GET",
    path="/v1/executions",
    tag="executions",
    answers={200: ("One page, newest first.", "ExecutionPage")},
    problems=(*READING, "malformed_cursor"),
    parameters=openapi.LISTING,
)
SHOW = Operation(
    method="GET",
    path="/v1/executions/{execution_id}",
    tag="executions",
    answers={200: ("The execution.", "Execution")},
    problems=_ONE,
    parameters=(openapi.EXECUTION_ID,),
)
STATUS = Operation(
    method="GET",
    path="/v1/executions/{execution_id}/status",
    tag="executions",
    answers={200: ("The short answer.", "ExecutionStatus")},
    problems=_ONE,
    parameters=(openapi.EXECUTION_ID,),
)
EVENTS = Operation(
    method="GET",
    path="/v1/executions/{execution_id}/events",
    tag="executions",
    answers={200: ("The events, in journal order.", "ExecutionEvents")},
    problems=_ONE,
    parameters=(openapi.EXECUTION_ID,),
)
STREAM = Operation(
    method="GET",
    path="/v1/executions/{execution_id}/stream",
    tag="executions",
    answers={200: ("Events as they happen.", "EventStream")},
    media_type="text/event-stream",
    problems=(*_ONE, "too_many_streams"),
    parameters=(openapi.EXECUTION_ID, openapi.LAST_EVENT_ID),
)
