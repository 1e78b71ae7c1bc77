"""A progress bar for what takes longer than a second; nothing for what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from symphainy_cli.output import err
from symphainy_transport.clock import SystemClock

QUIET_S = 1.0


@contextmanager
def progress_after_a_second(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields what is told how many more of `total` are done; the bar is on standard error."""
    columns = (what, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=err, transient=True)
    task = bar.add_task(what, total=total)
    clock = SystemClock()
    began = clock.monotonic()

    def advance(count: int) -> None:
        bar.advance(task, count)
        if clock.monotonic() - began > QUIET_S and not bar.live.is_started:
            bar.start()

    try:
        yield advance
    finally:
        bar.stop()
