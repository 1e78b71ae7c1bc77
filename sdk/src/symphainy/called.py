"""What is called for a task: its handler, or the compensation of that, and with what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from pydantic import ValidationError

from symphainy.compensation import Compensation
from symphainy.context import Context
from symphainy.errors import ContractViolation
from symphainy.handlers import Handler
from symphainy.options import IntentOptions


class Called(Protocol):
    """What is called for a task: a handler, or its compensation."""

    @property
    def name(self) -> str:
        """The function's."""
        ...

    @property
    def function(self) -> Callable[[Context, Any], Any]:
        """What is called."""
        ...

    @property
    def returns(self) -> tuple[type, ...]:
        """What it may return."""
        ...

    @property
    def is_async(self) -> bool:
        """Whether it runs on the loop; else in a thread."""
        ...

    @property
    def options(self) -> IntentOptions:
        """How it is repeated."""
        ...


def called_for(handler: Handler[Any, Any], context: Context, payload: bytes) -> tuple[Called, Any]:
    """What a task is for, and what that is given beside the context.

    Raises:
        ContractViolation: the payload is not what the handler takes, or there is no compensation.
        RetryableError: what is to be undone cannot be read.
    """
    if context.compensates:
        compensation = _compensation(handler, context)
        return compensation, compensation.done(context._task.result)
    try:
        return handler, handler.payload_model.model_validate_json(payload)
    except ValidationError as error:
        raise _bad_payload(handler, error) from None


def _compensation(handler: Handler[Any, Any], context: Context) -> Compensation[Any, Any]:
    """What undoes the handler, if it is what was in force when the execution was accepted.

    Another one could undo otherwise than was agreed, and a task that nobody runs would never end.
    """
    wanted, found = context._task.handler, handler.compensation
    if found is not None and found.name == wanted:
        return found
    has = "has none" if found is None else f"has {found.name}"
    raise ContractViolation(
        f"Step {context.compensates} is to be undone by {wanted}, and this worker's "
        f"{handler.intent_type} {has}.",
        code="no_compensation",
        cure=f"Declare {wanted} with @{handler.name}.compensate again, start the workers, and "
        "retry the step.",
    )


def _bad_payload(handler: Handler[Any, Any], error: ValidationError) -> ContractViolation:
    faults = error.errors(include_input=False, include_url=False, include_context=False)
    first = faults[0]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return ContractViolation(
        f"The payload is no {handler.payload_model.__name__}: {first['msg']}{more}.",
        code="payload_invalid",
        field=_pointer(first["loc"]),
        cure=f"Send what the input contract of {handler.intent_type} says.",
    )


def _pointer(place: Iterable[int | str]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)
