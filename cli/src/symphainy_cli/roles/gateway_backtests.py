"""What a gateway tries on the journal: it knows no admission, so the backtest is handed to it here.

Each runs in a process of its own, which a thread of the gateway waits for: what decides takes a
core, and the gateway's loop answers others meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

from symphainy_gateway.backend import Trial
from symphainy_processors.backtesting.partition import Job
from symphainy_processors.backtesting.partition import Progress as Read
from symphainy_processors.backtesting.preparing import candidate_of, jobs_of
from symphainy_processors.backtesting.processes import Unwanted, run_all
from symphainy_processors.backtesting.range import Span, Wanted, spans
from symphainy_processors.backtesting.telling import Shown, document
from symphainy_runtime.configuration import Configuration
from symphainy_runtime.settings import RuntimeSettings
from symphainy_schemas.errors import CallerError
from symphainy_transport.clock import SystemClock

MOST_RECORDS = 1_000_000
"""Of the journal: about a minute of a core, by what `bench/results/backtest.json` measured."""
THREADS = 2
"""One waits for the backtest that runs; one looks what the next is to read."""
Progress = Callable[[int, int], None]


class Backtests:
    """The gateway's `Backtesting`."""

    def __init__(self, settings: RuntimeSettings) -> None:
        """Connect with the first trial."""
        self._settings = settings
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="gateway-backtest")

    async def prepare(self, trial: Trial, configuration: Configuration) -> Running:
        """As `symphainy_gateway.backend.Backtesting` says."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._prepare, trial, configuration)

    def close(self) -> None:
        """Let what is under way end."""
        self._threads.shutdown()

    def _prepare(self, trial: Trial, configuration: Configuration) -> Running:
        one, count = trial.partition, trial.partitions
        settings = self._settings.model_copy(update={"partitions": count})
        wanted = Wanted(
            since=trial.since,
            until=trial.until,
            partitions=tuple(range(count)) if one is None else (one,),
            from_offset=trial.from_offset,
            to_offset=trial.to_offset,
        )
        candidate, notes = candidate_of(settings, configuration, trial.scope, trial.given)
        found = spans(settings, wanted)
        require_small(found)
        jobs = jobs_of(
            settings, configuration, candidate, found, examples=trial.examples, lines=False
        )
        return Running(self._threads, trial.scope, found, jobs, notes)


class Running:
    """The gateway's `Backtest`."""

    def __init__(
        self,
        threads: ThreadPoolExecutor,
        scope: str,
        found: Sequence[Span],
        jobs: Sequence[Job],
        notes: Sequence[str],
    ) -> None:
        self._threads = threads
        self._scope, self._spans, self._jobs, self._notes = scope, tuple(found), jobs, notes

    @property
    def records(self) -> int:
        """As `symphainy_gateway.backend.Backtest` says."""
        return sum(span.end - span.start for span in self._spans)

    async def run(self, progress: Progress) -> dict[str, Any]:
        """As `symphainy_gateway.backend.Backtest` says."""
        loop, left = asyncio.get_running_loop(), Event()

        def told(read: Read) -> None:
            loop.call_soon_threadsafe(progress, read.records, read.intents)

        work = loop.run_in_executor(self._threads, self._run, told, left)
        try:
            return await asyncio.shield(work)
        finally:
            left.set()
            await asyncio.gather(work, return_exceptions=True)

    def _run(self, progress: Callable[[Read], None], left: Event) -> dict[str, Any]:
        clock = SystemClock()
        began = clock.now_ms()
        try:
            whole = run_all(self._jobs, 1, progress, _no_lines, left.is_set)
        except Unwanted:
            return {}
        whole.notes = [*self._notes, *whole.notes]
        seconds = max(1, clock.now_ms() - began) / 1_000
        return document(Shown(self._scope, self._spans, whole, seconds, ""))


def require_small(found: Sequence[Span]) -> None:
    """Raises `CallerError` (`range_too_large`) if it is not. Of a range of offsets the offsets
    count: reading ends where all are decided."""
    asked = sum(
        span.last - span.first if span.last >= 0 else span.end - span.start for span in found
    )
    if asked > MOST_RECORDS:
        by_offsets = any(span.last >= 0 for span in found)
        raise CallerError(
            f"The range has {asked} records; at most {MOST_RECORDS} are looked at over HTTP.",
            code="range_too_large",
            field="from_offset" if by_offsets else "since",
            cure="State a shorter one, or run it where Kafka can be read: symphainy policy "
            "backtest.",
        )


def _no_lines(_: list[bytes]) -> None:
    """Changed decisions are told by their groups only."""
