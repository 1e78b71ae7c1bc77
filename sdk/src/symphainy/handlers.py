"""Handlers as declared: contracts, options, and the function behind them. Touches no network.

A handler is `async def handler(ctx: Context, payload: Model) -> Returned` or the same without
`async`, which then runs in a thread. The payload model is the input contract; a returned pydantic
model is the output contract.
"""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter

from symphainy.context import Context
from symphainy.errors import DeclarationError
from symphainy.options import IntentOptions
from symphainy.outcome import Outcome

PayloadT = TypeVar("PayloadT", bound=BaseModel)
ReturnT = TypeVar("ReturnT")
# What is only given is covariant: a handler of a coroutine is one of an awaitable, too.
ReturnT_co = TypeVar("ReturnT_co", covariant=True)
Function = Callable[[Context, PayloadT], ReturnT]

_SHAPE = "async def handler(ctx: Context, payload: YourModel) -> Outcome"


@dataclass(frozen=True, slots=True)
class Handler(Generic[PayloadT, ReturnT_co]):
    """A declared handler. Calling it calls the function, so tests need no runtime."""

    intent_type: str
    name: str
    description: str
    function: Callable[[Context, PayloadT], ReturnT_co]
    payload_model: type[PayloadT]
    returns: tuple[type, ...]
    is_async: bool
    input_contract: bytes
    output_contract: bytes
    options: IntentOptions

    def __call__(self, ctx: Context, payload: PayloadT) -> ReturnT_co:
        """Call the function itself, with nothing around it."""
        return self.function(ctx, payload)


def declare(
    intent_type: str,
    function: Callable[[Context, PayloadT], ReturnT],
    options: IntentOptions,
    *,
    name: str = "",
) -> Handler[PayloadT, ReturnT]:
    """Read a function's signature into a handler; `name` defaults to the function's own.

    Raises:
        DeclarationError: the signature is not that of a handler.
    """
    if not inspect.isfunction(function) and not inspect.ismethod(function):
        raise _wrong(repr(function), "is not a function", f"Write `{_SHAPE}`.")
    where = f"{function.__module__}.{function.__qualname__}"
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise _wrong(where, "is a generator", "Return one Outcome; report with ctx.progress.")
    context, payload = _parameters(function, where)
    hints = _hints(function, where)
    _check_context(hints.get(context), context, where)
    model = _payload_model(hints.get(payload), payload, where)
    returns = _returned(hints, where)
    return Handler(
        intent_type=intent_type,
        name=name or function.__name__,
        description=options.description or (inspect.getdoc(function) or "").partition("\n")[0],
        function=function,
        payload_model=model,
        returns=returns,
        is_async=inspect.iscoroutinefunction(function),
        input_contract=_canonical(model.model_json_schema()),
        output_contract=_output_contract(hints["return"], returns),
        options=options,
    )


def _parameters(function: Callable[..., Any], where: str) -> tuple[str, str]:
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    wanted = [p for p in parameters if p.default is inspect.Parameter.empty]
    if len(wanted) != 2 or any(p.kind not in positional for p in wanted):
        raise _wrong(where, "does not take (ctx, payload)", f"Write `{_SHAPE}`.")
    return wanted[0].name, wanted[1].name


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, AttributeError, TypeError) as error:
        raise _wrong(
            where,
            f"has an annotation that cannot be resolved: {error}",
            "Define or import the model at the top of the module, not under TYPE_CHECKING.",
        ) from error


def _check_context(hint: Any, parameter: str, where: str) -> None:
    if hint is not Context:
        raise _wrong(
            where,
            f"does not annotate its first parameter {parameter!r} as Context",
            f"Write `{parameter}: Context`.",
        )


def _payload_model(hint: Any, parameter: str, where: str) -> type[Any]:
    if not inspect.isclass(hint) or not issubclass(hint, BaseModel) or hint is BaseModel:
        raise _wrong(
            where,
            f"does not annotate its payload {parameter!r} with a pydantic model",
            f"Write `{parameter}: YourModel`, with `class YourModel(BaseModel)`.",
        )
    return hint


def _returned(hints: dict[str, Any], where: str) -> tuple[type, ...]:
    cure = "Return an Outcome, a pydantic model, a dict or None, and annotate it."
    if "return" not in hints:
        raise _wrong(where, "does not annotate what it returns", cure)
    kinds = tuple(_kind(member) for member in _members(hints["return"]))
    if None in kinds:
        raise _wrong(where, f"returns {hints['return']!r}, which no handler may", cure)
    return tuple(kind for kind in kinds if kind is not None)


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _kind(hint: Any) -> type | None:
    """The class that a returned value must have, None if it may not be returned."""
    if hint is None or hint is types.NoneType:
        return types.NoneType
    plain = get_origin(hint) or hint
    if not inspect.isclass(plain):
        return None
    if issubclass(plain, Outcome | BaseModel):
        return plain
    return Mapping if plain in (dict, Mapping) else None


def _output_contract(hint: Any, returns: tuple[type, ...]) -> bytes:
    """The JSON Schema of what is returned, if it is a model or one of several, else empty."""
    models = [kind for kind in returns if issubclass(kind, BaseModel)]
    if not models or any(not issubclass(k, BaseModel | types.NoneType) for k in returns):
        return b""
    return _canonical(TypeAdapter(hint).json_schema(mode="serialization"))


def _canonical(schema: dict[str, Any]) -> bytes:
    return json.dumps(schema, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _wrong(where: str, what: str, cure: str) -> DeclarationError:
    return DeclarationError(f"Handler {where} {what}.", code="bad_handler", cure=cure)
