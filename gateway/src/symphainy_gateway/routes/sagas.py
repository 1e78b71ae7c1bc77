"""/v1/sagas: executions step by step, and what an operator asks of them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from symphainy_gateway import openapi, parameters
from symphainy_gateway.controls import read_retry
from symphainy_gateway.gateway import Gateway
from symphainy_gateway.openapi import READING, Operation
from symphainy_gateway.replies import json_reply
from symphainy_gateway.routes.asking import PROBLEMS, Asking, name_in_path
from symphainy_gateway.sagas import saga_of
from symphainy_runtime.policy.actions import COMPENSATE, RETRY_STEP
from symphainy_transport.credentials import READ


class SagaRoutes:
    """Shows sagas, has them undone, and their steps tried again."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._asking = Asking(gateway)

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        SHOW.add(router, self.show_saga)
        UNDO.add(router, self.compensate)
        AGAIN.add(router, self.retry_step)

    async def show_saga(self, request: Request) -> Response:
        """Show an execution as a saga.

        Its steps in the order of the plan: the state of each, what it needs, who ran it and when,
        what it returned or why it failed, and how far it is undone. An execution of one handler
        is a saga of one step.
        """
        caller = await self._gateway.caller(request, READ)
        parameters.query(request.scope["query_string"])
        document = await self._gateway.execution(caller, request.path_params["execution_id"])
        return json_reply(200, saga_of(document))

    async def compensate(self, request: Request) -> Response:
        """Ask that what an execution has done be undone.

        Nothing more of it begins; what runs is waited for; then each step that was done, or may
        have been, is undone in reverse. `status` is `succeeded` once the request is recorded: see
        the saga for its end, `compensated`, or `failed` where a step had failed and nothing was
        to be undone. To ask again changes nothing.
        """
        return await self._asking.why(request, COMPENSATE)

    async def retry_step(self, request: Request) -> Response:
        """Ask that a step be tried again that has failed for good.

        Of an execution that is stuck: as one attempt beyond those of its policy, with `input` in
        place of what the plan gives it, if that is stated. `compensate:` and a step's name is
        what undoes it. `status` is `succeeded` once the request is recorded. Without an
        Idempotency-Key, to ask again is refused while the step is tried.
        """
        step = name_in_path(request.path_params["step"], "step", "step")
        origin, document, body = await self._asking.read(request)
        payload = {"step": step, **read_retry(body)}
        return await self._asking.ask(document, RETRY_STEP, payload, origin, "/input")


SHOW = Operation(
    method="GET",
    path="/v1/sagas/{execution_id}",
    tag="sagas",
    answers={200: ("The saga.", "Saga")},
    problems=(*READING, "execution_not_found"),
    parameters=(openapi.EXECUTION_ID,),
)
UNDO = Operation(
    method="POST",
    path="/v1/sagas/{execution_id}/compensate",
    tag="sagas",
    answers={202: ("The request is in the write-ahead log.", "Acknowledged")},
    problems=(*PROBLEMS, "no_compensation", "compensation_began"),
    parameters=(openapi.EXECUTION_ID, openapi.IDEMPOTENCY_KEY, openapi.TRACEPARENT),
    body=("application/json", "ReasonBody", {"reason": "the supplier cannot deliver"}),
    body_required=False,
    metered=True,
)
AGAIN = Operation(
    method="POST",
    path="/v1/sagas/{execution_id}/steps/{step}/retry",
    tag="sagas",
    answers={202: ("The request is in the write-ahead log.", "Acknowledged")},
    problems=(
        *PROBLEMS,
        "step_not_found",
        "step_not_failed",
        "step_may_run",
        "compensation_began",
        "execution_stopping",
    ),
    parameters=(
        openapi.EXECUTION_ID,
        openapi.STEP_NAME,
        openapi.IDEMPOTENCY_KEY,
        openapi.TRACEPARENT,
    ),
    body=("application/json", "RetryBody", {"input": {"card": "tok-2"}, "reason": "a new card"}),
    body_required=False,
    metered=True,
)
