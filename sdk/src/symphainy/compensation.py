"""What undoes a handler's work, as declared, and how it is told what was done.

A compensation runs after its handler has succeeded, or may have: then nobody knows what it returned
and `done` is None. It must do no harm where there is nothing to undo.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, Union, cast, get_origin

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError

from symphainy.context import Context
from symphainy.errors import DeclarationError, RetryableError
from symphainy.options import IntentOptions
from symphainy.outcome import Outcome
from symphainy.signatures import (
    check_context,
    check_function,
    hints,
    kind,
    members,
    parameters,
    wrong,
)
from symphainy.values import NULL

Undone = Outcome | None
DoneT = TypeVar("DoneT")
UndoneT = TypeVar("UndoneT", bound=Undone | Awaitable[Undone])
# What is only given is covariant: one of a coroutine is one of an awaitable, too.
UndoneT_co = TypeVar("UndoneT_co", bound=Undone | Awaitable[Undone], covariant=True)
Undoes = Callable[[Context, DoneT | None], UndoneT]

_SHAPE = "async def undo(ctx: Context, done: Returned | None) -> None"
# As for code that does not match its journal: another worker may read it, or a rollback may.
_UNREADABLE_PAUSE = "1m"


@dataclass(frozen=True, slots=True)
class Compensation(Generic[DoneT, UndoneT_co]):
    """A declared compensation. Calling it calls the function, so tests need no runtime."""

    intent_type: str
    name: str
    function: Callable[[Context, DoneT | None], UndoneT_co]
    returns: tuple[type, ...]
    is_async: bool
    options: IntentOptions
    reads: Callable[[bytes], Any]

    def __call__(self, ctx: Context, done: DoneT | None) -> UndoneT_co:
        """Call the function itself, with nothing around it."""
        return self.function(ctx, done)

    def done(self, result: bytes | None) -> Any:
        """What the handler returned, of its recorded result; None where that is unknown.

        Raises:
            RetryableError: `result_unreadable`, the handler's return annotation does not read it.
        """
        if result is None:
            return None
        try:
            return self.reads(result)
        except ValidationError as error:
            fault = error.errors(include_input=False, include_url=False)[0]["msg"]
            raise RetryableError(
                f"What {self.intent_type} returned does not fit its return annotation: {fault}",
                after=_UNREADABLE_PAUSE,
                code="result_unreadable",
                cure="Let the annotation read what was recorded, say with a default for a new "
                "field, or roll the code back.",
            ) from error


class Compensates(Protocol[DoneT]):
    """What `Handler.compensate` with options returns: the decorator."""

    def __call__(self, function: Undoes[DoneT, UndoneT], /) -> Compensation[DoneT, UndoneT]:
        """Declare the function."""
        ...


def declare_compensation(
    intent_type: str,
    handler: Callable[..., Any],
    function: Callable[..., Any],
    options: IntentOptions,
) -> Compensation[Any, Any]:
    """Read a function's signature into the compensation of `handler`, a handler's function.

    Raises:
        DeclarationError: the signature is not that of a compensation.
    """
    where = check_function(function, _SHAPE)
    context, done = parameters(function, where, "ctx, done", _SHAPE)
    found = hints(function, where)
    check_context(found.get(context), context, where)
    returned = hints(handler, where)["return"]
    _check_done(found, done, returned, where)
    return Compensation(
        intent_type=intent_type,
        name=function.__name__,
        function=function,
        returns=_returned(found, where),
        is_async=inspect.iscoroutinefunction(function),
        options=options,
        reads=_reader(returned, where),
    )


def _check_done(found: dict[str, Any], parameter: str, returned: Any, where: str) -> None:
    """`done` takes all that the handler may return, and None."""
    wanted = [one for one in map(kind, members(returned)) if one not in (None, types.NoneType)]
    names = " | ".join(dict.fromkeys([*(one.__name__ for one in wanted if one), "None"]))
    cure = f"Write `{parameter}: {names}`; None says that nobody knows what was done."
    if parameter not in found:
        raise wrong(where, f"does not annotate {parameter!r}", cure)
    taken = [_plain(one) for one in members(found[parameter])]
    for one in [*wanted, types.NoneType]:
        if one is not None and not any(_takes(place, one) for place in taken):
            what = "None" if one is types.NoneType else one.__name__
            raise wrong(where, f"does not take {what} as {parameter!r}", cure)


def _plain(hint: Any) -> Any:
    return types.NoneType if hint is None else get_origin(hint) or hint


def _takes(place: Any, one: type) -> bool:
    if place is Any:
        return True
    return inspect.isclass(place) and issubclass(dict if one is Mapping else one, place)


def _returned(found: dict[str, Any], where: str) -> tuple[type, ...]:
    cure = "Return None, or an Outcome with events, and annotate it."
    if "return" not in found:
        raise wrong(where, "does not annotate what it returns", cure)
    kinds = tuple(kind(member) for member in members(found["return"]))
    if not all(one is not None and issubclass(one, Outcome | types.NoneType) for one in kinds):
        raise wrong(where, f"returns {found['return']!r}, which no compensation may", cure)
    return cast(tuple[type, ...], kinds)


def _reader(returned: Any, where: str) -> Callable[[bytes], Any]:
    """Reads a recorded result as what the handler returned; what is in an `Outcome`, as one."""
    stated = members(returned)
    models = tuple(one for one in stated if kind(one) not in (Outcome, types.NoneType))
    in_outcome = any(kind(one) is Outcome for one in stated)
    adapter = _adapter(Union[models], where) if models else None  # noqa: UP007  # of a tuple

    def read(result: bytes) -> Any:
        if result == NULL or not result:
            return Outcome() if in_outcome else None
        if adapter is not None:
            try:
                return adapter.validate_json(result, by_alias=True, by_name=True)
            except ValidationError:
                if not in_outcome:
                    raise
        return Outcome(result=_any_json(result)) if in_outcome else None

    return read


_any_json = TypeAdapter(Any).validate_json


def _adapter(hint: Any, where: str) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hint)
    except PydanticSchemaGenerationError as error:
        raise DeclarationError(
            f"Handler {where} cannot be told what was done: {error.message}",
            code="bad_handler",
            cure="Let the handler return a pydantic model, or a dict of JSON values.",
        ) from error
