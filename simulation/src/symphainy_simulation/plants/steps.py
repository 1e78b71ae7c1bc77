"""Planted bugs around deliveries, timeouts, retries, and the workers' part."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from symphainy.worker.standing import Standing
from symphainy_processors.fold import steps as fold_steps
from symphainy_processors.owner import ledger
from symphainy_processors.owner.partition import OwnedPartition
from symphainy_processors.saga import attempts
from symphainy_processors.saga import decide as saga
from symphainy_schemas import events as e
from symphainy_schemas.records import ReportKind
from symphainy_schemas.state import SessionState
from symphainy_simulation.actors.worker import WorkerProcess
from symphainy_simulation.plants.plant import Patch, Plant


def _never_refuses(original: Any) -> Any:
    return lambda self, task: ""


def _ends_at_once(original: Any) -> Any:
    def attempt_failed(*args: Any, **more: Any) -> Any:
        events = original(*args, **more)
        if len(events) == 1:
            return (*events, e.ExecutionFailed(error=events[0].error))
        return events

    return attempt_failed


def _times_out_at_once(original: Any) -> Any:
    def fire(self: Any, now: int) -> bool:
        for state, step in self.state.work.due(now, self._options.due_per_tick):
            if isinstance(state, SessionState):
                continue
            moment = self._deciding.moment()
            events = saga.on_timeout(state, step, moment) or saga.on_due(state, step, moment.now)
            self._deciding.decide_due(state, step, events, moment)
        return False

    return fire


def _counts_old_checkpoints(original: Any) -> Any:
    def on_report(state: Any, report: Any, moment: Any) -> Any:
        step = next((step for step in state.steps if step.step == report.step), None)
        if (
            step is not None
            and report.kind is ReportKind.CHECKPOINT
            and report.delivery < step.delivery
            and saga._concerns(step, report)
        ):
            return saga._checkpointed(state, step, report, moment)
        return original(state, report, moment)

    return on_report


def _counts_deliveries(original: Any) -> Any:
    def attempt_failed(state: Any, step: Any, *args: Any, **more: Any) -> Any:
        if step.delivery >= state.attempts:
            state = replace(state, attempts=0)
        return original(state, step, *args, **more)

    return attempt_failed


def _knows_no_tokens(original: Any) -> Any:
    return lambda step, report: original(step, replace(report, token=step.token))


def _numbers_anew(original: Any) -> Any:
    def delivery(step: Any, ready: Any, *args: Any) -> Any:
        event = original(step, ready, *args)
        if step is not None and not step.token:
            return replace(event, delivery=1)
        return event

    return delivery


def _trusts_all_clocks(original: Any) -> Any:
    def task_for(*args: Any) -> Any:
        return original(*args[:-1], 0)

    return task_for


def _drops_checkpoints(original: Any) -> Any:
    def task_for(*args: Any) -> Any:
        return replace(original(*args), checkpoints=())

    return task_for


def _commits_what_it_starts(original: Any) -> Any:
    def entered(self: Any, job: Any) -> Any:
        job.lease.done(job.offset)
        return original(self, job)

    return entered


def _is_always_sure(original: Any) -> Any:
    return property(lambda self: True)


PLANTS = (
    Plant(
        "delivery-numbered-anew",
        "12",
        "A new attempt counts its deliveries from 1 again.",
        (Patch(saga, "delivery", _numbers_anew),),
    ),
    Plant(
        "old-checkpoints-count",
        "12",
        "A checkpoint counts from an older delivery too.",
        (Patch(saga, "on_report", _counts_old_checkpoints),),
    ),
    Plant(
        "deliveries-are-retries",
        "12",
        "Deliveries count for the retry policy.",
        (Patch(attempts, "failed", _counts_deliveries),),
    ),
    Plant(
        "tokens-not-asked",
        "12",
        "A report counts whatever token it names.",
        (Patch(saga, "_concerns", _knows_no_tokens),),
    ),
    Plant(
        "checkpoints-left-behind",
        "12",
        "A task carries no checkpoints.",
        (Patch(ledger, "task_for", _drops_checkpoints),),
    ),
    Plant(
        "start-by-ignored",
        "13",
        "A worker starts a task whatever its `start_by`.",
        (Patch(WorkerProcess, "_refusal", _never_refuses),),
    ),
    Plant(
        "start-by-without-skew",
        "13",
        "A task's `start_by` does not allow for the worker's clock.",
        (Patch(ledger, "task_for", _trusts_all_clocks),),
    ),
    Plant(
        "end-does-not-wait",
        "13",
        "An execution fails while a delivery of it may still start.",
        (Patch(attempts, "failed", _ends_at_once),),
    ),
    Plant(
        "timeout-before-marker",
        "14",
        "A timeout is decided when it is due, before what workers reported is read.",
        (Patch(OwnedPartition, "_fire", _times_out_at_once),),
    ),
    Plant(
        "signs-do-not-count",
        "14",
        "A sign of life does not put off when a silent attempt is given up.",
        (Patch(fold_steps, "_lives", lambda original: lambda step, record, state: step),),
    ),
    Plant(
        "worker-commits-at-start",
        "12",
        "A worker commits a task's offset before its result is acknowledged.",
        (Patch(WorkerProcess, "entered", _commits_what_it_starts),),
    ),
    Plant(
        "worker-wakes-unasked",
        "13",
        "A worker that stood still starts what others may have by now.",
        (Patch(Standing, "sure", _is_always_sure),),
    ),
)
