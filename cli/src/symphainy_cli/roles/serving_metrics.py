"""A role's figures over HTTP, where they are asked for."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.registry import Collector


def serve_metrics(figures: Collector, host: str, port: int) -> None:
    """Answer Prometheus from a thread of its own, with the process's own figures beside these.

    Raises:
        OSError: the port is taken.
    """
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector):
        collector(registry=registry)
    registry.register(figures)
    start_http_server(port, host, registry)
