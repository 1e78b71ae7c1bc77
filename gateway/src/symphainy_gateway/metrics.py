"""The gateway's Prometheus metrics. Children are looked up once; a request costs two updates.

One registry a process: with several processes on one port, scrape each by its own address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Waiting = Callable[[], Iterable[tuple[int, int]]]  # (partition, intents that wait for its owner)

# A decision takes some milliseconds; a wait at most five minutes.
_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class _Backlogs(Collector):
    """The backlog of each partition, asked when the metrics are."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One gauge with a child a partition."""
        family = GaugeMetricFamily(
            "symphainy_gateway_backlog",
            "Intents that await their decision, at least, by partition of the log.",
            labels=("partition",),
        )
        for partition, waiting in self._waiting():
            family.add_metric((str(partition),), waiting)
        yield family


class Metrics:
    """What one process counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._requests = Counter(
            "symphainy_gateway_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "symphainy_gateway_request_seconds",
            "Seconds from a request's head to the end of its response.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        waits = Counter(
            "symphainy_gateway_waits",
            "Waits until an execution has ended or is stuck, by whether that came in time.",
            ("outcome",),
            registry=self._registry,
        )
        self.waits_met = waits.labels("met")
        self.waits_not_met = waits.labels("not_met")
        self.publish_failures = Counter(
            "symphainy_gateway_publish_failures",
            "Intents that Kafka did not acknowledge.",
            registry=self._registry,
        )
        self.stand_ins = Counter(
            "symphainy_gateway_quota_stand_ins",
            "Charges that this gateway decided by itself, because Redis was away.",
            registry=self._registry,
        )
        self.quota_failures = Counter(
            "symphainy_gateway_quota_failures",
            "Attempts to charge in Redis that failed or took too long.",
            registry=self._registry,
        )
        self._refusals = Counter(
            "symphainy_gateway_refusals",
            "Requests, and lines of batches, refused for load or over a limit, by the problem's "
            "code.",
            ("code",),
            registry=self._registry,
        )
        self._unauthenticated = Counter(
            "symphainy_gateway_unauthenticated",
            "Requests whose credential does not count, by the reason, which callers are not told.",
            ("reason",),
            registry=self._registry,
        )
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        key = (method, route, status)
        try:
            counter, histogram = self._children[key]
        except KeyError:
            counter = self._requests.labels(method, route, str(status))
            histogram = self._seconds.labels(route)
            self._children[key] = counter, histogram
        counter.inc()
        histogram.observe(seconds)

    def refused(self, code: str) -> None:
        """Count a refusal for load, or over a tenant's limit."""
        self._refusals.labels(code).inc()

    def unauthenticated(self, reason: str) -> None:
        """Count a request whose credential does not count."""
        self._unauthenticated.labels(reason).inc()

    def gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Tell `value` from here on."""
        gauge = Gauge(f"symphainy_gateway_{name}", meaning, registry=self._registry)
        gauge.set_function(value)

    def backlogs(self, waiting: Waiting) -> None:
        """Tell the backlogs from here on."""
        self._registry.register(_Backlogs(waiting))

    def exposition(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self._registry)
