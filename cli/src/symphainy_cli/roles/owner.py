"""The owner: decides and journals. It starts within a takeover, so it brings only what it needs."""

from __future__ import annotations

import gc
import signal

from symphainy_cli.process import say_ready
from symphainy_processors.owner.kafka import KafkaShell
from symphainy_processors.owner.loop import Owner
from symphainy_processors.owner.options import OwnerOptions
from symphainy_runtime.cluster import Cluster
from symphainy_runtime.settings import RuntimeSettings
from symphainy_transport.clock import SystemClock

GARBAGE = 50_000  # allocations between two looks for cycles; by default 700: 7 % of a busy owner


def play(settings: RuntimeSettings, name: str) -> None:
    """Own partitions until a signal says to stop.

    Raises:
        SymphainyError: no Kafka is set or reached, or an operator must act.
    """
    Cluster(settings).require()
    gc.set_threshold(GARBAGE)
    with KafkaShell(settings, name, SystemClock()) as shell:
        owner = Owner(name, shell.ports, OwnerOptions.of(settings))
        if settings.owner_metrics_port:
            _serve_metrics(owner, settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: owner.stop())
        owner.run(on_ready=lambda owned: say_ready("owner", f"partitions {sorted(owned)}"))


def _serve_metrics(owner: Owner, settings: RuntimeSettings) -> None:
    # Not before they are asked for: an HTTP server comes with them.
    from symphainy_cli.roles.serving_metrics import serve_metrics
    from symphainy_processors.owner.metrics import OwnerMetrics

    serve_metrics(OwnerMetrics(owner), settings.gateway_host, settings.owner_metrics_port)
