"""POST /v1/intents and /v1/intents:batch: how intents come in."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from symphainy_gateway import bodies, openapi, parameters
from symphainy_gateway.callers import Caller
from symphainy_gateway.documents import BatchLine
from symphainy_gateway.explaining import explained
from symphainy_gateway.gateway import Gateway
from symphainy_gateway.intents import Origin, read_intent
from symphainy_gateway.leaving import unless_gone
from symphainy_gateway.openapi import BODY, OF_TENANT, SUBMITTING, Operation
from symphainy_gateway.problems import Refused, problem_of
from symphainy_gateway.replies import NDJSON, Reply
from symphainy_gateway.submitting import Acknowledged, Answer
from symphainy_schemas import ids
from symphainy_schemas.errors import SymphainyError

BATCH_LINES_MAX = 1_000
_WAIT = frozenset({"wait"})
_encoder = msgspec.json.Encoder()


class IntentRoutes:
    """Submits intents, one by one and in batches."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def add_to(self, router: APIRouter) -> None:
        """Add the routes; the busiest comes first."""
        SUBMIT.add(router, self.submit)
        BATCH.add(router, self.batch)

    async def submit(self, request: Request) -> Response:
        """Submit an intent.

        Answers 202 once the intent is in the write-ahead log, or 200 with the result when `wait`
        was met. A repeat with the same intent id gets the first answer. After 429 nothing was
        taken; after 503 that is unknown, unless the problem says so: repeat the intent after
        `Retry-After`, with the `intent_id` that the problem names.
        """
        scope = request.scope
        headers = dict(scope["headers"])
        caller = await self._gateway.caller(request)
        found = parameters.query(scope["query_string"], _WAIT)
        wait_s = parameters.wait_seconds(found.get("wait"))
        bodies.require_json(headers)
        origin = self._gateway.origin(request, caller)
        with self._gateway.pressure.body(caller.tenant_id, headers):
            body = await self._gateway.body(request, headers)
            answering = self._gateway.submitter.submit(read_intent(body, origin), wait_s)
            if wait_s is None:
                answer = await answering
            else:
                answer = await unless_gone(request.receive, answering)
        status, document = _told(answer, caller)
        location = b"/v1/executions/" + answer.execution_id.encode()
        told = ((b"location", location), *self._gateway.metering.told(caller.tenant_id))
        return Reply(status, _encoder.encode(document), headers=told)

    async def batch(self, request: Request) -> Response:
        """Submit up to 1,000 intents, one JSON object a line.

        Each line of the answer says, in the order of the lines, what POST /v1/intents would have
        answered to it. Lines are independent of each other: one that is refused stops no other.
        A line that is refused with 429 or 503 has `retry_after_s` in its problem.
        """
        headers = dict(request.scope["headers"])
        caller = await self._gateway.caller(request)
        parameters.query(request.scope["query_string"])
        bodies.require_ndjson(headers)
        origin = self._gateway.origin(request, caller, keyed=False)
        with self._gateway.pressure.body(caller.tenant_id, headers):
            body = await self._gateway.body(request, headers)
            lines = await asyncio.gather(
                *(
                    self._line(
                        number, line, msgspec.structs.replace(origin, fresh_id=ids.new_intent_id())
                    )
                    for number, line in _lines(body)
                )
            )
        told = self._gateway.metering.told(caller.tenant_id)
        return Reply(200, _encoder.encode_lines(lines), NDJSON, told)

    async def _line(self, number: int, line: bytes, origin: Origin) -> BatchLine:
        try:
            answer = await self._gateway.submitter.submit(read_intent(line, origin), None)
            status, document = _told(answer, origin.caller)
        except SymphainyError as error:
            problem = problem_of(error)
            return BatchLine(number, problem.status, problem)
        return BatchLine(number, status, document)


def _told(answer: Answer, caller: Caller) -> tuple[int, Any]:
    """The HTTP status and the document of an answer, as the caller may see it."""
    if isinstance(answer, Acknowledged):
        return 202, answer
    return 200, explained(caller, answer.document)


def _lines(body: bytes) -> list[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers from 1."""
    lines = [(number, line) for number, line in enumerate(body.split(b"\n"), 1) if line.strip()]
    if not lines:
        raise Refused(
            "The batch has no line.", code="empty_batch", cure="Send one JSON object a line."
        )
    if len(lines) > BATCH_LINES_MAX:
        raise Refused(
            f"The batch has {len(lines)} lines; the limit is {BATCH_LINES_MAX}.",
            code="batch_too_large",
            cure="Send several batches.",
        )
    return lines


SUBMIT = Operation(
    method="POST",
    path="/v1/intents",
    tag="intents",
    answers={
        200: ("The execution has ended.", "Execution"),
        202: ("The intent is in the write-ahead log.", "Acknowledged"),
    },
    problems=(
        *SUBMITTING,
        "control_intent_not_allowed",
        "capability_not_found",
        "idempotency_conflict",
        "contract_violation",
    ),
    parameters=(openapi.WAIT, openapi.IDEMPOTENCY_KEY, openapi.TRACEPARENT),
    body=("application/json", "IntentBody", openapi.INTENT_EXAMPLE),
    located=(200, 202),
    metered=True,
)
BATCH = Operation(
    method="POST",
    path="/v1/intents:batch",
    tag="intents",
    answers={200: ("One line an intent.", "BatchLine")},
    media_type="application/x-ndjson",
    problems=(
        *OF_TENANT,
        *BODY,
        "empty_batch",
        "batch_too_large",
    ),
    parameters=(openapi.TRACEPARENT,),
    body=("application/x-ndjson", "IntentBody", openapi.INTENT_EXAMPLE),
    metered=True,
)
