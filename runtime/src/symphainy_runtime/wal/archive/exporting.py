"""Archiving once, partitions side by side in processes of their own: one Python does it at the rate
of one core.

Children are started anew, not forked: a client of Kafka does not survive a fork. They leave Ctrl-C
to us, stop between two files when we say so, and end when we do: with us goes the pipe that they
write to.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Collection, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event

from msgspec import Struct

from symphainy_runtime.settings import RuntimeSettings
from symphainy_runtime.wal.archive.archiver import Archiver, Exported, Progress
from symphainy_runtime.wal.archive.files import Archive
from symphainy_schemas.errors import SymphainyError, Unavailable
from symphainy_transport.clock import SystemClock

WORTH_A_PROCESS = 100_000
"""Records: a process is ready after about a second, in which one core archives a third of that."""
WAIT_S = 0.5
END_S = 30.0  # more than a file takes
NAME = "symphainy-export"


class Outcome(Struct, kw_only=True):
    """What was done, and which partitions only an operator can set going again."""

    exported: Exported
    halted: dict[int, SymphainyError]


class _Job(Struct, frozen=True):
    """What one process is to do."""

    settings: RuntimeSettings
    url: str
    partitions: tuple[int, ...]


def export(
    settings: RuntimeSettings,
    url: str,
    partitions: Collection[int] | None,
    processes: int,
    begun: Callable[[int], Progress],
) -> Outcome:
    """Archive to the ends that the journals have now.

    `partitions` None is all; `processes` 0 is what the cores and the work are worth. `begun` is
    told how many records there are, and gives what is told of more of them.

    Raises:
        CallerError: there is no such partition.
        SymphainyError: Kafka or the store do not go on; what is committed stays.
        Unavailable: `child_ended`; a process ended without a word.
    """
    archiver = Archiver(settings, Archive(url), SystemClock(), NAME)
    try:
        archiver.start(partitions)
        left = archiver.left()
        progress = begun(sum(left.values()))
        most = processes or min(os.cpu_count() or 1, 1 + sum(left.values()) // WORTH_A_PROCESS)
        if min(most, len(left)) <= 1:
            archiver.catch_up(progress)
            return Outcome(exported=archiver.exported, halted=archiver.halted)
    finally:
        archiver.close()
    # What was lost is found again, and told, by whose partition it is.
    outcome = Outcome(exported=Exported(), halted=archiver.halted)
    jobs = [_Job(settings, url, share) for share in _shares(left, most)]
    _run(jobs, outcome, progress)
    return outcome


def _shares(left: dict[int, int], processes: int) -> list[tuple[int, ...]]:
    """Partitions for each process, about as much to do for each."""
    shares: list[list[int]] = [[] for _ in range(min(processes, len(left)))]
    sizes = [0] * len(shares)
    for partition in sorted(left, key=lambda one: -left[one]):
        least = sizes.index(min(sizes))
        shares[least].append(partition)
        sizes[least] += left[partition]
    return [tuple(share) for share in shares]


def _run(jobs: Sequence[_Job], outcome: Outcome, progress: Progress) -> None:
    context = multiprocessing.get_context("spawn")
    stopping = context.Event()
    children: dict[Connection, BaseProcess] = {}
    try:
        # Held back while children start: none is lost to us, and they inherit that it is.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for job in jobs:
                ours, theirs = context.Pipe(duplex=False)
                child = context.Process(target=_work, args=(theirs, job, stopping), daemon=True)
                child.start()
                theirs.close()
                children[ours] = child
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        _follow(children, outcome, progress)
    finally:
        stopping.set()
        _end(children.values())


def _follow(children: dict[Connection, BaseProcess], outcome: Outcome, progress: Progress) -> None:
    while children:
        for ours in wait(list(children), WAIT_S):
            assert isinstance(ours, Connection)
            try:
                told = ours.recv()
            except (EOFError, ConnectionResetError) as error:
                raise Unavailable(
                    "An exporting process ended without a word, as if it was killed.",
                    code="child_ended",
                    cure="Run it again: it goes on behind what is committed.",
                ) from error
            if isinstance(told, int):
                progress(told)
            elif isinstance(told, SymphainyError):
                raise told
            else:
                outcome.exported.add(told.exported)
                outcome.halted.update(told.halted)
                children.pop(ours).join(END_S)


def _end(children: Collection[BaseProcess]) -> None:
    for child in children:
        child.join(END_S)
        if child.is_alive():
            child.kill()
            child.join()


def _work(theirs: Connection, job: _Job, stopping: Event) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    archiver = Archiver(job.settings, Archive(job.url), SystemClock(), NAME, stopping)
    try:
        archiver.start(job.partitions)
        archiver.catch_up(theirs.send)
        theirs.send(Outcome(exported=archiver.exported, halted=archiver.halted))
    except SymphainyError as error:
        theirs.send(error)
    except BrokenPipeError:
        return  # nobody waits for it any more
    finally:
        archiver.close()
