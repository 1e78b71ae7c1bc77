"""Trying policies on what was decided, before anybody puts them in force."""

from __future__ import annotations

from contextlib import ExitStack

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from symphainy_gateway import bodies, parameters
from symphainy_gateway.backend import Backtest, Trial
from symphainy_gateway.backtests import (
    lines,
    pointed,
    read_backtest,
    require_author,
    trial_of,
    unheard,
)
from symphainy_gateway.gateway import Gateway
from symphainy_gateway.leaving import unless_gone, unless_stopping
from symphainy_gateway.openapi import OF_TENANT, WITH_BODY, Operation
from symphainy_gateway.replies import NDJSON, json_reply
from symphainy_gateway.streaming import EventStream
from symphainy_schemas.errors import CallerError
from symphainy_transport.credentials import READ


class BacktestRoutes:
    """Runs backtests, one at a time."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def add_to(self, router: APIRouter) -> None:
        """Add the route."""
        TRY.add(router, self.backtest_policies)

    async def backtest_policies(self, request: Request) -> Response:
        """Say which recorded decisions would be others under a candidate; nothing is changed.

        For who may put policies in force: a tenant's, on its own intents; with `platform`, the
        platform's on those of all tenants. Beside the candidate stands what is in force now. With
        `Accept: application/x-ndjson` the answer is a stream: a line of `progress` each second,
        then one with the `report`, or with the `problem` that ended it. It ends when the client
        leaves. One runs at a time on a gateway, and reads no more than 1,000,000 records.
        """
        gateway, headers = self._gateway, dict(request.scope["headers"])
        caller = await gateway.caller(request, READ)
        parameters.query(request.scope["query_string"])
        backend = gateway.backend
        with gateway.pressure.body(caller.tenant_id, headers):
            body = await gateway.body(request, headers)
            bodies.require_json(headers)
            asked = read_backtest(body)
            require_author(caller, asked)
            partitions = backend.publisher.partitions
            trial = trial_of(asked, caller.tenant_id, backend.clock.now_ms(), partitions)
        with ExitStack() as held:
            held.enter_context(gateway.pressure.backtesting(caller.tenant_id))
            backtest = await unless_gone(request.receive, self._prepared(trial))
            if NDJSON in headers.get(b"accept", b""):
                return EventStream(lines(backtest), gateway.stopping, held.pop_all(), NDJSON)
            running = unless_stopping(gateway.stopping, backtest.run(unheard))
            found = await unless_gone(request.receive, running)
        return json_reply(200, found)

    async def _prepared(self, trial: Trial) -> Backtest:
        backend = self._gateway.backend
        try:
            return await backend.backtests.prepare(trial, backend.configuration)
        except CallerError as error:
            raise pointed(error, trial) from error


TRY = Operation(
    method="POST",
    path="/v1/policies/backtest",
    tag="policies",
    answers={200: ("What would be decided otherwise.", "BacktestReport")},
    streams="BacktestLine",
    problems=(
        *OF_TENANT,
        *WITH_BODY,
        "policy_malformed",
        "policy_not_found",
        "tenant_not_found",
        "empty_range",
        "range_not_kept",
        "range_too_large",
        "too_many_backtests",
        "unavailable",
    ),
    body=(
        "application/json",
        "BacktestBody",
        {"candidate": {"security_guard": "permit(principal, action, resource);"}},
    ),
)
