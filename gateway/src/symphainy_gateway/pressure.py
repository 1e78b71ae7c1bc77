"""What the gateway refuses for load, always before anything was appended.

Five rooms bound what the process holds, and the backlog bounds what it lets stand in front of the
owners. A refusal says when to come back; whoever comes back with the same intent id is decided
once, as ever (guarantee G2).
"""

from __future__ import annotations

from symphainy_gateway.backlog import Backlog
from symphainy_gateway.bodies import Headers
from symphainy_gateway.metrics import Metrics
from symphainy_gateway.problems import RETRY_AFTER_S, Refused
from symphainy_gateway.rooms import Place, Room
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.records import Intent
from symphainy_transport.clock import Clock

BACKTEST_RETRY_S = 15  # most take seconds; the largest that is taken, a minute or so of a core


class Pressure:
    """The process' rooms, and the backlogs of its partitions."""

    def __init__(self, settings: RuntimeSettings, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._body_limit = settings.max_body_bytes
        self.backlog = Backlog(settings.max_backlog)
        self.appends = Room(settings.max_unacknowledged, settings.max_unacknowledged_bytes)
        self.bodies = Room(settings.max_requests, settings.max_request_bytes)
        self.waits = Room(settings.max_waits)
        self.streams = Room(settings.max_streams)
        self.backtests = Room(1)  # each takes a core, and reads the log as fast as it can
        self._tell(metrics)

    def _tell(self, metrics: Metrics) -> None:
        appends, bodies = self.appends, self.bodies
        metrics.backlogs(self.backlog.waiting)
        for name, meaning, value in (
            ("unacknowledged", "Intents that await Kafka now.", lambda: appends.count),
            ("unacknowledged_bytes", "Their bytes.", lambda: appends.bytes),
            ("requests_held", "Requests with a body being answered.", lambda: bodies.count),
            ("requests_held_bytes", "Their bodies' bytes.", lambda: bodies.bytes),
            ("waits_open", "Requests that wait for an end now.", lambda: self.waits.count),
            ("streams_open", "Event streams open now.", lambda: self.streams.count),
            ("backtests_running", "Backtests that run now.", lambda: self.backtests.count),
        ):
            metrics.gauge(name, meaning, value)

    def require_drained(self, partition: int, intent: Intent) -> None:
        """Raises `Refused` (`backlogged`) while too many intents wait for the partition's owner."""
        after_s = self.backlog.retry_after_s(partition, self._clock.monotonic())
        if after_s:
            raise self._refused(
                f"Partition {partition} has more undecided intents than it may.",
                "backlogged",
                f"Nothing was taken. Repeat it in {after_s} s, best with intent id "
                f"{intent.intent_id}.",
                after_s,
                intent.intent_id,
            )

    def appending(self, partition: int, intent: Intent) -> Place:
        """A place among what awaits Kafka's acknowledgement (else `kafka_busy`)."""
        size = len(intent.payload) + len(intent.metadata) + len(intent.solution_context)
        return Place(self.appends, lambda: self._kafka_busy(intent), partition, size)

    def body(self, tenant_id: str, headers: Headers) -> Place:
        """A place for a request's body, from before it is read until the request was answered
        (else `overloaded`). One that does not state its length counts as the longest."""
        stated = headers.get(b"content-length", b"")
        size = int(stated) if stated.isdigit() and len(stated) < 16 else self._body_limit
        return Place(self.bodies, self._overloaded, tenant_id, min(size, self._body_limit))

    def waiting(self, tenant_id: str) -> Place:
        """A place among those who wait for an execution's end (else `too_many_waits`)."""
        return Place(self.waits, self._too_many_waits, tenant_id)

    def streaming(self, tenant_id: str) -> Place:
        """A place among the open event streams (else `too_many_streams`)."""
        return Place(self.streams, self._too_many_streams, tenant_id)

    def backtesting(self, tenant_id: str) -> Place:
        """The place of the backtest that runs (else `too_many_backtests`)."""
        return Place(self.backtests, self._too_many_backtests, tenant_id)

    def _kafka_busy(self, intent: Intent) -> Refused:
        return self._refused(
            "As many intents as the gateway holds await Kafka's acknowledgement.",
            "kafka_busy",
            f"Nothing was taken. Repeat it in {RETRY_AFTER_S} s, best with intent id "
            f"{intent.intent_id}.",
            intent_id=intent.intent_id,
        )

    def _overloaded(self) -> Refused:
        return self._refused(
            "The gateway holds as many requests as it can, or as many of yours as it may.",
            "overloaded",
            "Nothing was taken. Repeat it later, with fewer or smaller requests at once.",
        )

    def _too_many_waits(self) -> Refused:
        return self._refused(
            "As many requests as may wait are waiting.",
            "too_many_waits",
            "Nothing was taken. Submit it without `wait`, and follow its execution.",
        )

    def _too_many_streams(self) -> Refused:
        return self._refused(
            "As many event streams as may be open are open.",
            "too_many_streams",
            "Open it later, or ask GET /v1/executions/{execution_id}/status.",
        )

    def _too_many_backtests(self) -> Refused:
        return self._refused(
            "A backtest runs on this gateway, and one runs at a time.",
            "too_many_backtests",
            "Repeat it later, or run it where Kafka can be read: symphainy policy backtest.",
            BACKTEST_RETRY_S,
        )

    def _refused(
        self,
        message: str,
        code: str,
        cure: str,
        after_s: int = RETRY_AFTER_S,
        intent_id: str = "",
    ) -> Refused:
        self._metrics.refused(code)
        return Refused(message, code=code, cure=cure, retry_after_s=after_s, intent_id=intent_id)
