"""G6: retries follow the journaled policy exactly: how many, when, and nothing but failures count.

Attempts are numbered here from the failures alone; deliveries never move them (rule 12).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf

from symphainy_schemas import events as e
from symphainy_schemas.ids import undone_by
from symphainy_schemas.records import Policy, Recovery, StepReport
from symphainy_simulation.checking.lives import Book, Life
from symphainy_simulation.checking.logs import PartitionLogs, Told
from symphainy_simulation.checking.violation import Violation
from symphainy_transport.topics import STEPS

G = "G6"


def check(book: Book) -> Iterator[Violation]:
    """Each step's attempts against the policy that its execution was accepted under."""
    for logs, life in book.all_lives():
        for told in life.steps().values():
            yield from _attempts(life, told)
            yield from _failures(life, told, logs)
            yield from _due(life, told)
        yield from _timers(life)


def lateness_ms(book: Book) -> list[int]:
    """How late each timer was decided, by journaled time."""
    return [
        entry.record.at - event.due_at
        for logs, _ in book.partitions()
        for entry, event in logs.told()
        if isinstance(event, e.TimerFired)
    ]


def _attempts(life: Life, told: Sequence[Told]) -> Iterator[Violation]:
    """The number of the attempt in force moves only by a retry that was scheduled for a failure."""
    attempt = 1
    for entry, event in told:
        if isinstance(event, e.StepRetryScheduled):
            allowed = {attempt}
            if any(isinstance(x, e.StepFailed) for x in entry.record.events):
                allowed = {attempt + 1}
            if event.attempt not in allowed:
                sentence = (
                    f"{life.execution_id}: attempt {event.attempt} was scheduled in attempt "
                    f"{attempt}, without a failure between them"
                )
                yield Violation(G, sentence, (entry.place,))
            attempt = event.attempt
        elif isinstance(event, e.StepRetryRequested):
            attempt += 1
        elif (
            isinstance(event, e.StepReady | e.StepHeld | e.StepDispatched | e.StepFailed)
            and event.attempt != attempt
        ):
            sentence = (
                f"{life.execution_id}: {type(event).__name__} is of attempt {event.attempt}, but "
                f"attempt {attempt} is in force"
            )
            yield Violation(G, sentence, (entry.place,))
    policy = life.policy_of(told[0].event.step)  # type: ignore[union-attr]
    asked = sum(isinstance(event, e.StepRetryRequested) for _, event in told)
    if (
        policy is not None
        and attempt > max(1, policy.attempts) + asked
        and not _tries_forever(life, told)
    ):
        sentence = f"{life.execution_id}: {attempt} attempts, {policy.attempts} were declared"
        yield Violation(G, sentence, life.place)


def _failures(life: Life, told: Sequence[Told], logs: PartitionLogs) -> Iterator[Violation]:
    step = told[0].event.step  # type: ignore[union-attr]
    policy = life.policy_of(step)
    if policy is None:
        return
    stops_at = inf if undone_by(step) else life.stops_at
    forever = _tries_forever(life, told)
    for entry, failed in told:
        if not isinstance(failed, e.StepFailed) or entry.offset > stops_at:
            continue  # after that nothing is tried again: see `cancelling`
        scheduled = [
            x for x in entry.record.events if isinstance(x, e.StepRetryScheduled) and x.step == step
        ]
        retry = scheduled[0] if scheduled else None
        wanted = failed.error.retryable and (forever or failed.attempt < policy.attempts)
        if wanted and retry is None:
            sentence = (
                f"{life.execution_id}: attempt {failed.attempt} of {policy.attempts} failed with a "
                "retryable error, and no retry was scheduled"
            )
            yield Violation(G, sentence, (entry.place,))
        elif retry is not None and not wanted:
            sentence = f"{life.execution_id}: a retry was scheduled after attempt {failed.attempt}"
            why = "the error is not retryable" if not failed.error.retryable else "all are used up"
            yield Violation(G, f"{sentence}, but {why}", (entry.place,))
        elif retry is not None:
            report = _report(logs, Told(entry, failed))
            low, high = bounds_ms(policy, failed.attempt, report)
            delay = retry.due_at - entry.record.at
            if not low <= delay <= high:
                sentence = (
                    f"{life.execution_id}: the delay after attempt {failed.attempt} is {delay} ms; "
                    f"the policy says {low} to {high} ms"
                )
                yield Violation(G, sentence, (entry.place,))


def _tries_forever(life: Life, told: Sequence[Told]) -> bool:
    """Whether no number of attempts is too many."""
    resolved, step = life.resolved, told[0].event.step  # type: ignore[union-attr]
    forward = resolved is not None and resolved.recovery is Recovery.RETRY_FORWARD
    return forward and life.planned(step) is not None and not undone_by(step)


def _report(logs: PartitionLogs, told: Told) -> StepReport | None:
    cause = told.entry.record.cause
    if cause is None or cause.topic != STEPS:
        return None
    found = logs.steps.get(cause.offset)
    return None if found is None else found.record


def bounds_ms(
    policy: e.CapabilityResolved | Policy, attempt: int, report: StepReport | None
) -> tuple[int, int]:
    """The least and the largest delay after `attempt` failed: what the handler asked for, or
    exponential with equal jitter (the upper half of the full delay)."""
    if report is not None and report.retry_after_ms >= 0:
        return report.retry_after_ms, report.retry_after_ms
    full = float(policy.backoff_ms)
    for _ in range(min(attempt - 1, 64)):
        full = min(full * policy.backoff_factor, float(policy.backoff_max_ms))
    full = min(full, float(policy.backoff_max_ms))
    return int(full / 2), int(full)


def _due(life: Life, told: Sequence[Told]) -> Iterator[Violation]:
    """What was scheduled is not ready before its time, by journaled time."""
    due_at = 0
    for entry, event in told:
        if isinstance(event, e.StepRetryScheduled):
            due_at = event.due_at
        elif isinstance(event, e.StepSuspended):
            due_at = 0  # it lives, and waits for something else than its next delivery
        elif isinstance(event, e.StepReady | e.StepHeld | e.StepDispatched):
            early = due_at - entry.record.at
            if early > 0:
                sentence = f"{life.execution_id}: attempt {event.attempt} came {early} ms too early"
                yield Violation(G, sentence, (entry.place,))
            due_at = 0


def _timers(life: Life) -> Iterator[Violation]:
    started_at = dict[str, int]()
    sign_at = dict[str, int]()
    start_by = dict[str, int]()
    for entry, event in life.told:
        if isinstance(event, e.StepDispatched):
            start_by[event.step] = event.start_by
        elif isinstance(event, e.StepStarted):
            started_at[event.step] = sign_at[event.step] = entry.record.at
        elif isinstance(event, e.StepCheckpointed | e.StepProgressed | e.ChildInvoked):
            sign_at[event.step] = entry.record.at
        elif isinstance(event, e.TimerFired):
            kind, _, step = event.timer.partition(":")
            policy = life.policy_of(step)
            limit = policy.timeout_ms if policy is not None else 0
            heartbeat = policy.heartbeat_ms if policy is not None else 0
            earliest = event.due_at
            if kind == "timeout":
                earliest = max(earliest, started_at.get(step, 0) + limit)
            elif kind == "heartbeat":
                earliest = max(earliest, sign_at.get(step, 0) + heartbeat)
            elif kind == "start_by":
                earliest = max(earliest, start_by.get(step, 0))
            early = earliest - entry.record.at
            if early > 0:
                sentence = f"{life.execution_id}: {event.timer} fired {early} ms too early"
                yield Violation(G, sentence, (entry.place,))
