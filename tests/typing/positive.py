"""What users may write, and the types that they get. Both checkers find nothing here; never run.

`assert_type` fails where a type got wider than it says, `Any` above all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, assert_type

from pydantic import BaseModel

from symphainy import (
    EACH,
    Asked,
    Client,
    Compensation,
    Condition,
    Context,
    DeclaredPlan,
    Event,
    ExecutionError,
    ExecutionResult,
    Handler,
    Intent,
    Outcome,
    Plan,
    PlanInput,
    Realm,
    Recovery,
    Reference,
    Retry,
    RuntimeParticipant,
    Saga,
    SagaCompensation,
    Step,
    Value,
)


class File(BaseModel):
    """A payload."""

    path: str


class Text(BaseModel):
    """A result."""

    words: int


class Grant(BaseModel):
    """A signal's data."""

    by: str


realm = Realm("content")


# -- handlers keep their types, and may return what a handler may ------------------------------


@realm.intent("content.model")
async def returns_model(ctx: Context, payload: File) -> Text:
    return Text(words=len(payload.path))


@realm.intent("content.outcome", retry=Retry(attempts=3), timeout="2m", heartbeat=None)
async def returns_outcome(ctx: Context, payload: File) -> Outcome:
    return Outcome(result=payload, events=[Event("file.read", payload)])


@realm.intent("content.dict", timeout=timedelta(seconds=5))
async def returns_dict(ctx: Context, payload: File) -> dict[str, int | None]:
    return {"words": 1}


@realm.intent("content.nothing")
async def returns_nothing(ctx: Context, payload: File) -> None: ...


@realm.intent("content.either")
async def returns_either(ctx: Context, payload: File) -> Text | Outcome | None:
    return None


@realm.intent("content.sync")
def returns_at_once(ctx: Context, payload: File) -> Text:
    return Text(words=ctx.wait(ctx.step("count", len, payload.path)))


@realm.intent("content.sync_mapping")
def returns_mapping(ctx: Context, payload: File) -> Mapping[str, str]:
    return {"path": payload.path}


# -- what undoes a handler's work is given what the handler returned -----------------------------


@returns_model.compensate
async def discards_model(ctx: Context, done: Text | None) -> None:
    print(ctx.compensates, ctx.step_name)
    assert_type(ctx.intent.read(File), File)
    assert_type(ctx.intent.read(dict[str, str]), dict[str, str])


assert_type(Retry(attempts=None).attempts, int)


@returns_outcome.compensate(retry=Retry(attempts=3), timeout="1m", heartbeat=None)
async def discards_outcome(ctx: Context, done: Outcome | None) -> Outcome:
    return Outcome(events=[Event("file.dropped")])


@returns_dict.compensate()
def discards_dict(ctx: Context, done: dict[str, int | None] | None) -> None: ...


@returns_nothing.compensate
async def discards_nothing(ctx: Context, done: None) -> None: ...


@returns_either.compensate
async def discards_either(ctx: Context, done: Text | Outcome | None) -> Outcome | None:
    return None


@returns_at_once.compensate(timeout="1m")
def discards_at_once(ctx: Context, done: Text | None) -> None: ...


@returns_mapping.compensate
def discards_anything(ctx: Context, done: object) -> None: ...


async def compensations(ctx: Context) -> None:
    declared: Compensation[Text, Coroutine[Any, Any, None]] = discards_model
    assert_type(discards_at_once, Compensation[Text, None])
    assert_type(await discards_outcome(ctx, None), Outcome)
    await declared(ctx, Text(words=1))


# -- plans: what a step takes is what its handler takes -------------------------------------------


@realm.intent("content.read_text")
async def reads_text(ctx: Context, payload: Text) -> None: ...


@realm.plan("content.all", recovery="hold_for_operator", deadline="1h")
def all_of_it(file: PlanInput[File]) -> Plan:
    assert_type(file["path"], Value[Any])
    whole = Step("whole", returns_model)
    same = Step("same", returns_model, file)
    literal = Step("literal", returns_at_once, File(path="a"))
    part = Step("part", returns_dict, {"path": file["path"]}, when=file["path"].is_not(""))
    outcome = Step("outcome", returns_outcome, file["inner"][0], needs=[whole, "same"])
    handed_on = Step("handed_on", reads_text, whole.result)
    named = Step("named", "elsewhere.read", [1])
    assert_type(whole, Step[Text])
    assert_type(literal.result, Value[Text])
    assert_type(part.result, Value[dict[str, int | None]])
    assert_type(outcome, Step[Any])
    assert_type(named.result["a"][0].is_in([1, None]), Condition)
    return Plan([whole, same, literal, part, outcome, handed_on, named], result=[part.result, 1])


@realm.plan("content.each")
def each_of_it(file: PlanInput[File]) -> Plan:
    assert_type(EACH, Value[Any])
    texts = Step("texts", returns_model, {"path": EACH["path"]}, for_each=file["inner"])
    again = Step("again", returns_dict, for_each=texts.result, at_most=3, needs=["texts"])
    several = Step("several", returns_at_once, EACH, for_each=again.result, when=file["a"].is_(1))
    outcomes = Step("outcomes", returns_outcome, file, for_each=texts.result)
    named = Step("named", "elsewhere.read", {"all": texts.result}, for_each=outcomes.result)
    assert_type(texts, Step[list[Text]])
    assert_type(again.result, Value[list[dict[str, int | None]]])
    assert_type(several.result, Value[list[Text]])
    assert_type(outcomes, Step[list[Any]])
    assert_type(named, Step[list[Any]])
    return Plan([texts, again, several, outcomes, named], result=texts.result[0])


@realm.plan("cross_realm.all", recovery=Recovery.RETRY_FORWARD)
def named_only(file: PlanInput[File]) -> Plan:
    return Plan([Step("a", "elsewhere.read")], in_order=True)


async def plans(gateway: Client, file: File) -> None:
    assert_type(all_of_it, DeclaredPlan[File])
    assert_type(await gateway.submit(all_of_it, file, session_id="s"), ExecutionResult)
    await gateway.submit(all_of_it, {"path": "a"}, session_id="s")


class Participant(RuntimeParticipant):
    """The class form."""

    async def handle_intent(self, intent: Intent, context: Context) -> dict[str, Any]:
        return {"result": intent.payload}

    def get_supported_intents(self) -> list[str]:
        return ["content.participant"]


async def handlers(ctx: Context, file: File) -> None:
    realm.add(Participant())
    declared: Handler[File, Coroutine[Any, Any, Text]] = returns_model
    assert_type(await declared(ctx, file), Text)
    assert_type(returns_at_once, Handler[File, Text])
    assert_type(returns_model.payload_model, type[File])
    assert_type(await returns_model(ctx, file), Text)
    assert_type(await returns_outcome(ctx, file), Outcome)
    assert_type(await returns_dict(ctx, file), dict[str, int | None])
    await returns_nothing(ctx, file)
    assert_type(await returns_either(ctx, file), Text | Outcome | None)
    assert_type(returns_at_once(ctx, payload=file), Text)
    assert_type(returns_mapping(ctx, file), Mapping[str, str])


# -- steps give what their function gives, and take what it takes -------------------------------


async def fetch(path: str, times: int = 1, *, language: str = "en") -> Text:
    return Text(words=times)


def split(path: str) -> list[str]:
    return [path]


def prepared() -> Awaitable[Text]:
    return fetch("a")


class Reader:
    """Whose methods, and instances, are steps."""

    async def read(self, path: str) -> Text:
        return await fetch(path)

    def __call__(self, path: str) -> Reference | None:
        return None


async def steps(ctx: Context) -> None:
    assert_type(await ctx.step("async", fetch, "a"), Text)
    assert_type(await ctx.step("keywords", fetch, "a", times=2, language="de"), Text)
    assert_type(await ctx.step("sync", split, "a"), list[str])
    assert_type(await ctx.step("awaitable", prepared), Text)
    assert_type(await ctx.step("method", Reader().read, "a"), Text)
    assert_type(await ctx.step("callable", Reader(), "a"), Reference | None)
    assert_type(await ctx.step("partial", partial(fetch, times=2), "a"), Text)
    assert_type(await ctx.step("model", Text, words=1), Text)
    assert_type(await ctx.step("lambda", lambda: 1), int)
    both = await asyncio.gather(ctx.step("one", fetch, "a"), ctx.step("two", split, "b"))
    assert_type(both, tuple[Text, list[str]])


def sync_steps(ctx: Context) -> None:
    assert_type(ctx.wait(ctx.step("async", fetch, "a")), Text)
    assert_type(ctx.wait(ctx.step("sync", split, "a")), list[str])
    assert_type(ctx.wait(ctx.signal("granted", Grant)), Grant)
    assert_type(ctx.wait(ctx.artifacts.put("a.txt", "x")), Reference)


# -- what is invoked gives what its handler returns ---------------------------------------------


async def invokes(ctx: Context) -> None:
    assert_type(await ctx.invoke(returns_model, File(path="a")), Text)
    assert_type(await ctx.invoke(returns_model, {"path": "a"}, timeout="1m"), Text)
    assert_type(await ctx.invoke(returns_at_once, File(path="a")), Text)
    assert_type(await ctx.invoke(returns_dict, File(path="a")), dict[str, int | None])
    assert_type(await ctx.invoke(returns_outcome, File(path="a")), Any)
    assert_type(await ctx.invoke("content.model", {"path": "a"}), Any)
    assert_type(await ctx.invoke("content.model", File(path="a")), Any)
    assert_type(await ctx.invoke(returns_model, File(path="a"), wait=False), str)
    assert_type(await ctx.invoke("content.model", {}, wait=False), str)
    both = await asyncio.gather(
        ctx.invoke(returns_model, File(path="a")), ctx.invoke(returns_dict, File(path="b"))
    )
    assert_type(both, tuple[Text, dict[str, int | None]])


def invokes_at_once(ctx: Context) -> None:
    assert_type(ctx.wait(ctx.invoke(returns_model, File(path="a"))), Text)


# -- signals are read as what is asked for ------------------------------------------------------


async def signals(ctx: Context) -> None:
    assert_type(await ctx.signal("granted", Grant), Grant)
    assert_type(await ctx.signal("granted", Grant, timeout="3d"), Grant)
    assert_type(await ctx.signal("count", int, timeout=timedelta(days=3)), int)
    assert_type(await ctx.signal("names", list[str]), list[str])
    assert_type(await ctx.signal("anything"), Any)
    await ctx.sleep("24h")
    await ctx.sleep(timedelta(hours=24))


async def surroundings(ctx: Context) -> None:
    assert_type(ctx.attempt, int)
    assert_type(ctx.intent.metadata, dict[str, Any])
    assert_type(await ctx.artifacts.get(await ctx.artifacts.put("a", b"")), bytes)


# -- the client takes models and mappings -------------------------------------------------------


async def client(file: File, count: Callable[[], dict[str, int]]) -> None:
    async with Client("", "key", retry_for="1m") as gateway:
        assert_type(gateway, Client)
        session = await gateway.open_session({"purpose": "test"})
        assert_type(session, str)
        answer = await gateway.submit("content.read", file, session_id=session)
        assert_type(answer, ExecutionResult)
        assert_type(answer.success, bool)
        assert_type(answer.error, ExecutionError | None)
        assert_type(answer.artifacts, dict[str, Reference])
        assert_type(answer.read(Text), Text)
        assert_type(answer.read(list[str]), list[str])
        typed = await gateway.submit(returns_model, file, session_id=session)
        assert_type(typed.read(Text), Text)
        await gateway.submit(returns_at_once, {"path": "a"}, session_id=session)
        again = await gateway.submit("content.read", count(), session_id=session, wait="1s")
        assert_type(again, ExecutionResult)
        await gateway.signal(answer.execution_id, "granted", Grant(by="ann"))
        await gateway.signal(answer.execution_id, "granted", {"by": "ann"}, signal_id="1")
        await gateway.cancel(answer.execution_id, "no longer wanted")
        assert_type(await gateway.compensate(answer.execution_id, "enough"), Asked)
        again_with = await gateway.retry_step(answer.execution_id, "read", file, reason="mended")
        assert_type(again_with.recorded, bool)
        await gateway.retry_step(answer.execution_id, "read", {"path": "a"})
        saga = await gateway.saga(answer.execution_id)
        assert_type(saga, Saga)
        assert_type([step.error for step in saga.steps], list[ExecutionError | None])
        assert_type(saga.steps[0].compensation, SagaCompensation | None)
        assert_type(await gateway.status(answer.execution_id), ExecutionResult)
        async for event in gateway.stream(answer.execution_id):
            assert_type(event, dict[str, Any])
