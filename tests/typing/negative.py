"""What users may not write. Each line that is wrong says what both checkers must call it.

A checker complains of an ignore that it does not need, so a wrong line that passes fails the test.
Never run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from symphainy import (
    EACH,
    Client,
    Context,
    Event,
    Outcome,
    Plan,
    PlanInput,
    Realm,
    Retry,
    RuntimeParticipant,
    StateChange,
    Step,
)


class File(BaseModel):
    """A payload."""

    path: str


class Other(BaseModel):
    """Another payload."""


class Text(BaseModel):
    """A result."""

    words: int


realm = Realm("content")


# -- what is no handler -------------------------------------------------------------------------


@realm.intent("content.a")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
async def returns_text(ctx: Context, payload: File) -> str:
    return ""


@realm.intent("content.b")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def returns_list(ctx: Context, payload: File) -> list[Text]:
    return []


@realm.intent("content.c")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
async def returns_bytes_or_model(ctx: Context, payload: File) -> Text | bytes:
    return b""


@realm.intent("content.d")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
async def yields(ctx: Context, payload: File) -> AsyncIterator[Text]:
    yield Text(words=1)


@realm.intent("content.e")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
async def takes_a_dict(ctx: Context, payload: dict[str, Any]) -> Outcome:
    return Outcome()


@realm.intent("content.f")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def takes_no_context(payload: File) -> Outcome:
    return Outcome()


@realm.intent("content.g")  # type: ignore[arg-type, type-var]  # pyright: ignore[reportArgumentType]
async def takes_them_the_other_way_round(payload: File, ctx: Context) -> Outcome:
    return Outcome()


@realm.intent("content.h")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def takes_more(ctx: Context, payload: File, language: str) -> Outcome:
    return Outcome()


@realm.intent("content.i")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def takes_by_keyword(ctx: Context, *, payload: File) -> Outcome:
    return Outcome()


realm.intent("content.j")("read")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@realm.intent  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def without_a_type(ctx: Context, payload: File) -> Outcome:
    return Outcome()


@realm.intent("content.k", timeout=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def timeout_in_seconds(ctx: Context, payload: File) -> Outcome:
    return Outcome()


@realm.intent("content.l", retry=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def retry_as_a_number(ctx: Context, payload: File) -> Outcome:
    return Outcome()


# -- what undoes something else, or not all of it ------------------------------------------------


@realm.intent("content.undone")
async def undone(ctx: Context, payload: File) -> Text:
    return Text(words=1)


@realm.intent("content.undone_at_once")
def undone_at_once(ctx: Context, payload: File) -> Text:
    return Text(words=1)


@undone.compensate  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType, reportUntypedFunctionDecorator]
async def takes_another_result(ctx: Context, done: Other | None) -> None: ...


@undone.compensate(timeout="1m")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def takes_another_with_options(ctx: Context, done: Other | None) -> None: ...


@undone_at_once.compensate  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def takes_no_unknown(ctx: Context, done: Text) -> None: ...


@undone.compensate  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType, reportUntypedFunctionDecorator]
async def takes_the_payload(ctx: Context, done: Text | None, payload: File) -> None: ...


@undone.compensate  # type: ignore[type-var]  # pyright: ignore[reportCallIssue, reportArgumentType, reportUntypedFunctionDecorator]
async def returns_a_result(ctx: Context, done: Text | None) -> Text:
    return Text(words=1)


@undone.compensate(deadline="1m")  # type: ignore[call-overload, untyped-decorator]  # pyright: ignore[reportCallIssue, reportUntypedFunctionDecorator]
async def has_a_deadline(ctx: Context, done: Text | None) -> None: ...


# -- plans that cannot be carried out ------------------------------------------------------------


def plans(file: PlanInput[File], other: PlanInput[Other]) -> None:
    read = Step("read", undone)
    Step("a", undone, other)  # type: ignore[arg-type, misc]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Step("b", undone, Other())  # type: ignore[arg-type, misc]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Step("c", undone, read.result)  # type: ignore[arg-type, misc]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Step("d", undone, "a.pdf")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Step("e", undone, [file["path"]])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Step("f", undone, when=file["path"])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Step("g", undone, needs=[file["path"]])  # type: ignore[arg-type, list-item]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Step("h", planned)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Step("i", undone, {"path": read["path"]})  # type: ignore[arg-type, index]  # pyright: ignore[reportIndexIssue, reportUnknownArgumentType]
    Step("j", undone, input={"path": read.result.path})  # type: ignore[arg-type, attr-defined]  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue, reportUnknownArgumentType]
    Step("k", undone, EACH, for_each=read.result)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Step("l", undone, EACH, for_each=[1])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Step("m", undone, EACH, at_most=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    Step("n", undone, EACH, for_each=file["path"], at_most="1")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Step("o", undone, Step("p", undone, for_each=file["path"]).result)  # type: ignore[arg-type, misc]  # pyright: ignore[reportCallIssue, reportArgumentType]
    Plan([undone])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    Plan([read], read.result)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    file[1.5]  # type: ignore[index]  # pyright: ignore[reportArgumentType]
    print(file["path"].is_in(3))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@realm.plan("content.planned")
def planned(file: PlanInput[File]) -> Plan:
    return Plan([Step("read", undone)])


@realm.plan("content.of_a_dict")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def of_a_dict(file: PlanInput[dict[str, str]]) -> Plan:  # type: ignore[type-var]  # pyright: ignore[reportInvalidTypeArguments]
    return Plan([Step("read", undone)])


@realm.plan("content.of_a_payload")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def of_a_payload(file: File) -> Plan:
    return Plan([Step("read", undone)])


@realm.plan("content.asynchronous")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def asynchronous(file: PlanInput[File]) -> Plan:
    return Plan([Step("read", undone)])


@realm.plan("content.recovers", recovery="undo")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def recovers(file: PlanInput[File]) -> Plan:
    return Plan([Step("read", undone)])


async def submits(gateway: Client) -> None:
    await gateway.submit(planned, Other(), session_id="s")  # type: ignore[misc]  # pyright: ignore[reportArgumentType]


async def undoes(ctx: Context) -> None:
    other: Other = ctx.intent.read(File)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(other)
    ctx.intent.read(File(path="a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


Retry(attempts="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Silent(RuntimeParticipant):
    """One that does not answer."""

    def get_supported_intents(self) -> list[str]:
        return ["content.silent"]


realm.add(Silent())  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]


# -- wrong calls of a right handler -------------------------------------------------------------


@realm.intent("content.right")
async def right(ctx: Context, payload: File) -> Text:
    return Text(words=1)


async def calls(ctx: Context, file: File) -> None:
    await right(ctx, Other())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await right(ctx, {"path": "a"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await right(ctx)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await right(file, ctx)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    outcome: Outcome = await right(ctx, file)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print((await right(ctx, file)).pages)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
    print(right(ctx, file).words)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
    right.options.timeout = "3m"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    print(outcome)


# -- steps --------------------------------------------------------------------------------------


async def fetch(path: str, times: int = 1) -> Text:
    return Text(words=times)


def split(path: str) -> list[str]:
    return [path]


async def steps(ctx: Context) -> None:
    await ctx.step("async", fetch, 7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.step("sync", split, 7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.step("missing", fetch)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await ctx.step("too many", split, "a", "b")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await ctx.step("keyword", fetch, "a", pages=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await ctx.step("keyword's type", fetch, "a", times="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.step("called already", fetch("a"))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.step("no function", "fetch")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.step(fetch, "name behind")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await ctx.step(7, split, "a")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    ctx.step("not awaited", split, "a")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    text: str = await ctx.step("another result", fetch, "a")  # type: ignore[call-overload]  # pyright: ignore[reportAssignmentType]
    lines: list[int] = await ctx.step("another element", split, "a")  # type: ignore[call-overload]  # pyright: ignore[reportAssignmentType]
    print((await ctx.step("no such field", fetch, "a")).pages)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
    ctx.wait(fetch)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    numbers: int = ctx.wait(ctx.step("in a thread", split, "a"))  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(text, lines, numbers)


# -- what is invoked ----------------------------------------------------------------------------


async def invokes(ctx: Context, file: File) -> None:
    other: Other = await ctx.invoke(right, file)  # type: ignore[arg-type]  # pyright: ignore[reportAssignmentType]
    await ctx.invoke(right, Text(words=1))  # type: ignore[misc]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ctx.invoke(right)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await ctx.invoke(right, file, timeout=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await ctx.invoke(fetch, file)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    number: int = await ctx.invoke(right, file, wait=False)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(other, number)


# -- waits --------------------------------------------------------------------------------------


async def waits(ctx: Context) -> None:
    other: Other = await ctx.signal("granted", Text)  # type: ignore[arg-type]  # pyright: ignore[reportAssignmentType]
    print((await ctx.signal("granted", Text)).pages)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
    await ctx.signal("granted", Text(words=1))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await ctx.signal("granted", "3d")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await ctx.signal("granted", Text, timeout=3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await ctx.signal(Text)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await ctx.sleep(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.sleep("not awaited")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    await ctx.progress(50)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.attempt = 3  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    print(other)


# -- what a handler hands over ------------------------------------------------------------------


async def outcomes(ctx: Context) -> None:
    Outcome(Text(words=1))  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
    Outcome(events=["file.read"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    Outcome(events=[StateChange("a", 1)])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    Outcome(artifacts={"a": b"raw"})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    Outcome(artifacts=[await ctx.artifacts.put("a", "x")])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Outcome(results=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Event(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await ctx.artifacts.put("a.txt", Path("a.txt"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await ctx.artifacts.get("artifact://acme/ab")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# -- the client ---------------------------------------------------------------------------------


async def client(gateway: Client, file: File, session: str) -> None:
    await gateway.submit("content.read", "a.pdf", session_id=session)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await gateway.submit("content.read", [file], session_id=session)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await gateway.submit("content.read", None, session_id=session)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await gateway.submit("content.read", File, session_id=session)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await gateway.submit("content.read", {1: "a"}, session_id=session)  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
    await gateway.submit("content.read", session_id=session)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await gateway.submit("content.read", file)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await gateway.submit("content.read", file, session)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await gateway.submit("content.read", file, session_id=session, wait=10)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await gateway.submit("content.read", file, session_id=session, metadata="http")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await gateway.submit("content.read", file, session_id=session, patience="3s")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await gateway.submit(right, Other(), session_id=session)  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    await gateway.submit(fetch, file, session_id=session)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    text: Text = await gateway.submit("content.read", file, session_id=session)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    other: Other = (await gateway.status("exe")).read(Text)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    (await gateway.status("exe")).read(Text(words=1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    print((await gateway.status("exe")).succeeded)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
    print((await gateway.status("exe")).error.code)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    await gateway.signal("exe", {"by": "ann"}, "granted")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await gateway.cancel("exe", 7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async for _ in await gateway.stream("exe"):  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        break
    with gateway:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        print(text, other)
