"""What is asked of an execution that runs: a signal, its end, to rest, to go on."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from symphainy_gateway import bodies, openapi, parameters
from symphainy_gateway.gateway import Gateway
from symphainy_gateway.intents import (
    CANCEL,
    PAUSE,
    RESUME,
    SIGNAL,
    JsonObject,
    Origin,
    control,
    read_reason,
    read_signal,
    require_inline,
)
from symphainy_gateway.openapi import APPENDING, WITH_BODY, Operation
from symphainy_gateway.problems import Refused
from symphainy_gateway.replies import json_reply
from symphainy_gateway.submitting import DECISION_WAIT_S, Acknowledged, Ended, place_of
from symphainy_gateway.waiters import ended
from symphainy_runtime.read_model.reader import Document

NAME_LIMIT = 200


class ControlRoutes:
    """Sends executions what is asked of them."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        SEND.add(router, self.send_signal)
        END.add(router, self.cancel)
        REST.add(router, self.pause)
        GO_ON.add(router, self.resume)

    async def send_signal(self, request: Request) -> Response:
        """Send an execution a signal.

        A handler that waits for it goes on; else it is kept until one does. `status` is
        `succeeded` once the execution has it, `accepted` while it is in the write-ahead log only.
        With an Idempotency-Key, a repeat sends nothing.
        """
        name = _name(request.path_params["name"])
        origin, document, body = await self._read(request)
        payload = {"name": name, "data": read_signal(body)}
        return await self._ask(document, SIGNAL, payload, origin, "/data")

    async def cancel(self, request: Request) -> Response:
        """Ask for an execution's end.

        Nothing of it begins any more; what runs may still succeed, and then has. `status` is
        `succeeded` once the request is recorded: see the execution for its end. To ask again
        changes nothing.
        """
        return await self._ask_why(request, CANCEL)

    async def pause(self, request: Request) -> Response:
        """Ask an execution to rest.

        What runs goes on, and times pass; but nothing more of it is dispatched until it is
        resumed. `status` is `succeeded` once the request is recorded. To ask again changes
        nothing.
        """
        return await self._ask_why(request, PAUSE)

    async def resume(self, request: Request) -> Response:
        """Ask an execution that rests to go on, where it stands.

        `status` is `succeeded` once the request is recorded. One that does not rest goes on
        anyway.
        """
        return await self._ask_why(request, RESUME)

    async def _ask_why(self, request: Request, kind: str) -> Response:
        origin, document, body = await self._read(request)
        return await self._ask(document, kind, {"reason": read_reason(body)}, origin, "/reason")

    async def _read(self, request: Request) -> tuple[Origin, Document, bytes]:
        gateway = self._gateway
        headers = dict(request.scope["headers"])
        caller = gateway.caller(request)
        parameters.query(request.scope["query_string"])
        origin = gateway.origin(request, caller)
        document = await gateway.execution(caller, request.path_params["execution_id"])
        with gateway.pressure.body(caller.tenant_id, headers):
            limit = gateway.backend.settings.max_body_bytes
            body = await bodies.read(request.receive, headers, limit)
            if body:
                bodies.require_json(headers)
        return origin, document, body

    async def _ask(
        self, document: Document, kind: str, payload: JsonObject, origin: Origin, field: str
    ) -> Response:
        gateway, execution_id = self._gateway, document["execution_id"]
        if not origin.key and ended(document):
            raise Refused(
                f"Execution {execution_id} has ended: {document['status']}.", code="execution_ended"
            )
        told = {"execution_id": execution_id, **payload}
        submission = control(kind, document["session_id"], told, origin)
        limit = gateway.backend.settings.inline_limit_bytes
        require_inline(submission, limit, field, "The data is")
        answer = await gateway.submitter.submit(submission, DECISION_WAIT_S)
        if isinstance(answer, Ended):
            answer = _told(answer, submission.intent.intent_id)
        return json_reply(202, answer)


def _told(answer: Ended, intent_id: str) -> Acknowledged:
    return Acknowledged(
        execution_id=answer.execution_id,
        intent_id=intent_id,
        status=answer.document["status"],
        wal=place_of(answer.document),
    )


def _name(name: str) -> str:
    if not (0 < len(name) <= NAME_LIMIT and name.isprintable()):
        raise parameters.refused(
            "name", "The signal's name is not printable text.", f"At most {NAME_LIMIT} characters."
        )
    return name


_PROBLEMS = (
    *APPENDING,
    *WITH_BODY,
    "read_model_unavailable",
    "execution_not_found",
    "execution_ended",
    "contract_violation",
    "idempotency_conflict",
)
SEND = Operation(
    method="POST",
    path="/v1/executions/{execution_id}/signals/{name}",
    tag="executions",
    answers={202: ("The signal is in the write-ahead log.", "Acknowledged")},
    problems=(*_PROBLEMS, "too_many_signals"),
    parameters=(
        openapi.EXECUTION_ID,
        openapi.SIGNAL_NAME,
        openapi.IDEMPOTENCY_KEY,
        openapi.TRACEPARENT,
    ),
    body=("application/json", "SignalBody", {"data": {"by": "ann"}}),
    body_required=False,
)


def _with_reason(verb: str, example: str) -> Operation:
    return Operation(
        method="POST",
        path=f"/v1/executions/{{execution_id}}/{verb}",
        tag="executions",
        answers={202: ("The request is in the write-ahead log.", "Acknowledged")},
        problems=_PROBLEMS,
        parameters=(openapi.EXECUTION_ID, openapi.IDEMPOTENCY_KEY, openapi.TRACEPARENT),
        body=("application/json", "ReasonBody", {"reason": example}),
        body_required=False,
    )


END = _with_reason("cancel", "the customer withdrew the order")
REST = _with_reason("pause", "the warehouse is closed for stocktaking")
GO_ON = _with_reason("resume", "the warehouse is open again")
