"""What was: an execution's audit trail, its state as of any moment, and whether it is in order."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from symphainy_gateway import bodies, openapi, parameters
from symphainy_gateway.gateway import Gateway
from symphainy_gateway.openapi import READING, WITH_BODY, Operation
from symphainy_gateway.replays import read_replay, require_reading_back
from symphainy_gateway.replies import json_reply
from symphainy_transport.credentials import READ


class ReplayRoutes:
    """Answers from the journal. Nothing is written, and no handler is called."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        REPLAY.add(router, self.replay_execution)
        VALIDATE.add(router, self.validate_execution)

    async def replay_execution(self, request: Request) -> Response:
        """Show what was: all events (`events_only`), or the state as of any moment (`state_only`).

        For operators, auditors and administrators. The answer is folded from the journal, as owners
        fold it. `full` runs the realm's handlers again, which is done where their code is:
        `symphainy replay execution --mode full`.
        """
        gateway, headers = self._gateway, dict(request.scope["headers"])
        caller = await gateway.caller(request, READ)
        parameters.query(request.scope["query_string"])
        with gateway.pressure.body(caller.tenant_id, headers):
            body = await gateway.body(request, headers)
            bodies.require_json(headers)
            execution_id = request.path_params["execution_id"]
            asked = read_replay(body, execution_id)
            require_reading_back(caller)
            document = await gateway.execution(caller, execution_id)
            found = await gateway.backend.read_model.events(caller.tenant_id, execution_id)
            offsets = tuple(dict.fromkeys(one["offset"] for one in found or ()))
            answer = await gateway.backend.replays.replay(
                document["execution_id"], offsets, asked.mode, asked.at_offset, asked.at
            )
        return json_reply(200, answer)

    async def validate_execution(self, request: Request) -> Response:
        """Say whether what is recorded of an ended execution is in order: a report to keep.

        For operators, auditors and administrators. Order and completeness of its events, contracts,
        the decision of policy by what was in force, the fold beside `state` and the read model, and
        the chain of hashes are looked at. What cannot be told is `unknown`, and never passes.
        """
        gateway = self._gateway
        caller = await gateway.caller(request, READ)
        parameters.query(request.scope["query_string"])
        require_reading_back(caller)
        backend = gateway.backend
        with gateway.pressure.body(caller.tenant_id, dict(request.scope["headers"])):
            document = await gateway.execution(caller, request.path_params["execution_id"])
            events = await backend.read_model.events(caller.tenant_id, document["execution_id"])
            report = await backend.replays.validate(
                document, events or (), backend.configuration, backend.clock.now_ms()
            )
        return json_reply(200, report)


_LOST = ("history_expired", "unavailable")
REPLAY = Operation(
    method="POST",
    path="/v1/executions/{execution_id}/replay",
    tag="executions",
    answers={200: ("What was.", "Replayed")},
    problems=(
        *READING,
        *WITH_BODY,
        *_LOST,
        "execution_not_found",
        "before_execution",
        "range_not_kept",
        "replay_needs_code",
    ),
    parameters=(openapi.EXECUTION_ID,),
    body=("application/json", "ReplayBody", {"mode": "state_only", "at_offset": 12345}),
)
VALIDATE = Operation(
    method="POST",
    path="/v1/executions/{execution_id}/validate",
    tag="executions",
    answers={200: ("The report.", "ValidationReport")},
    problems=(*READING, *_LOST, "overloaded", "execution_not_found", "execution_running"),
    parameters=(openapi.EXECUTION_ID,),
)
