"""Declaring realms and handlers.

- What is declared rightly becomes a handler with its contracts and options.
- What is declared wrongly is refused where it is written; the error names the handler and says
  what to change.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from symphainy import (
    Context,
    DeclarationError,
    Determinism,
    Outcome,
    Realm,
    Reference,
    Retry,
    RuntimeParticipant,
)
from symphainy.stated import Intent


class File(BaseModel):
    """A payload."""

    path: str
    pages: int = 0


class Text(BaseModel):
    """A result."""

    words: int


async def good(ctx: Context, payload: File) -> Outcome:
    """Read a file.

    More about it.
    """
    return Outcome()


def test_a_handler_carries_its_contracts_and_options() -> None:
    realm = Realm("content")

    @realm.intent(
        "content.count",
        retry=Retry(attempts=3, initial="500ms", factor=1.5, maximum="1m30s"),
        timeout="2m",
        determinism=Determinism.DETERMINISTIC,
    )
    async def count(ctx: Context, payload: File) -> Text:
        """Count words."""
        return Text(words=1)

    assert count.intent_type == "content.count"
    assert count.name == "count"
    assert count.description == "Count words."
    assert json.loads(count.input_contract) == File.model_json_schema()
    assert json.loads(count.output_contract) == Text.model_json_schema()
    assert count.options.timeout_ms == 120_000
    retry = count.options.retry
    assert (retry.attempts, retry.initial_ms, retry.maximum_ms) == (3, 500, 90_000)
    assert list(realm) == [count]


async def test_a_handler_can_be_called_as_the_function_that_it_is() -> None:
    handler = Realm("content").intent("content.read")(good)
    context: Any = None
    assert await handler(context, File(path="a")) == Outcome()
    assert handler.description == "Read a file."


def test_attempts_without_a_limit_are_the_most_that_there_are() -> None:
    retry = Retry(attempts=None, maximum="10m")
    assert retry == Retry(1_000_000, "1s", 2.0, "10m")
    assert (retry.attempts, retry.maximum_ms) == (1_000_000, 600_000)


def test_defaults_are_five_attempts_and_five_minutes() -> None:
    options = Realm("content").intent("content.read")(good).options
    assert (options.retry.attempts, options.timeout_ms) == (5, 300_000)
    assert Realm("content").intent("content.read", timeout=None)(good).options.timeout_ms == 0


async def untyped_context(ctx, payload: File) -> Outcome:  # type: ignore[no-untyped-def]
    return Outcome()


async def untyped_payload(ctx: Context, payload) -> Outcome:  # type: ignore[no-untyped-def]
    return Outcome()


async def dict_payload(ctx: Context, payload: dict[str, Any]) -> Outcome:
    return Outcome()


async def no_return(ctx: Context, payload: File):  # type: ignore[no-untyped-def]
    return Outcome()


async def returns_bytes(ctx: Context, payload: File) -> bytes:
    return b""


async def returns_text_or_outcome(ctx: Context, payload: File) -> Outcome | str:
    return ""


async def three_parameters(ctx: Context, payload: File, more: int) -> Outcome:
    return Outcome()


async def keyword_payload(ctx: Context, *, payload: File) -> Outcome:
    return Outcome()


async def unresolvable(ctx: Context, payload: NotThere) -> Outcome:  # type: ignore[name-defined]  # noqa: F821
    return Outcome()


async def generator(ctx: Context, payload: File) -> Outcome:  # type: ignore[misc]
    yield Outcome()


class NotAFunction:
    """Callable, but no function."""

    async def __call__(self, ctx: Context, payload: File) -> Outcome:
        """Do nothing."""
        return Outcome()


@pytest.mark.parametrize(
    ("function", "cure"),
    [
        (untyped_context, "ctx: Context"),
        (untyped_payload, "payload: YourModel"),
        (dict_payload, "payload: YourModel"),
        (no_return, "Outcome, a pydantic model, a dict or None"),
        (returns_bytes, "Outcome, a pydantic model, a dict or None"),
        (returns_text_or_outcome, "Outcome, a pydantic model, a dict or None"),
        (three_parameters, "async def handler(ctx: Context, payload: YourModel)"),
        (keyword_payload, "async def handler(ctx: Context, payload: YourModel)"),
        (unresolvable, "not under TYPE_CHECKING"),
        (generator, "ctx.progress"),
    ],
)
def test_a_wrong_signature_names_the_handler_and_the_cure(
    function: Callable[..., Any], cure: str
) -> None:
    with pytest.raises(DeclarationError) as refused:
        Realm("content").intent("content.read")(function)
    assert function.__qualname__ in refused.value.message
    assert cure in refused.value.cure
    assert refused.value.code == "bad_handler"


def test_only_functions_are_handlers() -> None:
    wrong: Any = NotAFunction()
    with pytest.raises(DeclarationError, match="is not a function"):
        Realm("content").intent("content.read")(wrong)


@pytest.mark.parametrize("intent_type", ["insights.read", "content", "content.Read", "content.a.b"])
def test_an_intent_type_is_one_of_the_realm(intent_type: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        Realm("content").intent(intent_type)(good)
    assert refused.value.code == "bad_intent_type"
    assert "good" in refused.value.message
    assert "content.<action>" in refused.value.cure


def test_an_intent_type_is_declared_once() -> None:
    realm = Realm("content")
    realm.intent("content.read")(good)
    with pytest.raises(DeclarationError, match=r"content\.read is answered by good already"):
        realm.intent("content.read")(good)


@pytest.mark.parametrize("name", ["", "Content", "1st", "a-b", "a" * 64, "runtime", "cross_realm"])
def test_a_realm_has_a_plain_name_that_is_not_reserved(name: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        Realm(name)
    assert refused.value.code == "bad_realm"


@pytest.mark.parametrize("duration", ["", "5", "2 m", "m", "-1s", "1x", timedelta(seconds=-1), 5])
def test_a_bad_duration_says_what_one_looks_like(duration: Any) -> None:
    with pytest.raises(DeclarationError) as refused:
        Realm("content").intent("content.read", timeout=duration)
    assert refused.value.code == "bad_duration"
    assert "1h30m" in refused.value.message


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"attempts": 0}, "bad_retry"),
        ({"attempts": True}, "bad_retry"),
        ({"factor": 0.5}, "bad_retry"),
        ({"initial": "2m"}, "bad_retry"),
        ({"maximum": "soon"}, "bad_duration"),
    ],
)
def test_a_retry_policy_must_make_sense(wrong: dict[str, Any], code: str) -> None:
    with pytest.raises(DeclarationError) as refused:
        Retry(**wrong)
    assert refused.value.code == code


def test_a_payload_may_hold_references() -> None:
    class WithReference(BaseModel):
        file: Reference

    schema = WithReference.model_json_schema()
    assert set(schema["properties"]["file"]["properties"]) == {
        "uri",
        "sha256",
        "size",
        "media_type",
    }


class Participant(RuntimeParticipant):
    """Answers two intents."""

    def __init__(self, supported: list[str]) -> None:
        self._supported = supported

    async def handle_intent(self, intent: Intent, context: Context) -> dict[str, Any]:
        """Answer nothing."""
        return {}

    def get_supported_intents(self) -> list[str]:
        """What was given."""
        return self._supported


def test_a_participant_declares_all_that_it_supports() -> None:
    realm = Realm("content")
    realm.add(Participant(["content.read", "content.write"]))
    assert [(h.intent_type, h.name) for h in realm] == [
        ("content.read", "Participant.handle_intent"),
        ("content.write", "Participant.handle_intent"),
    ]
    assert json.loads(next(iter(realm)).input_contract)["type"] == "object"


@pytest.mark.parametrize("supported", [[], ["insights.read"]])
def test_a_participant_of_nothing_or_of_another_realm_is_refused(supported: list[str]) -> None:
    with pytest.raises(DeclarationError):
        Realm("content").add(Participant(supported))
