"""The gateway: the system's HTTP door."""

from __future__ import annotations

from symphainy_cli.roles.gateway_backtests import Backtests
from symphainy_cli.roles.gateway_replays import Replays
from symphainy_gateway.serving import serve
from symphainy_runtime.settings import RuntimeSettings


def play(settings: RuntimeSettings, name: str) -> None:
    """Serve until a signal says to stop. A gateway needs no name: it keeps no state of its own.

    Raises:
        OperatorError: the settings name no Kafka or no Redis.
    """
    replays, backtests = Replays(settings), Backtests(settings)
    try:
        serve(settings, replays, backtests)
    finally:
        replays.close()
        backtests.close()
