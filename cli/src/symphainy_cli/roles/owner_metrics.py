"""An owner's figures over HTTP, where they are asked for."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)

from symphainy_processors.owner.loop import Owner
from symphainy_processors.owner.metrics import OwnerMetrics
from symphainy_runtime.settings import RuntimeSettings


def serve_metrics(owner: Owner, settings: RuntimeSettings) -> None:
    """Answer Prometheus from a thread of its own."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector):
        collector(registry=registry)
    registry.register(OwnerMetrics(owner))
    start_http_server(settings.owner_metrics_port, settings.gateway_host, registry)
