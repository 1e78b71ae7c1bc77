"""What the gateway answers, as frozen values. Knows no HTTP.

Answers may carry more than is named here: a newer gateway is no error.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator

from symphainy.reference import Reference
from symphainy_schemas.state import ExecutionStatus


class ExecutionError(BaseModel):
    """Why an execution failed or was rejected, and who can cure it."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    field: str = ""
    cure: str = ""
    step: str = ""
    retryable: bool = False
    operator_action: str = ""


class ExecutionResult(BaseModel):
    """What is known of an execution. `success` is true once it has succeeded.

    `execution_time_ms` is from acceptance to the end, None while it has not ended.
    """

    model_config = ConfigDict(frozen=True)

    execution_id: str
    status: ExecutionStatus
    success: bool = False
    result: Any = None
    artifacts: dict[str, Reference] = {}
    events: list[dict[str, Any]] = []
    state_changes: list[dict[str, Any]] = []
    error: ExecutionError | None = None
    execution_time_ms: float | None = None

    @field_validator("status", mode="before")
    @classmethod
    def _newer_status(cls, status: object) -> object:
        """A status that this version does not know is `unknown`, not an error."""
        return status if status in list(ExecutionStatus) else ExecutionStatus.UNKNOWN


class SessionOpened(BaseModel):
    """The answer to POST /v1/sessions."""

    session_id: str


class EventList(BaseModel):
    """The answer to GET /v1/executions/{id}/events."""

    events: list[dict[str, Any]]


class Problem(BaseModel):
    """An RFC 9457 problem document with our members; all may be missing."""

    title: str = ""
    detail: str = ""
    code: str = ""
    field: str = ""
    cure: str = ""
