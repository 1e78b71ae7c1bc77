"""What operators and tools ask: health, readiness, metrics, capabilities, the OpenAPI document."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from symphainy_gateway import parameters
from symphainy_gateway.documents import (
    Capabilities,
    Health,
    NotReady,
    Readiness,
    capability_entry,
)
from symphainy_gateway.gateway import Gateway
from symphainy_gateway.openapi import ANYWHERE, OF_TENANT, Operation, compose
from symphainy_gateway.problems import KINDS, TYPE_PREFIX, problem_reply
from symphainy_gateway.replies import JSON, Reply, json_reply
from symphainy_transport.credentials import READ

PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"


class OperationsRoutes:
    """Answers about the gateway itself; all but the capabilities without a credential."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._document = b""

    def add_to(self, router: APIRouter) -> None:
        """Add the routes."""
        CAPABILITIES.add(router, self.list_capabilities)
        HEALTH.add(router, self.health)
        READINESS.add(router, self.readiness)
        METRICS.add(router, self.metrics)
        DOCUMENT.add(router, self.openapi_document)

    async def list_capabilities(self, request: Request) -> Response:
        """List the capabilities in force: which intent types are taken, under which contract."""
        await self._gateway.caller(request, READ)
        parameters.query(request.scope["query_string"])
        known = self._gateway.backend.configuration.capabilities
        entries = [capability_entry(known[name]) for name in sorted(known)]
        return json_reply(200, Capabilities(entries))

    async def health(self, request: Request) -> Response:
        """Whether the process answers."""
        parameters.query(request.scope["query_string"])
        return json_reply(200, Health("ok"))

    async def readiness(self, request: Request) -> Response:
        """Whether Kafka, Redis and the configuration are reached."""
        parameters.query(request.scope["query_string"])
        checks = dict(await self._gateway.backend.checks())
        if self._gateway.stopping.is_set():
            checks["process"] = "It is stopping."
        failed = [name for name, reason in checks.items() if reason]
        if not failed:
            return json_reply(200, Readiness("ready", checks))
        kind = KINDS["not_ready"]
        return problem_reply(
            NotReady(
                type=TYPE_PREFIX + "not_ready",
                title=kind.title,
                status=kind.status,
                detail=f"Not reached: {', '.join(failed)}.",
                code="not_ready",
                instance=request.scope["path"],
                checks=checks,
            )
        )

    async def metrics(self, request: Request) -> Response:
        """The process' metrics in Prometheus' text format."""
        parameters.query(request.scope["query_string"])
        return Reply(200, self._gateway.metrics.exposition(), PROMETHEUS)

    async def openapi_document(self, request: Request) -> Response:
        """This document."""
        parameters.query(request.scope["query_string"])
        if not self._document:
            self._document = msgspec.json.encode(compose(request.app))
        return Reply(200, self._document, JSON)


CAPABILITIES = Operation(
    method="GET",
    path="/v1/capabilities",
    tag="capabilities",
    answers={200: ("The capabilities in force.", "Capabilities")},
    problems=OF_TENANT,
)
HEALTH = Operation(
    method="GET",
    path="/healthz",
    tag="operations",
    answers={200: ("It answers.", "Health")},
    problems=ANYWHERE,
    open=True,
)
READINESS = Operation(
    method="GET",
    path="/readyz",
    tag="operations",
    answers={200: ("Everything was reached.", "Readiness")},
    problems=(*ANYWHERE, "not_ready"),
    problem_schema="NotReady",
    open=True,
)
METRICS = Operation(
    method="GET",
    path="/metrics",
    tag="operations",
    answers={200: ("Prometheus' text format.", "Text")},
    media_type="text/plain",
    problems=ANYWHERE,
    open=True,
)
DOCUMENT = Operation(
    method="GET",
    path="/openapi.json",
    tag="operations",
    answers={200: ("An OpenAPI 3.1 document.", "Document")},
    problems=ANYWHERE,
    open=True,
)
