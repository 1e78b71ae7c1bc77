"""What undoes a handler's work: declared, registered, told what was done, and run like a handler.

- It is given what the handler returned as the handler returned it, or None where nobody knows.
- It has its own limits, its own attempts and its own idempotency key.
- What is declared wrongly is refused where it is written.
- A task for a compensation that the code no longer has fails, and says what to change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pydantic import BaseModel, Field
from tests.unit.sdk.bench import Bench, File, working
from tests.unit.sdk.fakes import NOW, TASK, run, task, until

from symphainy import (
    Compensation,
    Context,
    DeclarationError,
    Event,
    Handler,
    Outcome,
    Realm,
    Retry,
)
from symphainy.invocation import Failed, Succeeded
from symphainy.worker.capabilities import Registration, capability
from symphainy_schemas.codec import decode, encode
from symphainy_schemas.records import Capability, Checkpoint, Policy, ReportKind
from symphainy_transport.settings import TransportSettings

UNDOING: dict[str, Any] = {"step": "compensate:read", "compensates": "read", "handler": "undo"}


class Text(BaseModel):
    """A result."""

    words: int = Field(alias="wordCount")
    language: str = "en"


async def returns_text(ctx: Context, payload: File) -> Text:
    return Text(wordCount=1)


async def returns_either(ctx: Context, payload: File) -> Text | Outcome | None:
    return None


def returns_outcome(ctx: Context, payload: File) -> Outcome:
    return Outcome()


async def returns_mapping(ctx: Context, payload: File) -> Mapping[str, int]:
    return {}


async def returns_nothing(ctx: Context, payload: File) -> None: ...


def declared(function: Callable[..., Any], **options: Any) -> Handler[Any, Any]:
    return Realm("content").intent("content.read", **options)(function)


@pytest.mark.parametrize(
    ("function", "recorded", "given"),
    [
        (returns_text, b'{"words":7,"language":"de"}', Text(wordCount=7, language="de")),
        (returns_text, b'{"wordCount":7}', Text(wordCount=7)),
        (returns_text, None, None),
        (returns_outcome, b'{"id":1}', Outcome(result={"id": 1})),
        (returns_outcome, b"null", Outcome()),
        (returns_outcome, None, None),
        (returns_mapping, b'{"a":1}', {"a": 1}),
        (returns_either, b'{"words":7}', Text(wordCount=7)),
        (returns_either, b'["a"]', Outcome(result=["a"])),
        (returns_nothing, b"null", None),
    ],
)
async def test_it_is_given_what_the_handler_returned(
    function: Callable[..., Any], recorded: bytes | None, given: object
) -> None:
    handler = declared(function)
    seen: list[object] = []

    @handler.compensate
    async def undo(ctx: Context, done: Any) -> None:
        seen.append(done)
        assert ctx.intent.payload == {"path": "a.pdf"}
        assert ctx.intent.read(File) == File(path="a.pdf")

    called = await run(handler, result=recorded, **UNDOING)
    assert called.end == Succeeded(b"null")
    assert seen == [given]


async def test_a_payload_that_it_cannot_read_fails_it_with_the_cure() -> None:
    handler = declared(returns_text)

    @handler.compensate
    async def undo(ctx: Context, done: Text | None) -> None:
        ctx.intent.read(Text)

    called = await run(handler, result=None, **UNDOING)
    assert isinstance(called.end, Failed)
    assert (called.end.error.code, called.end.error.retryable) == ("payload_unreadable", False)
    assert "Read it as what the handler takes" in called.end.error.cure


async def test_one_in_a_thread_has_steps_and_tells_of_events() -> None:
    handler = declared(returns_text)

    @handler.compensate(retry=Retry(attempts=3))
    def undo(ctx: Context, done: Text | None) -> Outcome:
        size = ctx.wait(ctx.step("size", len, "four"))
        return Outcome(events=[Event("text.dropped", size)])

    called = await run(handler, result=None, **UNDOING)
    assert isinstance(called.end, Succeeded)
    assert [(one.type, one.data) for one in called.end.events] == [("text.dropped", b"4")]
    assert called.supervision.recorded == [("size", b"4")]
    again = await run(handler, checkpoints=(Checkpoint("size", b"5"),), **UNDOING)
    assert isinstance(again.end, Succeeded)
    assert again.end.events[0].data == b"5"


async def test_it_may_return_nothing_else() -> None:
    handler = declared(returns_text)

    @handler.compensate
    async def undo(ctx: Context, done: Text | None) -> None:
        return {"undone": True}  # type: ignore[return-value]

    called = await run(handler, **UNDOING)
    assert (called.error.code, called.error.retryable) == ("wrong_return_type", False)


async def test_a_context_says_what_it_undoes_and_has_a_key_of_its_own() -> None:
    keys: list[tuple[str, str, str, str]] = []

    def keep(ctx: Context) -> None:
        keys.append((ctx.step_name, ctx.compensates, ctx.idempotency_key, ctx.compensated_key))

    @Realm("content").intent("content.read")
    async def read(ctx: Context, payload: File) -> None:
        keep(ctx)

    @read.compensate
    async def undo(ctx: Context, done: None) -> None:
        keep(ctx)

    execution = TASK.execution_id
    await run(read, step="one", attempt=1)
    await run(read, step="one", attempt=2, delivery=7)
    await run(read, step="two")
    await run(read, step="compensate:one", compensates="one", handler="undo")
    assert keys == [
        ("one", "", f"{execution}:one", ""),
        ("one", "", f"{execution}:one", ""),
        ("two", "", f"{execution}:two", ""),
        ("compensate:one", "one", f"{execution}:compensate:one", f"{execution}:one"),
    ]


async def test_a_result_that_cannot_be_read_is_tried_again_later() -> None:
    handler = declared(returns_text)

    @handler.compensate
    async def undo(ctx: Context, done: Text | None) -> None:
        raise AssertionError("not to be called")

    called = await run(handler, result=b'{"pages":1}', **UNDOING)
    assert isinstance(called.end, Failed)
    assert (called.error.code, called.error.retryable) == ("result_unreadable", True)
    assert called.end.retry_after_ms == 60_000


@pytest.mark.parametrize("has", ["", "renamed"])
async def test_a_compensation_that_the_code_does_not_have_fails_for_good(has: str) -> None:
    handler = declared(returns_text)
    if has:

        @handler.compensate
        async def renamed(ctx: Context, done: Text | None) -> None:
            raise AssertionError("not to be called")

    error = (await run(handler, **UNDOING)).error
    assert (error.code, error.retryable) == ("no_compensation", False)
    assert "undone by undo" in error.message
    assert (has or "has none") in error.message
    assert error.cure.startswith("Declare undo with @returns_text.compensate again")


def test_its_limits_are_registered() -> None:
    handler = declared(returns_text)

    @handler.compensate(retry=Retry(attempts=7, initial="2s"), timeout="1m", heartbeat="5s")
    async def discard(ctx: Context, done: Text | None) -> None: ...

    found = capability(handler, 1, Registration(TransportSettings(), "w-2", NOW))
    assert found.compensation == "discard"
    assert found.compensation_policy == Policy(
        timeout_ms=60_000,
        heartbeat_ms=5_000,
        attempts=7,
        backoff_ms=2_000,
        backoff_factor=2.0,
        backoff_max_ms=60_000,
    )
    assert decode(encode(found), Capability) == found


async def test_it_is_the_function_that_it_is_and_has_more_patience_than_a_handler() -> None:
    handler = declared(returns_mapping)

    @handler.compensate
    def undo(ctx: Context, done: Mapping[str, int] | None) -> Outcome:
        return Outcome(result=done)

    context: Any = None
    assert undo(context, {"a": 1}) == Outcome(result={"a": 1})
    assert isinstance(undo, Compensation)
    assert handler.compensation is undo
    assert undo.options.retry.attempts == 10
    assert (undo.options.timeout_ms, undo.options.heartbeat_ms) == (300_000, 0)


async def one_parameter(ctx: Context) -> None: ...


async def untyped_done(ctx: Context, done) -> None: ...  # type: ignore[no-untyped-def]


async def untyped_context(ctx, done: Text | None) -> None: ...  # type: ignore[no-untyped-def]


async def not_none(ctx: Context, done: Text) -> None: ...


async def something_else(ctx: Context, done: File | None) -> None: ...


async def returns_a_dict(ctx: Context, done: Text | None) -> dict[str, int]:
    return {}


async def returns_something(ctx: Context, done: Text | None):  # type: ignore[no-untyped-def]
    return None


async def generator(ctx: Context, done: Text | None) -> None:  # type: ignore[misc]
    yield


@pytest.mark.parametrize(
    ("function", "cure"),
    [
        (one_parameter, "async def undo(ctx: Context, done: Returned | None) -> None"),
        (untyped_done, "done: Text | None"),
        (untyped_context, "ctx: Context"),
        (not_none, "done: Text | None"),
        (something_else, "done: Text | None"),
        (returns_a_dict, "Return None, or an Outcome"),
        (returns_something, "Return None, or an Outcome"),
        (generator, "ctx.progress"),
    ],
)
def test_a_wrong_signature_names_the_function_and_the_cure(
    function: Callable[..., Any], cure: str
) -> None:
    handler = declared(returns_text)
    with pytest.raises(DeclarationError) as refused:
        handler.compensate(function)
    assert refused.value.code == "bad_handler"
    assert function.__name__ in refused.value.message
    assert cure in refused.value.cure
    assert handler.compensation is None


@pytest.mark.parametrize("annotation", [Any, object, BaseModel | None, Text | File | None])
def test_it_may_take_more_than_the_handler_returns(annotation: Any) -> None:
    async def undo(ctx: Context, done: Any) -> None: ...

    undo.__annotations__["done"] = annotation
    assert declared(returns_text).compensate(undo).name == "undo"


def test_there_is_one_compensation() -> None:
    handler = declared(returns_text)

    @handler.compensate
    async def first(ctx: Context, done: Text | None) -> None: ...

    async def second(ctx: Context, done: Text | None) -> None: ...

    with pytest.raises(DeclarationError, match=r"content\.read is undone by first already"):
        handler.compensate(second)
    with pytest.raises(DeclarationError, match="attempts"):
        declared(returns_text).compensate(retry=Retry(attempts=0))


class Undoing(Bench):
    """A bench whose handler blocks and whose compensation waits, and the other way round."""

    def realm(self) -> Realm:
        """Two handlers."""
        realm = Realm("content")

        @realm.intent("content.block")
        def block(ctx: Context, payload: File) -> None: ...

        @block.compensate
        async def unblock(ctx: Context, done: None) -> None:
            self.calls.append("begun")
            await self.go_on.wait()
            self.calls.append("not cut off")

        @realm.intent("content.wait")
        async def wait(ctx: Context, payload: File) -> None: ...

        @wait.compensate
        def unwait(ctx: Context, done: None) -> None:
            self.release.wait(10.0)
            self.calls.append(f"let end, {ctx.compensates}")

        return realm


async def test_a_limit_ends_it_as_it_does_a_handler() -> None:
    async with working(Undoing) as bench:
        undoing = {**UNDOING, "handler": "unblock", "timeout_ms": 20}
        bench.take(task(intent_type="content.block", **undoing))
        report = await bench.last()
        assert report.kind is ReportKind.FAILED
        assert report.error is not None
        assert report.error.code == "timeout"
        assert report.step == "compensate:read"
        await until(lambda: bench.flow.held == 0)
        assert bench.calls == ["begun"]


async def test_one_in_a_thread_keeps_its_place_until_it_returns() -> None:
    async with working(Undoing) as bench:
        bench.take(
            task(intent_type="content.wait", **{**UNDOING, "handler": "unwait", "timeout_ms": 20})
        )
        assert (await bench.last()).kind is ReportKind.FAILED
        assert bench.flow.held == 1
        bench.release.set()
        await until(lambda: bench.flow.held == 0)
        assert bench.calls == ["let end, read"]


async def test_a_worker_reports_what_it_cannot_undo() -> None:
    async with working(Undoing) as bench:
        bench.take(task(intent_type="content.wait", **UNDOING))
        report = await bench.last()
        assert report.kind is ReportKind.FAILED
        assert report.error is not None
        assert report.error.code == "no_compensation"


async def test_one_of_a_newer_capability_is_for_a_newer_worker() -> None:
    async with working(Undoing) as bench:
        bench.take(task(intent_type="content.wait", **UNDOING, capability_version=99))
        report = await bench.last()
        assert (report.kind, report.name) == (ReportKind.HANDED_BACK, "version_not_served")
