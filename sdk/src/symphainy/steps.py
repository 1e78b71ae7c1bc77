"""The steps inside one handler: which names are used, and what was recorded before. No I/O.

A step's result is what its checkpoint gives back, also the first time, so that a handler sees
the same value whether the step ran or was skipped.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, get_type_hints

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError

from symphainy.errors import ContractViolation
from symphainy.values import check_size, to_json
from symphainy_schemas.records import Checkpoint

NAME_LIMIT = 200
# All checkpoints travel with the next delivery, beside a payload of at most 256 KiB and 64 KiB of
# metadata and context, in one record of at most 1 MiB.
CHECKPOINTS_LIMIT_BYTES = 524_288


class Steps:
    """The step names of one delivery, and the checkpoints that travelled with it."""

    def __init__(self, carried: tuple[Checkpoint, ...], inline_limit_bytes: int) -> None:
        self._carried = {checkpoint.name: checkpoint.result for checkpoint in carried}
        self._opened: set[str] = set()
        self._bytes = sum(len(name) + len(result) for name, result in self._carried.items())
        self._inline_limit_bytes = inline_limit_bytes

    def open(self, name: str) -> bytes | None:
        """Use a name; what was recorded under it, or None if the step must run.

        Raises:
            ContractViolation: `step_repeated` or `bad_step_name`.
        """
        if not isinstance(name, str) or not 0 < len(name) <= NAME_LIMIT or not name.isprintable():
            raise ContractViolation(
                f"{name!r:.80} is no step name.",
                code="bad_step_name",
                cure=f"Use 1 to {NAME_LIMIT} printable characters.",
            )
        if name in self._opened:
            raise ContractViolation(
                f"Step {name!r} is used twice in one handler.",
                code="step_repeated",
                cure="Give every ctx.step its own name; in a loop, put the index into it.",
            )
        self._opened.add(name)
        return self._carried.get(name)

    def open_next(self, named: Callable[[int], str]) -> tuple[str, bytes | None]:
        """Use the first free of the names that `named` makes of 1, 2, …; the name, and what was
        recorded under it, or None.

        Raises:
            ContractViolation: `bad_step_name`.
        """
        number = 1
        while (name := named(number)) in self._opened:
            number += 1
        return name, self.open(name)

    def result(self, name: str, value: object) -> bytes:
        """A step's value as the checkpoint records it.

        Raises:
            ContractViolation: it is no JSON, or too large.
        """
        what = f"The result of step {name!r}"
        data = check_size(to_json(value, what), self._inline_limit_bytes, what, "step_too_large")
        self._bytes += len(name) + len(data)
        if self._bytes > CHECKPOINTS_LIMIT_BYTES:
            raise ContractViolation(
                f"The checkpoints of this execution have {self._bytes} bytes; "
                f"the limit is {CHECKPOINTS_LIMIT_BYTES}.",
                code="checkpoints_too_large",
                cure="Store large results with ctx.artifacts.put(…) and return the reference.",
            )
        return data


def reader(name: str, function: Callable[..., Any]) -> Callable[[bytes], Any]:
    """What turns a checkpoint of `function` back into its declared type, else into JSON values.

    Raises:
        ContractViolation: `step_unreadable`, the return annotation cannot be read from JSON.
    """
    while isinstance(function, partial):
        function = function.func
    try:
        declared = _returns(function)
        read = TypeAdapter(declared).validate_json
    except (NameError, TypeError, PydanticSchemaGenerationError) as error:
        raise ContractViolation(
            f"The return annotation of step {name!r} cannot be read back from JSON: {error}",
            code="step_unreadable",
            cure="Annotate it with JSON types, a pydantic model or Reference, importable at run "
            "time.",
        ) from error
    return partial(_read, name, read)


def read_signal(name: str, model: Any, data: bytes) -> Any:
    """A signal's data as `model`.

    Raises:
        ContractViolation: `signal_unreadable`.
    """
    try:
        return TypeAdapter(model).validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]["msg"]
        raise ContractViolation(
            f"The data of signal {name!r} does not fit: {fault}",
            code="signal_unreadable",
            cure="Send what the handler asks for.",
        ) from error


def _returns(function: Callable[..., Any]) -> Any:
    if inspect.isclass(function):
        return function
    target = function if inspect.isroutine(function) else type(function).__call__
    return get_type_hints(target, include_extras=True).get("return", Any)


def _read(name: str, read: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return read(data)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]["msg"]
        raise ContractViolation(
            f"The checkpoint of step {name!r} does not fit its return annotation: {fault}",
            code="step_unreadable",
            cure="Return what the annotation says; after changing it, give the step a new name.",
        ) from error
