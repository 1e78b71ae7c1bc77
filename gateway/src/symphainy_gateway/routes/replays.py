"""What was: an execution's audit trail, its state as of any moment, and whether it is in order.

Each of these is asked of the owner first, as an intent: it stands in the log who has looked.
"""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from symphainy_gateway import bodies, openapi, parameters
from symphainy_gateway.gateway import Gateway
from symphainy_gateway.intents import Submission
from symphainy_gateway.openapi import APPENDING, WITH_BODY, Operation
from symphainy_gateway.replays import (
    FULL,
    needs_code,
    read_replay,
    require_reading_back,
    stated,
    undecided,
)
from symphainy_gateway.replies import Headers, json_reply
from symphainy_gateway.submitting import DECISION_WAIT_S, Acknowledged
from symphainy_runtime.policy.actions import VALIDATE as VALIDATION
from symphainy_transport.credentials import READ


class ReplayRoutes:
    """Answers from the journal, once policy lets it. No handler is called, and nothing of what is
    read changes."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        REPLAY.add(router, self.replay_execution)
        VALIDATE.add(router, self.validate_execution)
        REPLAY_SAGA.add(router, self.replay_saga)

    async def replay_execution(self, request: Request) -> Response:
        """Show what was: all events (`events_only`), or the state as of any moment (`state_only`).

        For operators, auditors and administrators, if policy lets them (`runtime.replay`, with the
        mode as `context.mode`); `Link` names the record of that. The answer is folded from the
        journal, as owners fold it. `full` runs the realm's handlers again, which is done where
        their code is: `symphainy replay execution --mode full`.
        """
        gateway, headers = self._gateway, dict(request.scope["headers"])
        caller = await gateway.caller(request, READ)
        parameters.query(request.scope["query_string"])
        origin = gateway.origin(request, caller, keyed=False)
        with gateway.pressure.body(caller.tenant_id, headers):
            body = await gateway.body(request, headers)
            bodies.require_json(headers)
            asked = read_replay(body)
            require_reading_back(caller)
            document = await gateway.execution(caller, request.path_params["execution_id"])
            execution_id: str = document["execution_id"]
            decided = await self._permitted(stated(document, asked.mode, origin, asked))
            if asked.mode == FULL:
                raise needs_code(execution_id, decided)
            found = await gateway.backend.read_model.events(caller.tenant_id, execution_id)
            offsets = tuple(dict.fromkeys(one["offset"] for one in found or ()))
            answer = await gateway.backend.replays.replay(
                execution_id, offsets, asked.mode, asked.at_offset, asked.at
            )
        return json_reply(200, answer, self._told(caller.tenant_id, decided))

    async def replay_saga(self, request: Request) -> Response:
        """The same of an execution as a saga: what was of each of its steps."""
        return await self.replay_execution(request)

    async def validate_execution(self, request: Request) -> Response:
        """Say whether what is recorded of an ended execution is in order: a report to keep.

        For operators, auditors and administrators, if policy lets them (`runtime.replay`, with
        `validate` as `context.mode`). Order and completeness of its events, contracts, the decision
        of policy by what was in force, the fold beside `state` and the read model, and the chain of
        hashes are looked at. What cannot be told is `unknown`, and never passes.
        """
        gateway = self._gateway
        caller = await gateway.caller(request, READ)
        parameters.query(request.scope["query_string"])
        origin = gateway.origin(request, caller, keyed=False)
        require_reading_back(caller)
        backend = gateway.backend
        with gateway.pressure.body(caller.tenant_id, dict(request.scope["headers"])):
            document = await gateway.execution(caller, request.path_params["execution_id"])
            decided = await self._permitted(stated(document, VALIDATION, origin))
            events = await backend.read_model.events(caller.tenant_id, document["execution_id"])
            report = await backend.replays.validate(
                document, events or (), backend.configuration, backend.clock.now_ms()
            )
        return json_reply(200, report, self._told(caller.tenant_id, decided))

    async def _permitted(self, submission: Submission) -> str:
        """The execution in which it stands that the caller may.

        Raises:
            Refused: the owner says no, or has said nothing in time.
        """
        answer = await self._gateway.submitter.submit(submission, DECISION_WAIT_S)
        if isinstance(answer, Acknowledged):
            raise undecided(answer.execution_id, answer.intent_id, DECISION_WAIT_S)
        return answer.execution_id

    def _told(self, tenant_id: str, decided: str) -> Headers:
        link = b'</v1/executions/%b>; rel="describedby"' % decided.encode()
        return (*self._gateway.metering.told(tenant_id), (b"link", link))


_ASKED = (*APPENDING, "read_model_unavailable", "execution_not_found", "undecided")
_LOST = ("history_expired", "unavailable")
REPLAY = Operation(
    method="POST",
    path="/v1/executions/{execution_id}/replay",
    tag="executions",
    answers={200: ("What was.", "Replayed")},
    problems=(
        *_ASKED,
        *WITH_BODY,
        *_LOST,
        "before_execution",
        "range_not_kept",
        "replay_needs_code",
    ),
    parameters=(openapi.EXECUTION_ID, openapi.TRACEPARENT),
    metered=True,
    linked=True,
    body=("application/json", "ReplayBody", {"mode": "state_only", "at_offset": 12345}),
)
REPLAY_SAGA = replace(REPLAY, path="/v1/sagas/{execution_id}/replay", tag="sagas")
VALIDATE = Operation(
    method="POST",
    path="/v1/executions/{execution_id}/validate",
    tag="executions",
    answers={200: ("The report.", "ValidationReport")},
    problems=(*_ASKED, *_LOST, "overloaded", "execution_running"),
    parameters=(openapi.EXECUTION_ID, openapi.TRACEPARENT),
    metered=True,
    linked=True,
)
