"""An execution step by step, as the gateway shows it. Knows no HTTP.

Answers may carry more than is named here: a newer gateway is no error.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from symphainy.results import ExecutionError, Status

NOT_BEGUN = "not_begun"


class Attempted(BaseModel):
    """What a step and what undoes it have in common.

    `status` is `not_begun`, or as a step of an execution has it; `attempt` counts from 1, 0 before
    it begins; `due_at` is the next attempt's. Times are ms since the epoch.
    """

    model_config = ConfigDict(frozen=True)

    step: str
    status: str = NOT_BEGUN
    attempt: int = 0
    worker: str = ""
    started_at: int | None = None
    ended_at: int | None = None
    due_at: int | None = None
    error: ExecutionError | None = None


class SagaCompensation(Attempted):
    """What undoes a step, under the name by which it is tried again (`compensate:` and that)."""

    handler: str


class SagaStep(Attempted):
    """A step of a saga; `compensation` is None where nothing undoes it.

    One with `for_each`, a list, is followed by a step for each of its elements that has begun, of
    which `element_of` is its name; of itself `status` says what most is to be known of those.

    `waits` is what its handler waits for: each `name`, `until` (ms since the epoch, 0: never) and
    `signal`.
    """

    intent_type: str
    realm: str
    version: int | None = None
    needs: tuple[str, ...] = ()
    condition: Any = None
    for_each: Any = None
    element_of: str = ""
    waits: tuple[dict[str, Any], ...] = ()
    result: Any = None
    compensation: SagaCompensation | None = None


class Request(BaseModel):
    """Who asked something of an execution, when (ms since the epoch), and why."""

    model_config = ConfigDict(frozen=True)

    by: str
    at: int
    reason: str = ""


class Saga(BaseModel):
    """An execution step by step, in the order of its plan; of one handler: one step.

    `error` says what failed, and while `status` is `stuck` also what an operator can do.
    `execution_time_ms` is from acceptance to the end, None while it has not ended.
    """

    model_config = ConfigDict(frozen=True)

    execution_id: str
    intent_type: str
    session_id: str
    status: Status
    success: bool
    ended: bool
    as_of: int
    started_at: int
    ended_at: int | None = None
    execution_time_ms: int | None = None
    error: ExecutionError | None = None
    cancel: Request | None = None
    paused: Request | None = None
    compensation: Request | None = None
    result: Any = None
    steps: tuple[SagaStep, ...]
