"""One call of a handler.

- A valid payload reaches the handler as its model; an invalid one never reaches it.
- What it returns becomes records: result, references, events, state changes.
- Only `TerminalError` and broken contracts are terminal; every other exception may be retried.
- No failure carries more than a bounded, valid text, and none carries the payload's values.
"""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel
from tests.unit.sdk.fakes import NOW, run

from symphainy import (
    Context,
    Event,
    Intent,
    Outcome,
    Realm,
    Reference,
    RetryableError,
    RuntimeParticipant,
    StateChange,
    TerminalError,
)
from symphainy.invocation import MESSAGE_LIMIT, Failed, Succeeded
from symphainy_schemas import records
from symphainy_schemas.errors import OperatorError, Unavailable
from symphainy_transport.artifacts import ArtifactMissing

OURS = Reference("artifact://acme/" + "ab" * 32, b"\xab" * 32, 3, "text/plain")
THEIRS = Reference("artifact://other/" + "ab" * 32, b"\xab" * 32, 3, "text/plain")


class File(BaseModel):
    """A payload."""

    path: str


class Text(BaseModel):
    """A result."""

    words: int
    source: Reference | None = None


def answering(answer: Any, declared: Any = Outcome) -> Any:
    """A handler that returns `answer`, declared to return `declared`."""

    async def handler(ctx: Context, payload: File) -> Outcome:
        return answer  # type: ignore[no-any-return]

    handler.__annotations__["return"] = declared
    return Realm("content").intent("content.read")(handler)


def raising(error: BaseException) -> Any:
    """A handler that raises `error`."""

    async def handler(ctx: Context, payload: File) -> Outcome:
        raise error

    return Realm("content").intent("content.read")(handler)


async def test_the_payload_arrives_as_the_model_and_the_result_leaves_as_json() -> None:
    @Realm("content").intent("content.read")
    async def read(ctx: Context, payload: File) -> Text:
        return Text(words=len(payload.path))

    called = await run(read, b'{"path":"abc"}')
    assert called.result == {"words": 3, "source": None}


async def test_a_sync_handler_runs_in_a_thread() -> None:
    seen = []

    @Realm("content").intent("content.read")
    def read(ctx: Context, payload: File) -> dict[str, Any]:
        seen.append(threading.current_thread())
        stored = ctx.wait(ctx.artifacts.put("a.txt", "abc"))
        return {"n": ctx.wait(ctx.step("count", len, payload.path)), "stored": stored}

    called = await run(read)
    assert called.result["n"] == 5
    assert called.result["stored"]["media_type"] == "text/plain"
    assert seen[0] is not threading.current_thread()


async def test_an_outcome_becomes_records() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    called = await run(
        answering(
            Outcome(
                artifacts={"text": OURS},
                events=[Event("file.read", File(path="a")), Event("done")],
                state_changes=[StateChange("last", {"at": moment, "n": Decimal("1.50")})],
                result={"id": UUID(int=1), "source": OURS, "parts": (1, 2)},
            )
        )
    )
    assert isinstance(called.end, Succeeded)
    assert called.end.artifacts == (records.Artifact("text", OURS),)
    assert called.end.events == (
        records.DomainEvent("file.read", b'{"path":"a"}'),
        records.DomainEvent("done", b"null"),
    )
    (change,) = called.end.state_changes
    assert (change.key, change.value) == ("last", b'{"at":"2026-01-02T00:00:00Z","n":"1.50"}')
    assert called.result["source"]["sha256"] == "ab" * 32
    assert called.result["parts"] == [1, 2]


@pytest.mark.parametrize("answer", [None, Outcome()])
async def test_no_result_is_null(answer: Any) -> None:
    called = await run(answering(answer, Outcome | None))
    assert called.result is None


async def test_an_invalid_payload_is_terminal_and_points_to_the_field() -> None:
    called = await run(answering(Outcome()), b'{"path":{"secret":"hunter2"}}')
    error = called.error
    assert (error.code, error.field, error.retryable) == ("payload_invalid", "/path", False)
    assert "content.read" in error.cure
    assert "hunter2" not in error.message


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"\xff"])
async def test_a_payload_that_is_no_json_object_is_invalid(payload: bytes) -> None:
    called = await run(answering(Outcome()), payload)
    assert called.error.code == "payload_invalid"


@pytest.mark.parametrize(
    ("answer", "declared", "code", "cure"),
    [
        ("text", Outcome, "wrong_return_type", "annotation"),
        ({"words": 1}, Text, "wrong_return_type", "annotation"),
        (File(path="a"), Text, "wrong_return_type", "annotation"),
        (None, Outcome, "wrong_return_type", "annotation"),
        ({"pdf": b"%PDF"}, dict, "raw_bytes", "ctx.artifacts.put"),
        (Outcome(result=[b"%PDF"]), Outcome, "raw_bytes", "ctx.artifacts.put"),
        (Outcome(events=[Event("e", {"b": bytearray(1)})]), Outcome, "raw_bytes", "artifacts"),
        ({"a": object()}, dict, "not_json", "pydantic model"),
        ({"a": float("nan")}, dict, "not_json", "pydantic model"),
        ({"text": "x" * 65_536}, dict, "result_too_large", "ctx.artifacts.put"),
        (Outcome(state_changes=[StateChange("k", "x" * 65_536)]), Outcome, "state_too_large", "a"),
        (Outcome(events=[Event("e", "x" * 65_536)]), Outcome, "event_too_large", "artifacts"),
        (Outcome(events=[Event("e", "x" * 60_000)] * 9), Outcome, "outcome_too_large", "artifacts"),
        (Outcome(artifacts={"a": b"raw"}), Outcome, "not_a_reference", "ctx.artifacts.put"),  # type: ignore[dict-item]
        (Outcome(artifacts={"a": THEIRS}), Outcome, "foreign_artifact", "same tenant"),
        (Outcome(artifacts={"": OURS}), Outcome, "bad_name", "printable"),
        (Outcome(events=[Event("\ud800")]), Outcome, "bad_name", "printable"),
        (Outcome(events=["file.read"]), Outcome, "wrong_return_type", "symphainy.Event"),  # type: ignore[list-item]
        (Outcome(state_changes=[("k", 1)]), Outcome, "wrong_return_type", "StateChange"),  # type: ignore[list-item]
    ],
)
async def test_a_broken_contract_is_terminal_with_a_code_and_a_cure(
    answer: Any, declared: Any, code: str, cure: str
) -> None:
    called = await run(answering(answer, declared))
    error = called.error
    assert (error.code, error.retryable) == (code, False)
    assert cure in error.cure


@pytest.mark.parametrize(
    ("raised", "code", "retryable", "after_ms"),
    [
        (TerminalError("No such file."), "terminal_error", False, -1),
        (TerminalError("No such file.", code="file_not_found"), "file_not_found", False, -1),
        (RetryableError("Busy."), "retryable_error", True, -1),
        (RetryableError("Busy.", after="0s"), "retryable_error", True, 0),
        (RetryableError("Busy.", after="30s", code="busy"), "busy", True, 30_000),
        (ValueError("wrong"), "handler_error", True, -1),
        (SystemExit(3), "handler_error", True, -1),
        (asyncio.CancelledError(), "handler_cancelled", True, -1),
        (Unavailable("The object store is away."), "unavailable", True, -1),
    ],
)
async def test_only_terminal_errors_are_terminal(
    raised: BaseException, code: str, retryable: bool, after_ms: int
) -> None:
    called = await run(raising(raised))
    assert (called.error.code, called.error.retryable) == (code, retryable)
    assert isinstance(called.end, Failed)
    assert called.end.retry_after_ms == after_ms
    assert called.end.cause is raised


async def test_what_an_operator_must_do_is_said_to_the_operator() -> None:
    called = await run(raising(ArtifactMissing("It is gone.", cure="Restore it.")))
    assert (called.error.operator_action, called.error.cure) == ("Restore it.", "")
    assert isinstance(ArtifactMissing("x"), OperatorError)


async def test_a_message_is_bounded_and_valid_text() -> None:
    called = await run(raising(ValueError("\ud800" + "x" * 10_000)))
    assert len(called.error.message) == MESSAGE_LIMIT
    called.error.message.encode()


async def test_a_cancelled_call_stays_cancelled() -> None:
    started = asyncio.Event()

    @Realm("content").intent("content.read")
    async def read(ctx: Context, payload: File) -> Outcome:
        started.set()
        await asyncio.Event().wait()
        return Outcome()

    call = asyncio.create_task(run(read))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_the_context_tells_what_is_executed() -> None:
    seen: list[Context] = []

    @Realm("content").intent("content.read")
    async def read(ctx: Context, payload: File) -> Outcome:
        seen.append(ctx)
        return Outcome()

    await run(read)
    (ctx,) = seen
    assert (ctx.tenant_id, ctx.user_id, ctx.correlation_id) == ("acme", "ann", "cor")
    assert (ctx.attempt, ctx.delivery) == (2, 3)
    assert ctx.idempotency_key == f"{ctx.execution_id}:main"
    assert ctx.deadline == datetime.fromtimestamp((NOW + 120_000) / 1000, UTC)
    assert ctx.intent.payload == {"path": "a.pdf"}
    assert (ctx.intent.metadata, ctx.intent.solution_context) == (
        {"source": "http"},
        {"solution": "mvp"},
    )
    assert ctx.intent.created_at.isoformat() == "2026-09-21T14:13:18.500000+00:00"
    assert (ctx.intent.intent_type, ctx.intent.realm) == ("content.read", "content")
    assert ctx.policy.roles == ("reader",)
    assert (ctx.policy.platform_version, ctx.policy.tenant_version) == (2, 5)
    assert ctx.policy.sha256 == "05" * 32
    assert ctx.policy.policies == (
        "acme/security_guard/readers",
        "platform/city_manager/hours",
    )
    with pytest.raises(AttributeError):
        ctx.policy.roles = ("admin",)  # type: ignore[misc]
    with pytest.raises(AttributeError):
        ctx.intent.metadata = {}  # type: ignore[misc]
    with pytest.raises(AttributeError):
        ctx._payload = b""  # type: ignore[misc]
    assert "a.pdf" not in repr(ctx) + repr(ctx.intent)


async def test_idempotency_key_is_the_same_for_every_attempt_and_delivery() -> None:
    keys = set()

    @Realm("content").intent("content.read")
    async def read(ctx: Context, payload: File) -> Outcome:
        keys.add(ctx.idempotency_key)
        return Outcome()

    for attempt, delivery in ((1, 1), (1, 2), (2, 3)):
        await run(read, attempt=attempt, delivery=delivery)
    assert len(keys) == 1


async def test_artifacts_come_back_and_other_tenants_stay_closed() -> None:
    @Realm("content").intent("content.read")
    async def read(ctx: Context, payload: File) -> Outcome:
        reference = await ctx.artifacts.put("rows.csv", b"a,b")
        assert await ctx.artifacts.get(reference) == b"a,b"
        await ctx.artifacts.get(THEIRS)
        return Outcome(artifacts={"rows": reference})

    called = await run(read)
    assert (called.error.code, called.error.retryable) == ("foreign_artifact", False)


async def test_ctx_wait_is_refused_where_one_can_await() -> None:
    @Realm("content").intent("content.read")
    async def read(ctx: Context, payload: File) -> Outcome:
        ctx.wait(ctx.progress("half"))
        return Outcome()

    called = await run(read)
    assert "in an async handler, await" in called.error.message


class Participant(RuntimeParticipant):
    """Answers with what it was given."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def handle_intent(self, intent: Intent, context: Context) -> Any:
        """Answer."""
        assert intent.payload == {"path": "a.pdf"}
        return self.answer

    def get_supported_intents(self) -> list[str]:
        """One intent."""
        return ["content.read"]


def participating(answer: Any) -> Any:
    """The participant's handler."""
    realm = Realm("content")
    realm.add(Participant(answer))
    return next(iter(realm))


@pytest.mark.parametrize(
    "answer",
    [
        {
            "artifacts": {"text": OURS},
            "events": [{"type": "file.read", "data": {"n": 1}}],
            "state_changes": [{"key": "last", "value": 1}],
        },
        {
            "artifacts": {"text": records.Reference(OURS.uri, OURS.sha256, 3, "text/plain")},
            "events": [Event("file.read", {"n": 1})],
            "state_changes": [StateChange("last", 1)],
        },
        Outcome(
            artifacts={"text": OURS},
            events=[Event("file.read", {"n": 1})],
            state_changes=[StateChange("last", 1)],
        ),
    ],
)
async def test_a_participants_answer_is_an_outcome(answer: Any) -> None:
    called = await run(participating(answer))
    assert called.end == Succeeded(
        b"null",
        (records.Artifact("text", OURS),),
        (records.DomainEvent("file.read", b'{"n":1}'),),
        (records.StateChange("last", b"1"),),
    )


@pytest.mark.parametrize("answer", [None, {"artefacts": {}}, {"events": [{"data": 1}]}, [1]])
async def test_a_participants_wrong_answer_says_the_form(answer: Any) -> None:
    called = await run(participating(answer))
    assert called.error.code == "wrong_return_type"
    assert '"artifacts"' in called.error.cure
