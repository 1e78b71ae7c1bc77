"""Partitions side by side, in processes of their own: one Python decides on one core only.

Children are started anew, not forked: a client of Kafka does not survive a fork. They leave Ctrl-C
to us, and end when we do: with us goes the pipe that they write to.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections.abc import Callable, Collection, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from msgspec import Struct, field

from symphainy_processors.backtesting.partition import Job, Lines, Progress, Told, run
from symphainy_runtime.policy.backtest import Prepared, Tally
from symphainy_schemas.errors import SymphainyError, Unavailable

WAIT_S = 0.5
END_S = 2.0
"""What a child has to end; it does nothing that must be finished."""
Message = Told | SymphainyError


class Unwanted(Exception):
    """Nobody wants to know any more."""


def _to_the_end() -> bool:
    return False


class Whole(Struct):
    """What all partitions found together."""

    tally: Tally = field(default_factory=Tally)
    notes: list[str] = field(default_factory=list)


def run_all(
    jobs: Sequence[Job],
    processes: int,
    progress: Callable[[Progress], None],
    lines: Callable[[list[bytes]], None],
    unwanted: Callable[[], bool] = _to_the_end,
) -> Whole:
    """Run every job, at most so many at a time; whatever happens, no child is left. `unwanted` is
    asked several times a second.

    Raises:
        Unwanted: nobody wants to know any more.
        SymphainyError: what a child met first.
        Unavailable: `child_ended`; a child ended without a word.
    """
    context = multiprocessing.get_context("spawn")
    shares = _shares(jobs, processes)
    children: dict[Connection, BaseProcess] = {}
    whole = Whole()
    try:
        # Held back while children start: none is lost to us, and they inherit that it is.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for share in shares:
                ours, theirs = context.Pipe(duplex=False)
                child = context.Process(target=_work, args=(theirs, share), daemon=True)
                child.start()
                theirs.close()
                children[ours] = child
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        while children:
            if unwanted():
                raise Unwanted
            ready = wait(list(children), WAIT_S)
            for ours in [one for one in children if one in ready]:
                message = _receive(ours)
                if message is None:
                    children.pop(ours).join(END_S)
                elif isinstance(message, SymphainyError):
                    raise message
                elif isinstance(message, Progress):
                    progress(message)
                elif isinstance(message, Lines):
                    lines(message.lines)
                else:
                    whole.tally.add(message.tally, jobs[0].examples)
                    whole.notes += message.notes
    finally:
        _end(children.values())
    return whole


def _shares(jobs: Sequence[Job], processes: int) -> list[list[Job]]:
    """Jobs for each process, about as much to read for each."""
    shares: list[list[Job]] = [[] for _ in range(min(processes, len(jobs)))]
    sizes = [0] * len(shares)
    for job in sorted(jobs, key=lambda one: one.span.start - one.span.end):
        least = sizes.index(min(sizes))
        shares[least].append(job)
        sizes[least] += job.span.end - job.span.start
    return shares


def _receive(ours: Connection) -> Message | None:
    """What a child tells; None when it has done all.

    Raises:
        Unavailable: it is gone.
    """
    try:
        message: Message | None = ours.recv()
    except (EOFError, ConnectionResetError) as error:
        raise Unavailable(
            "A reading process ended without a word, as if it was killed.",
            code="child_ended",
            cure="Look for the kernel's out-of-memory killer; try a shorter range.",
        ) from error
    return message


def _end(children: Collection[BaseProcess]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        child.join(END_S)
        if child.is_alive():
            child.kill()
            child.join()


def _work(theirs: Connection, share: Sequence[Job]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()  # what is loaded stays to the end, and no record is part of a cycle
    gc.set_threshold(100_000)
    try:
        prepared = Prepared(share[0].candidate)  # of one backtest, so it is every job's
        for job in share:
            run(job, theirs.send, prepared)
        theirs.send(None)
    except SymphainyError as error:
        theirs.send(error)
    except BrokenPipeError:
        return  # nobody waits for it any more
