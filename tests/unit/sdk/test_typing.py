"""What the type checker sees: payload and return types carry through.

Each `type: ignore` here is a negative test: strict mypy reports one that is not needed.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, assert_type

import pytest
from pydantic import BaseModel

from symphainy import Context, DeclarationError, Handler, Outcome, Realm, Reference


class File(BaseModel):
    """A payload."""

    path: str


class Other(BaseModel):
    """Another payload."""


class Text(BaseModel):
    """A result."""

    words: int


realm = Realm("content")


@realm.intent("content.count")
async def count(ctx: Context, payload: File) -> Text:
    """Async, with a model."""
    return Text(words=await ctx.step("count", len, payload.path))


@realm.intent("content.read")
def read(ctx: Context, payload: File) -> Outcome | None:
    """Sync, with an outcome."""
    return None


def test_handlers_keep_their_types() -> None:
    assert_type(count, Handler[File, Coroutine[Any, Any, Text]])
    assert_type(read, Handler[File, Outcome | None])
    assert_type(read.payload_model, type[File])


def test_wrong_handlers_are_type_errors() -> None:
    other = Realm("content")
    with pytest.raises(DeclarationError):

        @other.intent("content.a")  # type: ignore[type-var]
        async def returns_text(ctx: Context, payload: File) -> str:
            return ""

    with pytest.raises(DeclarationError):

        @other.intent("content.b")  # type: ignore[type-var]
        async def takes_a_dict(ctx: Context, payload: dict[str, Any]) -> Outcome:
            return Outcome()

    with pytest.raises(DeclarationError):

        @other.intent("content.c")  # type: ignore[arg-type]
        async def takes_no_context(payload: File) -> Outcome:
            return Outcome()


async def _calls(ctx: Context) -> None:
    """Never run: only its types are checked."""
    assert_type(await count(ctx, File(path="a")), Text)
    await count(ctx, Other())  # type: ignore[arg-type]
    read(ctx)  # type: ignore[call-arg]


async def _asynchronous(text: str, times: int = 1) -> Text:
    return Text(words=times)


def _synchronous(text: str) -> list[int]:
    return [len(text)]


async def _steps(ctx: Context) -> None:
    """Never run: only its types are checked."""
    assert_type(await ctx.step("a", _asynchronous, "x", times=2), Text)
    assert_type(await ctx.step("b", _synchronous, "x"), list[int])
    assert_type(await ctx.artifacts.put("a.txt", "x"), Reference)
    assert_type(ctx.wait(ctx.step("c", _synchronous, "x")), list[int])
    await ctx.step("d", _synchronous, 7)  # type: ignore[call-overload]
    await ctx.step("e", _asynchronous)  # type: ignore[call-overload]
