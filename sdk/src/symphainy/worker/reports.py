"""What a worker reports about a task, as records. Pure."""

from __future__ import annotations

from confluent_kafka import Message

from symphainy.invocation import MESSAGE_LIMIT, Failed, Succeeded
from symphainy_schemas.errors import SymphainyError
from symphainy_schemas.records import Call, DeadLetter, ReportKind, StepReport, Task, Wait

# A sign of life with words, not a log: one line on a console.
PROGRESS_LIMIT = 1_000
KEY_LIMIT = 1_024


def told(
    task: Task,
    kind: ReportKind,
    worker: str,
    at: int,
    *,
    started_at: int = 0,
    queued_ms: int = -1,
    name: str = "",
    result: bytes = b"",
    end: Succeeded | Failed | None = None,
    waits: tuple[Wait, ...] = (),
    call: Call | None = None,
) -> StepReport:
    """A report about `task`; `end` if it is the final one of a handler that ran.

    Times are the worker's clock, ms since the epoch; `queued_ms` is how long it lay here before a
    slot was free.
    """
    answer = end if isinstance(end, Succeeded) else None
    failure = end if isinstance(end, Failed) else None
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
        worker=worker,
        at=at,
        started_at=started_at,
        queued_ms=queued_ms,
        name=name,
        result=result if answer is None else answer.result,
        artifacts=() if answer is None else answer.artifacts,
        events=() if answer is None else answer.events,
        state_changes=() if answer is None else answer.state_changes,
        error=None if failure is None else failure.error,
        retry_after_ms=-1 if failure is None else failure.retry_after_ms,
        waits=waits,
        call=call,
    )


def progress_text(message: str) -> str:
    """A progress message as a record holds it: valid Unicode, at most 1000 characters."""
    if len(message) > PROGRESS_LIMIT:
        message = message[: PROGRESS_LIMIT - 1] + "…"
    return message.encode("utf-8", "replace").decode()


def buried(
    topic: str, message: Message, unreadable: SymphainyError, at: int, limit: int
) -> DeadLetter:
    """The dead letter of a record that no worker can read; its value up to `limit` bytes."""
    key, value = message.key(), message.value()
    return DeadLetter(
        topic=topic,
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        reason=unreadable.code,
        message=str(unreadable)[:MESSAGE_LIMIT],
        role="worker",
        at=at,
        key=None if key is None else key[:KEY_LIMIT],
        value=None if value is None else value[:limit],
    )
