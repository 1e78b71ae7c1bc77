"""What is asked of an execution that runs: a signal, its end, to rest, to go on."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from symphainy_gateway import openapi
from symphainy_gateway.controls import read_signal
from symphainy_gateway.gateway import Gateway
from symphainy_gateway.openapi import Operation
from symphainy_gateway.routes.asking import PROBLEMS, Asking, name_in_path
from symphainy_runtime.policy.actions import CANCEL, PAUSE, RESUME, SIGNAL


class ControlRoutes:
    """Sends executions what is asked of them."""

    def __init__(self, gateway: Gateway) -> None:
        self._asking = Asking(gateway)

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
        name = name_in_path(request.path_params["name"], "name", "signal")
        origin, document, body = await self._asking.read(request)
        payload = {"name": name, "data": read_signal(body)}
        return await self._asking.ask(document, SIGNAL, payload, origin, "/data")

    async def cancel(self, request: Request) -> Response:
        """Ask for an execution's end.

        Nothing of it begins any more; what runs may still succeed, and then has. `status` is
        `succeeded` once the request is recorded: see the execution for its end. To ask again
        changes nothing.
        """
        return await self._asking.why(request, CANCEL)

    async def pause(self, request: Request) -> Response:
        """Ask an execution to rest.

        What runs goes on, and times pass; but nothing more of it is dispatched until it is
        resumed. `status` is `succeeded` once the request is recorded. To ask again changes
        nothing.
        """
        return await self._asking.why(request, PAUSE)

    async def resume(self, request: Request) -> Response:
        """Ask an execution that rests to go on, where it stands.

        `status` is `succeeded` once the request is recorded. One that does not rest goes on
        anyway.
        """
        return await self._asking.why(request, RESUME)


SEND = Operation(
    method="POST",
    path="/v1/executions/{execution_id}/signals/{name}",
    tag="executions",
    answers={202: ("The signal is in the write-ahead log.", "Acknowledged")},
    problems=(*PROBLEMS, "too_many_signals"),
    parameters=(
        openapi.EXECUTION_ID,
        openapi.SIGNAL_NAME,
        openapi.IDEMPOTENCY_KEY,
        openapi.TRACEPARENT,
    ),
    body=("application/json", "SignalBody", {"data": {"by": "ann"}}),
    body_required=False,
    metered=True,
)


def _with_reason(verb: str, example: str) -> Operation:
    return Operation(
        method="POST",
        path=f"/v1/executions/{{execution_id}}/{verb}",
        tag="executions",
        answers={202: ("The request is in the write-ahead log.", "Acknowledged")},
        problems=PROBLEMS,
        parameters=(openapi.EXECUTION_ID, openapi.IDEMPOTENCY_KEY, openapi.TRACEPARENT),
        body=("application/json", "ReasonBody", {"reason": example}),
        body_required=False,
        metered=True,
    )


END = _with_reason("cancel", "the customer withdrew the order")
REST = _with_reason("pause", "the warehouse is closed for stocktaking")
GO_ON = _with_reason("resume", "the warehouse is open again")
