"""A worker as a process of its own: realms by name, signals, and an end by drain."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence

from symphainy.worker.loading import load
from symphainy.worker.worker import Worker
from symphainy_transport.settings import TransportSettings

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def run_worker(
    targets: str | Sequence[str],
    settings: TransportSettings,
    *,
    concurrency: int = 256,
    worker_id: str = "",
    name: str = "",
    draining: bool = False,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Run the realms at `targets` ("module:realm") until SIGTERM or SIGINT, then drain.

    With `draining` they go on with what their code has registered before, and put nothing in force.

    `worker_id` and `name` are those of `Worker`. Call it in the main thread. A second signal does
    what it does by default: it ends the process.

    Raises:
        CallerError: a target names no realm.
        OperatorError, Unavailable: as of `Worker.run`.
    """
    realms = [load(one) for one in ([targets] if isinstance(targets, str) else targets)]
    worker = Worker(
        realms,
        settings,
        concurrency=concurrency,
        worker_id=worker_id,
        name=name,
        draining=draining,
    )
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        worker.stop()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    await worker.run(on_ready)
