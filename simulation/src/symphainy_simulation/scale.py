"""The owners' times and sizes in a run, the constants that are scaled with them, and what the runs
of a process share because it takes long to make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from symphainy_processors.fold import agenda, leaving, overlay
from symphainy_processors.owner import deciding, governing, loop
from symphainy_processors.owner.options import OwnerOptions
from symphainy_processors.saga import attempts
from symphainy_runtime.policy.engine import Policies
from symphainy_simulation.plan import Scenario


def options(scenario: Scenario) -> OwnerOptions:
    """The owners' times and sizes."""
    return OwnerOptions(
        partitions=scenario.partitions,
        dedupe_window_ms=scenario.dedupe_window_ms,
        start_by_ms=scenario.start_by_ms,
        skew_ms=scenario.skew_ms,
        position_every_inputs=scenario.position_every_inputs,
        position_every_ms=scenario.position_every_ms,
        due_per_tick=scenario.due_per_tick,
        flush_every_ms=scenario.flush_every_ms,
        flush_at=scenario.flush_at,
        state_every_ms=scenario.state_every_ms,
        state_retry_ms=scenario.state_every_ms,
        housekeeping_ms=25,
        max_in_flight=scenario.max_in_flight,
        max_live=scenario.max_live,
        fold_slice=scenario.fold_slice,
        retry_takeover_s=(0.02, 0.2),
        operator_retry_s=1.0,
        revoke_deadline_s=0.3,
        term_timeout_s=0.8,
        renew_term_ms=scenario.renew_term_ms,
        marker_again_ms=scenario.marker_again_ms,
    )


_TIGHT = (
    (agenda, "LOOKAHEAD_MS", 40),
    (agenda, "LOAD", 2),
    (overlay, "CACHED", 10),
    (leaving, "LEAVING_A_FLUSH", 2),
    (deciding, "DISPATCHES_A_TURN", 2),
    (loop, "BEHIND_LETTERS", 2),
)
# Prepared policies are a pure function of their texts, as is what they answer.
_SHARED = ((governing, "Policies", lru_cache(maxsize=500)(Policies)),)
# Times on the scale of a run, whose limits are tenths of seconds instead of minutes.
_SCALED = (
    (attempts, "REDELIVERY_BACKOFF_MS", 40),
    (attempts, "REDELIVERY_BACKOFF_MAX_MS", 600),
)


@contextmanager
def scaled(*, tight: bool) -> Iterator[None]:
    """Times that show in minutes and, if `tight`, sizes that show in millions: made small. Policies
    are prepared once for all owners."""
    changes = (*_SHARED, *_SCALED, *_TIGHT) if tight else (*_SHARED, *_SCALED)
    before = [(module, name, getattr(module, name)) for module, name, _ in changes]
    for module, name, value in changes:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
