"""An auditor's figures in the format of Prometheus, read when they are asked for.

Scraped from another thread: what is read here is numbers, and copies of small collections.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from symphainy_runtime.audit.auditor import Auditor

_PARTITION = ("partition",)


class AuditorMetrics(Collector):
    """Register it with a `CollectorRegistry`."""

    def __init__(self, auditor: Auditor) -> None:
        self._auditor = auditor

    def collect(self) -> Iterator[Metric]:
        """Everything an auditor tells."""
        pending = GaugeMetricFamily(
            "symphainy_auditor_pending_records", "Read, and in no checkpoint.", labels=_PARTITION
        )
        waiting = GaugeMetricFamily(
            "symphainy_auditor_pending_seconds", "Of the oldest of them.", labels=_PARTITION
        )
        halted = GaugeMetricFamily(
            "symphainy_auditor_halted",
            "1 if the partition is not audited until an operator acts.",
            labels=_PARTITION,
        )
        for standing in self._auditor.standings():
            name = (str(standing.partition),)
            halted.add_metric(name, standing.halted)
            if not standing.halted:
                pending.add_metric(name, standing.pending)
                waiting.add_metric(name, standing.pending_s)
        yield from (pending, waiting, halted)
        yield CounterMetricFamily(
            "symphainy_auditor_checkpoints", "Kept by this process.", self._auditor.made
        )
