"""How a plan's execution stands, followed event by event: what has ended, may run, or was done."""

from __future__ import annotations

from collections import defaultdict

from symphainy_schemas import events as e
from symphainy_schemas.ids import undone_by
from symphainy_schemas.records import REDELIVERED, ReportKind, StepReport
from symphainy_simulation.checking.inputs import elements_of
from symphainy_simulation.checking.lives import BEGINS, Book, Life, gives_up
from symphainy_simulation.checking.logs import Entry, PartitionLogs, Told
from symphainy_transport.topics import STEPS


class Course:
    """Of one execution, up to the event that was taken last."""

    def __init__(self, book: Book, logs: PartitionLogs, life: Life) -> None:
        self._logs, self._life = logs, life
        self._ran = book.started.get(life.execution_id, set())
        self.begun: set[str] = set()
        self.succeeded: set[str] = set()
        self.skipped: set[str] = set()
        self.failed: set[str] = set()
        self._idle: set[str] = set()  # that was begun, and goes on by itself
        self._open: dict[str, dict[int, e.StepDispatched]] = defaultdict(dict)
        self._delivered: dict[tuple[str, int], e.StepDispatched] = {}
        self._attempt_runs: set[str] = set()  # and nobody has told how it ended
        self._unknown: set[str] = set()
        self._uncertain: set[str] = set()  # the report that would tell is gone

    def over(self) -> set[str]:
        """The steps that have ended so that others may begin; of those that are run for each
        element of a list, when all of these have."""
        found = self.succeeded | self.skipped
        assert self._life.resolved is not None
        for one in self._life.resolved.plan:
            elements = elements_of(self._life, one) if one.for_each else None
            if isinstance(elements, list) and one.step not in found:
                names = {f"{one.step}[{number}]" for number in range(len(elements))}
                found |= {one.step} if names <= found else set()
        return found

    def open_of(self, step: str) -> dict[int, int]:
        """The deliveries that may start or run, and until when."""
        return {n: d.start_by + d.timeout_ms for n, d in self._open[step].items()}

    def moving(self) -> list[str]:
        """The steps that may start or run, or go on by themselves."""
        return sorted(self._idle | {step for step, numbers in self._open.items() if numbers})

    def covered(self) -> tuple[set[str], set[str]]:
        """What compensation must cover, and what it may."""
        certain = self.succeeded | self._unknown | self._attempt_runs
        possible = certain | self._uncertain
        undoable = {step for step in possible if self._is_undoable(step)}
        return certain & undoable, undoable

    def _is_undoable(self, step: str) -> bool:
        one = self._life.planned(step)
        forward = one is not None and not undone_by(step) and not self._life.is_whole(step)
        return forward and one is not None and bool(one.compensation)

    def take(self, told: Told) -> None:
        """The next event."""
        event, entry = told.event, told.entry
        match event:
            case e.StepDispatched():
                self._open[event.step][event.delivery] = event
                self._delivered[event.step, event.delivery] = event
            case e.StepStarted():
                self._attempt_runs.add(event.step)
            case e.StepSucceeded():
                if undone_by(event.step):
                    self._open.pop(event.step, None)
                else:
                    self._open[event.step].pop(event.delivery, None)
                self.succeeded.add(event.step)
                self._rests(event.step)
            case e.StepFailed():
                self._failed(event)
            case e.StepHandedBack() | e.DeliveryClosed() | e.StepSuspended():
                self._told(entry, event)
            case e.StepClosed() if self._open.pop(event.step, None):
                self._unknown.add(event.step)
            case e.StepSkipped():
                self.skipped.add(event.step)
            case e.StepRetryRequested():
                self.failed.discard(event.step)
            case _:
                pass
        self._goes(told)

    def _goes(self, told: Told) -> None:
        """Whether its step goes on by itself."""
        event = told.event
        if isinstance(event, BEGINS):
            self.begun.add(event.step)
        if isinstance(event, (*BEGINS, e.StepRetryScheduled, e.StepStarted, e.StepSuspended)):
            self._idle.add(event.step)
        elif isinstance(event, e.StepCancelled):
            self._idle.discard(event.step)
        elif isinstance(event, e.StepFailed) and gives_up(told):
            self.failed.add(event.step)
            self._idle.discard(event.step)

    def _rests(self, step: str) -> None:
        self._idle.discard(step)
        self.failed.discard(step)

    def _failed(self, event: e.StepFailed) -> None:
        self._open[event.step].pop(event.delivery, None)
        # A limit gave it up; or it ended well, and that could not be kept.
        if not event.worker or event.error.code in ("timeout", "heartbeat_timeout"):
            self._unknown.add(event.step)
        self._attempt_runs.discard(event.step)

    def _told(
        self, entry: Entry, event: e.StepHandedBack | e.DeliveryClosed | e.StepSuspended
    ) -> None:
        step, number = event.step, event.delivery
        if isinstance(event, e.StepHandedBack) and event.reason == REDELIVERED:
            return
        self._open[step].pop(number, None)
        if undone_by(step):
            return
        report = self._report(entry)
        if report is None:
            self._uncertain.add(step)
        elif isinstance(event, e.DeliveryClosed) and report.kind is ReportKind.SUCCEEDED:
            self._unknown.add(step)
        delivered = self._delivered.get((step, number))
        ran = delivered is not None and (step, number, delivered.token) in self._ran
        if isinstance(event, e.DeliveryClosed):
            if ran:
                self._uncertain.add(step)
        elif ran:
            self._attempt_runs.add(step)

    def _report(self, entry: Entry) -> StepReport | None:
        cause = entry.record.cause
        if cause is None or cause.topic != STEPS:
            return None
        found = self._logs.steps.get(cause.offset)
        return None if found is None else found.record
