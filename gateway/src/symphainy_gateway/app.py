"""The application: routes, the translation of errors, and the edge around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from symphainy_gateway.backend import Backend, Backtesting, Replaying
from symphainy_gateway.connections import Connections
from symphainy_gateway.edge import Edge, Endpoint, failed
from symphainy_gateway.following import follow
from symphainy_gateway.gateway import Gateway
from symphainy_gateway.openapi import DirectRoute
from symphainy_gateway.problems import Refused, error_reply
from symphainy_gateway.routes.backtests import BacktestRoutes
from symphainy_gateway.routes.control import ControlRoutes
from symphainy_gateway.routes.executions import ExecutionRoutes
from symphainy_gateway.routes.intents import SUBMIT, IntentRoutes
from symphainy_gateway.routes.operations import OperationsRoutes
from symphainy_gateway.routes.policies import PolicyRoutes
from symphainy_gateway.routes.replays import ReplayRoutes
from symphainy_gateway.routes.sagas import SagaRoutes
from symphainy_gateway.routes.sessions import SessionRoutes
from symphainy_gateway.routes.wal import WalRoutes
from symphainy_runtime.settings import RuntimeSettings

DESCRIPTION = (
    "Durable, governed, multi-tenant execution. Errors are problem documents (RFC 9457) with a "
    "stable `code`."
)


def create_app(settings: RuntimeSettings, replays: Replaying, backtests: Backtesting) -> FastAPI:
    """The gateway on Kafka and Redis; its lifespan owns every connection but those of what is
    handed in.

    Raises:
        OperatorError: the settings name no Kafka or no Redis.
    """
    connections = Connections(settings, replays, backtests)
    return build_app(Gateway.over(connections), connections)


def build_app(gateway: Gateway, connected: AbstractAsyncContextManager[Backend]) -> FastAPI:
    """The application of a gateway whose backend answers while `connected` is entered."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with connected, gateway.identity:
            following = asyncio.create_task(
                follow(gateway.backend, gateway.pressure.backlog), name="gateway-follow"
            )
            yield
            gateway.stop()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    intents = IntentRoutes(gateway)
    app = Application(gateway, {(SUBMIT.method, SUBMIT.path): intents.submit}, lifespan)
    for routes in (
        intents,
        ExecutionRoutes(gateway),
        SessionRoutes(gateway),
        ControlRoutes(gateway),
        SagaRoutes(gateway),
        ReplayRoutes(gateway),
        PolicyRoutes(gateway),
        BacktestRoutes(gateway),
        WalRoutes(gateway),
        OperationsRoutes(gateway),
    ):
        routes.add_to(app.router)
    app.add_exception_handler(HTTPException, _unrouted)
    app.add_exception_handler(Exception, failed)
    return app


class Application(FastAPI):
    """FastAPI inside of the edge."""

    def __init__(
        self,
        gateway: Gateway,
        direct: Mapping[tuple[str, str], Endpoint],
        lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    ) -> None:
        """`direct` endpoints are answered by the edge."""
        super().__init__(
            title="Symphainy gateway",
            version=version("symphainy-gateway"),
            description=DESCRIPTION,
            lifespan=lifespan,
            openapi_url=None,
            redirect_slashes=False,
        )
        self.state.gateway = gateway
        self.router.route_class = DirectRoute
        clock = gateway.backend.clock
        self._edge = Edge(super().__call__, gateway.metrics, clock, direct)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer through the edge."""
        await self._edge(scope, receive, send)


async def _unrouted(request: Request, _: Exception) -> Response:
    """What the router itself refuses: an unknown path, or a method that the path does not take."""
    allowed = _allowed(request)
    if allowed:
        refusal = Refused(
            f"This path does not take {request.method[:20]}.",
            code="method_not_allowed",
            cure=f"It takes {allowed}.",
            headers=((b"allow", allowed.encode()),),
        )
    else:
        refusal = Refused(
            "There is no such route.", code="route_not_found", cure="See GET /openapi.json."
        )
    return error_reply(refusal, request.scope["path"])


def _allowed(request: Request) -> str:
    """The methods that the path takes, empty if it is not known."""
    methods: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return ", ".join(sorted(methods))
