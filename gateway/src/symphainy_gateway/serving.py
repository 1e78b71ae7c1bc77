"""Running the application on granian and uvloop: one process is one worker.

To use more cores, start more processes with the same port: on Linux the kernel spreads
connections over them. The first SIGTERM or SIGINT stops taking connections, lets waits and streams
go with what they know, finishes requests under way, and returns.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket

import uvloop
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from symphainy_gateway.app import create_app
from symphainy_gateway.backend import Backtesting, Replaying
from symphainy_gateway.gateway import Gateway
from symphainy_runtime.settings import RuntimeSettings

log = logging.getLogger(__name__)
# 256 clients connecting at once overrun granian's 128: SYNs are dropped, and sent again after 1, 3,
# 7, 15 and 31 s. The kernel caps this at net.core.somaxconn.
BACKLOG = 4_096
# Beyond so many connections, idle ones too, granian takes none, not even a probe's: far above what
# waits and streams hold open for minutes. The limit that is met first is the process' open files.
CONNECTIONS_MAX = 65_536
# The largest head of a request, else 431 (as for more than 100 headers, hyper's own bound), and
# how much of a body is read at once.
HEAD_BYTES_MAX = 131_072


def serve(settings: RuntimeSettings, replays: Replaying, backtests: Backtesting) -> None:
    """Serve until a signal says to stop. Call it in the main thread.

    Raises:
        OperatorError: the settings name no Kafka or no Redis.
    """
    # While Kafka is away it says so eighty times a second; /readyz, the 503s and their metric do.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    uvloop.run(_serve(settings, replays, backtests))


async def _serve(settings: RuntimeSettings, replays: Replaying, backtests: Backtesting) -> None:
    app = create_app(settings, replays, backtests)
    gateway: Gateway = app.state.gateway
    host, port = settings.gateway_host, settings.gateway_port or _free_port(settings.gateway_host)
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        log_enabled=False,
        log_access=False,
        websockets=False,
        backlog=BACKLOG,
        backpressure=CONNECTIONS_MAX,
        http1_settings=HTTP1Settings(
            header_read_timeout=round(settings.header_timeout_s * 1_000),
            max_buffer_size=HEAD_BYTES_MAX,
        ),
    )

    def stop() -> None:
        gateway.stop()
        server.stop()  # type: ignore[no-untyped-call]  # granian annotates only a part

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    log.info("gateway on http://%s:%d", host, port)
    await server.serve()


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
