"""The processes of a replay: an execution each at a time, and another for one that dies."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType

from msgspec import Struct
from msgspec.structs import replace

from symphainy.replaying.comparing import Compared, Verdict
from symphainy_cli.rerun.work import Done, Ground, Ready, Told, work
from symphainy_processors.replay.recordings import Recordings
from symphainy_schemas.errors import SymphainyError, Unavailable
from symphainy_transport.clock import SystemClock

START_S = 60.0
"""Importing a realm may take its time."""
GRACE_S = 5.0
"""Beyond a handler's patience, after which its process is ended from outside."""
END_S = 2.0


class _Child(Struct):
    process: BaseProcess
    channel: Connection
    asked: Recordings | None
    since: float


class Pool:
    """Processes that run executions again. A context manager: none is left behind it."""

    def __init__(self, ground: Ground, processes: int) -> None:
        """`ground.scratch` is the folder in which each process has one of its own."""
        self._ground, self._count = ground, processes
        self._clock = SystemClock()
        self._context = multiprocessing.get_context("spawn")
        self._children: list[_Child] = []
        self._numbers = 0
        self.intent_types: frozenset[str] = frozenset()
        """What the realms answer."""

    def __enter__(self) -> Pool:
        """Start, and wait until the realms are loaded.

        Raises:
            CallerError: they cannot be.
            Unavailable: a process does not start.
        """
        try:
            self._children = [self._start() for _ in range(self._count)]
            for child in self._children:
                self._await_ready(child)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def run(self, executions: Iterable[Recordings], rate: float = 0.0) -> Iterator[Done]:
        """Run them again, at most `rate` a second (0: as fast as it goes), and tell of each when it
        is done, in whatever order.

        Raises:
            Unavailable: a process that takes another's place does not start.
        """
        left = iter(executions)
        due, exhausted = self._clock.monotonic(), False
        while True:
            idle = [child for child in self._children if child.asked is None]
            now = self._clock.monotonic()
            while idle and not exhausted and (not rate or now >= due):
                asked = next(left, None)
                if asked is None:
                    exhausted = True
                    break
                self._ask(idle.pop(), asked)
                due = max(due, now - 1.0) + (1.0 / rate if rate else 0.0)
                now = self._clock.monotonic()
            busy = [child for child in self._children if child.asked is not None]
            if exhausted and not busy:
                return
            pause = max(0.0, due - now) if rate and idle and not exhausted else GRACE_S
            yield from self._heard(busy, pause)

    def _ask(self, child: _Child, asked: Recordings) -> None:
        child.asked, child.since = asked, self._clock.monotonic()
        try:
            child.channel.send(asked)
        except (BrokenPipeError, ConnectionResetError):
            return  # it is dead: told by its end of the channel

    def _heard(self, busy: list[_Child], pause_s: float) -> Iterator[Done]:
        ready = set(wait([child.channel for child in busy], pause_s)) if busy else set()
        if not busy:
            wait([self._children[0].channel], pause_s)  # nothing comes: until the next is due
        patience_s = self._ground.patience_s + GRACE_S
        for child in busy:
            if child.channel in ready:
                yield self._received(child)
            elif self._clock.monotonic() - child.since > patience_s * len(_steps(child)):
                yield self._lost(child, "its handler did not end, and its process was ended")

    def _received(self, child: _Child) -> Done:
        try:
            told: Told = child.channel.recv()
        except (EOFError, ConnectionResetError):
            return self._lost(child, "the process in which it was run has ended")
        if isinstance(told, SymphainyError):
            raise told
        assert isinstance(told, Done)
        child.asked = None
        return told

    def _lost(self, child: _Child, how: str) -> Done:
        """Its execution has failed; another process takes the place."""
        asked = child.asked
        assert asked is not None
        _kill(child.process)
        child.channel.close()
        fresh = self._start()
        child.process, child.channel, child.asked = fresh.process, fresh.channel, None
        self._await_ready(child)
        steps = tuple(
            Compared(step=one.task.step, verdict=Verdict.FAILED, why=f"Lost: {how}.")
            for one in asked.steps
        )
        return Done(
            execution_id=asked.execution_id,
            tenant_id=asked.tenant_id,
            intent_type=asked.intent_type,
            end=asked.end,
            steps=steps,
        )

    def _start(self) -> _Child:
        self._numbers += 1
        scratch = Path(self._ground.scratch) / f"worker-{self._numbers}"
        scratch.mkdir(parents=True, exist_ok=True)
        ours, theirs = self._context.Pipe()
        ground = replace(self._ground, scratch=str(scratch))
        process = self._context.Process(target=work, args=(theirs, ground), daemon=True)
        process.start()
        theirs.close()
        return _Child(process, ours, None, self._clock.monotonic())

    def _await_ready(self, child: _Child) -> None:
        told: Told | None = None
        try:
            if child.channel.poll(START_S):
                told = child.channel.recv()
        except (EOFError, ConnectionResetError):
            told = None
        if isinstance(told, SymphainyError):
            raise told
        if not isinstance(told, Ready):
            raise Unavailable(
                "A process of the replay did not start.",
                code="child_ended",
                cure="Look whether importing the realm ends the process, or takes minutes.",
            )
        self.intent_types = frozenset(told.intent_types)

    def _end(self) -> None:
        for child in self._children:
            child.channel.close()
        for child in self._children:
            child.process.join(END_S)
            _kill(child.process)


def _steps(child: _Child) -> tuple[object, ...]:
    return child.asked.steps if child.asked is not None and child.asked.steps else (None,)


def _kill(process: BaseProcess) -> None:
    if process.is_alive():
        process.kill()
    process.join()
