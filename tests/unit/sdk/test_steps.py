"""Steps inside a handler.

- A step runs, is recorded, and only then returns; a recorded step returns without running.
- What the handler sees is the same both times.
- What reads a function's results is made once, and does not keep the function.
- Names are used once; a result that cannot be recorded is a broken contract.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter
from tests.unit.sdk.fakes import run

from symphainy import Context, Handler, Outcome, Realm, Reference, steps
from symphainy.steps import CHECKPOINTS_LIMIT_BYTES
from symphainy_schemas.records import Checkpoint

OURS = Reference("artifact://acme/" + "ab" * 32, b"\xab" * 32, 3, "text/plain")


class Empty(BaseModel):
    """A payload of nothing."""


class Text(BaseModel):
    """What a step returns."""

    words: int
    source: Reference | None = None


def stepping(function: Callable[..., Any], *arguments: Any) -> tuple[Handler[Any, Any], list[Any]]:
    """A handler that runs one step, and what it saw."""
    seen: list[Any] = []

    @Realm("content").intent("content.read")
    async def read(ctx: Context, payload: Empty) -> Outcome:
        seen.append(await ctx.step("one", function, *arguments))
        return Outcome()

    return read, seen


async def make_text(words: int) -> Text:
    """An async step with a model."""
    return Text(words=words, source=OURS)


def make_dates() -> list[date]:
    """A sync step with values that JSON does not have."""
    return [date(2026, 1, 2)]


def make_reference() -> Reference:
    """A step that stored something."""
    return OURS


def make_pair():  # type: ignore[no-untyped-def]  # what an annotation would change is the point
    """A step that says nothing about what it returns."""
    return (1, "a")


class Adder:
    """A callable object."""

    def __call__(self, left: int, right: int) -> int:
        """Add."""
        return left + right


@pytest.mark.parametrize(
    ("function", "arguments", "value"),
    [
        (make_text, (3,), Text(words=3, source=OURS)),
        (partial(make_text, 4), (), Text(words=4, source=OURS)),
        (make_dates, (), [date(2026, 1, 2)]),
        (make_reference, (), OURS),
        (make_pair, (), [1, "a"]),
        (len, ("abc",), 3),
        (Adder(), (1, 2), 3),
        (lambda: asyncio.sleep(0, "awaited"), (), "awaited"),
        (lambda: None, (), None),
    ],
)
async def test_a_step_gives_the_same_value_whether_it_ran_or_was_recorded(
    function: Callable[..., Any], arguments: tuple[Any, ...], value: Any
) -> None:
    handler, seen = stepping(function, *arguments)
    first = await run(handler, b"{}")
    ((name, recorded),) = first.supervision.recorded
    assert name == "one"
    again = await run(handler, b"{}", checkpoints=(Checkpoint("one", recorded),))
    assert again.supervision.recorded == []
    assert seen == [value, value]
    assert type(seen[0]) is type(value)


async def test_a_recorded_step_does_not_run() -> None:
    ran = []
    handler, seen = stepping(lambda: ran.append(1))
    await run(handler, b"{}", checkpoints=(Checkpoint("one", b"7"),))
    assert (ran, seen) == ([], [7])


async def test_what_runs_is_recorded_before_the_handler_goes_on() -> None:
    order: list[str] = []

    @Realm("content").intent("content.read")
    async def read(ctx: Context, payload: Empty) -> Outcome:
        await ctx.step("one", order.append, "ran")
        order.append("went on")
        return Outcome()

    called = await run(read, b"{}")
    assert order == ["ran", "went on"]
    assert called.supervision.recorded == [("one", b"null")]


async def test_a_failed_step_is_not_recorded() -> None:
    handler, _ = stepping(int, "no number")
    called = await run(handler, b"{}")
    assert called.supervision.recorded == []
    assert (called.error.code, called.error.retryable) == ("handler_error", True)


async def test_a_name_is_used_once_in_a_handler() -> None:
    @Realm("content").intent("content.read")
    async def read(ctx: Context, payload: Empty) -> Outcome:
        for item in ("a", "b"):
            await ctx.step("one", len, item)
        return Outcome()

    called = await run(read, b"{}")
    assert (called.error.code, called.error.retryable) == ("step_repeated", False)
    assert "put the index into it" in called.error.cure


@pytest.mark.parametrize(
    "name", ["", "a\nb", "x" * 201, None, "sleep:1", "signal:granted:2", "journal:branched"]
)
async def test_a_name_is_plain_text(name: Any) -> None:
    @Realm("content").intent("content.read")
    async def read(ctx: Context, payload: Empty) -> Outcome:
        await ctx.step(name, len, "a")
        return Outcome()

    assert (await run(read, b"{}")).error.code == "bad_step_name"


class Opaque:
    """Nothing that JSON could hold."""


def make_opaque() -> Opaque:
    """A step that cannot be recorded."""
    raise AssertionError("never runs")


def make_wrong() -> int:
    """A step that does not return what it says."""
    return "seven"  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("function", "code"),
    [
        (lambda: b"raw", "raw_bytes"),
        (lambda: "x" * 65_536, "step_too_large"),
        (lambda: Opaque(), "not_json"),
        (make_opaque, "step_unreadable"),
        (make_wrong, "step_unreadable"),
    ],
)
async def test_a_result_that_cannot_be_recorded_is_a_broken_contract(
    function: Callable[[], Any], code: str
) -> None:
    handler, _ = stepping(function)
    called = await run(handler, b"{}")
    assert (called.error.code, called.error.retryable) == (code, False)
    assert called.error.cure


async def test_a_result_that_does_not_fit_is_not_recorded() -> None:
    handler, _ = stepping(make_wrong)
    called = await run(handler, b"{}")
    assert called.error.code == "step_unreadable"
    assert called.supervision.recorded == []


async def test_all_checkpoints_together_are_bounded() -> None:
    chunk = "x" * 60_000

    @Realm("content").intent("content.read")
    async def read(ctx: Context, payload: Empty) -> Outcome:
        for n in range(20):
            await ctx.step(f"step {n}", lambda: chunk)
        return Outcome()

    called = await run(read, b"{}")
    assert called.error.code == "checkpoints_too_large"
    assert sum(len(data) for _, data in called.supervision.recorded) <= CHECKPOINTS_LIMIT_BYTES


async def test_steps_may_run_side_by_side() -> None:
    @Realm("content").intent("content.read")
    async def read(ctx: Context, payload: Empty) -> Outcome:
        lengths = await asyncio.gather(*(ctx.step(f"{n}", len, "x" * n) for n in range(5)))
        return Outcome(result=lengths)

    assert (await run(read, b"{}")).result == [0, 1, 2, 3, 4]


def test_what_reads_a_function_s_results_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []

    def adapter(declared: Any) -> TypeAdapter[Any]:
        made.append(declared)
        return TypeAdapter(declared)

    def make() -> dict[str, int]:
        return {}

    monkeypatch.setattr(steps, "TypeAdapter", adapter)
    for function in (make, partial(make), make):
        assert steps.reader("make", function)(b'{"a": 1}') == {"a": 1}
    assert len(made) == 1


def test_what_reads_a_function_s_results_does_not_keep_the_function() -> None:
    def make() -> dict[str, int]:
        return {}

    kept = weakref.ref(make)
    steps.reader("make", make)
    del make
    gc.collect()
    assert kept() is None
