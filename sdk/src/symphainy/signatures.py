"""What a declared function's signature says, and what is wrong with it. Touches no network."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

from symphainy.context import Context
from symphainy.errors import DeclarationError
from symphainy.outcome import Outcome


def check_function(function: object, shape: str) -> str:
    """Where the function stands, if it is one that returns once; `shape` is what to write.

    Raises:
        DeclarationError: it is not.
    """
    if not inspect.isfunction(function) and not inspect.ismethod(function):
        raise wrong(repr(function), "is not a function", f"Write `{shape}`.")
    where = f"{function.__module__}.{function.__qualname__}"
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise wrong(where, "is a generator", "Return one Outcome; report with ctx.progress.")
    return where


def parameters(function: Callable[..., Any], where: str, names: str, shape: str) -> list[str]:
    """The names of the parameters that must be given: as many as `names` has.

    Raises:
        DeclarationError: there are more or less, or they are not positional.
    """
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    stated = inspect.signature(function).parameters.values()
    wanted = [p for p in stated if p.default is inspect.Parameter.empty]
    if len(wanted) != len(names.split(",")) or any(p.kind not in positional for p in wanted):
        raise wrong(where, f"does not take ({names})", f"Write `{shape}`.")
    return [p.name for p in wanted]


def hints(function: Callable[..., Any], where: str, what: str = "Handler") -> dict[str, Any]:
    """The annotations of a function, which is a `what`, resolved.

    Raises:
        DeclarationError: one of them cannot be.
    """
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, AttributeError, TypeError) as error:
        raise wrong(
            where,
            f"has an annotation that cannot be resolved: {error}",
            "Define or import the model at the top of the module, not under TYPE_CHECKING.",
            what,
        ) from error


def check_context(hint: Any, parameter: str, where: str) -> None:
    """The first parameter is the context.

    Raises:
        DeclarationError: it is not annotated so.
    """
    if hint is not Context:
        raise wrong(
            where,
            f"does not annotate its first parameter {parameter!r} as Context",
            f"Write `{parameter}: Context`.",
        )


def members(hint: Any) -> tuple[Any, ...]:
    """What a union joins; anything else by itself."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def kind(hint: Any) -> type | None:
    """The class that a returned value must have, None if it may not be returned."""
    if hint is None or hint is types.NoneType:
        return types.NoneType
    plain = get_origin(hint) or hint
    if not inspect.isclass(plain):
        return None
    if issubclass(plain, Outcome | BaseModel):
        return plain
    return Mapping if plain in (dict, Mapping) else None


def wrong(where: str, why: str, cure: str, what: str = "Handler") -> DeclarationError:
    """The error of a function that cannot be a `what`."""
    return DeclarationError(f"{what} {where} {why}.", code=f"bad_{what.lower()}", cure=cure)
