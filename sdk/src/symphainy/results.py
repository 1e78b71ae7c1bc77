"""What the gateway answers, as frozen values. Knows no HTTP.

Answers may carry more than is named here: a newer gateway is no error.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from symphainy.errors import ContractViolation
from symphainy.reference import Reference
from symphainy_schemas.errors import CallerError
from symphainy_schemas.state import ExecutionStatus

T = TypeVar("T")


def _known(status: object) -> object:
    return status if status in list(ExecutionStatus) else ExecutionStatus.UNKNOWN


Status = Annotated[ExecutionStatus, BeforeValidator(_known)]
"""A status that this version does not know is `unknown`, not an error."""


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

    `status` is `stuck` where a step of its plan has failed for good and an operator is to decide
    (`error.operator_action`): it has not ended. `compensated` is an end without success: what was
    done is undone.

    `execution_time_ms` is from acceptance to the end, None while it has not ended.
    """

    model_config = ConfigDict(frozen=True)

    execution_id: str
    status: Status
    success: bool = False
    result: Any = None
    artifacts: dict[str, Reference] = {}
    events: list[dict[str, Any]] = []
    state_changes: list[dict[str, Any]] = []
    error: ExecutionError | None = None
    execution_time_ms: float | None = None

    def read(self, model: type[T]) -> T:
        """The result read as `model`: a pydantic model, or a type such as `list[str]`.

        Raises:
            CallerError: `no_result`, the execution has not succeeded.
            ContractViolation: `result_unreadable`, its result is no `model`.
        """
        if not self.success:
            raise CallerError(
                f"Execution {self.execution_id} has no result: it is {self.status}.",
                code="no_result",
                cure="Look at `success` first; if it failed, `error` says why.",
            )
        try:
            return TypeAdapter(model).validate_python(self.result)
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False)[0]["msg"]
            raise ContractViolation(
                f"The result of execution {self.execution_id} does not fit: {fault}",
                code="result_unreadable",
                cure="Read it as what the handler returns.",
            ) from error


class Asked(BaseModel):
    """The answer to what was asked of an execution: it stands in the write-ahead log.

    `status` is that of the request, which has an execution of its own: `succeeded` once it is
    recorded, `accepted` while it waits for its decision.
    """

    model_config = ConfigDict(frozen=True)

    status: Status

    @property
    def recorded(self) -> bool:
        """Whether the execution has it; else it will, unless it is refused by then."""
        return self.status is ExecutionStatus.SUCCEEDED


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
