"""/v1/executions/{id}/signals/{name}: what somebody tells a handler that waits, or will."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from symphainy_gateway import bodies, openapi, parameters
from symphainy_gateway.gateway import Gateway
from symphainy_gateway.intents import SIGNAL, Origin, control, read_signal, require_inline
from symphainy_gateway.openapi import APPENDING, WITH_BODY, Operation
from symphainy_gateway.problems import Refused
from symphainy_gateway.replies import json_reply
from symphainy_gateway.submitting import DECISION_WAIT_S, Acknowledged, Ended, place_of
from symphainy_gateway.waiters import ended
from symphainy_runtime.read_model.reader import Document

NAME_LIMIT = 200


class SignalRoutes:
    """Sends signals to executions."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def add_to(self, router: APIRouter) -> None:
        """Add the route."""
        SEND.add(router, self.send_signal)

    async def send_signal(self, request: Request) -> Response:
        """Send an execution a signal.

        A handler that waits for it goes on; else it is kept until one does. `status` is
        `succeeded` once the execution has it, `accepted` while it is in the write-ahead log only.
        With an Idempotency-Key, a repeat sends nothing.
        """
        gateway = self._gateway
        headers = dict(request.scope["headers"])
        caller = gateway.caller(request)
        parameters.query(request.scope["query_string"])
        origin = gateway.origin(request, caller)
        name = _name(request.path_params["name"])
        document = await gateway.execution(caller, request.path_params["execution_id"])
        with gateway.pressure.body(caller.tenant_id, headers):
            limit = gateway.backend.settings.max_body_bytes
            body = await bodies.read(request.receive, headers, limit)
            if body:
                bodies.require_json(headers)
            return await self._send(document, name, read_signal(body), origin)

    async def _send(self, document: Document, name: str, data: object, origin: Origin) -> Response:
        gateway, execution_id = self._gateway, document["execution_id"]
        if not origin.key and ended(document):
            raise Refused(
                f"Execution {execution_id} has ended: {document['status']}.", code="execution_ended"
            )
        payload = {"execution_id": execution_id, "name": name, "data": data}
        submission = control(SIGNAL, document["session_id"], payload, origin)
        limit = gateway.backend.settings.inline_limit_bytes
        require_inline(submission, limit, "/data", "The data is")
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


SEND = Operation(
    method="POST",
    path="/v1/executions/{execution_id}/signals/{name}",
    tag="executions",
    answers={202: ("The signal is in the write-ahead log.", "Acknowledged")},
    problems=(
        *APPENDING,
        *WITH_BODY,
        "read_model_unavailable",
        "execution_not_found",
        "execution_ended",
        "too_many_signals",
        "contract_violation",
        "idempotency_conflict",
    ),
    parameters=(
        openapi.EXECUTION_ID,
        openapi.SIGNAL_NAME,
        openapi.IDEMPOTENCY_KEY,
        openapi.TRACEPARENT,
    ),
    body=("application/json", "SignalBody", {"data": {"by": "ann"}}),
    body_required=False,
)
