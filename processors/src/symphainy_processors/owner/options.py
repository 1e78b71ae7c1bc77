"""Every time and size that an owner goes by, in one place, so that a test can make them small."""

from __future__ import annotations

from dataclasses import dataclass

from symphainy_runtime.settings import RuntimeSettings
from symphainy_transport.topics import DAY_MS


@dataclass(frozen=True)
class OwnerOptions:
    """Times are ms unless the name says seconds."""

    partitions: int = 8
    dedupe_window_ms: int = 7 * DAY_MS
    # Longer than any queue in front of a healthy realm, which the window keeps to a second or so. A
    # task read after it is handed back and delivered anew; a lower value costs repeats, a higher
    # one delays the end of an execution whose worker died.
    start_by_ms: int = 60_000
    # Between the clocks of owners, workers and brokers; NTP keeps them within tens of ms.
    skew_ms: int = 5_000
    # A restart decides at most this many inputs again that yielded nothing: cheap to repeat, and
    # far below what a record per input would cost.
    position_every_inputs: int = 1_000
    position_every_ms: int = 1_000
    # Of a partition. Bounds one tick of 8 partitions to about 50 ms; if more is due, inputs are
    # served once in between.
    due_per_tick: int = 100
    # A restart folds at most this much of the journal again beside what the last flush missed.
    flush_every_ms: int = 250
    flush_at: int = 5_000
    # `state` in Kafka is what a new disk starts from: seconds of journal behind are cheap.
    state_every_ms: int = 5_000
    state_retry_ms: int = 5_000
    housekeeping_ms: int = 20
    max_in_flight: int = 20_000  # decisions ahead of their acknowledgements; then input waits
    max_live: int = 1_000_000  # executions of a partition under way; then its intents wait
    fold_slice: int = 500  # records folded in one turn while others are served
    retry_takeover_s: tuple[float, float] = (0.2, 1.0)  # random back-off (rule 4)
    operator_retry_s: float = 60.0  # a partition that an operator must cure is tried again
    revoke_deadline_s: float = 2.0  # well within a rebalance
    term_timeout_s: float = 10.0  # the producer answers before, one way or the other
    renew_term_ms: int = 3_600_000  # readers find a term's beginning within an hour (rule 18)
    # A marker that has not come back by then was lost; another one does no harm.
    marker_again_ms: int = 5_000

    @classmethod
    def of(cls, settings: RuntimeSettings) -> OwnerOptions:
        """What the settings say; the rest has reasons of its own, above."""
        return cls(
            partitions=settings.partitions,
            dedupe_window_ms=int(settings.dedupe_window_days * DAY_MS),
            max_live=settings.max_live_executions,
        )
