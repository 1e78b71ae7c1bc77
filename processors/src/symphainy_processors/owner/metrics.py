"""An owner's figures in the format of Prometheus, read when they are asked for.

Scraped from another thread: what is read here is numbers, and copies of small collections.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from symphainy_processors.owner.figures import LATENESS_MS
from symphainy_processors.owner.loop import Owner


class OwnerMetrics(Collector):
    """Register it with a `CollectorRegistry`."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    def collect(self) -> Iterator[Metric]:
        """Everything an owner tells."""
        yield from self._partitions()
        yield from self._dispatch()
        figures = self._owner.figures
        bounds = [*(str(ms / 1_000) for ms in LATENESS_MS), "+Inf"]
        late = HistogramMetricFamily(
            "symphainy_owner_timer_lateness_seconds", "From a timer's due time to its decision."
        )
        counts = accumulate(figures.lateness)
        late.add_metric((), list(zip(bounds, counts, strict=True)), figures.late_ms / 1_000)
        yield late
        yield CounterMetricFamily(
            "symphainy_owner_takeovers", "Partitions taken.", figures.takeovers
        )
        yield CounterMetricFamily(
            "symphainy_owner_takeover_seconds", "Spent on taking them.", figures.takeover_s
        )
        yield CounterMetricFamily(
            "symphainy_owner_terms_lost", "Terms that ended in doubt.", figures.terms_lost
        )

    def _partitions(self) -> Iterator[Metric]:
        live = GaugeMetricFamily(
            "symphainy_owner_live_executions", "Not ended.", labels=("partition",)
        )
        flying = GaugeMetricFamily(
            "symphainy_owner_decisions_in_flight", "Not acknowledged.", labels=("partition",)
        )
        decided = CounterMetricFamily(
            "symphainy_owner_decisions", "Under the present term.", labels=("partition",)
        )
        for p, owned in list(self._owner.partitions.items()):
            live.add_metric((str(p),), owned.state.live)
            flying.add_metric((str(p),), owned.ledger.in_flight)
            decided.add_metric((str(p),), owned.ledger.decided)
        yield from (live, flying, decided)

    def _dispatch(self) -> Iterator[Metric]:
        windows: dict[str, int] = {}
        labels = ("partition", "realm")
        outstanding = GaugeMetricFamily(
            "symphainy_owner_outstanding", "Steps that workers may have.", labels=labels
        )
        tenants = GaugeMetricFamily(
            "symphainy_owner_waiting_tenants", "Tenants with ready steps.", labels=labels
        )
        for p, owned in list(self._owner.partitions.items()):
            for realm in owned.dispatching.dispatcher.figures():
                names = (str(p), realm.realm)
                windows[realm.realm] = realm.window
                outstanding.add_metric(names, realm.outstanding)
                tenants.add_metric(names, realm.tenants)
        window = GaugeMetricFamily(
            "symphainy_owner_window",
            "How many steps of a realm may be outstanding, in all partitions of this owner.",
            labels=("realm",),
        )
        for name, size in windows.items():
            window.add_metric((name,), size)
        yield from (window, outstanding, tenants)
