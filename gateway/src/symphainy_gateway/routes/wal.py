"""/v1/wal: the log's rows, whoever has them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from symphainy_gateway import openapi, parameters
from symphainy_gateway.gateway import Gateway
from symphainy_gateway.openapi import READING, Operation
from symphainy_gateway.replies import json_reply
from symphainy_gateway.wal import as_parameter, explained_rows
from symphainy_schemas.errors import CallerError
from symphainy_transport.credentials import READ


class WalRoutes:
    """Answers from the log."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        QUERY.add(router, self.query_wal)

    async def query_wal(self, request: Request) -> Response:
        """Ask the log for the tenant's events, in the order of their places.

        Recent executions and sessions are answered from the read model, all else from Kafka, and
        what Kafka no longer keeps from the archive. A page may have fewer rows than its limit, or
        none, and yet a cursor: so much was read without finding more.
        """
        caller = await self._gateway.caller(request, READ)
        found = parameters.query(request.scope["query_string"], parameters.WAL_PARAMETERS)
        asked = parameters.wal_query(found, caller.tenant_id)
        try:
            answer = await self._gateway.backend.wal.query(asked.checked())
        except CallerError as error:
            raise as_parameter(error) from error
        rows = explained_rows(caller, answer.rows)
        told = {"items": rows, "cursor": answer.cursor, "notes": answer.notes}
        return json_reply(200, told)


QUERY = Operation(
    method="GET",
    path="/v1/wal",
    tag="wal",
    answers={200: ("One page of rows.", "WalPage")},
    problems=(
        *READING,
        "malformed_cursor",
        "tenant_mismatch",
        "offset_out_of_range",
        "history_expired",
        "too_many_queries",
        "archive_unavailable",
        "unavailable",
    ),
    parameters=openapi.WAL,
)
