"""The projector: keeps the read model up with the journal."""

from __future__ import annotations

import signal

from symphainy_cli.process import say_ready
from symphainy_processors.projection.projector import Projector
from symphainy_runtime.settings import RuntimeSettings


def play(settings: RuntimeSettings, name: str) -> None:
    """Project until a signal says to stop.

    Raises:
        SymphainyError: no Kafka or no Redis is set, or an operator must act.
    """
    projector = Projector(settings, name)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: projector.stop())
    projector.run(on_ready=lambda: say_ready("projector"))
