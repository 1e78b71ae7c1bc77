"""Handlers as declared: contracts, options, and the function behind them. Touches no network.

A handler is `async def handler(ctx: Context, payload: Model) -> Returned` or the same without
`async`, which then runs in a thread. The payload model is the input contract; a returned pydantic
model is the output contract. `@handler.compensate` declares what undoes it.
"""

from __future__ import annotations

import inspect
import json
import types
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, TypeVar, overload

from pydantic import BaseModel, TypeAdapter

from symphainy.compensation import (
    Compensates,
    Compensation,
    DoneT,
    Undoes,
    UndoneT,
    declare_compensation,
)
from symphainy.context import Context
from symphainy.errors import DeclarationError
from symphainy.options import IntentOptions, Retry
from symphainy.signatures import (
    check_context,
    check_function,
    hints,
    kind,
    members,
    parameters,
    wrong,
)

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
    # Declared after the handler, which is registered by then: hence a place for it, filled once.
    compensations: list[Compensation[Any, Any]] = field(
        default_factory=list, compare=False, repr=False
    )

    def __call__(self, ctx: Context, payload: PayloadT) -> ReturnT_co:
        """Call the function itself, with nothing around it."""
        return self.function(ctx, payload)

    @property
    def compensation(self) -> Compensation[Any, Any] | None:
        """What undoes what this handler has done, if anything does."""
        return self.compensations[0] if self.compensations else None

    @overload
    def compensate(
        self: Handler[PayloadT, Awaitable[DoneT]], function: Undoes[DoneT, UndoneT], /
    ) -> Compensation[DoneT, UndoneT]: ...
    @overload
    def compensate(
        self: Handler[PayloadT, DoneT], function: Undoes[DoneT, UndoneT], /
    ) -> Compensation[DoneT, UndoneT]: ...
    @overload
    def compensate(
        self: Handler[PayloadT, Awaitable[DoneT]],
        /,
        *,
        retry: Retry = ...,
        timeout: timedelta | str | None = ...,
        heartbeat: timedelta | str | None = ...,
    ) -> Compensates[DoneT]: ...
    @overload
    def compensate(
        self: Handler[PayloadT, DoneT],
        /,
        *,
        retry: Retry = ...,
        timeout: timedelta | str | None = ...,
        heartbeat: timedelta | str | None = ...,
    ) -> Compensates[DoneT]: ...
    def compensate(
        self,
        function: Undoes[Any, Any] | None = None,
        /,
        *,
        retry: Retry = Retry(attempts=10),  # noqa: B008  # frozen, so sharing one is safe
        timeout: timedelta | str | None = "5m",
        heartbeat: timedelta | str | None = None,
    ) -> Any:
        """Declare the decorated function as what undoes this handler's work.

        `async def undo(ctx: Context, done: Returned | None) -> None`, or the same without `async`.
        `done` is what the handler returned, or None where nobody knows how far it came; the payload
        is `ctx.intent.payload`. It may return an `Outcome` with events.

        Args:
            function: what is decorated, if there are no options.
            retry: how failed attempts are repeated; one that fails for good needs an operator.
            timeout: start-to-finish limit of one attempt; None for no limit.
            heartbeat: the longest that an attempt may run without a sign of life; None for no
                limit.

        Raises:
            DeclarationError: the handler has a compensation already, or the signature is wrong.
        """
        options = IntentOptions(retry=retry, timeout=timeout, heartbeat=heartbeat)

        def declares(undoes: Undoes[Any, Any]) -> Compensation[Any, Any]:
            declared = declare_compensation(self.intent_type, self.function, undoes, options)
            if self.compensation is not None:
                raise DeclarationError(
                    f"Compensation {declared.name}: {self.intent_type} is undone by "
                    f"{self.compensation.name} already.",
                    code="declared_twice",
                    cure="Remove one of them.",
                )
            self.compensations.append(declared)
            return declared

        return declares if function is None else declares(function)


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
    where = check_function(function, _SHAPE)
    context, payload = parameters(function, where, "ctx, payload", _SHAPE)
    found = hints(function, where)
    check_context(found.get(context), context, where)
    model = _payload_model(found.get(payload), payload, where)
    returns = _returned(found, where)
    return Handler(
        intent_type=intent_type,
        name=name or function.__name__,
        description=options.description or (inspect.getdoc(function) or "").partition("\n")[0],
        function=function,
        payload_model=model,
        returns=returns,
        is_async=inspect.iscoroutinefunction(function),
        input_contract=canonical(model.model_json_schema()),
        output_contract=_output_contract(found["return"], returns),
        options=options,
    )


def _payload_model(hint: Any, parameter: str, where: str) -> type[Any]:
    if not inspect.isclass(hint) or not issubclass(hint, BaseModel) or hint is BaseModel:
        raise wrong(
            where,
            f"does not annotate its payload {parameter!r} with a pydantic model",
            f"Write `{parameter}: YourModel`, with `class YourModel(BaseModel)`.",
        )
    return hint


def _returned(found: dict[str, Any], where: str) -> tuple[type, ...]:
    cure = "Return an Outcome, a pydantic model, a dict or None, and annotate it."
    if "return" not in found:
        raise wrong(where, "does not annotate what it returns", cure)
    kinds = tuple(kind(member) for member in members(found["return"]))
    if None in kinds:
        raise wrong(where, f"returns {found['return']!r}, which no handler may", cure)
    return tuple(one for one in kinds if one is not None)


def _output_contract(hint: Any, returns: tuple[type, ...]) -> bytes:
    """The JSON Schema of what is returned, if it is a model or one of several, else empty."""
    models = [one for one in returns if issubclass(one, BaseModel)]
    if not models or any(not issubclass(k, BaseModel | types.NoneType) for k in returns):
        return b""
    return canonical(TypeAdapter(hint).json_schema(mode="serialization"))


def canonical(schema: dict[str, Any]) -> bytes:
    """A JSON Schema as it is registered: the same bytes for the same schema."""
    return json.dumps(schema, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
