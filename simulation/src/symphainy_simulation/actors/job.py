"""One delivery in a simulated worker's hands: its handler runs, reports, and ends once.

After its final report nothing that the handler still does is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from msgspec.structs import replace

from symphainy.invocation import Failed
from symphainy.worker.admission import ANNOUNCE_MS, CANCELLED
from symphainy.worker.ledger import Lease
from symphainy.worker.limits import Limits
from symphainy_schemas.records import Call, Error, ReportKind, StepReport, Task, Wait
from symphainy_simulation.actors import programs
from symphainy_simulation.actors.programs import Program
from symphainy_simulation.checking.history import HandlerStart
from symphainy_simulation.world.events import MS
from symphainy_simulation.world.process import Process

CLEANUP_US = 120 * MS  # that a handler which is to end has
DEAF = 0.3  # of the handlers
RAISE = (
    programs.Step | programs.Progress | programs.Waits | programs.Invokes
)  # once the execution is to end


@dataclass
class Start:
    """A handler that was called; `ran` grows."""

    task: Task
    at_ms: int
    ran: list[str] = field(default_factory=list)

    def noted(self) -> HandlerStart:
        """As the checkers take it."""
        task = self.task
        return HandlerStart(
            task.execution_id,
            task.step,
            task.attempt,
            task.delivery,
            task.token,
            self.at_ms,
            tuple(known.name for known in task.checkpoints),
            tuple(self.ran),
        )


class Ground(Protocol):
    """The worker, as a job sees it."""

    process: Process

    def send(self, report: StepReport, task: Task, acknowledged: Callable[[], None]) -> None:
        """Send a report until it is acknowledged."""
        ...

    def entered(self, job: Job) -> Start:
        """A handler is called."""
        ...

    def left(self, job: Job) -> None:
        """It ended, and its final report is acknowledged."""
        ...


class Ticks:
    """A worker's time, as an event loop offers it."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def time(self) -> float:
        """Now, in seconds."""
        return self._process.clock.now_ms() / 1_000

    def call_at(self, when: float, callback: Callable[[], None], /) -> Ticks:
        """Call it then; what has ended by then does nothing."""
        left = when - self.time()
        # What is left by a rounding error alone is no time: it would be asked for without end.
        least = 1 if left > 0 else 0
        self._process.later(max(least, round(left * 1_000)) * MS, callback)
        return self

    def cancel(self) -> None:
        """Nothing is to be done for that."""


class Job:
    """A delivery whose handler was started."""

    def __init__(self, worker: Ground, task: Task, lease: Lease, offset: int) -> None:
        self.task = task
        self.lease = lease
        self.offset = offset
        self._worker = worker
        self._process = worker.process
        self.started_at = worker.process.clock.now_ms()
        self._program = Program(task)
        self._final = self._announced = self._acknowledged = False
        self._cancelled = self._deaf = False
        self._start = worker.entered(self)
        self._ticks = Ticks(worker.process)
        self._limits = Limits(self._ticks, task, self._ticks.time(), self._expired)

    def begin(self) -> None:
        """Call the handler."""
        # As the real one: its limits are watched from the announcement on, if they are longer.
        self._process.later(ANNOUNCE_MS * MS, self._announced_in_time)
        self._go_on()

    def adopt(self, lease: Lease) -> None:
        """The partition came back."""
        self.lease = lease
        if self._acknowledged:
            lease.done(self.offset)

    def hand_back(self, reason: str) -> None:
        """Give it back although it runs."""
        if not self._final:
            self._end(told(self.task, ReportKind.HANDED_BACK, self._worker, self, name=reason))

    def cancel(self, chance: Random) -> None:
        """Its execution is to end. Some handlers do not hear of it before they call their context;
        the others clean up, for longer than they may at times, and are then handed back."""
        if self._final or self._cancelled:
            return
        self._cancelled, self._deaf = True, chance.random() < DEAF
        if not self._deaf:
            us = min(CLEANUP_US, chance.choice((0, 5, 30, 200)) * MS)
            self._process.later(us, lambda: self.hand_back(CANCELLED))

    def _go_on(self) -> None:
        """The program's next piece."""
        if self._final or (self._cancelled and not self._deaf):
            return
        piece = self._program.next()
        if self._cancelled and isinstance(piece, RAISE):
            self.hand_back(CANCELLED)
            return
        match piece:
            case programs.Work(us):
                self._process.later(us, self._go_on)
            case programs.Step(name, us):
                self._start.ran.append(name)
                self._process.later(us, lambda: self._checkpoint(name))
            case programs.Progress():
                self._tell(ReportKind.PROGRESS, "going on")
            case programs.Invokes(name, call):
                self._start.ran.append(name)
                self._tell(ReportKind.INVOKED, name, call=call)
            case programs.Waits(several):
                self._suspend(several)
            case programs.Hangs():
                pass
            case programs.Fails(error, _) if self._cancelled and error.retryable:
                self.hand_back(CANCELLED)
            case programs.Fails(error, after_ms):
                report = told(
                    self.task, ReportKind.FAILED, self._worker, self, error=error, after_ms=after_ms
                )
                self._end(report)
            case programs.Succeeds(result, changes):
                report = told(self.task, ReportKind.SUCCEEDED, self._worker, self, result=result)
                self._end(programs.with_changes(report, changes))

    def _suspend(self, several: tuple[tuple[str, int, str], ...]) -> None:
        now = self._process.clock.now_ms()
        waits = tuple(Wait(name, now + ms if ms else 0, signal) for name, ms, signal in several)
        report = told(self.task, ReportKind.SUSPENDED, self._worker, self)
        self._end(replace(report, waits=waits))

    def _checkpoint(self, name: str) -> None:
        if self._cancelled and self._deaf:
            self.hand_back(CANCELLED)
        elif not self._final and not self._cancelled:
            result = f'"{name} of {self.task.delivery}"'.encode()
            self._tell(ReportKind.CHECKPOINT, name, result)

    def _tell(
        self, kind: ReportKind, name: str, result: bytes = b"", call: Call | None = None
    ) -> None:
        """Report, and go on when Kafka has it."""
        self._announce()
        report = told(self.task, kind, self._worker, self, name=name, result=result)
        report = replace(report, call=call)
        sent_at = self._ticks.time()

        def acknowledged() -> None:
            self._limits.sign(sent_at)
            self._go_on()

        self._worker.send(report, self.task, acknowledged)

    def _announced_in_time(self) -> None:
        if not self._final:
            self._announce()
            self._limits.watch()

    def _announce(self) -> None:
        if not self._announced and not self._final:
            self._announced = True
            report = told(self.task, ReportKind.STARTED, self._worker, self)
            self._worker.send(report, self.task, lambda: None)

    def _expired(self, end: Failed) -> None:
        if self._cancelled:
            self.hand_back(CANCELLED)
        elif not self._final:
            self._end(told(self.task, ReportKind.FAILED, self._worker, self, error=end.error))

    def _end(self, report: StepReport) -> None:
        self._final = True
        self._worker.send(report, self.task, self._ended)

    def _ended(self) -> None:
        self.lease.done(self.offset)
        self._acknowledged = True
        self._worker.left(self)


def told(
    task: Task,
    kind: ReportKind,
    worker: Ground,
    job: Job | None = None,
    *,
    name: str = "",
    result: bytes = b"",
    error: Error | None = None,
    after_ms: int = -1,
) -> StepReport:
    """A report about a task."""
    return StepReport(
        kind=kind,
        execution_id=task.execution_id,
        session_id=task.session_id,
        tenant_id=task.tenant_id,
        step=task.step,
        attempt=task.attempt,
        delivery=task.delivery,
        token=task.token,
        dispatched_at=task.dispatched_at,
        worker=worker.process.name,
        at=worker.process.clock.now_ms(),
        started_at=0 if job is None else job.started_at,
        name=name,
        result=result,
        error=error,
        retry_after_ms=after_ms,
    )
