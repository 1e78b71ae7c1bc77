"""The steps inside one handler: which names are used, and what was recorded before. No I/O.

A step's result is what its checkpoint gives back, also the first time, so that a handler sees
the same value whether the step ran or was skipped.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, get_type_hints
from weakref import WeakKeyDictionary

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError

from symphainy.errors import ContractViolation
from symphainy.replay import Replay, described, is_ours
from symphainy.values import check_size, to_json
from symphainy_schemas.records import Checkpoint

NAME_LIMIT = 200
# All checkpoints travel with the next delivery, beside a payload of at most 256 KiB and 64 KiB of
# metadata and context, in one record of at most 1 MiB.
CHECKPOINTS_LIMIT_BYTES = 524_288
# What reads a function's results, made once for each: it costs more than all else that a step
# costs the worker. Weakly, since a handler may make its functions anew in every run.
_READS: WeakKeyDictionary[Callable[..., Any], Callable[[bytes], Any]] = WeakKeyDictionary()
_UNREADABLE = (
    "Roll the code back, or let the annotation read what is recorded, say with a default for a new "
    "field. Give a handler that does other things a new intent type."
)


class Steps:
    """The step names of one delivery, and the checkpoints that travelled with it."""

    def __init__(self, carried: tuple[Checkpoint, ...], inline_limit_bytes: int) -> None:
        self._carried = {checkpoint.name: checkpoint.result for checkpoint in carried}
        self._opened: set[str] = set()
        self._bytes = sum(len(name) + len(result) for name, result in self._carried.items())
        self.inline_limit_bytes = inline_limit_bytes
        self.replay = Replay(self._carried)
        """Whether the handler asks for what was recorded."""

    def open(self, name: str) -> bytes | None:
        """Use a step's name; what was recorded under it, or None if the step must run.

        Raises:
            ContractViolation: `step_repeated` or `bad_step_name`.
            JournalMismatch: a wait is recorded under the name, or the run differs already.
        """
        if isinstance(name, str) and is_ours(name):
            if name in self._carried:
                raise self.replay.differs(f"{described(name)} is now asked for as a step")
            raise ContractViolation(
                f"{name!r:.80} is no step name: waits are recorded under such names.",
                code="bad_step_name",
                cure="Name it otherwise than sleep:<n>, signal:<name>:<n>, invoke:<type>:<n> and "
                "journal:branched.",
            )
        return self._open(name)

    def _open(self, name: str) -> bytes | None:
        if self.replay.mismatch is not None:
            raise self.replay.mismatch
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
        recorded = self._carried.get(name)
        self.replay.ask(name, recorded=recorded is not None)
        return recorded

    def open_next(self, named: Callable[[int], str]) -> tuple[str, bytes | None]:
        """Use the first free of a wait's names, which `named` makes of 1, 2, …; the name, and what
        was recorded under it, or None.

        Raises:
            ContractViolation: `bad_step_name`.
            JournalMismatch: the run differs already.
        """
        number = 1
        while (name := named(number)) in self._opened:
            number += 1
        return name, self._open(name)

    def slept(self, name: str, recorded: bytes) -> bytes:
        """What is recorded of a sleep that is over: nothing.

        Raises:
            JournalMismatch: what is recorded under its name is the result of something else.
        """
        if recorded:
            raise self.replay.differs(f"{name!r} is recorded with a result, and is now a sleep")
        return recorded

    def answer(self, name: str, function: Callable[..., Any], recorded: bytes) -> Any:
        """What was recorded before of `function`, by a run whose code could read it.

        Raises:
            JournalMismatch: today's cannot.
        """
        try:
            return reader(name, function)(recorded)
        except ContractViolation as error:
            how = f"{described(name)} is recorded, but t{error.message[1:]}"  # "The result of …"
            raise self.replay.differs(how, _UNREADABLE) from error

    def result(self, name: str, value: object) -> bytes:
        """A step's value as the checkpoint records it.

        Raises:
            ContractViolation: it is no JSON, or too large.
        """
        what = f"The result of step {name!r}"
        data = check_size(to_json(value, what), self.inline_limit_bytes, what, "step_too_large")
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
        read = _reads(function)
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
    code, cure = "signal_unreadable", "Send what the handler asks for."
    return _fitting(f"The data of signal {name!r}", model, data, code, cure)


def read_payload(model: Any, data: bytes) -> Any:
    """An intent's payload as `model`.

    Raises:
        ContractViolation: `payload_unreadable`.
    """
    cure = "Read it as what the handler takes; what that did not always have needs a default."
    return _fitting("The payload", model, data, "payload_unreadable", cure)


def _fitting(what: str, model: Any, data: bytes, code: str, cure: str) -> Any:
    try:
        return TypeAdapter(model).validate_json(data)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False)[0]["msg"]
        raise ContractViolation(f"{what} does not fit: {fault}", code=code, cure=cure) from error


def _reads(function: Callable[..., Any]) -> Callable[[bytes], Any]:
    if not inspect.isfunction(function):  # a class would be kept alive by what reads it
        return TypeAdapter(_returns(function)).validate_json
    read = _READS.get(function)
    if read is None:
        read = _READS[function] = TypeAdapter(_returns(function)).validate_json
    return read


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
            f"The result of step {name!r} does not fit its return annotation: {fault}",
            code="step_unreadable",
            cure="Return what the annotation says, or change the annotation.",
        ) from error
