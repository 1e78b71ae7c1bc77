"""Handlers run again, in isolation, and what each came to."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from symphainy.artifacts import Store
from symphainy.handlers import Handler
from symphainy.realm import Realm
from symphainy.replaying.comparing import Compared, Difference, Verdict, compare
from symphainy.replaying.isolation import Isolation
from symphainy.replaying.retelling import INLINE_LIMIT_BYTES, Stalled, retell
from symphainy_schemas.recording import Recorded


class Rerunner:
    """Runs recorded steps through the handlers of some realms, one at a time."""

    def __init__(
        self,
        realms: Iterable[Realm],
        store: Store,
        isolation: Isolation | None,
        *,
        patience_s: float = 10.0,
        inline_limit_bytes: int = INLINE_LIMIT_BYTES,
    ) -> None:
        """`isolation`: None where the process is somebody else's, as in a test."""
        self._handlers: dict[str, Handler[Any, Any]] = {
            handler.intent_type: handler for realm in realms for handler in realm
        }
        self._store = store
        self._isolation = isolation
        self._patience_s = patience_s
        self._limit = inline_limit_bytes

    async def run(self, recorded: Recorded) -> Compared:
        """Run one step again."""
        handler = self._handlers.get(recorded.task.intent_type)
        if handler is None:
            why = f"No realm that was named answers {recorded.task.intent_type}."
            return _told(recorded, Verdict.UNDETERMINED, why)
        guard = nullcontext() if self._isolation is None else self._isolation.guarding()
        began = time.perf_counter()
        try:
            with guard:
                told = await retell(
                    handler,
                    recorded,
                    self._store,
                    self._patience_s,
                    past_mark=True,
                    inline_limit_bytes=self._limit,
                )
        except Stalled as stalled:
            return _told(recorded, Verdict.FAILED, str(stalled))
        took_ms = (time.perf_counter() - began) * 1_000
        reached = [] if self._isolation is None else self._isolation.reached
        if reached:
            first = Difference("/effects", [], reached[:5])
            return _told(recorded, Verdict.DIFFERENT, f"It reaches outside: {reached[0]}.", first)
        return compare(recorded, told, took_ms)


def _told(recorded: Recorded, verdict: Verdict, why: str, *differences: Difference) -> Compared:
    return Compared(
        step=recorded.task.step,
        verdict=verdict,
        why=why,
        differences=differences,
        recorded_ms=recorded.took_ms,
    )
