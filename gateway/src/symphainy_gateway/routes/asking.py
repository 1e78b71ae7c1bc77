"""How every route asks something of an execution: by a control intent, like any other intent."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from symphainy_gateway import bodies, parameters
from symphainy_gateway.controls import control, read_reason, require_inline
from symphainy_gateway.gateway import Gateway
from symphainy_gateway.intents import JsonObject, Origin
from symphainy_gateway.openapi import APPENDING, WITH_BODY
from symphainy_gateway.problems import Refused
from symphainy_gateway.replies import json_reply
from symphainy_gateway.submitting import DECISION_WAIT_S, Acknowledged, Ended, place_of
from symphainy_gateway.waiters import ended
from symphainy_runtime.read_model.reader import Document

NAME_LIMIT = 200
PROBLEMS = (
    *APPENDING,
    *WITH_BODY,
    "read_model_unavailable",
    "execution_not_found",
    "execution_ended",
    "contract_violation",
    "idempotency_conflict",
)
"""What each of these routes may refuse with."""


class Asking:
    """Asks executions of a tenant."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def why(self, request: Request, kind: str) -> Response:
        """Ask what takes nothing but a reason, as the request's body states it."""
        origin, document, body = await self.read(request)
        return await self.ask(document, kind, {"reason": read_reason(body)}, origin, "/reason")

    async def read(self, request: Request) -> tuple[Origin, Document, bytes]:
        """What the submission takes from the request, the execution that it names, its body.

        Raises:
            Refused: there is no such execution, or the request is not understood.
        """
        gateway = self._gateway
        headers = dict(request.scope["headers"])
        caller = await gateway.caller(request)
        parameters.query(request.scope["query_string"])
        origin = gateway.origin(request, caller)
        document = await gateway.execution(caller, request.path_params["execution_id"])
        with gateway.pressure.body(caller.tenant_id, headers):
            body = await gateway.body(request, headers)
            if body:
                bodies.require_json(headers)
        return origin, document, body

    async def ask(
        self, document: Document, kind: str, payload: JsonObject, origin: Origin, field: str
    ) -> Response:
        """Submit the control intent, and answer with what became of it within 5 s. `field` is
        where in the body large data stands.

        Raises:
            Refused: the execution has ended, or the owner says no.
        """
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
        return json_reply(202, answer, gateway.metering.told(origin.caller.tenant_id))


def name_in_path(name: str, parameter: str, what: str) -> str:
    """The name that a path carries.

    Raises:
        Refused: it is none.
    """
    if not (0 < len(name) <= NAME_LIMIT and name.isprintable()):
        raise parameters.refused(
            parameter,
            f"The {what}'s name is not printable text.",
            f"At most {NAME_LIMIT} characters.",
        )
    return name


def _told(answer: Ended, intent_id: str) -> Acknowledged:
    return Acknowledged(
        execution_id=answer.execution_id,
        intent_id=intent_id,
        status=answer.document["status"],
        wal=place_of(answer.document),
    )
