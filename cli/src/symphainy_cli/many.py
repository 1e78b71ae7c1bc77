"""Asking the same of many executions: which, one by one, and what became of each. Knows no screen.

Each request is a control intent of its own, admitted and journaled as if it had been sent alone.
To begin again after an interruption does no harm, in one of three ways:

- to cancel, pause, resume or undo what was asked that already changes nothing; their intent ids are
  fresh, so that a later pause is not taken for a repeat of an earlier one;
- a retry's intent id is made of the execution, the step and the attempt that failed (and the
  reason): an attempt is answered by one more, once;
- a signal's is made of the execution and the name of the run, which whoever goes on states again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

from symphainy import ApiError, Asked
from symphainy_cli.filters import Filters
from symphainy_schemas.errors import Unavailable
from symphainy_schemas.ids import is_compensation, whole_of
from symphainy_schemas.state import ExecutionStatus

PAGE = 200
UNDER_WAY = tuple(
    one.value for one in ExecutionStatus if not one.ended and one is not ExecutionStatus.UNKNOWN
)
Document = Mapping[str, Any]


class Target(NamedTuple):
    """An execution that is asked; of a retry also the step, and the attempt that failed."""

    execution_id: str
    intent_type: str
    status: str
    step: str = ""
    attempt: int = 0


class Outcome(StrEnum):
    """What became of one request."""

    RECORDED = "recorded"  # the execution has it
    ACCEPTED = "accepted"  # it is in the write-ahead log, and not decided yet
    ENDED = "already ended"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # no answer: it may or may not be in the write-ahead log


FAILED = frozenset({Outcome.REFUSED, Outcome.UNKNOWN})


class Answer(NamedTuple):
    """The outcome of one request; `code` and `message` of the error where there is one."""

    target: Target
    outcome: Outcome
    code: str = ""
    message: str = ""


class Listing(Protocol):
    """What gives executions, as `Client.executions` does."""

    async def executions(self, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """A page: `items`, and the `cursor` of the next one or None."""
        ...


Choose = Callable[[Document], Iterator[Target]]
Ask = Callable[[Target], Awaitable[Asked]]


async def find(listing: Listing, filters: Filters, choose: Choose) -> AsyncIterator[Target]:
    """What is chosen of the executions that meet the filters, each once.

    Without a status, session or type, one status after the other is listed: an execution that
    moves between them meanwhile may be missed, and is found when it is asked for again.
    """
    by_itself = filters.status or filters.session or filters.type
    statuses = (filters.status,) if by_itself else UNDER_WAY
    seen: set[tuple[str, str]] = set()
    for status in statuses:
        async for document in _every(listing, filters._replace(status=status)):
            for target in choose(document):
                key = (target.execution_id, target.step)
                if key not in seen:
                    seen.add(key)
                    yield target


async def _every(listing: Listing, filters: Filters) -> AsyncIterator[Document]:
    query = filters.query() | {"limit": str(PAGE)}
    while True:
        page = await listing.executions(query)
        for document in page["items"]:
            yield document
        if not page["cursor"]:
            return
        query["cursor"] = page["cursor"]


async def ask_each(
    targets: Sequence[Target], ask: Ask, at_once: int, told: Callable[[Answer], None]
) -> None:
    """Ask every target, at most `at_once` at a time; `told` hears of each as it is answered."""
    left = iter(targets)

    async def asking() -> None:
        for target in left:
            told(await _answer(target, ask))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(at_once, len(targets))):
            group.create_task(asking())


async def _answer(target: Target, ask: Ask) -> Answer:
    try:
        asked = await ask(target)
    except ApiError as error:
        outcome = Outcome.ENDED if error.code == "execution_ended" else Outcome.REFUSED
        return Answer(target, outcome, error.code, error.message)
    except Unavailable as error:
        return Answer(target, Outcome.UNKNOWN, error.code, error.message)
    return Answer(target, Outcome.RECORDED if asked.recorded else Outcome.ACCEPTED)


def summary(answers: Sequence[Answer]) -> Counter[tuple[Outcome, str]]:
    """How many had which outcome, and for which code."""
    return Counter((one.outcome, one.code) for one in answers)


def retry_id(target: Target, reason: str) -> str:
    """The intent id of a retry: the same for the same failed attempt."""
    return f"bulk-retry-{_digest(target.execution_id, target.step, str(target.attempt), reason)}"


def signal_id(run: str, target: Target) -> str:
    """The intent id of a signal: the same in the same run."""
    return f"bulk-signal-{_digest(run, target.execution_id)}"


def to_cancel(document: Document) -> Iterator[Target]:
    """What is under way, unless it is to end already; what is stuck on its way there too."""
    asked = document["cancel"] is not None and document["status"] != ExecutionStatus.STUCK
    if _lives(document) and not asked:
        yield _whole(document)


def to_pause(document: Document) -> Iterator[Target]:
    """What is under way and does not rest."""
    if _lives(document) and document["paused"] is None:
        yield _whole(document)


def to_resume(document: Document) -> Iterator[Target]:
    """What rests."""
    if _lives(document) and document["paused"] is not None:
        yield _whole(document)


def to_signal(document: Document) -> Iterator[Target]:
    """What is under way."""
    if _lives(document):
        yield _whole(document)


def to_compensate(document: Document) -> Iterator[Target]:
    """What is under way and has a plan, unless it is undone already."""
    undoing = document["compensation"] is not None or any(
        is_compensation(one["step"]) for one in document["steps"]
    )
    if _lives(document) and document["plan"] is not None and not undoing:
        yield _whole(document)


def to_retry(step: str = "") -> Choose:
    """The failed steps of what is stuck, as `failed_steps` gives them."""

    def choose(document: Document) -> Iterator[Target]:
        if document["status"] == ExecutionStatus.STUCK:
            yield from failed_steps(document, step)

    return choose


def failed_steps(document: Document, step: str = "") -> Iterator[Target]:
    """The steps that have failed, of a certain name if that is given, or each element that a step
    of that name is run for: what undoes steps, if it is undone already."""
    undoing = any(is_compensation(one["step"]) for one in document["steps"])
    for one in document["steps"]:
        named = step in ("", one["step"], whole_of(one["step"]))
        mine = is_compensation(one["step"]) == undoing and named
        if mine and one.get("status") == "failed":
            yield _whole(document)._replace(step=one["step"], attempt=one["attempt"])


def _lives(document: Document) -> bool:
    return document["status"] in UNDER_WAY


def _whole(document: Document) -> Target:
    return Target(document["execution_id"], document["intent_type"], document["status"])


def _digest(*parts: str) -> str:
    return blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
